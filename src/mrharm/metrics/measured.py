"""What a threshold, and a band around it, do on labelled memes: every figure with its interval."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.decisions import Booleans, Floats
from mrharm.metrics.estimate import N_RESAMPLES, Estimate
from mrharm.metrics.rates import Counted, interval_at_prevalence
from mrharm.metrics.thresholds import ConfusionRates, Traffic, reweigh

Band = tuple[float, float]
Side = Literal["at", "flag", "review", "allow", "not allow"]


class Measure(NamedTuple):
    """A figure: which memes stand as flagged in its `Cells`, those from the threshold up (``at``) or those of a
    decision, and what is asked of these.
    """

    side: Side
    of: Literal["precision", "recall", "macro_f1", "flagged", "allow_precision"]


AT_THRESHOLD = {
    "precision": Measure("at", "precision"),
    "recall": Measure("at", "recall"),
    "macro_f1": Measure("at", "macro_f1"),
}
_FLAGGED = {"flagged": Measure("flag", "flagged")}
_WITH_BAND = {
    "reviewed": Measure("review", "flagged"),
    "flag_precision": Measure("flag", "precision"),
    "allow_precision": Measure("not allow", "allow_precision"),
    "allowed": Measure("allow", "flagged"),
    "harmful_of_allowed": Measure("allow", "precision"),
    "allowed_of_harmful": Measure("allow", "recall"),
}


def metrics_at_threshold(
    gold: Booleans,
    scores: Floats,
    threshold: float,
    traffic: Traffic,
    band: Band | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """What a threshold, and a band around it, do on labelled memes, re-weighted as `reweigh` says.

    At a stated prevalence intervals are those of `figure_of_rates`; at the split's own, which is drawn like all else,
    those of memes drawn anew.

    Returns:
        ``precision``, ``recall`` and ``macro_f1`` of harmful at the threshold; ``flagged``, the share of memes that
        is flagged; with a band the shares ``reviewed`` and ``allowed``, ``flag_precision``, the share of harmful memes
        among those flagged, ``harmful_of_allowed``, the share among those allowed, and ``allow_precision``, what it
        lacks to 1, and ``allowed_of_harmful``, the share of the harmful memes that is allowed; with
        ``stream.per_day``, ``reviews``: memes a day in the band, or flagged where there is none. None where it cannot
        be had.
    """
    truth = np.asarray(gold, dtype=bool)
    measures = {**AT_THRESHOLD, **_FLAGGED, **(_WITH_BAND if band else {})}
    masks = _masks(scores, threshold, band)
    if traffic.prevalence is None:
        drawn = {name: _statistic(truth, masks[one.side], one) for name, one in measures.items()}
        found = bootstrap(drawn, len(truth), n_resamples=n_resamples, seed=seed)
    else:
        found = {
            name: _of_rates(count(truth, masks[one.side]), one, traffic.prevalence, seed)
            for name, one in measures.items()
        }
    if traffic.per_day is not None:
        found["reviews"] = times(found["reviewed" if band else "flagged"], traffic.per_day)
    return found


def counted_for(
    name: str, gold: Booleans, scores: Floats, threshold: float, band: Band | None = None
) -> Counted:
    """What a promised figure stands on: the memes that its decision was made about (for ``allow_precision``, those not
    allowed).
    """
    if name == "reviews":
        side: Side = "review" if band else "flag"
    else:
        side = (AT_THRESHOLD | _WITH_BAND)[name].side
    return count(np.asarray(gold, dtype=bool), _masks(scores, threshold, band)[side])


def count(gold: Booleans, flagged: Booleans) -> Counted:
    """Harmful and harmless memes, and how many of each are flagged. *Shape of both:* (memes,)"""
    return Counted(
        int((gold & flagged).sum()), int(gold.sum()), int((~gold & flagged).sum()), int((~gold).sum())
    )


def times(figure: Estimate, factor: float) -> Estimate:
    """A figure and its interval times a number."""
    return Estimate(
        **{name: value * factor if value is not None else None for name, value in figure.model_dump().items()}
    )


def _masks(scores: Floats, threshold: float, band: Band | None) -> dict[Side, Booleans]:
    low, high = band or (threshold, threshold)
    return {
        "at": scores >= threshold,
        "flag": scores >= high,
        "review": (scores >= low) & (scores < high),
        "allow": scores < low,
        "not allow": scores >= low,
    }


def _statistic(truth: Booleans, flagged: Booleans, measure: Measure) -> Statistic:
    hits, misses = truth & flagged, truth & ~flagged
    alarms, rest = ~truth & flagged, ~truth & ~flagged
    parts = np.stack([hits, misses, alarms, rest], 1).astype(np.float64)
    bases = {
        "precision": int(flagged.sum()),
        "recall": int(truth.sum()),
        "flagged": len(truth),
        "allow_precision": int((~flagged).sum()),
    }

    def of(counts: Floats) -> Floats:
        hit, miss, alarm, other = (counts @ parts).T
        return np.asarray(getattr(reweigh(hit, alarm, hit + miss, alarm + other), measure.of))

    return Statistic(of, base=bases.get(measure.of))


def _of_rates(counted: Counted, measure: Measure, prevalence: float, seed: int) -> Estimate:
    def of(recall: Floats, alarms: Floats) -> Floats:
        cells: ConfusionRates = reweigh(
            recall, alarms, np.ones_like(recall), np.ones_like(alarms), prevalence
        )
        return np.asarray(getattr(cells, measure.of))

    falls = measure.of in ("precision", "macro_f1", "allow_precision")
    return interval_at_prevalence(of, counted, falls_with_alarms=falls, seed=seed)
