"""One picture -> what can be seen in it: its words with their boxes, and the picture without them.

The same path serves `mrharm gather` on a dataset and `Detector.judge` on a picture nobody described.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from PIL import Image

from mrharm.evidence.engines import INPAINTERS, OCR, Inpainter, Ocr
from mrharm.images import decode
from mrharm.records import Evidence, Meme, TextBox

OcrPolicy = Literal["missing", "always", "never"]


@dataclass(frozen=True)
class Engines:
    """Which engines look at a picture, by their rows' names, and when the words read are taken for the meme's text.

    ``policy``: ``missing`` keeps a text that was given, ``always`` puts the words read in its place, ``never`` reads
    nothing (and so has nothing to take off the picture either).
    """

    ocr: str = "rapidocr"
    inpainter: str = "telea"  # or none
    policy: OcrPolicy = "missing"


@dataclass(frozen=True)
class Looked:
    """What was seen: the evidence (its clean picture has no place yet), and the clean picture where one was made."""

    evidence: Evidence
    clean: Image.Image | None


class Eye:
    """Looks at pictures with a set of engines; each is loaded when it is first needed.

    Raises (on construction):
        InputError: no engine of that name.
    """

    def __init__(self, engines: Engines = Engines()) -> None:
        self.engines = engines
        self._ocr_row = OCR.load(engines.ocr) if engines.policy != "never" else None
        self._inpainter_row = INPAINTERS.load(engines.inpainter) if engines.inpainter != "none" else None

    @cached_property
    def ocr(self) -> Ocr | None:
        """The engine that reads, or None where nothing is to be read."""
        return self._ocr_row() if self._ocr_row else None

    @cached_property
    def inpainter(self) -> Inpainter | None:
        """The engine that takes words off, or None."""
        return self._inpainter_row() if self._inpainter_row and self._ocr_row else None

    def look(
        self, meme: Meme, data: bytes, name: str, known: Evidence | None = None, *, clean: bool = True
    ) -> Looked:
        """A meme and its picture's bytes -> evidence; what ``known`` holds and still holds true is kept.

        Args:
            meme: whose text, where it was given, stays unless the policy says otherwise.
            data: the picture file's bytes.
            name: how errors call it.
            known: evidence there is already; its boxes are used again where the same engine read the same picture.
            clean: whether the picture without its words is wanted, too.

        Raises:
            ImageError: the bytes are no picture that can be opened.
        """
        image = decode(data, name)
        sha256 = hashlib.sha256(data).hexdigest()
        evidence = known or Evidence(meme_id=meme.id)
        if evidence.image_sha256 not in (None, sha256):
            # Another picture now: nothing that was seen in the old one holds.
            evidence = Evidence(meme_id=meme.id)
        made_by = dict(evidence.made_by)
        boxes = evidence.boxes
        if self.ocr and (made_by.get("boxes") != self.ocr.version or evidence.image_sha256 is None):
            boxes = self.ocr.read(image)
            made_by["boxes"] = self.ocr.version
        text, source = self._text(meme, evidence, boxes)
        if source == "ocr" and self.ocr:
            made_by["text"] = self.ocr.version
        elif source == "given":
            made_by.pop("text", None)
        picture = self.inpainter.clean(image, boxes) if clean and self.inpainter else None
        if picture is not None and self.inpainter:
            made_by["clean_image"] = self.inpainter.version
        update = {
            "image_sha256": sha256,
            "text": text,
            "text_source": source,
            "boxes": boxes,
            "made_by": made_by,
        }
        return Looked(evidence.model_copy(update=update), picture)

    def _text(
        self, meme: Meme, evidence: Evidence, boxes: tuple[TextBox, ...]
    ) -> tuple[str | None, Literal["given", "ocr"] | None]:
        if self.ocr and (meme.text is None or self.engines.policy == "always"):
            return "\n".join(box.text for box in boxes), "ocr"
        if meme.text is not None:
            return meme.text, "given"
        return evidence.text, evidence.text_source


def disagreement(given: str, boxes: tuple[TextBox, ...]) -> float:
    """Share of a given text's words and the words read that the other side does not have (0: the same words).

    Case and punctuation aside, order aside; 1 - the Dice coefficient of the two bags of words.
    """
    words, read = _bag(given), _bag(" ".join(box.text for box in boxes))
    total = sum(words.values()) + sum(read.values())
    shared = sum(min(count, read.get(word, 0)) for word, count in words.items())
    return 1 - 2 * shared / total if total else 0.0


def _bag(text: str) -> dict[str, int]:
    bag: dict[str, int] = {}
    for word in text.casefold().split():
        bare = "".join(letter for letter in word if letter.isalnum())
        if bare:
            bag[bare] = bag.get(bare, 0) + 1
    return bag
