"""Engines that read, clean and describe pictures: one protocol and one table for each kind of engine.

A third party adds an engine from its own package with an entry point in ``mrharm.ocr``, ``mrharm.inpainters`` or
``mrharm.captioners``; the contract tests (tests/evidence/test_contracts.py, test_captions.py) run over the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from mrharm import plugins
from mrharm.errors import MissingInputError
from mrharm.records import Meme, TextBox


class Ocr(Protocol):
    """Reads the words in a picture. Made by calling its row with no arguments; models are loaded on first use."""

    version: str  # engine@version and every setting that changes what it reads

    def read(self, image: Image.Image) -> tuple[TextBox, ...]:
        """Return the lines of text in an RGB picture, in reading order, each with its words; nothing for no text."""
        ...


class Inpainter(Protocol):
    """Takes the words off a picture. Made by calling its row with no arguments."""

    version: str

    def clean(self, image: Image.Image, boxes: Sequence[TextBox]) -> Image.Image:
        """Return an RGB picture of the same size without the text in ``boxes``; with no boxes, the picture itself."""
        ...


@dataclass(frozen=True)
class Described:
    """A picture to be described: the meme it is of, and the picture without its text."""

    meme: Meme
    image: Image.Image | None


class Captioner(Protocol):
    """Describes what pictures show. Made by calling its row with what follows the colon (``hf:MODEL``), or None."""

    version: str
    batch_size: int  # how many pictures it takes at a time

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a caption for each picture, or why there is none; one that fails takes no other with it."""
        ...


def describe_images(
    pictures: Sequence[Described], describe: Callable[[list[Image.Image]], list[str | Exception]]
) -> list[str | Exception]:
    """Have the pictures that there are described; the others get a MissingInputError in their place."""
    descriptions = iter(describe([picture.image for picture in pictures if picture.image is not None]))
    return [
        MissingInputError(f"{picture.meme.id}: no picture to describe")
        if picture.image is None
        else next(descriptions)
        for picture in pictures
    ]


OCR = plugins.Table("ocr", {"rapidocr": "mrharm.evidence.ocr.rapidocr:RapidOcr"})
INPAINTERS = plugins.Table(
    "inpainters",
    {"telea": "mrharm.evidence.inpainting.telea:Telea", "lama": "mrharm.evidence.inpainting.lama:Lama"},
)
CAPTIONERS = plugins.Table(
    "captioners",
    {
        "recorded": "mrharm.evidence.captions.recorded:RecordedCaptions",
        "hf": "mrharm.evidence.captions.local:LocalCaptions",
        "openai": "mrharm.evidence.captions.hosted:HostedCaptions",
    },
)
