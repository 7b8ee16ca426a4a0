"""The in-painter ``telea``: letters on paper are filled from the paper, letters on a picture by Telea's method.

A. Telea, "An Image Inpainting Technique Based on the Fast Marching Method" (2004), as OpenCV has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from mrharm.evidence.glyphs import Line, Pixels, find_lines
from mrharm.records import TextBox

RADIUS = 3  # pixels round each one that are looked at
FEWEST = 3  # pixels of paper beside a letter that say what paper looks like there


class Telea:
    """Takes words off a picture; what is no letter stays as it is, to the byte."""

    def __init__(self) -> None:
        self.version = f"telea@opencv {version('opencv-python-headless')}, way 1"

    def clean(self, image: Image.Image, boxes: Sequence[TextBox]) -> Image.Image:
        """An RGB picture without the text in ``boxes``; the picture itself where there are none."""
        if not boxes:
            return image
        import cv2

        pixels = np.array(image.convert("RGB"))
        lines = find_lines(pixels, boxes)
        holes = np.zeros(pixels.shape[:2], np.uint8)
        for line in lines:
            height, width = line.mask.shape
            if line.paper is None:
                holes[line.top : line.top + height, line.left : line.left + width][line.mask] = 255
        for line in lines:
            if line.paper is not None:
                _fill_from_paper(pixels, line)
        # Only the parts round each hole are given to OpenCV: its time grows with the picture, not with the hole.
        for (left, top, right, bottom), own in _parts(holes):
            part = pixels[top:bottom, left:right]
            part[:] = cv2.inpaint(np.ascontiguousarray(part), own, RADIUS, cv2.INPAINT_TELEA)
        return Image.fromarray(pixels)


def _fill_from_paper(pixels: Pixels, line: Line) -> None:
    """Each letter's pixels take the mean of the paper within half a line of them."""
    import cv2

    if line.paper is None or not line.mask.any():
        return
    height, width = line.mask.shape
    part = pixels[line.top : line.top + height, line.left : line.left + width]
    side = 2 * (height // 4) + 1
    weight = line.paper.astype(np.float32)
    window: dict[str, Any] = {
        "ddepth": -1,
        "ksize": (side, side),
        "normalize": False,
        "borderType": cv2.BORDER_CONSTANT,
    }
    total = cv2.boxFilter(part.astype(np.float32) * weight[..., None], **window)
    count = cv2.boxFilter(weight, **window)
    middle = np.median(part[line.paper], axis=0) if line.paper.any() else np.zeros(3)
    mean = np.where(count[..., None] >= FEWEST, total / np.maximum(count, 1)[..., None], middle)
    part[line.mask] = np.round(mean[line.mask]).astype(np.uint8)


def _parts(holes: Pixels) -> Iterator[tuple[tuple[int, int, int, int], Pixels]]:
    """(left, top, right, bottom) round each group of holes, with room for what they are filled from, and its holes."""
    import cv2

    room = 4 * RADIUS
    grown = cv2.dilate(holes, np.ones((2 * room + 1, 2 * room + 1), np.uint8))
    _, groups, stats, _ = cv2.connectedComponentsWithStats(grown)
    for number, (x, y, width, height, _) in enumerate(stats[1:].tolist(), 1):
        where = (slice(y, y + height), slice(x, x + width))
        yield (
            (x, y, x + width, y + height),
            np.where(groups[where] == number, holes[where], 0).astype(np.uint8),
        )
