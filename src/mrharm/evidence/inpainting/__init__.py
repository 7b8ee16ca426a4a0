"""Take the words off a picture: what an in-painter answers, and the table of in-painters.

A third party's in-painter is an entry point in ``mrharm.inpainters``; tests/evidence/test_contracts.py runs over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from mrharm import plugins
from mrharm.records import TextBox


class Inpainter(Protocol):
    """Takes the words off a picture. Made by calling its row with no arguments."""

    version: str

    def clean(self, image: Image.Image, boxes: Sequence[TextBox]) -> Image.Image:
        """Return an RGB picture of the same size without the text in ``boxes``; with no boxes, the picture itself."""
        ...


INPAINTERS = plugins.Table(
    "inpainters",
    {"telea": "mrharm.evidence.inpainting.telea:Telea", "lama": "mrharm.evidence.inpainting.lama:Lama"},
)
