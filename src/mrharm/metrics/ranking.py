"""Figures of how scores rank memes, as statistics to draw, and the curves behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.bootstrap import Statistic
from mrharm.metrics.decisions import Booleans, Floats

Points = tuple[tuple[float, float], ...]
MOST_POINTS = 200


@dataclass(frozen=True)
class Sorted:
    """Memes sorted from the highest number to the lowest, and where each run of equal numbers begins."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def sums(self, counts: Floats) -> Floats:
        """Counts summed over each run of equal numbers. *Shape:* (draws, memes) -> (draws, runs)"""
        taken = counts[:, self.order]
        # Without equal numbers, each run is one meme.
        return taken if len(self.starts) == len(self.order) else np.add.reduceat(taken, self.starts, axis=1)


def sort_by(numbers: Floats) -> Sorted:
    """Sort memes by a number, the highest first. *Shape:* (memes,)"""
    order = np.argsort(-np.asarray(numbers, dtype=np.float64), kind="stable")
    falls = np.flatnonzero(np.diff(np.asarray(numbers)[order])) + 1
    return Sorted(
        order, np.concatenate([[0], falls]).astype(np.int64) if len(order) else falls.astype(np.int64)
    )


def auroc_of(gold: Booleans, scores: Floats) -> Statistic:
    """Area under the ROC curve: how often a harmful meme scores above a harmless one, equal scores counting half."""
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)

    def of(counts: Floats) -> Floats:
        hits = ranked.sums(counts * harmful)
        alarms = ranked.sums(counts * (1 - harmful))
        all_alarms = alarms.sum(axis=1)
        below = all_alarms[:, None] - np.cumsum(alarms, axis=1) + alarms / 2
        return np.asarray((hits * below).sum(axis=1) / (hits.sum(axis=1) * all_alarms))

    return Statistic(of)


def auprc_of(gold: Booleans, scores: Floats) -> Statistic:
    """Average precision: precision at each score, weighted by the recall it adds (no interpolation between scores).

    Not a number without a harmful meme.
    """
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)

    def of(counts: Floats) -> Floats:
        hits = ranked.sums(counts * harmful)
        seen = np.cumsum(ranked.sums(counts), axis=1)
        precision = np.divide(np.cumsum(hits, axis=1), seen, out=np.zeros_like(seen), where=seen > 0)
        return np.asarray((hits * precision).sum(axis=1) / hits.sum(axis=1))

    return Statistic(of)


def roc_points(gold: Booleans, scores: Floats) -> Points:
    """(share of harmless memes flagged, share of harmful memes flagged) as the threshold falls; none for one class."""
    hits, alarms = _cumulated(gold, scores)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return ()
    return thin(np.insert(alarms / alarms[-1], 0, 0.0), np.insert(hits / hits[-1], 0, 0.0))


def pr_points(gold: Booleans, scores: Floats) -> Points:
    """(recall, precision) as the threshold falls; none without a harmful meme."""
    hits, alarms = _cumulated(gold, scores)
    if not len(hits) or not hits[-1]:
        return ()
    return thin(hits / hits[-1], hits / (hits + alarms))


def thin(across: Floats, up: Floats, most: int = MOST_POINTS) -> Points:
    """At most ``most`` points of a curve, evenly spaced along it, both ends among them."""
    kept = np.unique(np.linspace(0, len(across) - 1, min(most, len(across))).round().astype(int))
    return tuple((float(across[place]), float(up[place])) for place in kept)


def _cumulated(gold: Booleans, scores: Floats) -> tuple[Floats, Floats]:
    """Harmful and harmless memes at or above each score that occurs. *Shape of both:* (scores that differ,)"""
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)
    if not len(harmful):
        return harmful, harmful
    hits = np.cumsum(ranked.sums(harmful[None])[0])
    return hits, np.cumsum(ranked.sums(1 - harmful[None])[0])
