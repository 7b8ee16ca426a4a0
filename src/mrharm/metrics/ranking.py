"""Figures of how scores rank memes, as statistics to resample, and the curves behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from mrharm.metrics.bootstrap import Statistic
from mrharm.metrics.estimate import Booleans, Decisions, Floats

Points = tuple[tuple[float, float], ...]
MOST_POINTS = 200


@dataclass(frozen=True)
class Sorted:
    """Memes sorted from the highest number to the lowest (``order``), and the first place of each run of equal numbers
    (``starts``).
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def sums(self, counts: Floats) -> Floats:
        """Sum counts over each run of equal numbers. *Shape:* (resamples, memes) -> (resamples, runs)"""
        ordered = counts[:, self.order]
        # Without equal numbers, each run is a single meme.
        return (
            ordered if len(self.starts) == len(self.order) else np.add.reduceat(ordered, self.starts, axis=1)
        )


def sort_by(numbers: Floats) -> Sorted:
    """Sort memes by a number, the highest first. *Shape:* (memes,)"""
    order = np.argsort(-np.asarray(numbers, dtype=np.float64), kind="stable")
    falls = np.flatnonzero(np.diff(np.asarray(numbers)[order])) + 1
    return Sorted(
        order, np.concatenate([[0], falls]).astype(np.int64) if len(order) else falls.astype(np.int64)
    )


def auroc_of(gold: Booleans, scores: Floats) -> Statistic:
    """Return the area under the ROC curve: how often a harmful meme scores above a harmless one (ties: half)."""
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)

    def of(counts: Floats) -> Floats:
        hits = ranked.sums(counts * harmful)
        alarms = ranked.sums(counts * (1 - harmful))
        all_alarms = alarms.sum(axis=1)
        below = all_alarms[:, None] - np.cumsum(alarms, axis=1) + alarms / 2
        return np.asarray((hits * below).sum(axis=1) / (hits.sum(axis=1) * all_alarms))

    return Statistic(of)


def auprc_of(gold: Booleans, scores: Floats) -> Statistic:
    """Return average precision: precision at each score, weighted by the recall it adds (no interpolation).

    Undefined without a harmful meme.
    """
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)

    def of(counts: Floats) -> Floats:
        hits = ranked.sums(counts * harmful)
        flagged = np.cumsum(ranked.sums(counts), axis=1)
        precision = np.divide(np.cumsum(hits, axis=1), flagged, out=np.zeros_like(flagged), where=flagged > 0)
        return np.asarray((hits * precision).sum(axis=1) / hits.sum(axis=1))

    return Statistic(of)


def confidence_of(predicted: Decisions, scores: Floats) -> Floats:
    """Return how probable each decision is right by the detector's score; 0 where it answered no label.

    At a threshold other than a half this is not the distance from the threshold: a meme scored 0.7 and allowed is more
    likely wrong than right. *Shape:* (memes,)
    """
    flagged = np.array([bool(decision) for decision in predicted], dtype=bool)
    answered = np.array([decision is not None for decision in predicted], dtype=bool)
    return np.where(answered, np.where(flagged, scores, 1 - np.asarray(scores, dtype=np.float64)), 0.0)


def aurc_of(right: Booleans, confidence: Floats) -> Statistic:
    """Return the area under the risk-coverage curve: the share of wrong decisions among the k surest, averaged over k.

    Geifman and El-Yaniv, "Selective classification for deep neural networks" (NeurIPS 2017); equally sure memes have
    no order, so the mean over their orders is taken: over a run of c memes with e wrong ones after N with E wrong ones,
    the sum of (E + j e/c) / (N + j) for j = 1..c.
    """
    ranked, wrong = sort_by(confidence), 1 - np.asarray(right, dtype=np.float64)

    def of(counts: Floats) -> Floats:
        memes, errors = ranked.sums(counts), ranked.sums(counts * wrong)
        after = np.cumsum(memes, axis=1)
        before, errors_before = after - memes, np.cumsum(errors, axis=1) - errors
        rate = np.divide(errors, memes, out=np.zeros_like(errors), where=memes > 0)
        # (E + j r) / (N + j) is r + (E - r N) / (N + j); the sum of 1 / (N + j) is a difference of harmonic numbers.
        # H(n) = digamma(n + 1) + Euler's constant.
        spread = digamma(after + 1) - digamma(before + 1)
        return np.asarray(
            (errors + (errors_before - rate * before) * spread).sum(axis=1) / counts.sum(axis=1)
        )

    return Statistic(of)


def roc_points(gold: Booleans, scores: Floats) -> Points:
    """Return (false alarms, recall) as the threshold falls; none where all memes have one label."""
    hits, alarms = _cumulate_flagged(gold, scores)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return ()
    return thin(np.insert(alarms / alarms[-1], 0, 0.0), np.insert(hits / hits[-1], 0, 0.0))


def pr_points(gold: Booleans, scores: Floats) -> Points:
    """Return (recall, precision) as the threshold falls; none without a harmful meme."""
    hits, alarms = _cumulate_flagged(gold, scores)
    if not len(hits) or not hits[-1]:
        return ()
    return thin(hits / hits[-1], hits / (hits + alarms))


def risk_coverage_points(right: Booleans, confidence: Floats) -> Points:
    """Return (share of memes decided, share of those decisions that are wrong), from the surest meme on."""
    if not len(right):
        return ()
    ranked, wrong = sort_by(confidence), 1 - np.asarray(right, dtype=np.float64)
    memes = np.cumsum(ranked.sums(np.ones((1, len(wrong))))[0])
    errors = np.cumsum(ranked.sums(wrong[None])[0])
    return thin(memes / memes[-1], errors / memes)


def thin(across: Floats, up: Floats, most: int = MOST_POINTS) -> Points:
    """Return at most ``most`` points of a curve, evenly spaced along it, its ends among them."""
    places = np.unique(np.linspace(0, len(across) - 1, min(most, len(across))).round().astype(int))
    return tuple((float(across[place]), float(up[place])) for place in places)


def _cumulate_flagged(gold: Booleans, scores: Floats) -> tuple[Floats, Floats]:
    """Count harmful and harmless memes at or above each distinct score. *Shape of both:* (distinct scores,)"""
    ranked, harmful = sort_by(scores), np.asarray(gold, dtype=np.float64)
    if not len(harmful):
        return harmful, harmful
    hits = np.cumsum(ranked.sums(harmful[None])[0])
    return hits, np.cumsum(ranked.sums(1 - harmful[None])[0])
