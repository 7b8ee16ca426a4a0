"""A pen that draws flat shapes in its own coordinates: the one way scenes touch pixels.

A scene is written once, in a square that runs from -1 to 1 on both axes (y down), and drawn anywhere: moved, scaled,
tilted, mirrored and tinted. Every shape becomes a polygon first, so that all of these work on all shapes.
"""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageColor, ImageDraw

Point = tuple[float, float]
Rgb = tuple[int, int, int]

INK = "#1d1a20"


@dataclass(frozen=True)
class Tint:
    """A small shift of every colour of a picture: ``hue`` in turns, ``light`` and ``strength`` as factors."""

    hue: float = 0.0
    light: float = 1.0
    strength: float = 1.0

    def __call__(self, colour: str) -> Rgb:
        """Shift a colour as Pillow writes it; return (red, green, blue)."""
        red, green, blue = ImageColor.getrgb(colour)[:3]
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        shifted = colorsys.hsv_to_rgb(
            (hue + self.hue) % 1.0, min(1.0, saturation * self.strength), min(1.0, value * self.light)
        )
        return (round(shifted[0] * 255), round(shifted[1] * 255), round(shifted[2] * 255))


@dataclass
class Pen:
    """Draws on ``image`` around the centre (``x``, ``y``) in pixels; ``scale`` pixels are one unit."""

    image: Image.Image
    x: float
    y: float
    scale: float
    rng: random.Random
    tint: Tint = field(default_factory=Tint)
    mirror: bool = False
    tilt: float = 0.0

    def __post_init__(self) -> None:
        self.paint = ImageDraw.Draw(self.image, "RGBA")
        self._cos, self._sin = math.cos(self.tilt), math.sin(self.tilt)

    def poly(self, points: Sequence[Point], fill: str, edge: float = 0.0) -> None:
        """Draw a filled polygon; ``edge`` is the width of its dark outline, in units."""
        spots = [self.place(point) for point in points]
        opacity = ImageColor.getrgb(fill)[3:] or (255,)  # the colour may end in two hex digits of it
        self.paint.polygon(spots, fill=(*self.tint(fill), *opacity))
        if edge:
            width = max(1, round(edge * self.scale))
            self.paint.line([*spots, spots[0], spots[1]], fill=self.tint(INK), width=width, joint="curve")

    def disc(
        self, x: float, y: float, radius: float | Point, *, fill: str, turn: float = 0.0, edge: float = 0.0
    ) -> None:
        """Draw a filled circle, or an ellipse with two radii, turned by ``turn`` radians."""
        across, down = radius if isinstance(radius, tuple) else (radius, radius)
        self.poly(oval(x, y, across, down, turn), fill, edge)

    def box(self, left: float, top: float, right: float, bottom: float, fill: str, edge: float = 0.0) -> None:
        """Draw a filled rectangle."""
        self.poly([(left, top), (right, top), (right, bottom), (left, bottom)], fill, edge)

    def line(self, points: Sequence[Point], width: float, fill: str) -> None:
        """Draw a line through points, ``width`` units wide, with round ends."""
        spots = [self.place(point) for point in points]
        pixels = max(1, round(width * self.scale))
        colour = (*self.tint(fill), 255)
        self.paint.line(spots, fill=colour, width=pixels, joint="curve")
        if pixels > 2:
            for x, y in (spots[0], spots[-1]):
                half = pixels / 2
                self.paint.ellipse([x - half, y - half, x + half, y + half], fill=colour)

    def bow(self, centre: Point, radii: Point, angles: Point, width: float, fill: str) -> None:
        """Draw a piece of an ellipse's outline between two angles in radians (0 right, clockwise)."""
        self.line(arc(centre, radii, angles), width, fill)

    def eye(self, x: float, y: float, size: float) -> None:
        """Draw a round eye with a light in it."""
        self.disc(x, y, size, fill="#ffffff", edge=0.02)
        self.disc(x + size * 0.15, y, size * 0.6, fill=INK)
        self.disc(x + size * 0.3, y - size * 0.25, size * 0.2, fill="#ffffff")

    def place(self, point: Point) -> Point:
        """Return where a point of the scene lies in the image, in pixels."""
        x, y = (-point[0] if self.mirror else point[0]), point[1]
        turned = (x * self._cos - y * self._sin, x * self._sin + y * self._cos)
        return (self.x + turned[0] * self.scale, self.y + turned[1] * self.scale)


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0, points: int = 28) -> list[Point]:
    """Return an ellipse as a polygon."""
    cos, sin = math.cos(turn), math.sin(turn)
    spots = []
    for number in range(points):
        angle = 2 * math.pi * number / points
        across, down = rx * math.cos(angle), ry * math.sin(angle)
        spots.append((x + across * cos - down * sin, y + across * sin + down * cos))
    return spots


def arc(centre: Point, radii: Point, angles: Point, points: int = 18) -> list[Point]:
    """Return a piece of an ellipse's outline between two angles as points."""
    start, end = angles
    turns = [start + (end - start) * number / (points - 1) for number in range(points)]
    return [(centre[0] + radii[0] * math.cos(turn), centre[1] + radii[1] * math.sin(turn)) for turn in turns]


def curve(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """Return a smooth line through points (Catmull-Rom), ends included."""
    if len(points) < 3:
        return list(points)
    ends = [points[0], *points, points[-1]]
    out: list[Point] = []
    for before, start, end, after in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(steps):
            t = step / steps
            out.append((_spline(before[0], start[0], end[0], after[0], t),
                        _spline(before[1], start[1], end[1], after[1], t)))  # fmt: skip
    return [*out, points[-1]]


def star(
    x: float, y: float, outer: float, inner: float, tips: int = 5, turn: float = -math.pi / 2
) -> list[Point]:
    """Return a star as a polygon, a tip at angle ``turn``."""
    spots = []
    for number in range(2 * tips):
        radius = inner if number % 2 else outer
        angle = turn + math.pi * number / tips
        spots.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return spots


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    linear = (c - a) * t
    square = (2 * a - 5 * b + 4 * c - d) * t * t
    cube = (3 * b - a - 3 * c + d) * t * t * t
    return 0.5 * (2 * b + linear + square + cube)
