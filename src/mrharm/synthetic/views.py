"""Scenes that fill the whole picture: each function draws one around the square from -1 to 1, out to the edges.

The key things lie inside the square, which no text covers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mrharm.synthetic.pen import INK, Pen, arc, curve, oval


@dataclass(frozen=True)
class Look:
    """How a view is shown: the picture's edges in units (symmetric left and right), its sky and its ground."""

    side: float
    top: float
    bottom: float
    sky: tuple[str, str]
    ground: str
    variant: int


def sky(pen: Pen, look: Look, horizon: float) -> None:
    """Draw a gradient from the top edge down to ``horizon``."""
    upper, lower = pen.tint(look.sky[0]), pen.tint(look.sky[1])
    bands = 14
    height = (horizon - look.top) / bands
    for band in range(bands):
        share = band / (bands - 1)
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(upper, lower, strict=True))
        top = look.top + band * height
        bottom = top + height * 1.2
        points = [(-look.side, top), (look.side, top), (look.side, bottom), (-look.side, bottom)]
        pen.paint.polygon([pen.place(point) for point in points], fill=(red, green, blue))


def ground(pen: Pen, look: Look, horizon: float, colour: str | None = None) -> None:
    """Draw flat ground from ``horizon`` to the bottom edge."""
    pen.box(-look.side, horizon, look.side, look.bottom, colour or look.ground)


def crowd(pen: Pen, look: Look) -> None:
    """Draw rows of cheering people, arms up."""
    sky(pen, look, -0.4)
    ground(pen, look, -0.45, "#3a3350")
    shirts = ("#e6394a", "#2a9df4", "#ffc300", "#2ebd6b", "#b14fe0", "#ff7f32", "#f5f5f5")
    skins = ("#f3c9a0", "#d99e6c", "#8d5a3a", "#5e3a26")
    size = 0.3
    for row in range(int((look.bottom + 0.55) / 0.36) + 1):
        y = -0.45 + row * 0.36
        shift = 0.17 if row % 2 else 0.0
        count = int(look.side / 0.34) + 2
        for column in range(-count, count + 1):
            x = column * 0.34 + shift
            shirt, skin = pen.rng.choice(shirts), pen.rng.choice(skins)
            for side in (-1, 1):
                wave = pen.rng.uniform(-0.05, 0.05)
                hand = (x + side * (size * 0.5 + wave), y - 0.24)
                pen.line([(x + side * size * 0.4, y + 0.08), hand], 0.06, skin)
            pen.disc(x, y + 0.3, (size * 0.52, 0.28), fill=shirt, edge=0.015)
            pen.disc(x, y - 0.05, size * 0.36, fill=skin, edge=0.015)
            pen.bow((x, y - 0.05), (0.05, 0.05), (0.2, 2.9), 0.025, "#7d1f2b")


def desert(pen: Pen, look: Look) -> None:
    """Draw an empty desert: dunes, a small hot sun, a cactus, a skull."""
    sky(pen, look, 0.5)
    pen.disc(0.6, -0.68, 0.17, fill="#fff6c9")
    xs = [-look.side + 2 * look.side * step / 20 for step in range(21)]
    dunes = (("#d99a4e", -0.1, 0.22), ("#e8b364", 0.18, 0.2), ("#f3c77a", 0.5, 0.14))
    for number, (colour, base, height) in enumerate(dunes):
        length, phase = 1.6 + 0.4 * number, number * 2.1
        crest = [(x, base + height * math.sin(x * length + phase + look.variant)) for x in xs]
        pen.poly([*crest, (look.side, look.bottom), (-look.side, look.bottom)], colour)
        pen.line(crest, 0.02, "#b87a35")
    for trunk in ([(-0.5, 0.42), (-0.5, -0.4)], [(-0.5, 0.1), (-0.74, 0.06), (-0.74, -0.18)],
                  [(-0.5, 0.2), (-0.26, 0.16), (-0.26, -0.06)]):  # fmt: skip
        pen.line(trunk, 0.13, "#2f7d3b")
    pen.disc(0.45, 0.62, (0.16, 0.13), fill="#fdf6e3", edge=0.015)
    pen.box(0.37, 0.68, 0.53, 0.8, "#fdf6e3", 0.015)
    for x in (0.39, 0.51):
        pen.disc(x, 0.62, 0.04, fill=INK)


def chairs(pen: Pen, look: Look) -> None:
    """Draw a hall of empty red seats in rows."""
    pen.box(-look.side, look.top, look.side, look.bottom, look.ground)
    row, y = 0, -0.75
    while y < look.bottom:
        size = 0.2 + 0.045 * row
        step = size * 2.15
        count = int(look.side / step) + 2
        pen.box(-look.side, y + size * 1.5, look.side, y + size * 1.9, "#2a2026")
        for column in range(-count, count + 1):
            x = (column + (0.5 if row % 2 else 0.0)) * step
            pen.box(x - size * 0.85, y, x + size * 0.85, y + size * 1.3, "#c2182b", 0.02)
            pen.disc(x, y, (size * 0.85, size * 0.35), fill="#c2182b", edge=0.02)
            pen.box(x - size * 0.6, y, x + size * 0.6, y + size * 0.8, "#dd3848")
            pen.box(x - size * 0.95, y + size * 0.95, x + size * 0.95, y + size * 1.5, "#8f1020", 0.02)
        y += size * 1.75
        row += 1


def wall(pen: Pen, look: Look) -> None:
    """Draw a solid wall of red-brown bricks."""
    mortars = ("#d9cfc3", "#b9b3ad", "#efe6da", "#c9b9a0")
    pen.box(-look.side, look.top, look.side, look.bottom, mortars[look.variant % len(mortars)])
    height, width = 0.24 + 0.02 * (look.variant % 3), 0.56 + 0.03 * (look.variant % 4)
    bricks = (("#a8452f", "#b5523a", "#9a3c2a", "#bd6046"), ("#94402f", "#a24c3c", "#7f3527", "#b05a48"),
              ("#b85a3a", "#c46a48", "#a84c30", "#cc7653"))[look.variant % 3]  # fmt: skip
    y, row = look.top, 0
    while y < look.bottom:
        x = -look.side - (width / 2 if row % 2 else 0.0)
        while x < look.side:
            pen.box(x + 0.02, y + 0.02, x + width - 0.02, y + height - 0.02, pen.rng.choice(bricks), 0.01)
            x += width
        y += height
        row += 1


def storm(pen: Pen, look: Look) -> None:
    """Draw black clouds with lightning and rain."""
    airs = ("#4b5568", "#3c4a63", "#5d5568", "#566070", "#44585e")
    pen.box(-look.side, look.top, look.side, look.bottom, airs[look.variant % len(airs)])
    for _ in range(60):
        x, y = pen.rng.uniform(-look.side, look.side), pen.rng.uniform(-0.3, look.bottom)
        pen.line([(x, y), (x - 0.06, y + 0.2)], 0.02, "#9fb8d6")
    pen.box(-look.side, look.bottom - 0.35, look.side, look.bottom, "#2d3a33")
    for points in (
        [(0.1, -0.3), (-0.3, 0.3), (-0.02, 0.28), (-0.2, 0.95), (0.38, 0.12), (0.1, 0.14), (0.34, -0.3)],
        [(-0.7, -0.3), (-0.88, 0.1), (-0.74, 0.1), (-0.84, 0.5), (-0.5, 0.0), (-0.64, 0.0), (-0.52, -0.3)],
    ):
        pen.poly(points, "#ffe83b", 0.02)
    for x, y, size in ((-look.side, -0.7, 0.5), (-0.75, -0.45, 0.4), (-0.3, -0.65, 0.5), (0.2, -0.45, 0.42),
                       (0.7, -0.6, 0.5), (look.side, -0.5, 0.45), (0.0, -0.95, 0.55)):  # fmt: skip
        pen.disc(x, y, (size, size * 0.62), fill="#20242e")
        pen.disc(x - 0.05, y - 0.08, (size * 0.8, size * 0.42), fill="#343a48")
    pen.box(-look.side, look.top, look.side, -0.95, "#20242e")


def sun(pen: Pen, look: Look) -> None:
    """Draw a big smiling sun with rays over low hills."""
    sky(pen, look, 0.75)
    for number in range(12):
        angle = 2 * math.pi * number / 12 + 0.1 * look.variant
        sides = angle - 0.13, angle + 0.13
        rim = [(0.62 * math.cos(side), -0.12 + 0.62 * math.sin(side)) for side in sides]
        pen.poly([*rim, (0.98 * math.cos(angle), -0.12 + 0.98 * math.sin(angle))], "#ffb300")
    pen.disc(0, -0.12, 0.58, fill="#ffd91a", edge=0.03)
    for x in (-0.2, 0.2):
        pen.disc(x, -0.25, (0.06, 0.09), fill=INK)
        pen.disc(x * 1.9, -0.02, (0.09, 0.06), fill="#ff9a3d")
    pen.bow((0, -0.08), (0.26, 0.24), (0.3, math.pi - 0.3), 0.06, INK)
    for x, colour in ((-0.8, "#59b33f"), (0.9, "#4aa338")):
        pen.disc(x, 1.15, (1.3, 0.5), fill=colour)
    pen.box(-look.side, 1.05, look.side, max(look.bottom, 1.1), "#4aa338")


def rainbow(pen: Pen, look: Look) -> None:
    """Draw a whole rainbow between two clouds."""
    sky(pen, look, 0.8)
    ground(pen, look, 0.72)
    for number, colour in enumerate(("#e8202f", "#ff8a1c", "#ffe22e", "#2fc04a", "#2c7ef0", "#8a36d1")):
        radius = 0.95 - 0.1 * number
        pen.line(arc((0, 0.62), (radius, radius * 1.3), (math.pi, 2 * math.pi), 26), 0.125, colour)
    for x in (-0.7, 0.7):
        for dx, dy, size in ((-0.22, 0.06, 0.2), (0.0, -0.06, 0.27), (0.24, 0.06, 0.2)):
            pen.disc(x + dx, 0.64 + dy, (size, size * 0.8), fill="#ffffff")


def ship(pen: Pen, look: Look) -> None:
    """Draw a ship going down in the sea, its bow in the air, smoke from its funnels."""
    sky(pen, look, 0.35)
    pen.poly([(-0.75, 0.6), (0.3, -0.75), (0.98, -0.55), (0.45, 0.75)], "#23262e", 0.03)
    pen.poly([(-0.4, 0.62), (0.4, -0.3), (0.92, -0.4), (0.45, 0.75)], "#b3262b")
    pen.poly([(-0.62, 0.4), (-0.22, -0.1), (-0.42, -0.26), (-0.85, 0.28)], "#f4efe4", 0.02)
    for x, y in ((-0.62, -0.12), (-0.38, -0.42)):
        funnel = [(x, y + 0.3), (x + 0.14, y + 0.16), (x - 0.06, y - 0.06), (x - 0.22, y + 0.1)]
        pen.poly(funnel, "#e67e22", 0.02)
        for number in range(3):
            puff = (x - 0.2 - 0.05 * number, y - 0.12 - 0.17 * number)
            pen.disc(*puff, 0.1 + 0.03 * number, fill="#6b6b70dc")
    for x, y in ((0.1, -0.3), (0.25, -0.5), (-0.08, -0.08)):
        pen.disc(x, y, 0.05, fill="#ffe9a8", edge=0.012)
    xs = [-look.side + 2 * look.side * step / 24 for step in range(25)]
    sea = [(x, 0.36 + 0.05 * math.sin(x * 6 + look.variant)) for x in xs]
    pen.poly([*sea, (look.side, look.bottom), (-look.side, look.bottom)], "#1b5c8feb")
    pen.line(sea, 0.04, "#d8f1ff")
    for y in (0.58, 0.8):
        for x in (-0.8, -0.2, 0.5):
            pen.line(curve([(x - 0.15, y), (x, y - 0.05), (x + 0.15, y)]), 0.03, "#7fc1e8")


def bookshelf(pen: Pen, look: Look) -> None:
    """Draw a neat wooden bookcase, every book upright in its row."""
    pen.box(-look.side, look.top, look.side, look.bottom, look.ground)
    pen.box(-0.95, -0.95, 0.95, 0.98, "#7a4a22", 0.03)
    books = ("#d6314a", "#2a78d6", "#2fa866", "#f0b429", "#7b4fc9", "#f2efe6", "#e87d2c")
    for row in range(3):
        top = -0.85 + row * 0.6
        pen.box(-0.87, top, 0.87, top + 0.52, "#3f2410")
        x, number = -0.84, look.variant + row * 2
        while x < 0.78:
            width = (0.13, 0.16, 0.11)[number % 3]
            height = 0.44 - 0.04 * (number % 2)
            right = min(x + width, 0.85)
            pen.box(x, top + 0.52 - height, right, top + 0.52, books[number % len(books)], 0.012)
            pen.box(x + 0.02, top + 0.62 - height, right - 0.02, top + 0.66 - height, "#fff4cf")
            x += width
            number += 1
    pen.poly(oval(0.0, -0.99, 0.95, 0.03), "#94602f")
