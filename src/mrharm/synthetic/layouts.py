"""Where the words go: seven layouts, four fonts, and drawing a text so that it fits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mrharm.records import TextBox

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Layout:
    """``regions``: (top, bottom) of each text block; ``free``: (top, bottom) of what stays clear; shares of height."""

    regions: tuple[tuple[float, float], ...]
    free: tuple[float, float]
    paper: str | None = None  # what is put under the words: bar | box | bubble


LAYOUTS: dict[str, Layout] = {
    "top": Layout(((0.01, 0.24),), (0.25, 0.99)),
    "bottom": Layout(((0.76, 0.99),), (0.01, 0.75)),
    "split": Layout(((0.01, 0.16), (0.84, 0.99)), (0.17, 0.83)),
    "bar": Layout(((0.0, 0.24),), (0.25, 0.99), "bar"),
    "strip": Layout(((0.77, 1.0),), (0.01, 0.76), "bar"),
    "box": Layout(((0.02, 0.24),), (0.25, 0.99), "box"),
    "bubble": Layout(((0.02, 0.23),), (0.27, 0.99), "bubble"),
}

FONTS: dict[str, str] = {
    "poster": "BebasNeue-Bold.otf",
    "hand": "ComicNeue-Bold.otf",
    "book": "DejaVuSerif-Bold.ttf",
    "typewriter": "DejaVuSansMono-Bold.ttf",
}
CAPITALS_ONLY = ("poster",)

_LEADING = 1.14  # from line to line, in font sizes
_MEASURED = 64

_OUTLINED = (("#ffffff", "#000000"), ("#fff23a", "#000000"), ("#7df9ff", "#101030"), ("#ffffff", "#5a0a2a"))
_PAPERS = (("#101010", "#ffffff"), ("#ffffff", "#151515"), ("#1b2a6b", "#fff7d6"), ("#7a0f2b", "#ffe9ef"),
           ("#0d3b2e", "#e3fff2"))  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a picture's words look: (ink, paper or outline), and the share of the largest size that fits."""

    layout: str
    colours: tuple[str, str]
    size: float


def draw_style(layout: str, rng: random.Random) -> Style:
    """Draw a style for this layout by lot, whatever text and label are."""
    colours = rng.choice(_PAPERS if LAYOUTS[layout].paper else _OUTLINED)
    return Style(layout, colours, rng.uniform(0.85, 1.0))


def draw_text(
    picture: Image.Image, text: str, font: str, style: Style
) -> tuple[Image.Image, tuple[TextBox, ...]]:
    """Return the posted meme, and each line of its words in a box."""
    meme = picture.copy()
    draw = ImageDraw.Draw(meme)
    layout = LAYOUTS[style.layout]
    width, height = meme.size
    words = text.split(" ")
    block = -(-len(words) // len(layout.regions))  # words
    boxes: list[TextBox] = []
    for number, (top, bottom) in enumerate(layout.regions):
        region = (0.03 * width, top * height, 0.97 * width, bottom * height)
        if layout.paper:
            _draw_paper(draw, layout.paper, region, width, style)
        part = words[number * block : (number + 1) * block]
        boxes += _draw_block(draw, part, font, style, region)
    return meme, tuple(boxes)


def _draw_paper(draw: ImageDraw.ImageDraw, kind: str, region: Box, width: int, style: Style) -> None:
    left, top, right, bottom = region
    ink, paper = style.colours
    if kind == "bar":
        draw.rectangle((0, top, width, bottom), fill=paper)
        return
    if kind == "bubble":
        middle = left + (right - left) * 0.3
        tip = [(middle, bottom - 4), (middle + 22, bottom - 4), (middle + 4, bottom + 12)]
        draw.polygon(tip, fill=paper, outline=ink)
    radius = 6 if kind == "box" else (bottom - top) * 0.4
    draw.rounded_rectangle(region, radius, fill=paper, outline=ink, width=2)


def _draw_block(
    draw: ImageDraw.ImageDraw, words: list[str], font: str, style: Style, region: Box
) -> list[TextBox]:
    left, top, right, bottom = region
    outlined = LAYOUTS[style.layout].paper is None
    inset = 2 if outlined else 8
    chosen, rows = _fit(words, font, right - left - 2 * inset, bottom - top - 4, style.size)
    step = _LEADING * chosen.size
    y = (top + bottom) / 2 - step * len(rows) / 2
    boxes: list[TextBox] = []
    ink, outline = style.colours
    for row in rows:
        x = (left + right) / 2 - chosen.getlength(row) / 2
        stroke = max(1, round(chosen.size / 11)) if outlined else 0
        draw.text((x, y), row, font=chosen, fill=ink, stroke_width=stroke, stroke_fill=outline)
        x0, y0, x1, y1 = draw.textbbox((x, y), row, font=chosen, stroke_width=stroke)
        boxes.append(TextBox(polygon=((x0, y0), (x1, y0), (x1, y1), (x0, y1)), text=row, confidence=1.0))
        y += step
    return boxes


def _fit(
    words: list[str], font: str, width: float, height: float, share: float
) -> tuple[ImageFont.FreeTypeFont, list[str]]:
    """Return the font, at a share of the largest size (9 to 34) at which the words fit, and the rows of words."""
    for size in range(34, 8, -1):
        rows = _wrap(words, font, size, width)
        if _LEADING * size * len(rows) <= height and all(_length(row, font, size) <= width for row in rows):
            break
    size = max(9, round(size * share))
    return _font(font, size), _wrap(words, font, size, width)


def _wrap(words: list[str], font: str, size: int, width: float) -> list[str]:
    rows: list[str] = []
    for word in words:
        if rows and _length(f"{rows[-1]} {word}", font, size) <= width:
            rows[-1] = f"{rows[-1]} {word}"
        else:
            rows.append(word)
    return rows


def _length(row: str, font: str, size: int) -> float:
    # Every word is measured once, large, and scaled: asking the font at each size takes longer than the drawing.
    words = row.split(" ")
    length = sum(_measure(word, font) for word in words) + _measure(" ", font) * (len(words) - 1)
    return length * size / _MEASURED


@lru_cache(maxsize=4096)
def _measure(word: str, font: str) -> float:
    return _font(font, _MEASURED).getlength(word)


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(__file__).parent / "fonts" / FONTS[name], size)
