"""Risk and coverage: how often decisions are wrong when only the surest ones are taken."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from mrharm.metrics.bootstrap import Statistic
from mrharm.metrics.classification import Decisions
from mrharm.metrics.decisions import Booleans, Floats
from mrharm.metrics.ranking import Points, sort_by, thin


def confidence_of(predicted: Decisions, scores: Floats) -> Floats:
    """How probable it is, by the detector's own score, that its decision is right; 0 where it answered no label.

    At a threshold other than a half this is not the distance from it: a meme scored 0.7 and let pass is more likely
    wrong than right. *Shape:* (memes,)
    """
    flagged = np.array([bool(one) for one in predicted], dtype=bool)
    answered = np.array([one is not None for one in predicted], dtype=bool)
    return np.where(answered, np.where(flagged, scores, 1 - np.asarray(scores, dtype=np.float64)), 0.0)


def aurc_of(right: Booleans, confidence: Floats) -> Statistic:
    """Area under the risk-coverage curve: the share of wrong decisions among the k surest, averaged over every k.

    Geifman and El-Yaniv, "Selective classification for deep neural networks" (NeurIPS 2017); equally sure memes stand
    in no order, so the mean over their orders is taken: over a run of c memes with e wrong ones after N with E wrong
    ones, the sum of (E + j e/c) / (N + j) for j = 1..c.
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


def risk_coverage_points(right: Booleans, confidence: Floats) -> Points:
    """(share of memes decided, share of those decisions that are wrong), from the surest meme on."""
    if not len(right):
        return ()
    ranked, wrong = sort_by(confidence), 1 - np.asarray(right, dtype=np.float64)
    memes = np.cumsum(ranked.sums(np.ones((1, len(wrong))))[0])
    errors = np.cumsum(ranked.sums(wrong[None])[0])
    return thin(memes / memes[-1], errors / memes)
