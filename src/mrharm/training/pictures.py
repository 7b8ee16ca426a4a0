"""Pictures for training: decoded once, and for a frozen tower also seen once.

Fitted pixels are kept in memory up to a bound and decoded again past it. Features of a frozen tower are kept on disk,
one ``.npy`` a picture, keyed by the picture's SHA-256 and everything that shapes them (tower weights, side,
statistics), so that runs, stages and processes share them.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrharm.errors import ImageError
from mrharm.images import image_sha256, open_image
from mrharm.progress import Progress
from mrharm.store import content_key, write_bytes
from mrharm.student.interface import Pixels
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor

_MEMORY = 1_000_000_000  # bytes of fitted pixels kept


def cache_folder() -> Path:
    """Where features are kept: ``MRHARM_CACHE``, else ``mrharm`` under the user's cache folder."""
    if folder := os.environ.get("MRHARM_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrharm"


class PixelStore:
    """Path -> fitted pixels, remembered up to a bound of memory."""

    def __init__(self, processor: MrHarmProcessor) -> None:
        self._processor = processor
        self._kept: dict[Path, Pixels] = {}
        self._bytes = 0

    def get(self, path: Path) -> Pixels:
        """The fitted picture, *Shape:* (side, side, 3); raises ImageError as `mrharm.images.open_image` does."""
        pixels = self._kept.get(path)
        if pixels is None:
            pixels = self._processor.fit(open_image(path))
            if self._bytes + pixels.nbytes <= _MEMORY:
                self._kept[path] = pixels
                self._bytes += pixels.nbytes
        return pixels

    def check(self, paths: Sequence[Path], progress: Progress | None = None) -> dict[Path, str]:
        """Decode every picture once; path -> reason for those that cannot be read."""
        broken = {}
        for number, path in enumerate(paths):
            try:
                self.get(path)
            except ImageError as error:
                broken[path] = str(error)
            if progress:
                progress("pictures", number + 1, len(paths))
        return broken


class FeatureStore:
    """Path -> a frozen tower's features, from disk; computed where they are not there yet."""

    def __init__(
        self, model: MrHarmForConditionalGeneration, processor: MrHarmProcessor, folder: Path | None = None
    ) -> None:
        self._model = model
        self._processor = processor
        self.folder = (folder or cache_folder()) / "features" / tower_key(model, processor)
        self._paths: dict[Path, Path] = {}

    def get(self, path: Path) -> NDArray[Any]:
        """One picture's features. *Shape:* (patches, d_image)"""
        features: NDArray[Any] = np.load(self._paths[path], allow_pickle=False)
        return features

    def prepare(
        self, paths: Sequence[Path], batch_size: int = 32, progress: Progress | None = None
    ) -> dict[Path, str]:
        """Compute what is not on disk yet; path -> reason for pictures that cannot be read."""
        broken: dict[Path, str] = {}
        waiting: list[tuple[Path, Pixels]] = []
        for number, path in enumerate(paths):
            try:
                kept = self.folder / f"{image_sha256(path)}.npy"
                self._paths[path] = kept
                if not kept.exists():
                    waiting.append((path, self._processor.fit(open_image(path))))
            except ImageError as error:
                broken[path] = str(error)
            if len(waiting) == batch_size or (waiting and number + 1 == len(paths)):
                self._compute(waiting)
                waiting = []
            if progress:
                progress("image features", number + 1, len(paths))
        return broken

    @torch.inference_mode()
    def _compute(self, waiting: list[tuple[Path, Pixels]]) -> None:
        device = next(self._model.parameters()).device
        batch = self._processor.normalise([pixels for _, pixels in waiting]).to(device)
        for (path, _), features in zip(
            waiting, self._model.encoder.see(batch).float().cpu().numpy(), strict=True
        ):
            buffer = io.BytesIO()
            np.save(buffer, features, allow_pickle=False)
            write_bytes(self._paths[path], buffer.getvalue())


def tower_key(model: MrHarmForConditionalGeneration, processor: MrHarmProcessor) -> str:
    """A short key of everything that shapes a tower's features: its weights and how pictures are fitted."""
    digest = hashlib.sha256()
    tower = model.encoder.vision
    assert tower is not None  # a student that takes pictures
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return content_key(digest.hexdigest(), str(processor.picture))
