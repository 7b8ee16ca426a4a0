"""Statistics of fitted pictures that no training shapes: strengths of edges, and spread and colour over cells.

A tower from scratch learns what tells one drawing from another, and little of what tells a drawing from a photograph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.student.interface import Pixels

_STRENGTHS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)  # of an edge, between 0 and 1
_CELLS = 8  # in a row and in a column
_QUANTILES = np.linspace(0, 1, 9)


def picture_statistics(pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """Compute statistics of pictures of one size: edge strengths, and spread and colour over cells.

    *Shape:* (pictures, 32)
    """
    values = np.stack(pictures) / 255.0  # (pictures, side, side, 3)
    grey = values.mean(-1)
    edges = [_share_strengths(np.abs(np.diff(grey, axis=axis))) for axis in (1, 2)]
    red, green, blue = np.moveaxis(values, -1, 0)
    colour = np.hypot((red - green) / 2, (red + green - 2 * blue) / 4)  # 0 for greys
    spread, colourfulness = _cut_cells(grey).std(-1), _cut_cells(colour).mean(-1)
    over_cells = [np.quantile(cells, _QUANTILES, axis=1).T for cells in (spread, colourfulness)]
    return np.concatenate([*edges, *over_cells], axis=1)


def _share_strengths(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of the share of edges in each range of strengths. *Shape:* (pictures, ranges)"""
    ranges = np.searchsorted(_STRENGTHS, edges.reshape(len(edges), -1), side="right")
    shares = [(ranges == place).mean(1) for place in range(len(_STRENGTHS) + 1)]
    return np.sqrt(np.stack(shares, axis=1))


def _cut_cells(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut squares into 8 x 8 cells. *Shape:* (pictures, side, side) -> (pictures, cells, pixels)"""
    side = values.shape[1] // _CELLS
    cut = values[:, : _CELLS * side, : _CELLS * side].reshape(-1, _CELLS, side, _CELLS, side)
    return cut.swapaxes(2, 3).reshape(len(values), _CELLS**2, side**2)
