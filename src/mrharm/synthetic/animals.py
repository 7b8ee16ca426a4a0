"""Scenes with an animal in them: each function draws one, facing right, into the square from -1 to 1."""

from __future__ import annotations

import math

from mrharm.synthetic.pen import INK, Pen, arc, curve, oval, star


def skunk(pen: Pen) -> None:
    """Draw a black skunk with a white stripe, its tail raised, in a green smell."""
    for x, y, size in ((-0.75, 0.05, 0.2), (-0.9, -0.3, 0.24), (-0.55, -0.82, 0.22), (0.1, -0.75, 0.2)):
        pen.disc(x, y, (size * 1.15, size), fill="#8fc63daa")
        pen.bow((x, y), (size * 0.6, size * 0.5), (0.4, 4.6), 0.05, "#5d8f1c")
    tail = curve([(-0.45, 0.35), (-0.85, 0.1), (-0.75, -0.45), (-0.3, -0.7), (0.0, -0.5), (-0.25, -0.3),
                  (-0.35, -0.05), (-0.15, 0.3)])  # fmt: skip
    pen.poly(tail, "#17151b", 0.03)
    pen.line(curve([(-0.4, 0.3), (-0.6, 0.05), (-0.55, -0.3), (-0.3, -0.52), (-0.1, -0.5)]), 0.16, "#ffffff")
    for x in (-0.3, -0.08, 0.3, 0.5):
        pen.box(x, 0.5, x + 0.16, 0.88, "#17151b")
    pen.disc(0.1, 0.38, (0.56, 0.34), fill="#17151b")
    pen.line(curve([(-0.4, 0.3), (-0.1, 0.12), (0.3, 0.12), (0.55, 0.02)]), 0.15, "#ffffff")
    pen.disc(0.66, 0.16, (0.3, 0.26), fill="#17151b")
    pen.disc(0.48, -0.1, 0.1, fill="#17151b")
    pen.disc(0.72, -0.1, 0.1, fill="#17151b")
    pen.line([(0.52, -0.02), (0.86, 0.12)], 0.11, "#ffffff")
    pen.disc(0.96, 0.2, 0.07, fill="#ef8fa5")
    pen.eye(0.74, 0.18, 0.07)


def songbird(pen: Pen) -> None:
    """Draw a blue and yellow bird singing on a branch, notes in the air."""
    pen.line(curve([(-1.0, 0.62), (-0.3, 0.72), (0.4, 0.6), (1.0, 0.72)]), 0.12, "#7a4a25")
    for x, y in ((-0.8, 0.52), (0.55, 0.5), (0.85, 0.82)):
        pen.disc(x, y, (0.18, 0.09), fill="#4faa3c", turn=-0.5)
    pen.poly([(-0.45, 0.15), (-1.0, 0.42), (-0.9, 0.1), (-0.5, -0.1)], "#1f5fb8", 0.02)
    pen.line([(-0.1, 0.5), (-0.12, 0.68)], 0.05, "#e08a1e")
    pen.line([(0.1, 0.5), (0.12, 0.68)], 0.05, "#e08a1e")
    pen.disc(-0.05, 0.12, (0.52, 0.42), fill="#2f86e6", turn=-0.35, edge=0.03)
    pen.disc(0.1, 0.24, (0.34, 0.27), fill="#ffd23e", turn=-0.4)
    pen.disc(-0.25, 0.1, (0.32, 0.18), fill="#1b58ad", turn=0.35)
    pen.disc(0.28, -0.32, 0.3, fill="#2f86e6", edge=0.03)
    pen.poly([(0.52, -0.45), (0.88, -0.58), (0.55, -0.3)], "#ff9d1e", 0.02)
    pen.poly([(0.55, -0.27), (0.86, -0.14), (0.5, -0.16)], "#ff9d1e", 0.02)
    pen.eye(0.36, -0.4, 0.08)
    for x, y in ((0.75, -0.85), (-0.35, -0.75), (0.25, -0.9)):
        _note(pen, x, y)


def donkey(pen: Pen) -> None:
    """Draw the head of a braying donkey, long ears up, teeth shown."""
    pen.poly([(-0.75, 1.0), (-0.6, 0.1), (-0.1, -0.1), (0.2, 0.5), (0.1, 1.0)], "#8a7a6d", 0.03)
    for x, lean in ((-0.45, -0.25), (-0.08, 0.12)):
        pen.disc(x + lean * 0.4, -0.62, (0.13, 0.42), fill="#8a7a6d", turn=lean, edge=0.03)
        pen.disc(x + lean * 0.4, -0.6, (0.06, 0.3), fill="#e3b9a6", turn=lean)
    pen.line(curve([(-0.3, -0.35), (-0.55, 0.0), (-0.72, 0.5)]), 0.14, "#3b322d")
    pen.poly(curve([(-0.5, -0.25), (-0.1, -0.4), (0.25, -0.2), (0.85, 0.0), (0.9, 0.22), (0.5, 0.3),
                    (0.1, 0.3), (-0.4, 0.25), (-0.5, -0.25)]), "#9b8b7d", 0.03)  # fmt: skip
    pen.poly(
        curve([(0.0, 0.3), (0.55, 0.5), (0.72, 0.68), (0.45, 0.8), (0.05, 0.6), (-0.2, 0.3)]), "#9b8b7d", 0.03
    )
    pen.poly([(0.1, 0.28), (0.85, 0.24), (0.66, 0.62), (0.3, 0.5)], "#b3303e")
    for number in range(4):
        pen.box(0.34 + number * 0.12, 0.25, 0.44 + number * 0.12, 0.38, "#fff8e0", 0.012)
        x, y = 0.3 + number * 0.1, 0.46 + number * 0.03
        pen.box(x, y, 0.38 + number * 0.1, 0.56 + number * 0.03, "#fff8e0", 0.012)
    pen.disc(0.72, 0.08, (0.24, 0.17), fill="#e9dccb", turn=0.15)
    pen.disc(0.8, 0.03, (0.04, 0.06), fill=INK)
    pen.eye(0.08, -0.14, 0.09)


def lion(pen: Pen) -> None:
    """Draw the face of a lion with a wide mane, roaring."""
    mane = star(0, 0, 0.8, 0.98, 16, 0.0)
    pen.poly(mane, "#b4500f", 0.03)
    pen.poly([(0.84 * x, 0.84 * y) for x, y in mane], "#d56f16")
    for x in (-0.42, 0.42):
        pen.disc(x, -0.46, 0.17, fill="#f4b445", edge=0.03)
        pen.disc(x, -0.46, 0.09, fill="#b4500f")
    pen.disc(0, 0.02, (0.55, 0.58), fill="#f9c254", edge=0.02)
    for x in (-0.22, 0.22):
        pen.eye(x, -0.16, 0.09)
        pen.line([(x * 1.7, -0.34), (x * 0.6, -0.27)], 0.05, INK)
    pen.disc(-0.14, 0.2, (0.2, 0.15), fill="#fff1d0")
    pen.disc(0.14, 0.2, (0.2, 0.15), fill="#fff1d0")
    pen.disc(0, 0.4, (0.22, 0.19), fill="#8c1c25", edge=0.02)
    pen.poly([(-0.15, 0.27), (-0.06, 0.27), (-0.1, 0.4)], "#ffffff")
    pen.poly([(0.15, 0.27), (0.06, 0.27), (0.1, 0.4)], "#ffffff")
    pen.poly([(-0.13, 0.04), (0.13, 0.04), (0, 0.18)], "#5b2b1c")


def mouse(pen: Pen) -> None:
    """Draw a tiny grey mouse with round pink ears, beside a wedge of cheese."""
    pen.line(curve([(-0.5, 0.6), (-0.9, 0.65), (-0.95, 0.3), (-0.7, 0.1)]), 0.05, "#ee8fa8")
    pen.poly([(0.15, 0.85), (0.95, 0.85), (0.95, 0.45), (0.6, 0.4)], "#ffd02e", 0.025)
    for x, y in ((0.5, 0.72), (0.75, 0.62), (0.82, 0.76)):
        pen.disc(x, y, (0.06, 0.05), fill="#d89a0d")
    pen.disc(-0.25, 0.5, (0.42, 0.36), fill="#b8b4bd", edge=0.025)
    pen.disc(-0.35, -0.2, 0.34, fill="#b8b4bd", edge=0.025)
    pen.disc(-0.35, -0.2, 0.22, fill="#ff9fbe")
    pen.disc(0.35, -0.25, 0.34, fill="#b8b4bd", edge=0.025)
    pen.disc(0.35, -0.25, 0.22, fill="#ff9fbe")
    pen.poly(curve([(-0.28, 0.02), (0.1, -0.12), (0.4, 0.12), (0.62, 0.34), (0.3, 0.44), (-0.15, 0.36),
                    (-0.28, 0.02)]), "#c8c4cd", 0.025)  # fmt: skip
    pen.disc(0.62, 0.33, 0.08, fill="#ff5f8a")
    pen.eye(0.22, 0.1, 0.09)
    for y in (0.26, 0.42):
        pen.line([(0.45, 0.34), (0.85, y)], 0.015, INK)
    pen.disc(-0.1, 0.85, (0.15, 0.06), fill="#ff9fbe")
    pen.disc(-0.42, 0.85, (0.15, 0.06), fill="#ff9fbe")


def elephant(pen: Pen) -> None:
    """Draw a huge grey elephant from the side, with tusk and trunk."""
    for x in (-0.7, -0.42, 0.0, 0.24):
        pen.box(x, 0.2, x + 0.22, 0.9, "#7d8593", 0.025)
        pen.box(x + 0.02, 0.8, x + 0.2, 0.9, "#e6e0d4")
    pen.line(curve([(-0.8, 0.0), (-0.95, 0.25), (-0.9, 0.5)]), 0.05, "#6a717d")
    pen.disc(-0.2, -0.02, (0.64, 0.5), fill="#8b94a3", edge=0.025)
    trunk = curve([(0.45, -0.2), (0.85, 0.1), (0.82, 0.55), (0.7, 0.75), (0.9, 0.85)])
    pen.line(trunk, 0.22, "#7d8593")
    pen.disc(0.48, -0.2, (0.36, 0.34), fill="#98a1b0", edge=0.02)
    pen.line(curve([(0.62, 0.05), (0.78, 0.3), (1.0, 0.22)]), 0.08, "#fffbe8")
    pen.disc(0.2, -0.15, (0.27, 0.4), fill="#7b8391", turn=0.15, edge=0.025)
    pen.disc(0.2, -0.12, (0.17, 0.27), fill="#c59aa6", turn=0.15)
    pen.eye(0.6, -0.24, 0.06)


def snail(pen: Pen) -> None:
    """Draw a snail with a big spiral shell, and its trail of slime."""
    pen.disc(-0.2, 0.86, (0.85, 0.08), fill="#c9f0d0c8")
    body = curve([(-0.98, 0.82), (-0.5, 0.55), (0.3, 0.55), (0.55, 0.3), (0.5, -0.15), (0.72, -0.3), (0.92, -0.1),
                  (0.88, 0.5), (0.6, 0.82), (-0.98, 0.82)])  # fmt: skip
    pen.poly(body, "#e6c65c", 0.03)
    for x in (0.62, 0.86):
        pen.line([(x, -0.2), (x + 0.06, -0.62)], 0.06, "#e6c65c")
        pen.disc(x + 0.06, -0.66, 0.09, fill="#ffffff", edge=0.02)
        pen.disc(x + 0.08, -0.66, 0.045, fill=INK)
    pen.disc(-0.2, 0.05, (0.6, 0.6), fill="#8f4a22", edge=0.03)
    spiral = []
    for number in range(14):
        radius, angle = 0.52 - 0.036 * number, number * 0.5
        spiral.append((radius * math.cos(angle) - 0.2, radius * math.sin(angle) + 0.05))
    pen.line(curve(spiral), 0.13, "#f0a85e")
    pen.bow((0.78, 0.08), (0.1, 0.1), (0.3, 2.4), 0.035, INK)


def swan(pen: Pen) -> None:
    """Draw a white swan with a curved neck on blue water."""
    pen.disc(0, 0.68, (1.0, 0.3), fill="#2f8fd0")
    for y, width in ((0.6, 0.8), (0.75, 0.6), (0.86, 0.35)):
        pen.line([(-width, y), (width, y)], 0.035, "#a5ddf7")
    pen.line(curve([(0.38, 0.42), (0.62, 0.1), (0.38, -0.3), (0.5, -0.68), (0.68, -0.62)]), 0.2, "#ffffff")
    pen.poly(curve([(-0.95, 0.0), (-0.5, 0.15), (0.0, 0.05), (0.5, 0.3), (0.55, 0.55), (0.1, 0.7), (-0.5, 0.62),
                    (-0.95, 0.0)]), "#ffffff", 0.02)  # fmt: skip
    pen.poly(curve([(-0.85, -0.3), (-0.4, -0.1), (0.1, 0.1), (0.2, 0.35), (-0.2, 0.48), (-0.6, 0.3), (-0.85, -0.3)]),
             "#e3ecf5", 0.015)  # fmt: skip
    pen.disc(0.62, -0.62, (0.16, 0.13), fill="#ffffff")
    pen.poly([(0.72, -0.68), (1.0, -0.52), (0.72, -0.5)], "#ff8a1f", 0.015)
    pen.poly([(0.62, -0.7), (0.76, -0.66), (0.72, -0.55)], INK)
    pen.disc(0.62, -0.65, 0.03, fill=INK)


def dolphin(pen: Pen) -> None:
    """Draw a dolphin leaping in an arc over a wave."""
    back = arc((0, 0.55), (0.85, 1.2), (math.pi, 2 * math.pi - 0.25))
    belly = arc((-0.02, 0.62), (0.55, 0.8), (2 * math.pi - 0.3, math.pi))
    pen.poly([(-0.2, -0.55), (-0.45, -1.0), (0.15, -0.66)], "#3f6f9f", 0.02)
    pen.poly([*back, *belly], "#4a86bd", 0.03)
    inner = arc((-0.02, 0.62), (0.68, 0.95), (math.pi + 0.25, 2 * math.pi - 0.3))
    pen.poly([*inner, *belly], "#dfeefa")
    pen.disc(0.74, 0.24, (0.18, 0.26), fill="#4a86bd", turn=-0.2)
    pen.disc(0.82, 0.46, (0.08, 0.2), fill="#4a86bd", turn=-0.1, edge=0.015)
    pen.poly([(0.42, -0.1), (0.62, 0.42), (0.3, 0.25)], "#3f6f9f", 0.02)
    pen.eye(0.7, 0.16, 0.055)
    pen.poly([(-0.75, 0.5), (-1.0, 0.85), (-0.7, 0.75), (-0.4, 0.9), (-0.55, 0.5)], "#3f6f9f", 0.02)
    wave = [(x / 10, 0.78 + 0.07 * math.sin(x * 1.3)) for x in range(-10, 11)]
    pen.poly([*wave, (1.0, 1.0), (-1.0, 1.0)], "#19b5c9")
    pen.line(wave, 0.05, "#ffffff")
    for x, y in ((-0.95, 0.45), (-0.3, 0.6), (0.95, 0.6), (0.5, 0.66)):
        pen.disc(x, y, 0.05, fill="#aeeaf2")


def peacock(pen: Pen) -> None:
    """Draw a peacock with its tail spread into a fan."""
    for radius, size in ((0.98, 0.15), (0.7, 0.12)):
        count = 13 if radius > 0.8 else 10
        for number in range(count):
            angle = math.pi + math.pi * number / (count - 1)
            x, y = radius * math.cos(angle) * 0.95, 0.3 + radius * math.sin(angle) * 1.15
            pen.line([(0, 0.5), (x, y)], 0.13, "#159a55" if radius > 0.8 else "#0f7d63")
            pen.disc(x, y, size, fill="#1fbf6b", edge=0.015)
            pen.disc(x, y, size * 0.68, fill="#f2b705")
            pen.disc(x, y, size * 0.4, fill="#2340c8")
    pen.poly(curve([(-0.2, 0.9), (-0.28, 0.5), (-0.1, 0.0), (0.0, -0.25), (0.1, 0.0), (0.28, 0.5), (0.2, 0.9)]),
             "#1746c9", 0.025)  # fmt: skip
    pen.disc(0, -0.28, 0.16, fill="#2d63ea", edge=0.02)
    for x in (-0.1, 0.0, 0.1):
        pen.line([(0, -0.42), (x, -0.58)], 0.02, INK)
        pen.disc(x, -0.6, 0.035, fill="#2d63ea")
    pen.disc(-0.06, -0.3, 0.035, fill="#ffffff")
    pen.disc(0.06, -0.3, 0.035, fill="#ffffff")
    pen.poly([(-0.05, -0.24), (0.05, -0.24), (0, -0.13)], "#f2a10a")
    pen.line([(-0.08, 0.88), (-0.1, 1.0)], 0.04, "#b5792b")
    pen.line([(0.08, 0.88), (0.1, 1.0)], 0.04, "#b5792b")


def _note(pen: Pen, x: float, y: float) -> None:
    pen.line([(x + 0.06, y + 0.12), (x + 0.06, y - 0.1), (x + 0.16, y - 0.04)], 0.04, INK)
    pen.poly(oval(x, y + 0.13, 0.08, 0.06, -0.3), INK)
