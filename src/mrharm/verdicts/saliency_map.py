"""Patch weights -> the meme's own pixels: a picture was padded or cropped to a square before its patches were cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.records import Saliency
from mrharm.student.interface import Frame

Patches = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Side:
    """One side of a picture on its square: pixels ``start`` to ``end`` of the meme lie on ``first`` to ``last`` of the
    square. The meme's pixels before and after are cropped off; the square's are padding.
    """

    start: float
    end: float
    first: int
    last: int

    def onto_square(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places on the meme -> places on the square, in pixels; not a number for what was cropped off."""
        if self.last == self.first:  # a picture so long and thin that its square shows nothing of it
            return np.full_like(places, np.nan)
        scale = (self.last - self.first) / (self.end - self.start)
        inside = (places >= self.start) & (places < self.end)
        return np.where(inside, self.first + (places - self.start) * scale, np.nan)


def sides(size: tuple[int, int], frame: Frame) -> tuple[Side, Side]:
    """How a picture of this size (width, height) lies on the square, across and down: what `MrHarmProcessor.fit` does,
    in numbers.
    """
    width, height = size
    if frame.fit == "crop":
        kept = min(width, height)
        across, down = ((long - kept) / 2 for long in size)
        return (
            Side(across, across + kept, 0, frame.side),
            Side(down, down + kept, 0, frame.side),
        )
    # As Pillow rounds: the side first, then the padding before it.
    fitted = (
        frame.side if width >= height else round(width / height * frame.side),
        frame.side if height >= width else round(height / width * frame.side),
    )
    before = [round((frame.side - length) * 0.5) for length in fitted]
    return (
        Side(0, width, before[0], before[0] + fitted[0]),
        Side(0, height, before[1], before[1] + fitted[1]),
    )


def heat(
    patches: Patches, frame: Frame, size: tuple[int, int], shape: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """The weight of the patch that each pixel of a meme lies on; not a number where the student saw nothing of it.

    Args:
        patches: rows x columns of weights.
        frame: the square they lie on.
        size: the meme's width and height in pixels.
        shape: width and height of what comes out, where it is not the meme's own: the meme drawn smaller.

    Returns:
        *Shape:* (height, width)
    """
    weights = np.asarray(patches, dtype=np.float64)
    which = []
    for side, length, drawn, count in zip(
        sides(size, frame), size, shape or size, weights.shape[::-1], strict=True
    ):
        centres = (np.arange(drawn) + 0.5) * length / drawn
        places = side.onto_square(centres)
        # Past the last edge lie pixels that are too few for a patch of their own.
        found = np.searchsorted(frame.edges(count), places, side="right") - 1
        which.append(np.where(np.isnan(places) | (found >= count), -1, found))
    across, down = which
    found_weights: NDArray[np.float64] = np.where(
        (down[:, None] >= 0) & (across[None, :] >= 0), weights[down[:, None], across[None, :]], np.nan
    )
    return found_weights


def share_on_picture(saliency: Saliency, frame: Frame, size: tuple[int, int]) -> float:
    """How much of the patches' weight lies on the picture and not on the padding around it, 0 to 1.

    A patch that lies on both counts by its area on the picture.
    """
    weights = np.asarray(saliency.patches, dtype=np.float64)
    if not weights.size:
        return 1.0
    covered = [
        _covered(frame.edges(count), side)
        for side, count in zip(sides(size, frame), weights.shape[::-1], strict=True)
    ]
    return float(covered[1] @ weights @ covered[0] / weights.sum())


def _covered(edges: list[int], side: Side) -> NDArray[Any]:
    """The share of each patch in a row that lies on the picture. *Length:* patches"""
    begin, end = np.array(edges[:-1]), np.array(edges[1:])
    overlap = np.minimum(end, side.last) - np.maximum(begin, side.first)
    return np.maximum(overlap, 0) / (end - begin)
