"""Training pictures, varied: the paper's RandAugment in Pillow, and a light shift for students from scratch.

Every draw is seeded by (seed, epoch, meme), so that a resumed run sees the very pictures an unbroken one sees.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mrharm.student.interface import Pixels

_GREY = (128, 128, 128)


def augment(pixels: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """One varied copy of a fitted picture. *Shape:* (side, side, 3) -> the same

    Args:
        pixels: the fitted picture.
        kind: ``none``, ``light`` (mirrored half the time, shifted up to an eighth, brightness and contrast up to a
            fifth) or ``randaugment``.
        rng: where the draws come from.
    """
    if kind == "none":
        return pixels
    if kind == "light":
        return _light(pixels, rng)
    return randaugment(pixels, rng)


def _light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    side = pixels.shape[0]
    reach = side // 8
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    top, left = rng.integers(0, 2 * reach + 1, size=2)
    moved = padded[top : top + side, left : left + side].astype(np.float32)
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(-25, 25)
    changed = (moved - 128) * contrast + 128 + brightness
    return np.clip(changed, 0, 255).astype(np.uint8)


def randaugment(pixels: Pixels, rng: np.random.Generator, operations: int = 2, magnitude: int = 9) -> Pixels:
    """RandAugment (Cubuk et al., NeurIPS 2020): ``operations`` drawn evenly, each at ``magnitude`` of 30."""
    image = Image.fromarray(pixels)
    strength = magnitude / 30
    for name in rng.choice(sorted(_OPERATIONS), size=operations):
        image = _OPERATIONS[name](image, strength, 1.0 if rng.random() < 0.5 else -1.0)
    return np.asarray(image, dtype=np.uint8)


def _affine(image: Image.Image, a: float, b: float, c: float, d: float, e: float, f: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), fillcolor=_GREY)


def _enhance(
    kind: Callable[[Image.Image], ImageEnhance._Enhance],
) -> Callable[[Image.Image, float, float], Image.Image]:
    return lambda image, strength, sign: kind(image).enhance(1 + sign * 0.9 * strength)


# Ranges at full strength as in the paper's table: shear 0.3, translate 150/331 of the side, rotate 30 degrees,
# enhancements 0.9, posterise down to 4 bits, solarise from 256 down to 0.
_OPERATIONS: dict[str, Callable[[Image.Image, float, float], Image.Image]] = {
    "identity": lambda image, strength, sign: image,
    "shear_x": lambda image, strength, sign: _affine(image, 1, sign * 0.3 * strength, 0, 0, 1, 0),
    "shear_y": lambda image, strength, sign: _affine(image, 1, 0, 0, sign * 0.3 * strength, 1, 0),
    "translate_x": lambda image, strength, sign: _affine(
        image, 1, 0, sign * 150 / 331 * image.width * strength, 0, 1, 0
    ),
    "translate_y": lambda image, strength, sign: _affine(
        image, 1, 0, 0, 0, 1, sign * 150 / 331 * image.height * strength
    ),
    "rotate": lambda image, strength, sign: image.rotate(sign * 30 * strength, fillcolor=_GREY),
    "brightness": _enhance(ImageEnhance.Brightness),
    "colour": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "posterise": lambda image, strength, sign: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarise": lambda image, strength, sign: ImageOps.solarize(image, round(255 * (1 - strength))),
    "autocontrast": lambda image, strength, sign: ImageOps.autocontrast(image),
    "equalise": lambda image, strength, sign: ImageOps.equalize(image),
}
