"""Means and shares over memes, with their 95 % intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.metrics.decisions import wilson_interval
from mrharm.metrics.estimate import Estimate


def mean_of(values: NDArray[np.float64], *, seed: int = 0) -> Estimate:
    """The mean of a number a meme, and its bootstrap interval. *Shape:* (memes,)"""
    return bootstrap({"mean": mean_of_values(values)}, len(values), seed=seed)["mean"]


def share_of(flags: NDArray[np.bool_]) -> Estimate:
    """The share of memes of which something holds, and its Wilson interval. *Shape:* (memes,)

    A bootstrap of a share that is 0 or 1 draws the same memes' answer each time and would seem certain.
    """
    return share(int(flags.sum()), len(flags))


def share(count: int, of: int) -> Estimate:
    """``count`` of ``of``, and its 95 % Wilson interval; no figure of nothing."""
    if not of:
        return Estimate()
    low, high = wilson_interval(count, of)
    return Estimate(value=count / of, low=low, high=high)
