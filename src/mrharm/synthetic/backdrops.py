"""What stands behind a scene's thing: ten backdrops, and the looks that views take; one for each rendering."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from mrharm.synthetic.pen import Pen, star
from mrharm.synthetic.views import Look, ground, sky


@dataclass(frozen=True)
class Rendering:
    """One way to show a scene: backdrop, arrangement, palette; discrete, so that whole renderings can be held out.

    ``places``: where the thing stands in the free part of the picture, as (x, y, size), all as shares of it.
    ``setting`` is what a caption says of the backdrop, ``light`` of a view's sky.
    """

    backdrop: Callable[[Pen, Look], None]  # fills the whole picture, its hue drawn by the pen's own generator
    setting: str
    places: tuple[tuple[float, float, float], ...]
    mirror: bool
    tilt: float
    sky: tuple[str, str]
    light: str
    ground: str


def _pastel(pen: Pen, value: float = 0.94, strength: float = 0.3) -> str:
    red, green, blue = colorsys.hsv_to_rgb(pen.rng.random(), strength, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _fill(pen: Pen, look: Look, colour: str) -> None:
    pen.box(-look.side, look.top, look.side, look.bottom, colour)


def _meadow(pen: Pen, look: Look) -> None:
    sky(pen, look, 0.3)
    ground(pen, look, 0.25)
    for _ in range(14):
        x, y = pen.rng.uniform(-look.side, look.side), pen.rng.uniform(0.35, look.bottom)
        pen.line([(x - 0.04, y - 0.09), (x, y), (x + 0.04, y - 0.09)], 0.02, "#5c9a3a")


def _night(pen: Pen, look: Look) -> None:
    sky(pen, look, look.bottom)
    for _ in range(24):
        x, y = pen.rng.uniform(-look.side, look.side), pen.rng.uniform(look.top, look.bottom)
        pen.poly(star(x, y, 0.06, 0.025, 4), "#fdf3c0")
    ground(pen, look, 0.75)


def _room(pen: Pen, look: Look) -> None:
    _fill(pen, look, _pastel(pen, 0.9, 0.22))
    pen.box(-look.side, 0.5, look.side, look.bottom, "#b58a5c")
    pen.box(-look.side, 0.46, look.side, 0.53, "#f5efe6")
    left = pen.rng.choice((-1, 1)) * look.side * 0.7
    pen.box(left - 0.3, look.top + 0.1, left + 0.3, -0.3, "#cfe8f7", 0.03)
    pen.line([(left, look.top + 0.1), (left, -0.3)], 0.04, "#ffffff")


def _studio(pen: Pen, look: Look) -> None:
    _fill(pen, look, _pastel(pen, 0.86, 0.3))
    for size in (1.25, 1.0, 0.75):
        pen.disc(0, 0, size, fill="#ffffff3c")


def _sunset(pen: Pen, look: Look) -> None:
    sky(pen, replace(look, sky=("#f08a5d", "#ffd9a0")), 0.4)
    pen.disc(pen.rng.uniform(-0.6, 0.6), 0.3, 0.3, fill="#fff1c4")
    ground(pen, look, 0.35, "#7d6a8a")


def _stripes(pen: Pen, look: Look) -> None:
    _fill(pen, look, _pastel(pen, 0.95, 0.18))
    colour, x = _pastel(pen, 0.85, 0.3), -look.side - 2.0
    height = look.bottom - look.top
    while x < look.side:
        foot, head = x + 0.22, x + height * 0.5
        pen.poly(
            [(x, look.bottom), (foot, look.bottom), (foot + height * 0.5, look.top), (head, look.top)], colour
        )
        x += 0.5


def _hills(pen: Pen, look: Look) -> None:
    sky(pen, look, 0.5)
    for x, width, colour in ((-0.9, 1.1, "#8fb6a0"), (0.7, 1.3, "#7da58c"), (-0.1, 1.6, look.ground)):
        pen.disc(x + pen.rng.uniform(-0.2, 0.2), 0.85, (width, 0.7), fill=colour)
    pen.box(-look.side, 0.8, look.side, look.bottom, look.ground)


def _town(pen: Pen, look: Look) -> None:
    sky(pen, look, 0.6)
    x = -look.side
    while x < look.side:
        width, top = pen.rng.uniform(0.3, 0.5), pen.rng.uniform(-0.5, 0.1)
        pen.box(x, top, x + width, 0.7, "#6c6288")
        for row in range(3):
            pen.box(x + 0.08, top + 0.1 + row * 0.2, x + 0.16, top + 0.2 + row * 0.2, "#ffe9a0")
        x += width + 0.04
    ground(pen, look, 0.62, "#56536b")


def _rays(pen: Pen, look: Look) -> None:
    _fill(pen, look, _pastel(pen, 0.97, 0.2))
    colour, reach = _pastel(pen, 0.88, 0.32), 2.5 * max(look.side, look.bottom - look.top)
    for number in range(10):
        angle = 2 * math.pi * number / 10
        pen.poly([(0, 0), (reach * math.cos(angle), reach * math.sin(angle)),
                  (reach * math.cos(angle + 0.31), reach * math.sin(angle + 0.31))], colour)  # fmt: skip


def _dots(pen: Pen, look: Look) -> None:
    _fill(pen, look, _pastel(pen, 0.95, 0.2))
    colour, y, row = _pastel(pen, 0.84, 0.32), look.top, 0
    while y < look.bottom:
        x = -look.side + (0.2 if row % 2 else 0.0)
        while x < look.side:
            pen.disc(x, y, 0.09, fill=colour)
            x += 0.4
        y += 0.3
        row += 1


_ONE = ((0.0, 0.0, 0.97),)
_TWO = ((-0.42, 0.1, 0.64), (0.46, -0.02, 0.64))
_TWO_APART = ((0.42, 0.08, 0.66), (-0.44, -0.02, 0.6))

RENDERINGS: tuple[Rendering, ...] = (
    Rendering(_meadow, "in a green meadow", _ONE, False, 0.0,
              ("#63b8f0", "#cfeeff"), "by day", "#78b84e"),
    Rendering(_night, "under the stars", _ONE, True, 0.0,
              ("#27356b", "#7c6fb0"), "in the evening", "#4c6b52"),
    Rendering(_room, "in a room", ((-0.12, 0.02, 0.86),), False, 0.06,
              ("#f7a25f", "#ffe0a8"), "at sunset", "#a08a4c"),
    Rendering(_studio, "on a plain ground", ((0.0, 0.02, 1.12),), True, -0.06,
              ("#e9a6c9", "#fde6ef"), "under a pink sky", "#c9a6b0"),
    Rendering(_sunset, "at sunset", _TWO, False, 0.0,
              ("#8fd9c4", "#effff4"), "in the morning", "#8cbf8a"),
    Rendering(_stripes, "on a striped ground", ((0.05, 0.0, 0.94),), True, 0.1,
              ("#9aa4b1", "#d9dee4"), "on a grey day", "#8a9484"),
    Rendering(_hills, "in front of hills", ((0.16, 0.08, 0.82),), False, -0.04,
              ("#3f7fe0", "#9fd0ff"), "by day", "#5f9f63"),
    Rendering(_town, "in a town in the evening", ((-0.08, 0.06, 0.9),), True, 0.0,
              ("#b07fe0", "#f4d6ff"), "in the evening", "#8a78a0"),
    Rendering(_rays, "on a ground of rays", ((0.0, 0.0, 1.0),), False, 0.05,
              ("#f2c879", "#fff6d6"), "in the morning", "#b8a45e"),
    Rendering(_dots, "on a dotted ground", _TWO_APART, True, 0.0,
              ("#5fc6d9", "#e2fbff"), "by day", "#6fae9a"),
)  # fmt: skip

TRAIN_RENDERINGS, VALIDATION_RENDERINGS, TEST_RENDERINGS = (0, 1, 2, 3, 4, 5, 6), (7,), (8, 9)
