"""Pictures to write on: photographs from the scikit-learn and scikit-image wheels, generated scenes, plain grounds."""

from __future__ import annotations

import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mrharm.synthetic.scenes import SCENES, draw_picture

Size = tuple[int, int]
Files = dict[str, tuple[str, tuple[int, int, int, int] | None]]

# Two are cut, (left, top, right, bottom): elsewhere they show readable words, which would be missing from the truth.
PHOTOGRAPHS: Files = {
    "china": ("sklearn/datasets/images/china.jpg", None),
    "flower": ("sklearn/datasets/images/flower.jpg", None),
    "astronaut": ("skimage/data/astronaut.png", (0, 0, 390, 330)),
    "motorcycle": ("skimage/data/motorcycle_left.png", (0, 0, 280, 500)),
    "chelsea": ("skimage/data/chelsea.png", None),
    "coffee": ("skimage/data/coffee.png", None),
    "rocket": ("skimage/data/rocket.jpg", None),
    "camera": ("skimage/data/camera.png", None),
    "hubble": ("skimage/data/hubble_deep_field.jpg", None),
    "retina": ("skimage/data/retina.jpg", None),
    "coins": ("skimage/data/coins.png", None),
    "moon": ("skimage/data/moon.png", None),
    "tissue": ("skimage/data/ihc.png", None),
}
TEXTURES: Files = {
    "brick": ("skimage/data/brick.png", None),
    "grass": ("skimage/data/grass.png", None),
    "gravel": ("skimage/data/gravel.png", None),
}


def background(size: Size, rng: random.Random) -> tuple[str, Image.Image]:
    """A picture of ``size`` (width, height) pixels without text, as RGB, and what it is."""
    kind = rng.choices(("photograph", "texture", "scene", "plain"), (0.52, 0.16, 0.2, 0.12))[0]
    if kind == "scene":
        scene = rng.choice(sorted(SCENES.keys() - {"race_car"}))  # it has a number on it
        return "scene", draw_picture(scene, rng.randrange(10), size, (0.05, 0.95), rng)
    if kind == "plain":
        return "plain", plain(size, rng)
    return photograph(size, rng, PHOTOGRAPHS if kind == "photograph" else TEXTURES)


def photograph(size: Size, rng: random.Random, files: Files = PHOTOGRAPHS) -> tuple[str, Image.Image]:
    """The name of a photograph and a random part of it, ``size`` pixels large, in other light."""
    name = rng.choice(sorted(files))
    return name, _toned(_cropped(_photograph(*files[name]), size, rng), rng)


@cache
def _photograph(file: str, cut: tuple[int, int, int, int] | None) -> Image.Image:
    package, _, inside = file.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"{package} is not installed; its photographs are drawn on: pip install -e '.[dev]'"
        )
    with Image.open(Path(spec.origin).parent / inside) as image:
        return image.convert("RGB").crop(cut) if cut else image.convert("RGB")


def _cropped(photograph: Image.Image, size: Size, rng: random.Random) -> Image.Image:
    """A random part of the photograph with the shape of ``size``, at least half as large as would fit."""
    width, height = photograph.size
    share = rng.uniform(0.55, 1.0) * min(width / size[0], height / size[1])
    part = size[0] * share, size[1] * share
    left, top = rng.uniform(0, width - part[0]), rng.uniform(0, height - part[1])
    box = (left, top, left + part[0], top + part[1])
    picture = photograph.resize(size, Image.Resampling.BICUBIC, box=box)
    return ImageOps.mirror(picture) if rng.random() < 0.5 else picture


def _toned(picture: Image.Image, rng: random.Random) -> Image.Image:
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.65, 1.25))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.75, 1.25))
    picture = ImageEnhance.Color(picture).enhance(0.0 if rng.random() < 0.1 else rng.uniform(0.6, 1.4))
    if rng.random() < 0.3:
        colour = tuple(rng.randrange(256) for _ in range(3))
        picture = Image.blend(picture, Image.new("RGB", picture.size, colour), rng.uniform(0.1, 0.3))
    return picture


def plain(size: Size, rng: random.Random) -> Image.Image:
    """One colour, or a gradient from one to another."""
    ends = [np.array([rng.randrange(256) for _ in range(3)], dtype=np.float32) for _ in range(2)]
    if rng.random() < 0.4:
        ends[1] = ends[0]
    across, down = np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1])
    slope = rng.random()
    share = (slope * across[None, :] + (1 - slope) * down[:, None])[..., None]
    return Image.fromarray((ends[0] * (1 - share) + ends[1] * share).astype(np.uint8))
