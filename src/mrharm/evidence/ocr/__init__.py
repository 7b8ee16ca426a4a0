"""Read the words on a picture: what an OCR engine answers, and the table of engines.

A third party's engine is an entry point in ``mrharm.ocr``; tests/evidence/test_contracts.py runs over them.
"""

from __future__ import annotations

from typing import Protocol

from PIL import Image

from mrharm import plugins
from mrharm.records import TextBox


class Ocr(Protocol):
    """Reads the words in a picture. Made by calling its row with no arguments; models are loaded on first use."""

    version: str  # engine@version and every setting that changes what it reads

    def read(self, image: Image.Image) -> tuple[TextBox, ...]:
        """Return the lines of text in an RGB picture, in reading order, each with its words; nothing for no text."""
        ...


OCR = plugins.Table("ocr", {"rapidocr": "mrharm.evidence.ocr.rapidocr:RapidOcr"})
