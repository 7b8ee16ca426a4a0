"""Means and shares over memes, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.decisions import wilson_interval
from mrharm.metrics.figures import Figure, bootstrap


def mean_of(values: NDArray[np.float64], *, seed: int = 0) -> Figure:
    """The mean of a number a meme, and its bootstrap interval. *Shape:* (memes,)"""
    return bootstrap(lambda drawn: float(values[drawn].mean()), len(values), seed=seed)


def share_of(flags: NDArray[np.bool_]) -> Figure:
    """The share of memes of which something holds, and its Wilson interval. *Shape:* (memes,)

    A bootstrap of a share that is 0 or 1 draws the same memes' answer each time and would seem certain.
    """
    if not len(flags):
        return Figure()
    held = int(flags.sum())
    low, high = wilson_interval(held, len(flags))
    return Figure(value=held / len(flags), low=low, high=high)
