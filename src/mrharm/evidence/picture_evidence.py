"""Extract the evidence of one picture: its words with their boxes, and the picture without them.

`mrharm gather` runs it over a dataset, and `Detector.judge` on a picture without evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from PIL import Image

from mrharm.evidence.inpainting import INPAINTERS, Inpainter
from mrharm.evidence.ocr import OCR, Ocr
from mrharm.images import decode
from mrharm.records import Evidence, Meme
from mrharm.store import sha256_bytes

OcrPolicy = Literal["missing", "always", "never"]


@dataclass(frozen=True)
class Engines:
    """Which engines extract evidence, by the names of their rows, and when OCR text becomes the meme's text.

    ``policy``: ``missing`` keeps a posted text, ``always`` replaces it by the words read, ``never`` reads nothing (and
    so has no words to remove from the picture either).
    """

    ocr: str = "rapidocr"
    inpainter: str = "telea"  # or none
    policy: OcrPolicy = "missing"


class EvidencePipeline:
    """Extracts evidence from pictures with a set of engines; each engine is loaded when it is first used.

    Raises (on construction):
        InputError: no engine of that name.
    """

    def __init__(self, engines: Engines = Engines()) -> None:
        self.engines = engines
        self._reads = engines.policy != "never"
        if self._reads:
            OCR.load(engines.ocr)
        if engines.inpainter != "none":
            INPAINTERS.load(engines.inpainter)

    @cached_property
    def ocr(self) -> Ocr | None:
        """Return the OCR engine; None where nothing is to be read."""
        engine: Ocr | None = OCR.load(self.engines.ocr)() if self._reads else None
        return engine

    @cached_property
    def inpainter(self) -> Inpainter | None:
        """Return the engine that removes words from pictures; None where no clean picture is to be made."""
        cleans = self._reads and self.engines.inpainter != "none"
        engine: Inpainter | None = INPAINTERS.load(self.engines.inpainter)() if cleans else None
        return engine

    def extract(
        self, meme: Meme, data: bytes, name: str, known: Evidence | None = None, *, clean: bool = True
    ) -> tuple[Evidence, Image.Image | None]:
        """Extract a meme's evidence from its picture's bytes, and keep what ``known`` holds of the same picture.

        Boxes that the same engine read are used again. With ``clean``, the picture without its words is returned, too;
        the evidence has no place for it yet. ``name``: the picture's, in errors.

        Raises:
            ImageError: the bytes are no picture that can be opened.
        """
        image = decode(data, name)
        sha256 = sha256_bytes(data)
        evidence = known or Evidence(meme_id=meme.id)
        if evidence.image_sha256 not in (None, sha256):
            evidence = Evidence(meme_id=meme.id)  # of another picture
        made_by = dict(evidence.made_by)
        boxes = evidence.boxes
        if self.ocr and (made_by.get("boxes") != self.ocr.version or evidence.image_sha256 is None):
            boxes = self.ocr.read(image)
            made_by["boxes"] = self.ocr.version
        text, source = evidence.text, evidence.text_source
        if self.ocr and self.replaces_text(meme):
            text, source = "\n".join(box.text for box in boxes), "ocr"
            made_by["text"] = self.ocr.version
        elif meme.text is not None:
            text, source = meme.text, "given"
            made_by.pop("text", None)
        picture = None
        if clean and self.inpainter:
            picture = self.inpainter.clean(image, boxes)
            made_by["clean_image"] = self.inpainter.version
        update = {"image_sha256": sha256, "text": text, "text_source": source, "boxes": boxes}
        return evidence.model_copy(update={**update, "made_by": made_by}), picture

    def replaces_text(self, meme: Meme) -> bool:
        """Tell whether the words read off the picture become this meme's text."""
        return self._reads and (meme.text is None or self.engines.policy == "always")
