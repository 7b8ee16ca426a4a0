"""The cluster bootstrap of many figures at once.

Drawing memes with replacement only changes how often each meme counts, so a `Statistic` takes weights: sorting, bins
and confusion cells are prepared once, and every resample is a row of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.estimate import (
    N_RESAMPLES,
    Booleans,
    Estimate,
    Floats,
    newcombe_interval,
    wilson_interval,
)

ROUNDING = 1e-12  # of a figure
MATRIX_CELLS = 4_000_000  # of the matrix of weights held at a time: 32 MB


class Share(NamedTuple):
    """How much each meme of ``base`` counts as a member, from 0 to 1. *Shape of both:* (memes,)"""

    members: Floats
    base: Booleans


@dataclass(frozen=True)
class Statistic:
    """A figure of memes.

    Attributes:
        of: how often each meme counts, *Shape:* (resamples, memes) -> the figure of each resample, *Shape:*
            (resamples,); not a number where it is undefined.
        share: whose share it is of what; None for what is no share.
        pair: for a difference, the figure, and the one that is subtracted.
        gap: it adds up absolute gaps, which noise can only widen: in the memes at hand, and again in those drawn from
            them. Its interval is of the gap without noise: from the resamples mirrored at the figure, which undoes
            both (the basic bootstrap, Davison and Hinkley 1997), up to the resamples lowered by as much as they exceed
            the figure on average, which undoes the second.
    """

    of: Callable[[Floats], Floats]
    share: Share | None = None
    pair: tuple[Statistic, Statistic] | None = None
    gap: bool = False

    def __sub__(self, other: Statistic) -> Statistic:
        """Return the difference of two figures of the same memes, resampled in pairs."""
        return Statistic(lambda counts: self.of(counts) - other.of(counts), pair=(self, other))

    def value(self, memes: int) -> float:
        """Compute the figure of all memes, each counted once; not a number where it is undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.of(np.ones((1, memes)))[0])


def mean_of_values(values: NDArray[np.generic], *, share: bool = False) -> Statistic:
    """Return the mean of a number a meme, or with ``share`` of a yes or no. *Shape:* (memes,)"""
    numbers = np.asarray(values, dtype=np.float64)
    of = Share(numbers, np.ones(len(numbers), dtype=bool)) if share else None
    return Statistic(lambda counts: counts @ numbers / counts.sum(axis=1), of)


def share_within(members: Booleans, base: Booleans) -> Statistic:
    """Return the share of the memes of ``base`` that are ``members``, too. *Shape of both:* (memes,)"""
    share = Share((members & base).astype(np.float64), np.asarray(base, dtype=bool))
    return Statistic(lambda counts: np.asarray((counts @ share.members) / (counts @ share.base)), share)


def average(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several figures of the same memes, as of detectors that differ in their seed."""
    shares = [statistic.share for statistic in statistics if statistic.share is not None]
    is_share = len(shares) == len(statistics) and all(
        np.array_equal(share.base, shares[0].base) for share in shares
    )
    return Statistic(
        lambda counts: np.mean([statistic.of(counts) for statistic in statistics], axis=0),
        Share(np.mean([share.members for share in shares], axis=0), shares[0].base) if is_share else None,
    )


def bootstrap(
    statistics: Mapping[str, Statistic],
    memes: int,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> dict[str, Estimate]:
    """Compute figures with their 95 % percentile bootstrap intervals (Efron 1979), all from the same resamples.

    Whole clusters are resampled (Davison and Hinkley 1997). A share that is the same in every resample, as one of 0 or
    1 is, would seem certain; it gets the Wilson interval of as many trials as clusters hold memes of its base: nothing
    is known of how such memes differ within a cluster, and the number of clusters is the effective sample size at
    worst (Korn and Graubard 1998). A difference that is the same in every resample gets Newcombe's interval of as many
    pairs where it is one of two shares of the same memes, and else no interval: how it varies is not known.

    Args:
        statistics: name -> what to compute.
        memes: how many there are.
        n_resamples: how often memes are drawn with replacement.
        seed: of the resamples.
        clusters: a number for each meme, the same for memes that depend on one another; None where each meme is its
            own cluster. *Shape:* (memes,)
    """
    if memes == 0:
        return {name: Estimate() for name in statistics}
    values = {name: statistic.value(memes) for name, statistic in statistics.items()}
    resampled: dict[str, list[Floats]] = {name: [] for name, value in values.items() if np.isfinite(value)}
    with np.errstate(divide="ignore", invalid="ignore"):
        for counts in draw_counts(memes, n_resamples, seed, clusters):
            for name, parts in resampled.items():
                parts.append(statistics[name].of(counts))
    return {
        name: _estimate(statistic, values[name], np.concatenate(resampled[name]), clusters)
        if resampled.get(name)
        else Estimate()
        for name, statistic in statistics.items()
    }


def draw_counts(
    memes: int, n_resamples: int, seed: int, clusters: NDArray[np.int64] | None = None
) -> Iterator[Floats]:
    """Yield how often each meme is drawn, a part of the resamples at a time; arguments as `bootstrap`.

    *Shape of a part:* (resamples, memes)
    """
    rng = np.random.default_rng(seed)
    part = max(1, MATRIX_CELLS // memes)
    cluster = np.arange(memes) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(cluster.max()) + 1
    for start in range(0, n_resamples, part):
        rows = min(part, n_resamples - start)
        places = rng.integers(0, n_clusters, (rows, n_clusters)) + n_clusters * np.arange(rows)[:, None]
        drawn = np.bincount(places.ravel(), minlength=rows * n_clusters).reshape(rows, n_clusters)
        yield drawn[:, cluster].astype(np.float64)


def percentile_interval(values: Floats) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % percentile interval of the finite values; None and None where there is none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def effective_count(
    flagged: Booleans, members: Booleans, clusters: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Count the flagged members and the members as so many independent memes. *Shape of all:* (memes,)

    The effective number of members is their number over the design effect of the flagged rate: the variance of a ratio
    over clusters, relative to that of independent memes. At a rate of 0 or 1, where no variance shows, it is the number
    of clusters (Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", 1998).
    """
    hits, size = int((flagged & members).sum()), int(members.sum())
    if clusters is None or not size:
        return hits, size
    numbers = np.unique(clusters[members], return_inverse=True)[1]
    sizes, rate = np.bincount(numbers), hits / size
    effective = float(len(sizes))
    if 0 < rate < 1 and len(sizes) > 1:
        deviations = np.bincount(numbers, weights=flagged[members]) - rate * sizes
        variance = len(sizes) / (len(sizes) - 1) * float(deviations @ deviations) / size**2
        design_effect = variance / (rate * (1 - rate) / (size - 1))
        effective = size / max(1.0, design_effect)
    return rate * effective, effective


def mean_of(values: Floats, *, seed: int = 0, clusters: NDArray[np.int64] | None = None) -> Estimate:
    """Compute the mean of a number a meme with its bootstrap interval. *Shape of both:* (memes,)"""
    return bootstrap({"mean": mean_of_values(values)}, len(values), seed=seed, clusters=clusters)["mean"]


def share_of(flags: Booleans, *, seed: int = 0, clusters: NDArray[np.int64] | None = None) -> Estimate:
    """Compute the share of memes that are flagged with its bootstrap interval. *Shape of both:* (memes,)"""
    statistic = mean_of_values(flags, share=True)
    return bootstrap({"share": statistic}, len(flags), seed=seed, clusters=clusters)["share"]


def _estimate(
    statistic: Statistic, value: float, resampled: Floats, clusters: NDArray[np.int64] | None
) -> Estimate:
    low, high = percentile_interval(resampled)
    if low is None or high is None:
        return Estimate(value=value)
    if statistic.gap:
        excess = float(np.nanmean(resampled)) - value
        low, high = max(0.0, 2 * value - high), max(value, high - excess)
    is_constant = high - low < ROUNDING
    if is_constant and statistic.pair is not None:
        first, second = statistic.pair
        return _estimate_constant_difference(first.share, second.share, value, clusters)
    if is_constant and statistic.share is not None:
        trials = _count_trials(statistic.share.base, clusters)
        low, high = wilson_interval(round(value * trials), trials)
        low, high = min(low, value), max(high, value)
    return Estimate(value=value, low=low, high=high)


def _estimate_constant_difference(
    first: Share | None, second: Share | None, value: float, clusters: NDArray[np.int64] | None
) -> Estimate:
    if first is None or second is None or not np.array_equal(first.base, second.base):
        return Estimate(value=value)
    trials = _count_trials(first.base, clusters)
    return newcombe_interval(first.members[first.base], second.members[first.base], trials)


def _count_trials(base: Booleans, clusters: NDArray[np.int64] | None) -> int:
    """Count the memes of a share's base that are independent at worst."""
    return int(base.sum()) if clusters is None else len(np.unique(clusters[base]))
