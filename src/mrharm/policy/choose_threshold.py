"""A threshold by what it is to reach: the best macro-F1, a precision, a recall, or a number of reviews a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.metrics.bootstrap import draw_counts, percentile_interval
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Estimate, Floats
from mrharm.metrics.thresholds import (
    ConfusionRates,
    LabelledScores,
    ThresholdSweep,
    Traffic,
    sweep_thresholds,
)
from mrharm.records import Record

Promise = Literal["macro_f1", "precision", "recall", "reviews", "flag_precision", "allow_precision"]
EPSILON = 1e-9  # rounding must not miss a target


class Criterion(Record):
    """What a threshold or a band is to reach.

    A threshold: the highest ``macro_f1``, or at least the ``limit`` of ``precision`` or ``recall``. A band: at least
    the ``limit`` as the share of harmful memes among those flagged (``flag_precision``), or of harmless ones among
    those allowed (``allow_precision``). Either: at most so many ``reviews`` a day.
    """

    promise: Promise = "macro_f1"
    limit: float | None = None

    def words(self) -> str:
        """Format the criterion: ``precision >= 0.9``."""
        if self.promise == "macro_f1":
            return "highest macro-F1"
        if self.promise == "reviews":
            return f"reviews a day <= {self.limit:g}"
        side, _, figure = self.promise.rpartition("_")
        return f"{figure} of {side} >= {self.limit:g}" if side else f"{figure} >= {self.limit:g}"

    def met_by(self, values: Floats | float) -> Booleans:
        """Tell which values meet the limit: reviews at most, all else at least so much. *Shape:* any"""
        limit, values = self.limit or 0.0, np.asarray(values)
        return values <= limit * (1 + EPSILON) if self.promise == "reviews" else values >= limit - EPSILON

    def check(self, traffic: Traffic) -> None:
        """Raise InputError where the limit is out of range, or reviews a day do not follow from the traffic."""
        if self.promise == "macro_f1":
            return
        if self.promise == "reviews":
            if traffic.per_day is None or traffic.prevalence is None:
                raise InputError(
                    "reviews a day follow from what comes in: say how many memes a day (--per-day) and the share of "
                    "harmful ones among them (--prevalence)"
                )
            if self.limit is None or not 0 <= self.limit < float("inf"):
                raise InputError(f"{self.limit} reviews a day: expected a number, 0 or more")
        elif self.limit is None or not 0 < self.limit <= 1:
            raise InputError(
                f"{self.promise.replace('_', ' ')} {self.limit}: expected a share above 0 and up to 1, such as 0.9"
            )


class ThresholdChoice(Record):
    """A threshold.

    threshold: with the interval of what would have been chosen on memes drawn anew.
    optimism_corrected: the promised figure without the optimism of choosing and measuring on the same memes.
    feasible_share: share of the resamples in which some threshold meets the criterion.
    """

    threshold: Estimate
    optimism_corrected: float | None = None
    feasible_share: float = 1.0

    @property
    def at(self) -> float:
        """The threshold itself."""
        assert self.threshold.value is not None  # no choice is made without
        return self.threshold.value


def choose_threshold(
    memes: LabelledScores, criterion: Criterion, traffic: Traffic, *, n_resamples: int = N_RESAMPLES
) -> ThresholdChoice:
    """Choose the threshold that meets a criterion: a meme is flagged when its score is at or above it.

    - ``macro_f1``: the highest; of equal ones the one that flags least;
    - ``precision`` >= p: the highest recall that keeps it;
    - ``recall`` >= r: the highest threshold that keeps it, which flags least;
    - ``reviews`` <= N a day: as many memes as that allows, all that is flagged being reviewed; per_day x
      (p r + (1 - p) f) of them at a prevalence p (`ConfusionRates`).

    The estimate has to meet the criterion, as few memes could ever meet it with the end of an interval (`check_target`
    compares that end). A threshold that flags none of these memes is never chosen. The interval of the threshold comes
    from choosing again on each resample. ``optimism_corrected`` takes the bootstrap's optimism (Efron, "Estimating the
    error rate of a prediction rule", 1983) off recall and off the rate of false alarms, and follows from these: the
    mean over resamples of the rate on the resample less the rate on the memes at hand, each at the threshold chosen on
    the resample.

    Raises:
        InputError: no memes, memes of one label only, a criterion out of range, or one that no threshold meets; the
            message names the most that can be had.
    """
    criterion.check(traffic)
    search = _ThresholdSearch(criterion, traffic, sweep_thresholds(memes.gold, memes.scores))
    thresholds = search.sweep.thresholds
    if criterion.promise == "macro_f1" and len(thresholds) == 1:
        raise InputError(
            f"all {len(memes.gold):,} memes have the same score: no threshold tells one from another"
        )
    rates, index, feasible = search.choose(np.ones((1, len(memes.gold))))
    if not feasible[0]:
        raise InputError(search.explain_infeasible(rates))
    at_hand = np.stack([rates.recall[0], rates.alarms[0]])
    chosen, gaps = [], []
    for counts in draw_counts(len(memes.gold), n_resamples, 0, memes.clusters):
        resampled, places, feasible = search.choose(counts)
        row = np.arange(len(places))
        gap = np.stack([resampled.recall[row, places], resampled.alarms[row, places]]) - at_hand[:, places]
        gaps.append(gap[:, feasible])
        chosen.append(np.where(feasible, thresholds[places], np.nan))
    gap, values = np.concatenate(gaps, axis=1), np.concatenate(chosen)
    gap = gap[:, np.isfinite(gap).all(axis=0)]
    low, high = percentile_interval(values)
    return ThresholdChoice(
        threshold=Estimate(value=float(thresholds[index[0]]), low=low, high=high),
        optimism_corrected=search.promised_at(*(at_hand[:, index[0]] - gap.mean(axis=1)))
        if gap.size
        else None,
        feasible_share=float(np.isfinite(values).mean()),
    )


@dataclass(frozen=True)
class _ThresholdSearch:
    """The search for the threshold of a sweep that meets a criterion."""

    criterion: Criterion
    traffic: Traffic
    sweep: ThresholdSweep

    def choose(self, counts: Floats) -> tuple[ConfusionRates, NDArray[np.int64], Booleans]:
        """Choose a threshold in each resample.

        *Shape:* (resamples, memes) -> the rates, (resamples, thresholds); the chosen threshold's place and whether
        there is any, (resamples,) each
        """
        rates, promise = self.sweep.rates(counts, self.traffic), self.criterion.promise
        promised = self._promised(rates)
        flagged = (
            rates.recall + rates.alarms
        )  # orders thresholds as the share flagged does, at any prevalence
        allowed = np.isfinite(flagged) & (flagged > 0)
        if promise != "macro_f1":
            allowed &= self.criterion.met_by(promised)
        gain = {"macro_f1": promised, "precision": rates.recall, "recall": -flagged}.get(promise, flagged)
        # Of gains that are equal but for rounding the first, of the highest threshold, is taken.
        index = np.where(allowed, np.round(gain, 12), -np.inf).argmax(axis=1)
        return rates, index, np.any(allowed, axis=1)

    def promised_at(self, recall: float, alarms: float) -> float | None:
        """Return the promised figure at a recall and a rate of false alarms; None where undefined."""
        share = self.traffic.prevalence
        share = float(self.sweep.gold.mean()) if share is None else share
        rates = ConfusionRates(np.clip([recall], 0, 1), np.clip([alarms], 0, 1), np.array([share]))
        value = float(self._promised(rates)[0])
        return value if np.isfinite(value) else None

    def _promised(self, rates: ConfusionRates) -> Floats:
        """Return the figure that the criterion is about, of each threshold."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.criterion.promise == "reviews":
                return rates.flagged * (self.traffic.per_day or 0.0)
            return np.asarray(getattr(rates, self.criterion.promise))

    def explain_infeasible(self, rates: ConfusionRates) -> str:
        """Say that no threshold meets the criterion, and what the best one reaches."""
        figures, thresholds, words = self._promised(rates)[0], self.sweep.thresholds, self.criterion.words()
        if self.criterion.promise == "reviews":
            least = int(np.argmin(figures))
            return (
                f"{words} cannot be kept on these scores: the fewest with anything flagged at all are "
                f"{figures[least]:,.1f} a day, at threshold {thresholds[least]:.4g}"
            )
        if not np.isfinite(figures).any():
            return f"{words} cannot be kept: nothing of what comes in would be flagged at any threshold"
        most = int(np.nanargmax(figures))
        return (
            f"{words} cannot be kept on these scores: the most that can be had is {100 * figures[most]:.1f} %, at "
            f"threshold {thresholds[most]:.4g}, which finds {100 * rates.recall[0, most]:.1f} % of the harmful memes"
        )
