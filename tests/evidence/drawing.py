"""Boxes and memes drawn for the tests of masks and in-painters."""

from __future__ import annotations

from PIL import Image, ImageDraw

from mrharm.records import Polygon, TextBox


def boxed(polygon: Polygon) -> TextBox:
    return TextBox(polygon=polygon, text="you", confidence=1.0)


def box(left: float, top: float, right: float, bottom: float) -> TextBox:
    return boxed(((left, top), (right, top), (right, bottom), (left, bottom)))


def written(clean: Image.Image, ink: str, size: int = 40) -> tuple[Image.Image, TextBox]:
    """Write two words on a copy of a picture; return it, and a box around them."""
    meme = clean.copy()
    draw = ImageDraw.Draw(meme)
    corner = (0.1 * meme.width, 0.25 * meme.height)
    draw.text(corner, "you smell", fill=ink, font_size=size)
    left, top, right, bottom = draw.textbbox(corner, "you smell", font_size=size)
    room = 0.15 * size
    return meme, box(left - room, top - room, right + room, bottom + room)
