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
    metrics_at_threshold,
    reweigh,
    sweep_thresholds,
)
from mrharm.records import Record
from mrharm.verdicts.card import figure_words

Promise = Literal["macro_f1", "precision", "recall", "reviews"]
EPSILON = 1e-9  # rounding must not miss a target


class Criterion(Record):
    """What a threshold is to reach: the highest ``macro_f1``; at least the ``limit`` of ``precision`` or ``recall``; or
    at most so many ``reviews`` a day.
    """

    promise: Promise = "macro_f1"
    limit: float | None = None

    def words(self) -> str:
        """Format the criterion: ``precision >= 0.9``."""
        if self.promise == "macro_f1":
            return "highest macro-F1"
        if self.promise == "reviews":
            return f"reviews a day <= {self.limit:g}"
        return f"{self.promise} >= {self.limit:g}"


class ThresholdChoice(Record):
    """A threshold and what it does on the memes it was chosen on.

    threshold: with the interval of what would have been chosen on memes drawn anew.
    figures: those of `metrics_at_threshold`.
    optimism_corrected: the promised figure without the optimism of choosing and measuring on the same memes.
    feasible_share: share of the resamples in which some threshold meets the criterion.
    """

    criterion: Criterion
    threshold: Estimate
    figures: dict[str, Estimate]
    optimism_corrected: float | None
    feasible_share: float

    @property
    def at(self) -> float:
        """The threshold itself."""
        assert self.threshold.value is not None  # no choice is made without
        return self.threshold.value


def choose_threshold(
    memes: LabelledScores,
    criterion: Criterion,
    traffic: Traffic,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> ThresholdChoice:
    """Choose the threshold that meets a criterion: a meme is flagged when its score is at or above it.

    - ``macro_f1``: the highest; of equal ones the one that flags least;
    - ``precision`` >= p: the highest recall that keeps it;
    - ``recall`` >= r: the highest threshold that keeps it, which flags least;
    - ``reviews`` <= N a day: as many memes as that allows, all that is flagged being reviewed; per_day x
      (p r + (1 - p) f) of them at a prevalence p (`reweigh`).

    The estimate has to meet the criterion, as few memes could ever meet it with the end of an interval (`check_target`
    compares that end). A threshold that flags none of these memes is never chosen. The interval of the threshold comes
    from choosing again on each resample. ``optimism_corrected`` takes the bootstrap's optimism (Efron, "Estimating the
    error rate of a prediction rule", 1983) off recall and off the rate of false alarms, and follows from these: the
    mean over resamples of the rate on the resample less the rate on the memes at hand, each at the threshold chosen on
    the resample.

    Args:
        memes: labels, scores and clusters.
        criterion: what to reach.
        traffic: the memes to come.
        n_resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        InputError: no memes, memes of one label only, a criterion out of range, or one that no threshold meets; the
            message names the most that can be had.
    """
    _check_criterion(criterion, traffic)
    search = _ThresholdSearch(criterion, traffic, sweep_thresholds(memes.gold, memes.scores))
    thresholds = search.sweep.thresholds
    if criterion.promise == "macro_f1" and len(thresholds) == 1:
        raise InputError(
            f"all {len(memes.gold):,} memes have the same score: no threshold tells one from another"
        )
    rates, index, feasible = search.choose(np.ones((1, len(memes.gold))))
    if not feasible[0]:
        raise InputError(search.explain_infeasible(rates))
    chosen, optimism = search.resample(memes, rates, n_resamples, seed)
    low, high = percentile_interval(chosen) or (None, None)
    at = float(thresholds[index[0]])
    return ThresholdChoice(
        criterion=criterion,
        threshold=Estimate(value=at, low=low, high=high),
        figures=metrics_at_threshold(memes, at, traffic, n_resamples=n_resamples, seed=seed),
        optimism_corrected=search.correct_optimism(rates, int(index[0]), optimism),
        feasible_share=float(np.isfinite(chosen).mean()),
    )


def _check_criterion(criterion: Criterion, traffic: Traffic) -> None:
    limit, name = criterion.limit, criterion.promise
    if name == "macro_f1":
        return
    if name == "reviews":
        if traffic.per_day is None or traffic.prevalence is None:
            raise InputError(
                "reviews a day follow from what comes in: say how many memes a day (--per-day) and the share of "
                "harmful ones among them (--prevalence)"
            )
        if limit is None or not 0 <= limit < float("inf"):
            raise InputError(f"{limit} reviews a day: expected a number, 0 or more")
    elif limit is None or not 0 < limit <= 1:
        raise InputError(f"{name} {limit}: expected a share above 0 and up to 1, such as 0.9")


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
        rates = self.sweep.rates(counts, self.traffic)
        limit = self.criterion.limit or 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            flagged = (
                rates.recall + rates.alarms
            )  # orders thresholds as the share flagged does, at any prevalence
            allowed = np.isfinite(flagged) & (flagged > 0)
            if self.criterion.promise == "macro_f1":
                gain = rates.macro_f1
            elif self.criterion.promise == "precision":
                allowed &= rates.precision >= limit - EPSILON
                gain = rates.recall
            elif self.criterion.promise == "recall":
                allowed &= rates.recall >= limit - EPSILON
                gain = -flagged
            else:
                allowed &= rates.flagged * (self.traffic.per_day or 0.0) <= limit * (1 + EPSILON)
                gain = flagged
        # Of gains that are equal but for rounding the first, of the highest threshold, is taken.
        index = np.where(allowed, np.round(gain, 12), -np.inf).argmax(axis=1)
        return rates, index, np.any(allowed, axis=1)

    def resample(
        self, memes: LabelledScores, rates: ConfusionRates, n_resamples: int, seed: int
    ) -> tuple[Floats, Floats]:
        """Choose again on resampled memes.

        Returns:
            The thresholds chosen, not a number where none meets the criterion, *Shape:* (resamples,); and by how much
            recall and the rate of false alarms are higher in a resample than on the memes at hand, on average.
            *Shape:* (2,)
        """
        at_hand = np.stack([rates.recall[0], rates.alarms[0]])
        chosen, gaps = [], []
        for counts in draw_counts(len(memes.gold), n_resamples, seed, memes.clusters):
            resampled, index, feasible = self.choose(counts)
            row = np.arange(len(index))
            gap = np.stack([resampled.recall[row, index], resampled.alarms[row, index]]) - at_hand[:, index]
            gaps.append(gap[:, feasible])
            chosen.append(np.where(feasible, self.sweep.thresholds[index], np.nan))
        gap = np.concatenate(gaps, axis=1)
        gap = gap[:, np.isfinite(gap).all(axis=0)]
        return np.concatenate(chosen), gap.mean(axis=1) if gap.size else np.full(2, np.nan)

    def correct_optimism(self, rates: ConfusionRates, index: int, optimism: Floats) -> float | None:
        """Return the promised figure of a threshold without the optimism of its two rates; None where undefined."""
        if not np.isfinite(optimism).all():
            return None
        at_hand = np.array([rates.recall[0, index], rates.alarms[0, index]])
        recall, alarms = np.clip(at_hand - optimism, 0, 1)[:, None]
        share = self.traffic.prevalence
        share = float(self.sweep.gold.mean()) if share is None else share
        corrected = reweigh(recall, alarms, np.ones(1), np.ones(1), share)
        value = float(self.promised(corrected)[0])
        return value if np.isfinite(value) else None

    def promised(self, rates: ConfusionRates) -> Floats:
        """Return the figure that the criterion is about, of each threshold."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.criterion.promise == "reviews":
                return rates.flagged * (self.traffic.per_day or 0.0)
            return np.asarray(getattr(rates, self.criterion.promise))

    def explain_infeasible(self, rates: ConfusionRates) -> str:
        """Say that no threshold meets the criterion, and what the best one reaches."""
        figures, thresholds, words = self.promised(rates)[0], self.sweep.thresholds, self.criterion.words()
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
            f"{words} cannot be kept on these scores: the most that can be had is "
            f"{figure_words('share', Estimate(value=float(figures[most])))}, at threshold {thresholds[most]:.4g}, "
            f"which finds {100 * rates.recall[0, most]:.1f} % of the harmful memes"
        )
