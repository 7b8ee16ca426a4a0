"""The in-painter ``lama``: a LaMa network from a local ONNX file, for pictures whose background is worth the time.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (WACV 2022). ONNX and not
TorchScript, so that looking at pictures never loads PyTorch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.errors import ModelUnavailableError
from mrharm.evidence.glyphs import glyph_mask
from mrharm.records import TextBox

VARIABLE = "MRHARM_LAMA"
MULTIPLE = 8  # the network halves its input three times


class Lama:
    """Fills the letters with what a LaMa network imagines; what is no letter stays as it is, to the byte.

    The file takes an image (1 x 3 x height x width, 0 to 1) and a mask (1 x 1 x height x width, 1 where to fill) and
    gives an image, 0 to 1 or 0 to 255; its height and width may be fixed. ``MRHARM_LAMA`` or ``file`` names it.

    Raises (when its version is asked for, or at the first picture):
        ModelUnavailableError: no file is named, or it is no network of this kind.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)

    @cached_property
    def version(self) -> str:
        """The file's hash: another network is another version."""
        return f"lama@{hashlib.sha256(self._path().read_bytes()).hexdigest()[:12]}, way 1"

    def clean(self, image: Image.Image, boxes: Sequence[TextBox]) -> Image.Image:
        """An RGB picture without the text in ``boxes``; the picture itself where there are none."""
        if not boxes:
            return image
        pixels = np.array(image.convert("RGB"))
        mask = glyph_mask(image, boxes) > 0
        pixels[mask] = self._imagined(pixels, mask)[mask]
        return Image.fromarray(pixels)

    def _imagined(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        height, width = mask.shape
        session = self._session
        fixed = session.get_inputs()[0].shape[2:]
        if all(isinstance(side, int) for side in fixed):
            size = (int(fixed[1]), int(fixed[0]))
            shown = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
            holes = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        else:
            room = ((0, -height % MULTIPLE), (0, -width % MULTIPLE))
            shown, holes = (
                np.pad(pixels, (*room, (0, 0)), mode="symmetric"),
                np.pad(mask, room, mode="symmetric"),
            )
        names = [one.name for one in session.get_inputs()]
        (found,) = session.run(
            None,
            {
                names[0]: (shown.astype(np.float32) / 255).transpose(2, 0, 1)[None],
                names[1]: holes.astype(np.float32)[None, None],
            },
        )
        scale = 255.0 if float(found.max()) <= 1.5 else 1.0
        drawn = np.clip(np.round(found[0].transpose(1, 2, 0) * scale), 0, 255).astype(np.uint8)
        if drawn.shape[:2] != (height, width) and all(isinstance(side, int) for side in fixed):
            return np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC))
        return np.asarray(drawn[:height, :width], np.uint8)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        path = self._path()
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            shapes = [len(one.shape) for one in session.get_inputs()]
        except Exception as error:  # onnxruntime has a dozen kinds
            raise ModelUnavailableError(
                f"{path}: not an ONNX network ({error}); expected LaMa as ONNX"
            ) from None
        if shapes != [4, 4]:
            raise ModelUnavailableError(
                f"{path}: takes {len(shapes)} inputs; expected an image and a mask (LaMa as ONNX)"
            )
        return session

    def _path(self) -> Path:
        if self._file is None or not self._file.is_file():
            came = f"{self._file} is not there" if self._file else "none is named"
            raise ModelUnavailableError(
                f"lama: no weights: {came}; set {VARIABLE} to an ONNX file of LaMa, or say --inpaint telea"
            )
        return self._file
