"""Drawing text into a box and remembering exactly where each line of it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import mrharm.synthetic

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
Colour = str | tuple[int, int, int]

_FOLDER = Path(mrharm.synthetic.__file__).parent / "fonts"
FONTS: dict[str, str | None] = {
    "poster": "BebasNeue-Bold.otf",
    "hand": "ComicNeue-Bold.otf",
    "book": "DejaVuSerif-Bold.ttf",
    "typewriter": "DejaVuSansMono-Bold.ttf",
    "plain": None,  # Pillow's own: Aileron Regular
}


@dataclass(frozen=True)
class Ink:
    """How words look: ``size`` is the largest, in pixels; words that do not fit are made smaller, to ``smallest``.

    ``outline`` and ``thick`` (bold made from a light font) are drawn as strokes; ``shadow`` lies below right.
    """

    font: str
    size: int
    colour: Colour = "black"
    outline: Colour | None = None
    shadow: Colour | None = None
    thick: bool = False
    align: str = "centre"  # left | centre
    leading: float = 1.2  # from line to line, in font sizes
    smallest: int = 14

    @property
    def stroke(self) -> int:
        """Width of the stroke around each letter, in pixels."""
        if self.outline is not None:
            return max(1, round(self.size / 14))
        return max(1, round(self.size / 28)) if self.thick else 0


@dataclass
class Canvas:
    """A meme being drawn: ``posted`` has the text, ``clean`` has not, ``lines`` says what was written where."""

    clean: Image.Image
    posted: Image.Image = field(init=False)
    lines: list[tuple[str, Box]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.posted = self.clean.copy()

    @property
    def width(self) -> int:
        """In pixels."""
        return self.clean.width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.clean.height

    def write(self, text: str, box: Box, ink: Ink, place: str = "middle", angle: float = 0.0) -> Box:
        """Write the text into ``box``, wrapped, as large as fits; returns the box of all its lines.

        ``place``: where in a box too high for it (top | middle | bottom); ``angle``: degrees, anticlockwise, around
        the middle of the box.
        """
        ink, rows = _fit(text, box, ink)
        font, step = _font(ink.font, ink.size), ink.leading * ink.size
        spare = box[3] - box[1] - step * len(rows)
        y = box[1] + {"top": 0.0, "middle": spare / 2, "bottom": spare}[place] + (step - ink.size) / 2
        page = self.posted if not angle else Image.new("RGBA", self.posted.size)
        draw = ImageDraw.Draw(page)
        written = []
        for row in rows:
            x = box[0] if ink.align == "left" else (box[0] + box[2] - font.getlength(row)) / 2
            if ink.shadow is not None:
                shift = max(1, round(ink.size / 16))
                draw.text((x + shift, y + shift), row, ink.shadow, font, stroke_width=ink.stroke)
            draw.text(
                (x, y), row, ink.colour, font, stroke_width=ink.stroke, stroke_fill=ink.outline or ink.colour
            )
            written.append((row, draw.textbbox((x, y), row, font, stroke_width=ink.stroke)))
            y += step
        if angle:
            middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            turned = page.rotate(angle, Image.Resampling.BICUBIC, center=middle)
            self.posted.paste(turned, mask=turned.getchannel("A"))
            written = [(row, turned_box(one, middle, angle)) for row, one in written]
        self.lines += written
        boxes = [one for _, one in written]
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return (min(lefts), min(tops), max(rights), max(bottoms))

    def paste(self, picture: Image.Image, at: tuple[float, float], mask: Image.Image | None = None) -> None:
        """Put a picture, or paper, under the text that follows: it stays when the text is gone."""
        for page in (self.clean, self.posted):
            page.paste(picture, (round(at[0]), round(at[1])), mask)

    def paper(self, box: Box, colour: Colour, radius: float = 0, edge: Colour | None = None) -> None:
        """A (rounded) rectangle under the text that follows; a filled ellipse at a radius of half its height."""
        for page in (self.clean, self.posted):
            ImageDraw.Draw(page).rounded_rectangle(box, radius, colour, edge, 2 if edge else 0)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon under the text that follows."""
        for page in (self.clean, self.posted):
            ImageDraw.Draw(page).polygon(points, colour)


def turned_box(box: Box, middle: tuple[float, float], angle: float) -> Box:
    """The upright box around ``box`` turned anticlockwise by ``angle`` degrees around ``middle``."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(x - middle[0], y - middle[1]) for x in (box[0], box[2]) for y in (box[1], box[3])]
    across = [middle[0] + x * cos + y * sin for x, y in corners]
    down = [middle[1] - x * sin + y * cos for x, y in corners]
    return (min(across), min(down), max(across), max(down))


def _fit(text: str, box: Box, ink: Ink) -> tuple[Ink, list[str]]:
    width, height = box[2] - box[0], box[3] - box[1]
    while True:
        rows = _wrap(text, ink, width - 2 * ink.stroke)
        font = _font(ink.font, ink.size)
        fits = ink.leading * ink.size * len(rows) <= height and all(
            font.getlength(row) <= width - 2 * ink.stroke for row in rows
        )
        if fits or ink.size <= ink.smallest:
            return ink, rows
        ink = replace(ink, size=ink.size - 1)


def _wrap(text: str, ink: Ink, width: float) -> list[str]:
    font, rows = _font(ink.font, ink.size), [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and font.getlength(longer) > width:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    file = FONTS[name]
    if file is not None:
        return ImageFont.truetype(_FOLDER / file, size)
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError(
            "Pillow was built without FreeType; expected a wheel, which has it: pip install pillow"
        )
    return font
