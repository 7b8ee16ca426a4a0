"""Change a picture the way sharing it from phone to phone does, or people who want to slip it past a filter.

Every change takes an RGB picture and returns one of the same size. The seed alone decides what is random, and a greater
strength changes more of the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Box = Sequence[tuple[float, float]]  # corners, (x, y) in pixels

_GRAINS = 256  # grains of noise along the shorter side at most
# Colours of a phone's bars, of the names and buttons drawn in them, and of a frame.
_BAR, _BUTTON, _FRAME = (28, 28, 30), (150, 150, 155), (245, 245, 240)


@dataclass(frozen=True)
class PictureChange:
    """A row of `PICTURE_CHANGES`.

    Attributes:
        apply: takes a picture, a strength, a seed and the boxes of the words.
        strengths: the numbers of strengths 1, 2 and 3.
        unit: what these numbers mean.
    """

    apply: Callable[[Image.Image, float, int, Sequence[Box]], Image.Image]
    strengths: tuple[float, float, float]
    unit: str


def change_picture(
    image: Image.Image, name: str, strength: int, seed: int = 0, boxes: Sequence[Box] = ()
) -> Image.Image:
    """Return a changed copy of a picture, of the same size.

    Args:
        image: an RGB picture.
        name: a row of `PICTURE_CHANGES`.
        strength: 1, 2 or 3.
        seed: the same seed, the same change.
        boxes: corners of the words' boxes; without any, words may be anywhere in the picture.
    """
    change = PICTURE_CHANGES[name]
    return change.apply(image, change.strengths[strength - 1], seed, boxes)


def _jpeg(image: Image.Image, quality: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer) as read:
        return read.convert("RGB")


def _blur(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _noise(image: Image.Image, spread: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    rows, columns, rng = _grain_grid(image, seed)
    grains = rng.standard_normal((rows, columns, 3)).astype(np.float32)
    noisy = np.asarray(image, dtype=np.float32) + spread * _to_pixels(grains, image)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _salt(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    return _salt_region(image, share, seed, np.ones((image.height, image.width), dtype=bool))


def _salt_on_words(image: Image.Image, share: float, seed: int, boxes: Sequence[Box]) -> Image.Image:
    region = Image.new("1", image.size, 0 if boxes else 1)
    for corners in boxes:
        ImageDraw.Draw(region).polygon([*corners], fill=1)
    return _salt_region(image, share, seed, np.asarray(region))


def _salt_region(image: Image.Image, share: float, seed: int, region: NDArray[np.bool_]) -> Image.Image:
    """Turn a share of the region's grains black or white, half of them each."""
    rows, columns, rng = _grain_grid(image, seed)
    salted = _to_pixels(rng.random((rows, columns)) < share, image) & region
    white = _to_pixels(rng.random((rows, columns)) < 0.5, image)
    pixels = np.array(image)
    pixels[salted] = np.where(white, 255, 0)[salted][:, None]
    return Image.fromarray(pixels)


def _grain_grid(image: Image.Image, seed: int) -> tuple[int, int, np.random.Generator]:
    """Return the rows and columns of grains, and the generator of their values.

    A grain grows with the picture: a student sees pictures scaled down, and single pixels of a large one would average
    out.
    """
    size = _grain_size(image)
    return -(-image.height // size), -(-image.width // size), np.random.default_rng(seed)


def _grain_size(image: Image.Image) -> int:
    return max(1, -(-min(image.size) // _GRAINS))


def _to_pixels(grains: NDArray, image: Image.Image) -> NDArray:  # type: ignore[type-arg]
    """Repeat each grain over its pixels. *Shape:* (rows, columns, ...) -> (height, width, ...)"""
    size = _grain_size(image)
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


PICTURE_CHANGES: dict[str, PictureChange] = {
    "jpeg": PictureChange(_jpeg, (50, 20, 5), "JPEG quality"),
    "blur": PictureChange(_blur, (0.005, 0.01, 0.025), "radius as a share of the shorter side"),
    "noise": PictureChange(_noise, (10, 25, 60), "standard deviation, of 255"),
    "salt": PictureChange(_salt, (0.02, 0.06, 0.2), "share of grains black or white"),
    "salt_on_words": PictureChange(_salt_on_words, (0.05, 0.15, 0.4), "share of grains over the words"),
    "crop": PictureChange(_crop, (0.05, 0.15, 0.35), "share of width and height cut off"),
    "rescale": PictureChange(_rescale, (0.5, 0.25, 0.1), "share of the size, there and back"),
    "flip": PictureChange(_flip, (1, 2, 3), "1 mirrored, 2 upside down, 3 both"),
    "border": PictureChange(_border, (0.03, 0.08, 0.2), "width of the frame as a share of the side"),
    "screenshot": PictureChange(_screenshot, (0.06, 0.12, 0.22), "height of a phone's bars as a share"),
}
