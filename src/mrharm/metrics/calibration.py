"""Figures of calibration: Brier score, class-wise expected calibration error, and the reliability curve."""

from __future__ import annotations

import numpy as np

from mrharm.metrics.bootstrap import Statistic, mean_of_values
from mrharm.metrics.estimate import Booleans, Estimate, Floats, share
from mrharm.records import Record

BINS = 15


class ReliabilityBin(Record):
    """Memes whose P(harmful) lies from ``low`` to ``high``: how many, their mean score, and the share that is harmful
    with its Wilson interval.
    """

    low: float
    high: float
    memes: int
    mean_score: float
    harmful: Estimate


def brier_of(gold: Booleans, scores: Floats) -> Statistic:
    """Return the mean squared distance of P(harmful) from 1 for a harmful and 0 for a harmless meme (Brier 1950)."""
    return mean_of_values((np.asarray(scores, dtype=np.float64) - np.asarray(gold, dtype=np.float64)) ** 2)


def classwise_ece_of(gold: Booleans, scores: Floats, bins: int = BINS) -> Statistic:
    """Return the class-wise expected calibration error (Kull et al., "Beyond temperature scaling", NeurIPS 2019).

    Of each of the two classes, the gap between its mean probability and its share in each of ``bins`` equally wide bins
    of its probability, weighted by the share of memes in the bin, and added up; then the mean over both classes. With
    few memes even perfectly calibrated scores have an error: see `ece_by_chance`.
    """
    members = _bin_members(scores, bins)
    # |B| / n * |mean p - mean y| over a bin is |sum of (p - y)| / n; the classes differ in the sign of p - y alone.
    gaps = members * (np.asarray(scores, dtype=np.float64) - np.asarray(gold, dtype=np.float64))[:, None]
    return Statistic(lambda counts: np.abs(counts @ gaps).sum(axis=1) / (2 * counts.sum(axis=1)), gap=True)


def ece_by_chance(scores: Floats, bins: int = BINS, *, n_resamples: int = 1000, seed: int = 0) -> float:
    """Compute the class-wise error that calibrated scores stay below in 97.5 % of all splits of this size.

    Labels are drawn from the scores: the consistency resampling of Bröcker and Smith, "Increasing the
    reliability of reliability diagrams" (2007).
    """
    probability = np.asarray(scores, dtype=np.float64)
    members = _bin_members(probability, bins).astype(np.float64)
    rng = np.random.default_rng(seed)
    errors = [
        np.abs((probability - (rng.random(len(probability)) < probability)) @ members).sum()
        for _ in range(n_resamples)
    ]
    return float(np.percentile(errors, 97.5)) / (2 * len(probability))


def reliability(gold: Booleans, scores: Floats, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Return the bins of P(harmful) that hold a meme, from the lowest (Niculescu-Mizil and Caruana, ICML 2005)."""
    truth, probability = np.asarray(gold, dtype=bool), np.asarray(scores, dtype=np.float64)
    numbers = _bin_number(probability, bins)
    filled = []
    for number in np.unique(numbers):
        inside = numbers == number
        memes, harmful = int(inside.sum()), int(truth[inside].sum())
        filled.append(
            ReliabilityBin(
                low=number / bins,
                high=(number + 1) / bins,
                memes=memes,
                mean_score=float(probability[inside].mean()),
                harmful=share(harmful, memes),
            )
        )
    return tuple(filled)


def _bin_members(scores: Floats, bins: int) -> np.ndarray:
    """Return which bin of each class holds a meme, harmful first. *Shape:* (memes, 2 bins)"""
    harmful = np.asarray(scores, dtype=np.float64)
    by_class = [
        _bin_number(probability, bins)[:, None] == np.arange(bins) for probability in (harmful, 1 - harmful)
    ]
    return np.concatenate(by_class, axis=1)


def _bin_number(probability: Floats, bins: int) -> np.ndarray:
    return np.minimum((probability * bins).astype(np.int64), bins - 1)
