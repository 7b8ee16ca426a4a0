"""Pictures for training: pixels in memory, features of a frozen tower on disk, and augmentation.

Augmentation is seeded by (seed, epoch, meme), so that a resumed run repeats the pictures of an unbroken one.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from mrharm.errors import ImageError
from mrharm.images import image_sha256, open_image
from mrharm.progress import Progress
from mrharm.store import content_key, write_bytes
from mrharm.student.interface import Pixels
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor

_MEMORY = 1_000_000_000  # bytes of fitted pixels kept
_BATCH = 32  # pictures whose features are computed at once


def _read_pictures(
    paths: Sequence[Path], read: Callable[[Path], object], what: str, progress: Progress
) -> dict[Path, str]:
    """Read pictures one by one; returns path -> reason for those that cannot be read."""
    broken = {}
    for number, path in enumerate(paths, 1):
        try:
            read(path)
        except ImageError as error:
            broken[path] = str(error)
        progress(what, number, len(paths))
    return broken


class PixelStore:
    """Fitted pixels by path, kept in memory up to a bound and decoded again past it."""

    def __init__(self, processor: MrHarmProcessor) -> None:
        self._processor = processor
        self._pixels: dict[Path, Pixels] = {}
        self._bytes = 0
        self._checked: set[Path] = set()

    def get(self, path: Path) -> Pixels:
        """Return the fitted picture, *Shape:* (side, side, 3); raises ImageError as `mrharm.images.open_image` does."""
        pixels = self._pixels.get(path)
        if pixels is None:
            pixels = self._processor.fit(open_image(path))
            if self._bytes + pixels.nbytes <= _MEMORY:
                self._pixels[path] = pixels
                self._bytes += pixels.nbytes
        return pixels

    def get_varied(self, path: Path, augmentation: str, rng: np.random.Generator) -> Pixels:
        """Return a varied copy of the fitted picture; RandAugment's is varied before it is fitted, and decoded anew."""
        if augmentation == "randaugment":
            return self._processor.fit(randaugment(open_image(path), rng))
        return shift_light(self.get(path), rng) if augmentation == "light" else self.get(path)

    def prepare(self, paths: Sequence[Path], progress: Progress) -> dict[Path, str]:
        """Decode every new picture once; returns path -> reason for those that cannot be read."""
        new = [path for path in paths if path not in self._checked]
        self._checked.update(new)
        return _read_pictures(new, self.get, "pictures", progress)


class FeatureStore:
    """Features of a frozen tower by path, one ``.npy`` a picture, which runs, stages and processes share.

    They are kept in ``MRHARM_CACHE``, else in ``mrharm`` under the user's cache folder, keyed by the picture's SHA-256
    and by everything that shapes them, see `tower_key`.
    """

    def __init__(self, model: MrHarmForConditionalGeneration, processor: MrHarmProcessor) -> None:
        self._model = model
        self._processor = processor
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrharm"
        cache = Path(os.environ.get("MRHARM_CACHE") or cache)
        self._folder = cache / "features" / tower_key(model, processor)
        self._paths: dict[Path, Path] = {}
        self._waiting: list[tuple[Path, Pixels]] = []

    def get(self, path: Path) -> NDArray[Any]:
        """Return one picture's features. *Shape:* (patches, d_image)"""
        features: NDArray[Any] = np.load(self._paths[path], allow_pickle=False)
        return features

    def prepare(self, paths: Sequence[Path], progress: Progress) -> dict[Path, str]:
        """Compute the features that are not on disk yet; returns path -> reason for pictures that cannot be read."""
        new = [path for path in paths if path not in self._paths]
        broken = _read_pictures(new, self._read, "image features", progress)
        self._compute()
        return broken

    def _read(self, path: Path) -> None:
        self._paths[path] = self._folder / f"{image_sha256(path)}.npy"
        if not self._paths[path].exists():
            self._waiting.append((path, self._processor.fit(open_image(path))))
        if len(self._waiting) == _BATCH:
            self._compute()

    @torch.inference_mode()
    def _compute(self) -> None:
        """Compute and write the features of the pictures that wait for it."""
        if not self._waiting:
            return
        device = next(self._model.parameters()).device
        batch = self._processor.normalise([pixels for _, pixels in self._waiting]).to(device)
        computed = self._model.encoder.see(batch).float().cpu().numpy()
        for (path, _), features in zip(self._waiting, computed, strict=True):
            buffer = io.BytesIO()
            np.save(buffer, features, allow_pickle=False)
            write_bytes(self._paths[path], buffer.getvalue())
        self._waiting.clear()


def tower_key(model: MrHarmForConditionalGeneration, processor: MrHarmProcessor) -> str:
    """Return a short key of everything that shapes a tower's features: its weights and how pictures are fitted."""
    digest = hashlib.sha256()
    tower = model.encoder.vision
    assert tower is not None  # a student that takes pictures
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return content_key(digest.hexdigest(), str(processor.picture))


def shift_light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Shift up to an eighth, mirror half the time, and change contrast and brightness by up to a fifth."""
    side = pixels.shape[0]
    reach = side // 8
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    down, right = rng.integers(0, 2 * reach + 1, size=2)
    moved = padded[down : down + side, right : right + side].astype(np.float32)
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(-25, 25)
    changed = (moved - 128) * contrast + 128 + brightness
    return np.clip(changed, 0, 255).astype(np.uint8)


def randaugment(
    image: Image.Image, rng: np.random.Generator, operations: int = 2, magnitude: int = 9
) -> Image.Image:
    """Apply RandAugment (Cubuk et al., NeurIPS 2020): ``operations`` drawn evenly, each at ``magnitude`` of 30.

    The operations and their ranges are the official code's, which has them of ViLT (Kim et al., ICML 2021).
    """
    for name in rng.choice(sorted(_OPERATIONS), size=operations):
        operation, least, most = _OPERATIONS[name]
        image = operation(image, (least + (most - least) * magnitude / 30) * _draw_sign(name, rng))
    return image


def _draw_sign(name: str, rng: np.random.Generator) -> int:
    """Return 1 or -1 for an operation that goes both ways, else 1."""
    return -1 if name in _BOTH_WAYS and rng.random() > 0.5 else 1


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    """Transform a picture by the six numbers of an affine matrix; black comes in."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def _solarise_add(image: Image.Image, value: float) -> Image.Image:
    """Brighten by ``value`` grey levels, and invert what is then 128 or brighter."""
    return ImageOps.solarize(image.point(lambda level: min(level + value, 255)), 128)


# Name: operation, value at strength 0, value at strength 1. Rotations are in degrees, translations in pixels of the
# posted picture, enhancements as Pillow counts them (1 changes nothing), solarisation in grey levels, posterisation in
# bits: at magnitude 9, one.
_OPERATIONS: dict[str, tuple[Callable[[Image.Image, float], Image.Image], float, float]] = {
    "autocontrast": (lambda image, value: ImageOps.autocontrast(image), 0, 1),
    "equalise": (lambda image, value: ImageOps.equalize(image), 0, 1),
    "rotate": (lambda image, value: image.rotate(value), 0, 30),
    "posterise": (lambda image, value: ImageOps.posterize(image, max(int(value), 1)), 0, 4),
    "solarise": (lambda image, value: ImageOps.solarize(image, math.ceil(value)), 0, 256),
    "solarise_add": (_solarise_add, 0, 110),
    "colour": (lambda image, value: ImageEnhance.Color(image).enhance(value), 0.1, 1.9),
    "contrast": (lambda image, value: ImageEnhance.Contrast(image).enhance(value), 0.1, 1.9),
    "brightness": (lambda image, value: ImageEnhance.Brightness(image).enhance(value), 0.1, 1.9),
    "sharpness": (lambda image, value: ImageEnhance.Sharpness(image).enhance(value), 0.1, 1.9),
    "shear_x": (lambda image, value: _affine(image, 1, value, 0, 0, 1, 0), 0, 0.3),
    "shear_y": (lambda image, value: _affine(image, 1, 0, 0, value, 1, 0), 0, 0.3),
    "translate_x": (lambda image, value: _affine(image, 1, 0, value, 0, 1, 0), 0, 100),
    "translate_y": (lambda image, value: _affine(image, 1, 0, 0, 0, 1, value), 0, 100),
}
_BOTH_WAYS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
