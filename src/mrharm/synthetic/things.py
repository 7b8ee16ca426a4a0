"""Scenes with a thing in them: each function draws one into the square from -1 to 1."""

from __future__ import annotations

import math

from mrharm.synthetic.pen import INK, Pen, Point, arc, curve, star


def roses(pen: Pen) -> None:
    """Draw a bunch of red roses tied with a ribbon."""
    blooms = ((-0.5, -0.35), (0.5, -0.35), (0.0, -0.62), (-0.24, -0.05), (0.26, -0.05))
    for x, y in blooms:
        pen.line([(x, y), (x * 0.1, 0.6), (-x * 0.35, 0.98)], 0.07, "#2f8a34")
    for x, y, turn in ((-0.62, 0.12, 0.7), (0.62, 0.12, -0.7), (-0.3, 0.42, 0.9), (0.3, 0.42, -0.9)):
        pen.disc(x, y, (0.26, 0.11), fill="#3fa845", turn=turn, edge=0.015)
    pen.box(-0.2, 0.52, 0.2, 0.68, "#ffffff", 0.015)
    for x, y in blooms:
        pen.disc(x, y, 0.29, fill="#c8102e", edge=0.025)
        pen.disc(x - 0.04, y - 0.03, 0.21, fill="#e8294a")
        pen.bow((x, y), (0.14, 0.13), (0.3, 4.6), 0.05, "#8f0c22")
        pen.bow((x + 0.02, y), (0.06, 0.06), (2.6, 7.0), 0.045, "#8f0c22")


def cake(pen: Pen) -> None:
    """Draw a pink birthday cake of two tiers, with burning candles."""
    pen.disc(0, 0.82, (0.95, 0.14), fill="#f4f4f4", edge=0.025)
    for width, top, bottom, colour in ((0.78, 0.2, 0.8, "#ff8fbf"), (0.5, -0.3, 0.2, "#ffb3d3")):
        pen.box(-width, top, width, bottom, colour, 0.025)
        drips = [(-width + 2 * width * number / 8, top + (0.2 if number % 2 else 0.1)) for number in range(9)]
        pen.poly([(-width, top), *drips, (width, top)], "#fffaf0")
        pen.disc(0, top, (width, 0.07), fill="#fffaf0", edge=0.015)
    for x in (-0.3, 0.0, 0.3):
        pen.box(x - 0.05, -0.68, x + 0.05, -0.3, "#46b8f0", 0.012)
        pen.disc(x, -0.82, (0.07, 0.13), fill="#ffb300")
        pen.disc(x, -0.79, (0.035, 0.07), fill="#fff59b")
    for x in (-0.6, -0.2, 0.2, 0.6):
        pen.disc(x, 0.58, 0.09, fill="#e0243f")


def garbage(pen: Pen) -> None:
    """Draw a full trash can with its lid off, rubbish over the rim and flies around."""
    pen.disc(-0.4, -0.3, (0.3, 0.26), fill="#26313a", edge=0.02)
    pen.disc(0.32, -0.32, (0.34, 0.28), fill="#34424d", edge=0.02)
    pen.poly([(-0.12, -0.1), (-0.28, -0.62), (0.0, -0.5), (0.1, -0.1)], "#f0d233", 0.02)
    pen.disc(0.05, -0.2, (0.2, 0.14), fill="#9a5b2a", edge=0.015)
    can = [(-0.6, -0.12), (0.6, -0.12), (0.46, 0.92), (-0.46, 0.92)]
    pen.poly(can, "#78909c", 0.03)
    for x in (-0.32, 0.0, 0.32):
        pen.line([(x * 1.15, 0.02), (x * 0.9, 0.82)], 0.07, "#546a76")
    pen.box(-0.66, -0.2, 0.66, -0.04, "#90a4ae", 0.025)
    pen.disc(0.82, 0.7, (0.16, 0.34), fill="#90a4ae", turn=0.3, edge=0.025)
    pen.poly([(-0.95, 0.95), (-0.85, 0.68), (-0.62, 0.75), (-0.55, 0.95)], "#7ea63a", 0.02)
    for x, y in ((-0.75, -0.65), (-0.1, -0.85), (0.45, -0.8), (0.85, -0.45), (-0.85, -0.15)):
        pen.disc(x, y, (0.055, 0.04), fill=INK)
        pen.disc(x - 0.05, y - 0.05, (0.05, 0.025), fill="#dfe9ee", turn=0.6)
        pen.disc(x + 0.05, y - 0.05, (0.05, 0.025), fill="#dfe9ee", turn=-0.6)


def toast(pen: Pen) -> None:
    """Draw a slice of toast burnt black, smoking on a plate."""
    pen.disc(0, 0.78, (0.98, 0.2), fill="#e9eef2", edge=0.025)
    pen.disc(0, 0.76, (0.7, 0.11), fill="#c6d0d8")
    for x in (-0.45, 0.05, 0.5):
        smoke = curve([(x, -0.4), (x - 0.14, -0.6), (x + 0.12, -0.78), (x, -1.0)])
        pen.line(smoke, 0.15, "#7f7f86")
    left = arc((-0.4, -0.15), (0.3, 0.28), (math.pi * 0.8, math.pi * 1.6))
    right = arc((0.4, -0.15), (0.3, 0.28), (math.pi * 1.4, math.pi * 2.2))
    slice_: list[Point] = [(-0.55, 0.75), (-0.55, 0.05), *left, *right, (0.55, 0.05), (0.55, 0.75)]
    pen.poly(slice_, "#5a2d0c", 0.03)
    pen.poly([(x * 0.84, 0.18 + (y - 0.18) * 0.84) for x, y in slice_], "#1a120e")
    for x, y, size in ((-0.25, 0.2, 0.1), (0.2, 0.05, 0.08), (0.25, 0.45, 0.12), (-0.2, 0.55, 0.07)):
        pen.disc(x, y, size, fill="#ff5a1f")
        pen.disc(x, y, size * 0.6, fill="#ffb347")


def rocket(pen: Pen) -> None:
    """Draw a white and red rocket at full burn."""
    flame = [(-0.26, 0.4), (-0.14, 0.75), (-0.2, 0.8), (0.0, 1.0), (0.2, 0.8), (0.14, 0.75), (0.26, 0.4)]
    pen.poly(flame, "#ff7a00")
    pen.poly([(-0.14, 0.4), (0.0, 0.85), (0.14, 0.4)], "#ffe14d")
    for side in (-1, 1):
        pen.poly([(side * 0.26, 0.0), (side * 0.62, 0.45), (side * 0.24, 0.42)], "#e0202f", 0.025)
        pen.disc(side * 0.4, 0.86, (0.22, 0.13), fill="#f5f5f5dc")
    pen.poly(curve([(-0.24, 0.42), (-0.34, -0.1), (-0.22, -0.62), (0.0, -1.0), (0.22, -0.62), (0.34, -0.1),
                    (0.24, 0.42)]), "#fbfbff", 0.03)  # fmt: skip
    pen.poly(curve([(-0.24, -0.58), (0.0, -1.0), (0.24, -0.58)]), "#e0202f", 0.025)
    pen.disc(0, -0.25, 0.17, fill="#d9dde6", edge=0.02)
    pen.disc(0, -0.25, 0.11, fill="#35a7ff")
    pen.box(-0.25, 0.3, 0.25, 0.42, "#e0202f", 0.02)


def race_car(pen: Pen) -> None:
    """Draw a low yellow race car from the side, with lines of speed behind it."""
    pen.box(-1.0, 0.56, 1.0, 0.74, "#3b3b44")
    for y, length in ((-0.4, 0.5), (-0.15, 0.35), (0.1, 0.25)):
        pen.line([(-1.0, y), (-1.0 + length, y)], 0.05, "#ffffff")
    pen.box(-0.92, -0.28, -0.66, -0.16, "#222831", 0.02)
    pen.line([(-0.78, -0.18), (-0.72, 0.1)], 0.06, "#222831")
    pen.poly([(-0.85, 0.42), (-0.82, 0.05), (-0.4, -0.02), (-0.2, -0.3), (0.15, -0.3), (0.35, 0.02), (0.98, 0.22),
              (0.98, 0.42)], "#ffcf0d", 0.03)  # fmt: skip
    pen.disc(0.0, -0.3, 0.19, fill="#e8262d", edge=0.02)
    pen.box(0.0, -0.36, 0.2, -0.26, "#bfe8ff", 0.012)
    pen.poly([(-0.8, 0.3), (0.95, 0.3), (0.95, 0.38), (-0.8, 0.38)], "#e8262d")
    pen.disc(-0.3, 0.15, 0.14, fill="#ffffff", edge=0.015)
    pen.line([(-0.3, 0.07), (-0.3, 0.23)], 0.05, INK)
    for x in (-0.55, 0.6):
        pen.disc(x, 0.44, 0.28, fill="#16161a")
        pen.disc(x, 0.44, 0.12, fill="#d8d8dd")


def crash(pen: Pen) -> None:
    """Draw a blue car crumpled against a tree, a wheel off, its bonnet steaming."""
    pen.box(-1.0, 0.72, 1.0, 0.82, "#5c5c58")
    pen.box(0.5, -0.5, 0.72, 0.82, "#6b4423", 0.02)
    for x, y in ((0.4, -0.62), (0.8, -0.62), (0.6, -0.85)):
        pen.disc(x, y, (0.26, 0.22), fill="#2f7d3b", edge=0.015)
    for x, y, size in ((0.22, -0.2, 0.17), (0.1, -0.48, 0.2), (-0.15, -0.72, 0.22)):
        pen.disc(x, y, size, fill="#d6d6dae6")
    pen.poly([(-0.95, 0.55), (-0.92, 0.1), (-0.7, 0.08), (-0.55, -0.28), (-0.1, -0.25), (0.08, 0.1), (0.28, -0.08),
              (0.3, 0.12), (0.5, 0.1), (0.42, 0.3), (0.5, 0.5), (0.2, 0.62)], "#2a63c9", 0.03)  # fmt: skip
    pen.poly([(-0.62, 0.05), (-0.5, -0.18), (-0.32, -0.18), (-0.32, 0.05)], "#d8f0ff", 0.015)
    pen.poly([(-0.24, 0.05), (-0.24, -0.18), (-0.13, -0.17), (-0.02, 0.05)], "#d8f0ff", 0.015)
    pen.line([(-0.24, -0.1), (-0.12, -0.02), (-0.18, 0.04)], 0.02, INK)
    pen.line([(0.1, 0.12), (0.22, 0.28), (0.12, 0.42), (0.3, 0.55)], 0.03, "#12264f")
    pen.disc(-0.62, 0.62, 0.22, fill="#16161a")
    pen.disc(-0.62, 0.62, 0.09, fill="#c7c7cc")
    pen.disc(0.1, 0.84, (0.24, 0.1), fill="#16161a", turn=-0.2)
    pen.disc(0.1, 0.83, (0.09, 0.04), fill="#c7c7cc", turn=-0.2)
    for angle in (0.2, 1.0, 1.8):
        end = (0.46 + 0.3 * math.cos(angle - 2.6), 0.15 + 0.3 * math.sin(angle - 2.6))
        pen.line([(0.46, 0.15), end], 0.035, "#ff8a00")


def heart(pen: Pen) -> None:
    """Draw three red heart balloons on strings."""
    for x, y, size in ((-0.52, -0.3, 0.42), (0.54, -0.22, 0.4), (0.0, -0.45, 0.52)):
        pen.line(curve([(x, y + size * 0.9), (x * 0.4, 0.5), (0.0, 0.98)]), 0.03, "#5a4a52")
        pen.poly(_heart(x, y, size), "#f0245a", 0.03)
        pen.disc(x - size * 0.45, y - size * 0.4, (size * 0.2, size * 0.14), fill="#ffb6cb", turn=-0.6)


def trophy(pen: Pen) -> None:
    """Draw a golden cup with two handles and a star."""
    for side in (-1, 1):
        pen.bow((side * 0.55, -0.4), (0.32, 0.3), (-math.pi / 2 - 1.2, math.pi / 2 + 1.2), 0.12, "#d99a06")
    cup = [(-0.55, -0.85), (0.55, -0.85), (0.48, -0.25), (0.2, 0.12), (-0.2, 0.12), (-0.48, -0.25)]
    pen.poly(cup, "#ffc61a", 0.03)
    pen.poly([(-0.42, -0.8), (-0.25, -0.8), (-0.2, -0.1), (-0.35, -0.28)], "#fff0a8")
    pen.disc(0, -0.85, (0.56, 0.09), fill="#ffdf6b", edge=0.02)
    pen.box(-0.1, 0.1, 0.1, 0.5, "#d99a06", 0.02)
    pen.poly([(-0.34, 0.62), (-0.2, 0.45), (0.2, 0.45), (0.34, 0.62)], "#ffc61a", 0.02)
    pen.box(-0.46, 0.6, 0.46, 0.95, "#5d3518", 0.025)
    pen.box(-0.24, 0.7, 0.24, 0.84, "#ffdf6b")
    pen.poly(star(0.06, -0.42, 0.24, 0.1), "#e8590c")


def snowman(pen: Pen) -> None:
    """Draw a snowman with hat, scarf and carrot, snow falling."""
    for number in range(14):
        angle = number * 2.4
        pen.disc(0.95 * math.cos(angle) * (0.6 + 0.03 * number), 0.9 * math.sin(angle), 0.05, fill="#ffffff")
    pen.disc(0, 0.92, (0.9, 0.12), fill="#eaf4ff")
    pen.line([(-0.3, 0.0), (-0.85, -0.25)], 0.05, "#6b4423")
    pen.line([(0.3, 0.0), (0.85, -0.25)], 0.05, "#6b4423")
    for y, size in ((0.55, 0.42), (0.02, 0.33), (-0.42, 0.26)):
        pen.disc(0, y, size, fill="#ffffff", edge=0.025)
        pen.bow((0, y), (size * 0.8, size * 0.8), (0.2, 1.6), 0.05, "#c9dcee")
    pen.box(-0.28, -0.24, 0.28, -0.12, "#1c9a6b", 0.015)
    pen.box(0.1, -0.16, 0.24, 0.2, "#1c9a6b", 0.015)
    pen.box(-0.36, -0.68, 0.36, -0.6, "#20202a")
    pen.box(-0.22, -1.0, 0.22, -0.62, "#20202a")
    pen.box(-0.22, -0.74, 0.22, -0.66, "#c92a2a")
    pen.disc(-0.1, -0.48, 0.035, fill=INK)
    pen.disc(0.1, -0.48, 0.035, fill=INK)
    pen.poly([(0.0, -0.42), (0.36, -0.36), (0.0, -0.34)], "#ff8c1a", 0.012)
    for y in (0.0, 0.4, 0.58):
        pen.disc(0, y, 0.04, fill=INK)


def scarecrow(pen: Pen) -> None:
    """Draw a ragged scarecrow on a pole: straw hat, patched coat, straw hands."""
    pen.box(-0.05, -0.2, 0.05, 1.0, "#6b4423")
    pen.line([(-0.9, -0.08), (0.9, -0.08)], 0.08, "#6b4423")
    for side in (-1, 1):
        for spread in (-0.14, -0.05, 0.05, 0.14):
            pen.line([(side * 0.72, -0.06), (side * 1.0, -0.06 + spread * 1.5)], 0.03, "#e8c35a")
        for x in (0.1, 0.2, 0.3):
            pen.line([(side * x, 0.6), (side * (x + 0.05), 0.85)], 0.035, "#e8c35a")
    pen.poly([(-0.78, -0.22), (0.78, -0.22), (0.76, 0.08), (0.36, 0.08), (0.42, 0.68), (0.15, 0.6), (0.0, 0.72),
              (-0.18, 0.6), (-0.42, 0.68), (-0.36, 0.08), (-0.76, 0.08)], "#8c5a3c", 0.03)  # fmt: skip
    pen.box(-0.28, 0.15, -0.05, 0.38, "#3f8f8a", 0.015)
    pen.box(0.12, 0.28, 0.32, 0.48, "#d64f3a", 0.015)
    pen.box(0.4, -0.18, 0.58, 0.0, "#e0b13c", 0.015)
    pen.disc(0, -0.48, (0.28, 0.3), fill="#e9cf9b", edge=0.025)
    for x in (-0.11, 0.11):
        pen.line([(x - 0.05, -0.57), (x + 0.05, -0.47)], 0.03, INK)
        pen.line([(x + 0.05, -0.57), (x - 0.05, -0.47)], 0.03, INK)
    pen.line([(-0.14, -0.33), (-0.05, -0.29), (0.05, -0.33), (0.14, -0.29)], 0.025, INK)
    pen.disc(0, -0.68, (0.56, 0.1), fill="#d9a83a", edge=0.02)
    pen.poly([(-0.3, -0.68), (-0.18, -1.0), (0.2, -1.0), (0.3, -0.68)], "#d9a83a", 0.02)


def wilted(pen: Pen) -> None:
    """Draw a wilted flower hanging over the rim of its pot, petals on the ground."""
    stem = curve([(0.0, 0.3), (-0.05, -0.3), (0.15, -0.72), (0.5, -0.6), (0.62, -0.1)])
    pen.line(stem, 0.09, "#8a8a3a")
    pen.poly(curve([(0.0, 0.0), (-0.35, 0.0), (-0.55, 0.4), (-0.2, 0.2), (0.0, 0.05)]), "#a08a3f", 0.015)
    for angle in (0.5, 1.1, 1.7, 2.3):
        pen.disc(0.62 + 0.2 * math.cos(angle), 0.08 + 0.24 * math.sin(angle), (0.09, 0.2), fill="#a4668a",
                 turn=angle - math.pi / 2, edge=0.015)  # fmt: skip
    pen.disc(0.62, 0.02, (0.16, 0.13), fill="#5c4020", edge=0.015)
    pen.poly([(-0.45, 0.4), (0.4, 0.4), (0.28, 0.95), (-0.33, 0.95)], "#c8683a", 0.03)
    pen.box(-0.52, 0.28, 0.47, 0.46, "#db7d4c", 0.03)
    for x, y, turn in ((0.6, 0.92, 0.2), (0.85, 0.85, -0.3), (-0.7, 0.92, 0.1)):
        pen.disc(x, y, (0.13, 0.06), fill="#a4668a", turn=turn, edge=0.012)


def gem(pen: Pen) -> None:
    """Draw a large cut diamond with sparkles."""
    top, waist, tip = -0.55, -0.15, 0.85
    xs = (-0.9, -0.45, 0.0, 0.45, 0.9)
    pen.poly([(-0.6, top), (0.6, top), (0.9, waist), (0, tip), (-0.9, waist)], "#3fd5f5", 0.035)
    for left, right, colour in zip(xs, xs[1:], ("#8cecff", "#25b4e0", "#5fe0fa", "#1497c9"), strict=False):
        pen.poly([(left, waist), (right, waist), (0, tip)], colour)
    for points, colour in (
        ([(-0.6, top), (-0.9, waist), (-0.45, waist)], "#5fe0fa"), ([(-0.6, top), (0, top), (-0.45, waist)], "#d8faff"),
        ([(0, top), (-0.45, waist), (0.45, waist)], "#8cecff"), ([(0, top), (0.6, top), (0.45, waist)], "#2cc0ea"),
        ([(0.6, top), (0.45, waist), (0.9, waist)], "#1fa9d9"),
    ):  # fmt: skip
        pen.poly(points, colour)
    pen.line([(-0.9, waist), (0.9, waist)], 0.025, "#0b6f96")
    for x, y, size in ((-0.8, -0.75, 0.22), (0.82, -0.7, 0.18), (0.75, 0.55, 0.2), (-0.7, 0.6, 0.15)):
        pen.poly(star(x, y, size, size * 0.25, 4), "#fffde0")


def scribble(pen: Pen) -> None:
    """Draw a sheet of paper covered in a wild tangle of crayon."""
    pen.poly([(-0.85, -0.9), (0.88, -0.85), (0.85, 0.92), (-0.9, 0.88)], "#fffef6", 0.03)
    for number, colour in enumerate(("#1d1a20", "#d81f3c", "#1d1a20", "#6a2fb5")):
        points = [
            (0.7 * math.sin(1.9 * step + number * 1.3) * (0.6 + 0.4 * math.cos(step)),
             0.7 * math.cos(2.7 * step + number * 2.1 + pen.rng.uniform(-0.25, 0.25)))
            for step in range(11)
        ]  # fmt: skip
        pen.line(curve(points, 5), 0.05, colour)


def _heart(x: float, y: float, size: float) -> list[Point]:
    spots = []
    for number in range(32):
        t = 2 * math.pi * number / 32
        across = math.sin(t) ** 3
        down = -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16
        spots.append((x + across * size, y + down * size))
    return spots
