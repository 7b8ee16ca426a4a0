"""The in-painter ``lama``: a LaMa network from a local ONNX file, for pictures whose background is worth the time.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (WACV 2022). ONNX and not
TorchScript (``big-lama.pt``), so that evidence never loads PyTorch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.errors import ModelUnavailableError
from mrharm.evidence.inpainting.glyph_masks import Mask, Pixels, glyph_mask
from mrharm.evidence.ocr.rapidocr import open_session
from mrharm.records import TextBox

VARIABLE = "MRHARM_LAMA"
MULTIPLE = 8  # the network halves its input three times
LARGEST = 1024  # side of what is filled at a time where the file fixes none: memory grows with it
MARGIN = 64  # pixels of picture round the letters, from which the network imagines what they hide


class Lama:
    """Fills the letters with what a LaMa network imagines; what is no letter stays as it is, to the byte.

    The file (``MRHARM_LAMA``) takes an image (1 x 3 x height x width, RGB of 0 to 1) and a mask (1 x 1 x height x
    width, 1 where to fill) and gives an image, 0 to 1 or 0 to 255. Its size may be fixed, as in ``lama_fp32.onnx``.

    Raises (when its version is asked for, or at the first picture):
        ModelUnavailableError: no file is named, or it is no network of this kind.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)

    @cached_property
    def version(self) -> str:
        """Return the file's hash: another network is another version."""
        with self._path().open("rb") as file:
            return f"lama@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}, way 2"

    def clean(self, image: Image.Image, boxes: Sequence[TextBox]) -> Image.Image:
        """Return an RGB picture without the text in ``boxes``; the picture itself where there are none."""
        if not boxes:
            return image
        network = self._network
        pixels, letters = np.array(image.convert("RGB")), glyph_mask(image, boxes) > 0
        for rows, columns, ours in _windows(letters, *network.window):
            part = pixels[rows, columns]
            # What an earlier window filled is picture to this one.
            part[ours] = network.fill(part, letters[rows, columns])[ours]
            letters[rows, columns] &= ~ours
        return Image.fromarray(pixels)

    @cached_property
    def _network(self) -> _Network:
        return _Network(self._path())

    def _path(self) -> Path:
        if self._file is None or not self._file.is_file():
            came = f"{self._file} is not there" if self._file else "none is named"
            raise ModelUnavailableError(
                f"lama: no weights: {came}; set {VARIABLE} to an ONNX file of LaMa (lama_fp32.onnx of Carve/LaMa-ONNX "
                "on the Hugging Face hub is one), or say --inpaint telea"
            )
        return self._file


class _Network:
    """A LaMa file, loaded. ``window``: (height, width) of the most it fills at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._session = open_session(path)
        except Exception as error:  # onnxruntime has a dozen kinds
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelUnavailableError(
                f"{path}: not an ONNX network ({first[:120]}); expected LaMa as ONNX, not as TorchScript (.pt)"
            ) from None
        inputs = self._session.get_inputs()
        if [len(value.shape) for value in inputs] != [4, 4]:
            raise ModelUnavailableError(
                f"{path}: takes {[value.shape for value in inputs]}; expected an image (1 x 3 x height x width) and a "
                "mask (1 x 1 x height x width), as LaMa's ONNX files do"
            )
        image, mask = sorted(inputs, key=lambda value: value.shape[1] != 3)
        self._names = image.name, mask.name
        self._fixed = [side if isinstance(side, int) else None for side in image.shape[2:]]
        self.window = self._fixed[0] or LARGEST, self._fixed[1] or LARGEST

    def fill(self, pixels: Pixels, holes: Mask) -> Pixels:
        """Return the pixels, (height, width, 3), with the holes, (height, width), filled."""
        height, width = holes.shape
        room = tuple(
            (0, (fixed or side + -side % MULTIPLE) - side)
            for fixed, side in zip(self._fixed, (height, width), strict=True)
        )
        shown = np.pad(pixels, (*room, (0, 0)), mode="symmetric").astype(np.float32) / np.float32(255)
        masked = np.pad(holes, room, mode="symmetric").astype(np.float32)
        inputs = (shown.transpose(2, 0, 1)[None], masked[None, None])
        (output,) = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        drawn = np.asarray(output[0].transpose(1, 2, 0)[:height, :width], np.float32)
        levels = drawn * _output_scale(drawn, shown[:height, :width], ~holes)
        return np.asarray(np.clip(np.round(levels), 0, 255), np.uint8)


def _output_scale(drawn: NDArray[np.float32], shown: NDArray[np.float32], kept: Mask) -> float:
    """Return the factor from the network's output to 0 to 255, from the pixels it returns as they were shown."""
    if not kept.any():
        return 255.0 if float(drawn.max()) <= 1.5 else 1.0
    expected, returned = shown[kept], drawn[kept]
    is_share = float(np.abs(returned - expected).mean()) <= float(np.abs(returned - 255 * expected).mean())
    return 255.0 if is_share else 1.0


def _windows(letters: Mask, height: int, width: int) -> Iterator[tuple[slice, slice, Mask]]:
    """Yield (rows, columns, which letters to fill there) of windows that together fill every letter, each once."""
    # Letters with less than a margin of picture round them are left to the next window, unless the picture ends there.
    above, beside = min(MARGIN, height // 8), min(MARGIN, width // 8)
    unfilled = letters.copy()
    while unfilled.any():
        first = int(unfilled.any(axis=1).argmax())
        top = max(0, min(first - above, letters.shape[0] - height))
        bottom = min(top + height, letters.shape[0])
        last = bottom if bottom == letters.shape[0] else max(first + 1, bottom - above)
        column = int(unfilled[first:last].any(axis=0).argmax())
        start = max(0, min(column - beside, letters.shape[1] - width))
        end = min(start + width, letters.shape[1])
        edge = end if end == letters.shape[1] else max(column + 1, end - beside)
        ours = np.zeros((bottom - top, end - start), bool)
        inner = (slice(first - top, last - top), slice(column - start, edge - start))
        ours[inner] = unfilled[first:last, column:edge]
        unfilled[first:last, column:edge] = False
        yield slice(top, bottom), slice(start, end), ours
