"""The layouts of drawn memes: each function writes its texts on a canvas, in reading order."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from PIL import Image, ImageDraw

from benchmarks import sayings
from benchmarks.backgrounds import background
from benchmarks.lettering import Box, Canvas, Ink

_OUTLINED = (
    ("white", "black"),
    ("white", "black"),
    ("yellow", "black"),
    ("#7df9ff", "#101030"),
    ("white", "#5a0a2a"),
)


def classic(canvas: Canvas, rng: random.Random) -> None:
    """Capitals with an outline at the top and at the bottom."""
    width, height = canvas.width, canvas.height
    colour, outline = rng.choice(_OUTLINED)
    size = round(min(width, height) * rng.uniform(0.07, 0.13))
    ink = Ink(rng.choice(("poster", "poster", "plain", "book")), size, colour, outline, leading=1.1)
    canvas.write(
        sayings.setup(rng).upper(), (0.04 * width, 0.02 * height, 0.96 * width, 0.28 * height), ink, "top"
    )
    bottom = (0.04 * width, 0.74 * height, 0.96 * width, 0.98 * height)
    canvas.write(sayings.punchline(rng).upper(), bottom, ink, "bottom")


def bar(canvas: Canvas, rng: random.Random) -> None:
    """A white bar above the picture, dark words in it."""
    width = canvas.width
    high = canvas.height * rng.uniform(0.16, 0.34)
    paper, colour = ("white", rng.choice(("black", "#222222"))) if rng.random() < 0.8 else ("black", "white")
    canvas.paper((0, 0, width, high), paper)
    size = round(min(width, canvas.height) * rng.uniform(0.045, 0.075))
    font = rng.choice(("plain", "plain", "hand", "book"))
    ink = Ink(
        font, size, colour, thick=font == "plain" and rng.random() < 0.4, align=rng.choice(("left", "centre"))
    )
    text = sayings.posted(sayings.post(rng, rng.randint(6, 30)), rng)
    canvas.write(text, (0.04 * width, 0.01 * high, 0.96 * width, 0.99 * high), ink)


def subtitle(canvas: Canvas, rng: random.Random) -> None:
    """One or two lines at the bottom, as under a film."""
    width, height = canvas.width, canvas.height
    ink = Ink(
        "plain", round(height * rng.uniform(0.045, 0.075)), rng.choice(("white", "#ffe94a")), smallest=16
    )
    style = rng.randrange(3)
    ink = replace(ink, outline="black") if style < 2 else replace(ink, shadow="black", thick=True)
    text = sayings.posted(rng.choice((sayings.clause, sayings.setup, sayings.punchline))(rng), rng)
    canvas.write(text, (0.06 * width, 0.72 * height, 0.94 * width, 0.96 * height), ink, "bottom")


def tweet(canvas: Canvas, rng: random.Random) -> None:
    """A card with avatar, name, @handle and body, light or dark; sometimes a date below, sometimes the picture."""
    width, height = canvas.width, canvas.height
    paper, ink_colour, grey = rng.choice((("white", "#0f1419", "#536471"), ("#15202b", "#f7f9f9", "#8b98a5"),
                                          ("black", "#e7e9ea", "#71767b")))  # fmt: skip
    pictured = rng.random() < 0.4
    end = height * (rng.uniform(0.45, 0.6) if pictured else 1.0)
    picture = canvas.clean.copy()
    canvas.paper((0, 0, width, end), paper)
    unit = max(15, round(min(width, height * 0.9) * rng.uniform(0.035, 0.05)))
    left, top = 1.2 * unit, 1.2 * unit
    side = round(2.6 * unit)
    round_mask = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(round_mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), 255)
    canvas.paste(picture.resize((side, side)), (left, top), round_mask.resize((side, side)))
    beside = left + side + 0.7 * unit
    bold, light = (
        Ink("plain", unit, ink_colour, thick=True, align="left"),
        Ink("plain", unit, grey, align="left"),
    )
    row = (beside, top, width - unit, top + 1.25 * unit)
    name = canvas.write(sayings.name(rng), row, replace(bold, smallest=unit), "top")
    if one_row := rng.random() < 0.4 and name[2] + 15 * unit < width:
        # One line to the eye: name and handle are told apart by weight and colour alone.
        start = name[2] + 0.4 * unit
        canvas.write(
            f"{sayings.handle(rng)} - {rng.randint(2, 23)}h",
            (start, top, width, top + 1.25 * unit),
            light,
            "top",
        )
        (first, one), (second, two) = canvas.lines[-2:]
        canvas.lines[-2:] = [
            (f"{first} {second}", (one[0], min(one[1], two[1]), two[2], max(one[3], two[3])))
        ]
    else:
        canvas.write(
            sayings.handle(rng), (beside, top + 1.3 * unit, width - unit, top + 2.6 * unit), light, "top"
        )
    dated = rng.random() < 0.5
    edge = beside if one_row else left
    upper = top + (1.5 * unit if one_row else side + 0.6 * unit)
    box = (edge, upper, width - unit, end - (2.2 * unit if dated else 0.6 * unit))
    words = rng.randint(8, 36) if box[3] - box[1] > 6 * unit else rng.randint(4, 12)
    body = replace(bold, size=round(unit * rng.uniform(1.0, 1.35)), thick=False, leading=1.3)
    written = canvas.write(sayings.post(rng, words), box, body, "top")
    if dated and written[3] + 2.2 * unit < end:
        date = sayings.date(rng)
        canvas.write(date, (edge, written[3] + 0.6 * unit, width, written[3] + 2 * unit), light, "top")


def two_panels(canvas: Canvas, rng: random.Random) -> None:
    """Two pictures, a caption each: side by side, one above the other, or pictures left and words right."""
    width, height = canvas.width, canvas.height
    style = rng.choice(("rows", "columns", "beside"))
    if style == "beside":
        boxes: list[Box] = []
        for top in (0, height / 2):
            _second_picture(canvas, (0, top, width / 2, top + height / 2), rng)
            canvas.paper((width / 2, top, width, top + height / 2), "white", edge="black")
            boxes.append((0.53 * width, top + 0.03 * height, 0.97 * width, top + 0.47 * height))
        size = round(min(width / 2, height / 2) * rng.uniform(0.1, 0.15))
        ink = Ink(rng.choice(("plain", "hand", "book")), size)
        for box in boxes:
            canvas.write(sayings.posted(sayings.short(rng), rng), box, ink)
        return
    halves = [(0.0, 0.0, float(width), height / 2), (0.0, height / 2, float(width), float(height))]
    if style == "columns":
        halves = [(0.0, 0.0, width / 2, float(height)), (width / 2, 0.0, float(width), float(height))]
    _panels(canvas, halves, rng)


def four_panels(canvas: Canvas, rng: random.Random) -> None:
    """Two rows of two pictures, a caption each."""
    x, y = canvas.width / 2, canvas.height / 2
    panels = [(0.0, 0.0, x, y), (x, 0.0, 2 * x, y), (0.0, y, x, 2 * y), (x, y, 2 * x, 2 * y)]
    _panels(canvas, panels, rng)


def _panels(canvas: Canvas, panels: list[Box], rng: random.Random) -> None:
    """A picture and a caption in each panel: outlined on the picture, or dark in a white strip, above or below."""
    strip, above = rng.random() < 0.4, rng.random() < 0.4
    colour, outline = rng.choice(_OUTLINED)
    width, height = panels[0][2] - panels[0][0], panels[0][3] - panels[0][1]
    size = max(16, round(min(width, height) * rng.uniform(0.08, 0.13)))
    ink = Ink(rng.choice(("poster", "plain")), size, colour, outline, leading=1.15)
    if strip:
        ink = Ink(rng.choice(("plain", "hand")), size, "black", leading=1.15)
    captions = []
    for left, top, right, bottom in panels:
        _second_picture(canvas, (left, top, right, bottom), rng)
        high = 0.3 * (bottom - top)
        box = (left, top, right, top + high) if above else (left, bottom - high, right, bottom)
        if strip:
            canvas.paper(box, "white")
        inset = 0.04 * (right - left)
        captions.append((box[0] + inset, box[1] + 3, box[2] - inset, box[3] - 3))
        canvas.paper((left, top, right, top + 2), "black")
        canvas.paper((left, top, left + 2, bottom), "black")
    for box in captions:
        text = sayings.posted(sayings.short(rng), rng)
        canvas.write(text, box, ink, "middle" if strip else "top" if above else "bottom")


def bubble(canvas: Canvas, rng: random.Random) -> None:
    """One or two speech bubbles, the second lower and to the right."""
    width, height = canvas.width, canvas.height
    ink = Ink(rng.choice(("hand", "hand", "plain")), round(min(width, height) * rng.uniform(0.045, 0.065)))
    places = [(0.04, 0.04, 0.62, 0.32), (0.36, 0.4, 0.96, 0.66)][: rng.randint(1, 2)]
    for left, top, right, bottom in places:
        box = (left * width, top * height, right * width, bottom * height)
        radius = rng.uniform(0.2, 0.45) * min(box[2] - box[0], box[3] - box[1])
        middle = rng.uniform(box[0] + 0.3 * (box[2] - box[0]), box[0] + 0.6 * (box[2] - box[0]))
        tail = [
            (middle, box[3] - 3),
            (middle + 0.06 * width, box[3] - 3),
            (middle + 0.02 * width, box[3] + 0.06 * height),
        ]
        canvas.paper(box, "white", radius, "black")
        canvas.shape(tail, "white")
        inset = max(8.0, 0.35 * radius)
        text = sayings.posted(rng.choice((sayings.setup, sayings.clause, sayings.punchline))(rng), rng)
        canvas.write(text, (box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset), ink)


def labels(canvas: Canvas, rng: random.Random) -> None:
    """Two to five short labels on parts of the picture; those in one row read from left to right."""
    width, height = canvas.width, canvas.height
    cells = sorted(rng.sample([(row, column) for row in range(3) for column in range(2)], rng.randint(2, 5)))
    colour, outline = rng.choice(_OUTLINED)
    size = round(min(width, height) * rng.uniform(0.045, 0.075))
    boxed = rng.random() < 0.3
    ink = Ink(rng.choice(("plain", "poster", "hand")), size, colour, outline)
    if boxed:
        ink = Ink("plain", size, "black")
    for row, column in cells:
        left = (column / 2 + rng.uniform(0.02, 0.06)) * width
        top = ((row + 0.4) / 3 + rng.uniform(-0.2, 0.2) * size / height) * height
        box = (left, top, left + 0.42 * width, top + 1.2 * size)
        if boxed:
            canvas.paper((box[0], box[1] - 4, box[2], box[3] + 4), "white", 4)
        canvas.write(sayings.posted(sayings.label(rng), rng), box, ink)


def handwriting(canvas: Canvas, rng: random.Random) -> None:
    """A note by hand, often aslant, on paper or straight on the picture."""
    width, height = canvas.width, canvas.height
    angle = rng.uniform(-12, 12) if rng.random() < 0.7 else 0.0
    size = round(min(width, height) * rng.uniform(0.05, 0.08))
    text = sayings.posted(sayings.post(rng, rng.randint(3, 16)), rng)
    box = (0.15 * width, 0.3 * height, 0.85 * width, 0.7 * height)
    if rng.random() < 0.5:
        colour = rng.choice(("#fff7b0", "white", "#d8f0ff"))
        canvas.paper((0.05 * width, 0.15 * height, 0.95 * width, 0.85 * height), colour, 6)
        ink = Ink("hand", size, rng.choice(("black", "#1b2a6b", "#b01020")))
    else:
        ink = Ink("hand", size, "white", "black")
    canvas.write(text, box, ink, angle=angle)


def none(canvas: Canvas, rng: random.Random) -> None:
    """A picture, or two or four of them, without a word."""
    x, y = canvas.width / 2, canvas.height / 2
    if rng.random() < 0.25:
        _second_picture(canvas, (x, 0, 2 * x, 2 * y), rng)


def _second_picture(canvas: Canvas, box: Box, rng: random.Random) -> None:
    size = (max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1])))
    canvas.paste(background(size, rng)[1], (box[0], box[1]))


LAYOUTS: dict[str, Callable[[Canvas, random.Random], None]] = {
    "classic": classic,
    "bar": bar,
    "subtitle": subtitle,
    "tweet": tweet,
    "two panels": two_panels,
    "four panels": four_panels,
    "bubble": bubble,
    "labels": labels,
    "handwriting": handwriting,
    "none": none,
}
