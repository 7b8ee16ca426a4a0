"""Intervals of what follows from two rates, of the harmful and of the harmless memes, at a stated prevalence.

Re-weighted to a prevalence, precision, share flagged and reviews a day are functions of recall and of the rate of false
alarms, each measured on memes of its own. A bootstrap of memes has no width where a rate is 0 or 1, and that is where
precision at a low prevalence is decided; so each rate gets its exact distribution and both are carried through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, log1p

import numpy as np

from mrharm.metrics.decisions import Floats
from mrharm.metrics.estimate import Estimate

RATE_DRAWS = 20_000
_END = 0.025  # what lies beyond either end of an interval


@dataclass(frozen=True)
class Counted:
    """How many of the harmful and of the harmless memes some decision was made about."""

    hits: int
    harmful: int
    alarms: int
    harmless: int


Of = Callable[[Floats, Floats], Floats]  # rate of the harmful, rate of the harmless -> the figure


def interval_at_prevalence(
    of: Of, counted: Counted, *, falls_with_alarms: bool, n_resamples: int = RATE_DRAWS, seed: int = 0
) -> Estimate:
    """A figure of both rates with its 95 % interval; the figure never falls with the rate of the harmful.

    The ends of a rate of x in n are quantiles of Beta(x, n - x + 1) below and Beta(x + 1, n - x) above (Clopper and
    Pearson 1934). These also hold a threshold that was put right beside a meme's score: between the x-th and the next
    of n scores, the share that lies above has at worst these very distributions. Each end of the figure is the
    percentile over draws of both rates, each from the side that makes the figure lower there, or higher (the fiducial
    approach: Krishnamoorthy and Lee 2010).

    Args:
        of: rate of the harmful and of the harmless memes -> the figure. *Shape of all three:* (draws,)
        counted: what the rates were measured on.
        falls_with_alarms: whether the figure falls with the rate of the harmless, as precision does, or rises.
        draws: of each rate.
        seed: of the draws.

    Returns:
        No value where the figure cannot be had.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(
            of(
                np.divide([counted.hits], np.float64(counted.harmful)),
                np.divide([counted.alarms], np.float64(counted.harmless)),
            )[0]
        )
        if not np.isfinite(value):
            return Estimate()
        rng = np.random.default_rng(seed)
        below, above = (
            of(
                _draw(rng, counted.hits, counted.harmful, up, n_resamples),
                _draw(rng, counted.alarms, counted.harmless, up != falls_with_alarms, n_resamples),
            )
            for up in (False, True)
        )
    low, high = np.quantile(below, _END), np.quantile(above, 1 - _END)
    return Estimate(value=value, low=float(min(low, value)), high=float(max(high, value)))


def memes_for(most: float) -> int | None:
    """How many memes it takes, none of them decided wrongly, to say with an interval's end that at most the share
    ``most`` is: about 3.7 / most, the rule of three (Hanley and Lippman-Hand 1983) at 97.5 %. None where none do.
    """
    if most <= 0:
        return None
    return 1 if most >= 1 else ceil(log(_END) / log1p(-most))


def _draw(rng: np.random.Generator, hits: int, of: int, up: bool, n_resamples: int) -> Floats:
    if up:
        return rng.beta(hits + 1, of - hits, n_resamples) if hits < of else np.ones(n_resamples)
    return rng.beta(hits, of - hits + 1, n_resamples) if hits else np.zeros(n_resamples)
