"""Pictures, boxes and memes drawn for the tests of masks and in-painters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mrharm.records import Polygon, TextBox


def boxed(polygon: Polygon) -> TextBox:
    return TextBox(polygon=polygon, text="you", confidence=1.0)


def box(left: float, top: float, right: float, bottom: float) -> TextBox:
    return boxed(((left, top), (right, top), (right, bottom), (left, bottom)))


def photo(size: tuple[int, int] = (320, 200)) -> Image.Image:
    """Shades and grain, as photographs have them."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    grain = np.random.default_rng(0).normal(0, 4, (size[1], size[0], 1))
    shades = np.stack([60 + columns / 4, 90 + rows / 3, 140 - columns / 6], axis=-1)
    return Image.fromarray(np.clip(shades + grain, 0, 255).astype(np.uint8))


def written(
    clean: Image.Image, ink: str, size: int = 40, outline: str | None = None
) -> tuple[Image.Image, TextBox]:
    """Write two words on a copy of a picture; return it, and a box around them."""
    meme = clean.copy()
    draw = ImageDraw.Draw(meme)
    corner, stroke = (0.1 * meme.width, 0.25 * meme.height), 3 if outline else 0
    draw.text(corner, "you smell", fill=ink, font_size=size, stroke_width=stroke, stroke_fill=outline)
    left, top, right, bottom = draw.textbbox(corner, "you smell", font_size=size, stroke_width=stroke)
    room = 2 if outline else 0.15 * size
    return meme, box(left - room, top - room, right + room, bottom + room)


def changed(meme: Image.Image, clean: Image.Image) -> NDArray[np.bool_]:
    """Where two pictures differ to the eye."""
    return np.abs(np.asarray(meme, int) - np.asarray(clean, int)).max(axis=2) > 24


# Clean pictures, the ink and the outline of the words to write on them.
MEMES = {
    "paper": (Image.new("RGB", (320, 200), (250, 250, 248)), "black", None),
    "white on a photo": (photo(), "white", "black"),
    "yellow on a photo": (photo(), "yellow", "black"),
}
