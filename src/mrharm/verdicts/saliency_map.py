"""Map patch weights to the pixels of the meme, which was padded or cropped to a square before patches were cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrharm.records import Saliency
from mrharm.student.interface import Frame

Patches = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Side:
    """One side of a picture on its square: pixels ``start`` to ``end`` of the meme become ``first`` to ``last`` of the
    square. The meme's pixels before and after are cropped off; the square's are padding.
    """

    start: float
    end: float
    first: int
    last: int

    def onto_square(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map places on the meme to places on the square, in pixels; NaN for what was cropped off."""
        if self.last == self.first:  # a picture so long and thin that its square shows nothing of it
            return np.full_like(places, np.nan)
        scale = (self.last - self.first) / (self.end - self.start)
        inside = (places >= self.start) & (places < self.end)
        return np.where(inside, self.first + (places - self.start) * scale, np.nan)


def sides(size: tuple[int, int], frame: Frame) -> tuple[Side, Side]:
    """Compute where a picture of this size (width, height) is on the square, across and down, as
    `MrHarmProcessor.fit` puts it there.
    """
    width, height = size
    if frame.fit == "crop":
        cropped = min(width, height)
        across, down = ((length - cropped) / 2 for length in size)
        return Side(across, across + cropped, 0, frame.side), Side(down, down + cropped, 0, frame.side)
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
    """Compute the weight of the patch behind each pixel of a meme; NaN for pixels that were cropped off.

    Args:
        patches: rows x columns of weights.
        frame: the square they divide.
        size: the meme's width and height in pixels.
        shape: width and height of what comes out, for a meme that is drawn smaller.

    Returns:
        *Shape:* (height, width)
    """
    weights = np.asarray(patches, dtype=np.float64)
    patch_indices = []
    for side, length, drawn, count in zip(
        sides(size, frame), size, shape or size, weights.shape[::-1], strict=True
    ):
        centres = (np.arange(drawn) + 0.5) * length / drawn
        places = side.onto_square(centres)
        # Pixels past the last edge are too few for a patch.
        patch = np.searchsorted(frame.edges(count), places, side="right") - 1
        patch_indices.append(np.where(np.isnan(places) | (patch >= count), -1, patch))
    across, down = patch_indices
    drawn_weights: NDArray[np.float64] = np.where(
        (down[:, None] >= 0) & (across[None, :] >= 0), weights[down[:, None], across[None, :]], np.nan
    )
    return drawn_weights


def share_on_picture(saliency: Saliency, frame: Frame, size: tuple[int, int]) -> float:
    """Compute the share of the patches' weight on the picture, not on the padding around it, 0 to 1.

    A patch on the border counts by its area on the picture.
    """
    weights = np.asarray(saliency.patches, dtype=np.float64)
    if not weights.size:
        return 1.0
    covered = []  # across and down: the share of each patch that is on the picture
    for side, count in zip(sides(size, frame), weights.shape[::-1], strict=True):
        edges = np.array(frame.edges(count))
        overlap = np.diff(edges.clip(side.first, side.last))
        covered.append(overlap / np.diff(edges))
    return float(covered[1] @ weights @ covered[0] / weights.sum())
