"""Change a picture the way sharing it from phone to phone does, or people who want to slip it past a filter.

The seed alone decides what is random, and a greater strength changes more of the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from mrharm.probes.changed_memes import Change

Box = Sequence[tuple[float, float]]  # corners, (x, y) in pixels

_GRAINS = 256  # grains of noise along the shorter side at most
# Colours of a phone's bars, of the names and buttons drawn in them, and of a frame.
_BAR, _BUTTON, _FRAME = (28, 28, 30), (150, 150, 155), (245, 245, 240)


def change_picture(
    image: Image.Image, name: str, strength: int, seed: int = 0, boxes: Sequence[Box] = ()
) -> Image.Image:
    """Change an RGB picture by a row of `PICTURE_CHANGES` at strength 1, 2 or 3; its size stays.

    ``boxes``: corners of the words' boxes; without any, words may be anywhere in the picture.
    """
    change = PICTURE_CHANGES[name]
    changed: Image.Image = change.apply(image, change.strengths[strength - 1], seed, boxes)
    return changed


def _jpeg(image: Image.Image, quality: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer) as read:
        return read.convert("RGB")


def _blur(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _noise(image: Image.Image, spread: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    rng = np.random.default_rng(seed)
    grains = _draw_grains(image, lambda shape: rng.standard_normal((*shape, 3)).astype(np.float32))
    noisy = np.asarray(image, dtype=np.float32) + spread * grains
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _salt(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    """Turn a share of the grains black or white, half of them each."""
    rng = np.random.default_rng(seed)
    salted = _draw_grains(image, rng.random) < share
    white = _draw_grains(image, rng.random) < 0.5
    pixels = np.array(image)
    pixels[salted] = np.where(white, 255, 0)[salted][:, None]
    return Image.fromarray(pixels)


def _salt_on_words(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    region = Image.new("1", image.size, 0 if boxes else 1)
    for corners in boxes:
        ImageDraw.Draw(region).polygon([*corners], fill=1)
    return Image.composite(_salt(image, share, seed, ()), image, region)


def _draw_grains(image: Image.Image, draw: Callable[[tuple[int, int]], NDArray[Any]]) -> NDArray[Any]:
    """Draw a value for each grain and repeat it over the grain's pixels. *Shape:* (height, width, ...)

    A grain grows with the picture: a student sees pictures scaled down, and single pixels of a large one would average
    out.
    """
    size = max(1, -(-min(image.size) // _GRAINS))
    grains = draw((-(-image.height // size), -(-image.width // size)))
    return grains.repeat(size, axis=0).repeat(size, axis=1)[: image.height, : image.width]


def _crop(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    width, height = image.size
    x, y = share * width / 2, share * height / 2
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(x, y, width - x, height - y))


def _rescale(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    small = (max(1, round(share * image.width)), max(1, round(share * image.height)))
    return image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)


def _flip(image: Image.Image, kind: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    turns = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)
    return image.transpose(turns[int(kind) - 1])


def _border(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    return _add_frame(image, share, share, _FRAME)


def _screenshot(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    screen = _add_frame(image, 0.02, share, _BAR)
    draw = ImageDraw.Draw(screen)
    bar = share * image.height
    for number, (start, end) in enumerate([(0.04, 0.14), (0.18, 0.55), (0.86, 0.96)]):
        draw.rectangle((start * image.width, 0.35 * bar, end * image.width, 0.7 * bar), fill=_BUTTON)
        x = (0.15 + 0.3 * number) * image.width  # of a button below
        draw.ellipse((x, image.height - 0.75 * bar, x + 0.5 * bar, image.height - 0.25 * bar), fill=_BUTTON)
    return _jpeg(screen, 90 - 200 * share, seed, boxes)


def _add_frame(image: Image.Image, sides: float, ends: float, colour: tuple[int, int, int]) -> Image.Image:
    """Shrink the picture into a frame: shares of its width at each side, of its height above and below."""
    room = (max(1, round((1 - 2 * sides) * image.width)), max(1, round((1 - 2 * ends) * image.height)))
    inner = ImageOps.contain(image, room, Image.Resampling.BICUBIC)
    framed = Image.new("RGB", image.size, colour)
    framed.paste(inner, ((image.width - inner.width) // 2, (image.height - inner.height) // 2))
    return framed


PICTURE_CHANGES: dict[str, Change] = {
    "jpeg": Change(_jpeg, (50, 20, 5), "JPEG quality"),
    "blur": Change(_blur, (0.005, 0.01, 0.025), "radius as a share of the shorter side"),
    "noise": Change(_noise, (10, 25, 60), "standard deviation, of 255"),
    "salt": Change(_salt, (0.02, 0.06, 0.2), "share of grains black or white"),
    "salt_on_words": Change(_salt_on_words, (0.05, 0.15, 0.4), "share of grains over the words"),
    "crop": Change(_crop, (0.05, 0.15, 0.35), "share of width and height cut off"),
    "rescale": Change(_rescale, (0.5, 0.25, 0.1), "share of the size, there and back"),
    "flip": Change(_flip, (1, 2, 3), "1 mirrored, 2 upside down, 3 both"),
    "border": Change(_border, (0.03, 0.08, 0.2), "width of the frame as a share of the side"),
    "screenshot": Change(_screenshot, (0.06, 0.12, 0.22), "height of a phone's bars as a share"),
}
