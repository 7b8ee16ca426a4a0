"""Realistic memes, drawn, so that the truth is exact: each line of text, where it lies, and the picture without it.

    for meme in render(300, seed=1): ...

Ten layouts in turn. The same seed gives the same pixels, however many are drawn. Fonts are the package's own and
Pillow's; photographs those inside the scikit-learn and scikit-image wheels.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from benchmarks.backgrounds import background
from benchmarks.layouts import LAYOUTS
from benchmarks.lettering import Box, Canvas


@dataclass(frozen=True)
class Rendered:
    """A drawn meme. ``posted`` and ``clean`` (the same without its text; paper under text stays) are RGB, one size.

    ``lines``: (text, (left, top, right, bottom) in pixels) in reading order; ``background`` names the picture.
    """

    posted: Image.Image
    clean: Image.Image
    lines: list[tuple[str, Box]]
    layout: str
    background: str


def render(count: int, seed: int) -> Iterator[Rendered]:
    """``count`` memes, the layouts in turn; the first n of any count are the same n."""
    names = list(LAYOUTS)
    for index in range(count):
        yield render_one(names[index % len(names)], random.Random(f"{seed}/{index}"))


def render_one(layout: str, rng: random.Random) -> Rendered:
    """One meme in this layout, everything else drawn from ``rng``."""
    size = (rng.randint(400, 1000), rng.randint(400, 1000))
    name, picture = background(size, rng)
    canvas = Canvas(picture)
    LAYOUTS[layout](canvas, rng)
    posted, clean, lines = canvas.posted, canvas.clean, canvas.lines
    shrink = rng.uniform(0.75, 0.95) if rng.random() < 0.25 else 1.0
    if shrink < 1 and min(posted.size) * shrink >= 400:
        size = (round(posted.width * shrink), round(posted.height * shrink))
        posted, clean = (one.resize(size, Image.Resampling.LANCZOS) for one in (posted, clean))
        lines = [(text, tuple(side * shrink for side in box)) for text, box in lines]  # type: ignore[misc]
    if rng.random() < 0.45:
        # Both alike: what differs between the two is the text and nothing else.
        quality = rng.randint(35, 92)
        posted, clean = _worn(posted, quality), _worn(clean, quality)
    return Rendered(posted, clean, lines, layout, name)


def _worn(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer, formats=["JPEG"]) as worn:
        return worn.convert("RGB")
