"""A picture for a message: known by its pixels, sent small, as a data URL."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

from PIL import Image

from mrharm.images import encode_png, open_image
from mrharm.llm.requests import Picture

SIDE = 768  # pixels of the longer side that are sent
_PNG_BYTES = 250_000  # beyond, a JPEG is sent


def picture_of(image: Image.Image) -> Picture:
    """An RGB picture for a message. The same pixels in another container are the same question."""
    pixels = image if image.mode == "RGB" else image.convert("RGB")
    return Picture(_sha256(pixels), lambda: _data_url(pixels))


def picture_in(path: Path) -> Picture:
    """The picture in a file, for a message: opened again when it is sent, so that many can wait in little memory.

    Raises:
        ImageError: it cannot be read.
    """
    return Picture(_sha256(open_image(path)), lambda: _data_url(open_image(path)))


def _sha256(pixels: Image.Image) -> str:
    return hashlib.sha256(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()


def _data_url(image: Image.Image) -> str:
    """Its longer side at most ``SIDE`` pixels: PNG, or JPEG where that is smaller by far."""
    small = image.copy()
    small.info = {}  # a file's comment would travel along
    small.thumbnail((SIDE, SIDE))
    data, kind = encode_png(small), "png"
    if len(data) > _PNG_BYTES:
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=90)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
