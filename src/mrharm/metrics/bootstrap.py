"""Bootstrap of many figures at once: a statistic takes how often each meme was drawn, for all draws together.

Drawing memes with replacement changes nothing but how often each of them counts, so that the order by score, bins and
cells are prepared once and every draw is a row of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.decisions import Floats, wilson_interval
from mrharm.metrics.estimate import N_RESAMPLES, Estimate

_CELLS = 4_000_000  # of the matrix of counts held at a time: 32 MB


@dataclass(frozen=True)
class Statistic:
    """A figure of memes.

    Attributes:
        of: how often each meme counts, *Shape:* (draws, memes) -> the figure of each draw, *Shape:* (draws,); not a
            number where it cannot be had.
        base: of how many memes it is a share; None for what is no share. A share that comes out the same in every draw,
            as one of 0 or 1 does, would seem certain; it gets the Wilson interval instead.
        gap: it adds up absolute gaps, which noise can only widen: in the memes there are, and again in those drawn of
            them. Its interval speaks of the gap without noise: from the draws mirrored at the figure, which undoes both
            (the basic bootstrap, Davison and Hinkley 1997), up to the draws moved down by as much as they lie above the
            figure on average, which undoes the second.
    """

    of: Callable[[Floats], Floats]
    base: int | None = None
    gap: bool = False

    def __sub__(self, other: Statistic) -> Statistic:
        """The difference of two figures of the same memes, drawn together: the paired bootstrap."""
        return Statistic(lambda counts: self.of(counts) - other.of(counts))


def mean_of_values(values: NDArray[np.generic], *, share: bool = False) -> Statistic:
    """The mean of a number a meme, or with ``share`` of a yes or no. *Shape:* (memes,)"""
    numbers = np.asarray(values, dtype=np.float64)
    return Statistic(
        lambda counts: counts @ numbers / counts.sum(axis=1), base=len(numbers) if share else None
    )


def average(statistics: list[Statistic]) -> Statistic:
    """The mean of several figures of the same memes, as of detectors that differ in their seed."""
    bases = {one.base for one in statistics}
    return Statistic(
        lambda counts: np.mean([one.of(counts) for one in statistics], axis=0),
        base=bases.pop() if len(bases) == 1 else None,
    )


def bootstrap(
    statistics: Mapping[str, Statistic],
    count: int,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> dict[str, Estimate]:
    """Figures with their 95 % percentile bootstrap intervals (Efron 1979), all of the same draws.

    Args:
        statistics: name -> what to measure.
        count: how many memes there are.
        draws: how often memes are drawn with replacement.
        seed: of the draws.
        together: a number for each meme, the same for memes that are drawn together because they are no independent
            ones (the cluster bootstrap, Davison and Hinkley 1997). *Shape:* (memes,)
    """
    if count == 0:
        return {name: Estimate() for name in statistics}
    whole = np.ones((1, count))
    values: dict[str, float] = {}
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, statistic in statistics.items():
            values[name] = float(statistic.of(whole)[0])
        for counts in draw_counts(count, n_resamples, seed, clusters):
            for name, statistic in statistics.items():
                if np.isfinite(values[name]):
                    drawn[name].append(statistic.of(counts))
    return {name: _figure(statistics[name], values[name], drawn[name]) for name in statistics}


def draw_counts(
    count: int, n_resamples: int, seed: int, clusters: NDArray[np.int64] | None = None
) -> Iterator[Floats]:
    """How often each meme is drawn, some draws at a time; ``together`` as `figures`. *Shape:* (draws, memes)"""
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // count)
    group = np.arange(count) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    groups = int(group.max()) + 1
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        places = rng.integers(0, groups, (rows, groups)) + groups * np.arange(rows)[:, None]
        drawn = np.bincount(places.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield drawn[:, group].astype(np.float64)


def _figure(statistic: Statistic, value: float, parts: list[Floats]) -> Estimate:
    if not np.isfinite(value):
        return Estimate()
    drawn = np.concatenate(parts) if parts else np.empty(0)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value=value)
    low, high = np.percentile(drawn, [2.5, 97.5])
    if statistic.gap:
        low, high = max(0.0, 2 * value - high), max(value, high - (drawn.mean() - value))
    if statistic.base and low == high:
        low, high = wilson_interval(round(value * statistic.base), statistic.base)
    return Estimate(value=value, low=float(low), high=float(high))
