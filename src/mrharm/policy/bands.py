"""A band around a threshold whose memes go to a person: by how many can be reviewed, or how sure the rest must be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrharm.errors import InputError
from mrharm.metrics.bootstrap import draw_counts, percentile_interval
from mrharm.metrics.estimate import N_RESAMPLES, Estimate, Floats
from mrharm.metrics.ranking import sort_by
from mrharm.metrics.thresholds import (
    Band,
    LabelledScores,
    ThresholdSweep,
    Traffic,
    halfway,
    sweep_thresholds,
)
from mrharm.policy.choose_threshold import Criterion
from mrharm.records import Record

CERTAIN = 1e-9  # scores nearer to 0 or 1 count as this near: their log-odds stay finite


class BandChoice(Record):
    """A band; each bound with the interval of what would have been chosen on memes drawn anew around the threshold."""

    low: Estimate
    high: Estimate

    @property
    def at(self) -> Band:
        """The bounds themselves."""
        assert self.low.value is not None  # no choice is made without
        assert self.high.value is not None
        return self.low.value, self.high.value


def choose_band(
    memes: LabelledScores,
    threshold: float,
    criteria: Sequence[Criterion],
    traffic: Traffic,
    *,
    n_resamples: int = N_RESAMPLES,
) -> BandChoice:
    """Choose the band (low, high) around a threshold: allow below low, review from low up to high, flag from high up.

    By ``reviews``, the scores nearest to the threshold in log-odds fill it: at a threshold t it goes from odds
    t / (1 - t) / k to k t / (1 - t), with the largest k that keeps per_day x (share of memes in it) within the
    number. By precision, high is the lowest bound at or above the threshold from which the flagged keep
    ``flag_precision``, low the highest at or below it under which the allowed keep ``allow_precision``; a side without
    a criterion ends at the threshold. All shares are those of the stated prevalence.

    Raises:
        InputError: as `choose_threshold`; or reviews and precision, both.
    """
    for criterion in criteria:
        criterion.check(traffic)
    promises = [criterion.promise for criterion in criteria]
    if "reviews" in promises and len(promises) > 1:
        raise InputError("a band is filled by reviews a day or by precision, not by both; leave one out")

    def estimate(search: _ReviewReach | _PrecisionBound) -> Estimate:
        """Choose on the memes, and again on each resample."""
        value = float(search.choose(np.ones((1, len(memes.gold))))[0])
        if not np.isfinite(value):
            raise InputError(search.explain_infeasible())
        resamples = draw_counts(len(memes.gold), n_resamples, 0, memes.clusters)
        low, high = percentile_interval(np.concatenate([search.choose(counts) for counts in resamples]))
        return Estimate(value=value, low=low, high=high)

    if "reviews" in promises:
        reach = _ReviewReach(memes, threshold, criteria[0], traffic)
        return reach.make_band(estimate(reach))
    bounds = {
        criterion.promise: estimate(_PrecisionBound(memes, threshold, criterion, traffic))
        for criterion in criteria
    }
    edge = Estimate(value=threshold)
    return BandChoice(low=bounds.get("allow_precision", edge), high=bounds.get("flag_precision", edge))


class _ReviewReach:
    """The search for the widest band, in log-odds from the threshold, that holds no more reviews than allowed."""

    def __init__(
        self, memes: LabelledScores, threshold: float, criterion: Criterion, traffic: Traffic
    ) -> None:
        sweep_thresholds(memes.gold, memes.scores)  # refuses memes of one label
        self.threshold, self.criterion, self.traffic = threshold, criterion, traffic
        self.middle = float(_log_odds(np.array([threshold]))[0])
        # Rounded, so that scores as far above as below are a tie, whatever the arithmetic.
        distance = np.asarray(np.round(np.abs(_log_odds(memes.scores) - self.middle), 9), dtype=np.float64)
        nearest = sort_by(-distance)
        # A band of this reach holds the scores up to here and none of the next.
        reaches = -halfway(-distance[nearest.order][nearest.starts], -np.inf)
        reaches[-1] = distance.max() + 1
        self.sweep = ThresholdSweep(memes.gold, nearest, reaches)

    def _reviews(self, counts: Floats) -> Floats:
        """Compute the reviews a day of a band of each reach. *Shape:* (resamples, memes) -> (resamples, reaches)"""
        return self.sweep.rates(counts, self.traffic).flagged * (self.traffic.per_day or 0.0)

    def choose(self, counts: Floats) -> Floats:
        """Return the widest reach in each resample; not a number where none holds a meme. *Shape:* (resamples,)"""
        fits = self.criterion.met_by(self._reviews(counts))
        last = np.maximum(fits.sum(axis=1) - 1, 0)
        inside = np.cumsum(self.sweep.ranked.sums(counts), axis=1)[np.arange(len(last)), last]
        return np.where(fits.any(axis=1) & (inside > 0), self.sweep.thresholds[last], np.nan)

    def make_band(self, reach: Estimate) -> BandChoice:
        """Turn a reach and its interval into bounds on the score."""

        def bound(distance: float | None, sign: int) -> float | None:
            if distance is None:
                return None
            score = float(1 / (1 + np.exp(-(self.middle + sign * distance))))
            # Rounding must not leave the threshold out of its band.
            return sign * max(sign * score, sign * self.threshold)

        value, shortest, longest = reach.value, reach.low, reach.high
        return BandChoice(
            low=Estimate(value=bound(value, -1), low=bound(longest, -1), high=bound(shortest, -1)),
            high=Estimate(value=bound(value, 1), low=bound(shortest, 1), high=bound(longest, 1)),
        )

    def explain_infeasible(self) -> str:
        """Say that the nearest score alone brings more reviews than allowed."""
        least = self._reviews(np.ones((1, len(self.sweep.gold))))[0, 0]
        return (
            f"{self.criterion.words()} leave no room for a band: the score nearest to the threshold "
            f"{self.threshold:.4g} brings {least:,.1f} a day; allow as many, or leave the band out"
        )


class _PrecisionBound:
    """The search for the bound on one side of the threshold that keeps a precision and leaves least to review."""

    def __init__(
        self, memes: LabelledScores, threshold: float, criterion: Criterion, traffic: Traffic
    ) -> None:
        self.sweep = sweep_thresholds(memes.gold, memes.scores)
        self.threshold, self.criterion, self.traffic = threshold, criterion, traffic
        self.upper = criterion.promise == "flag_precision"
        # The first bound flags nothing, so that a threshold above all scores has a place among them.
        bounds = np.append(max(threshold, float(np.max(memes.scores))), self.sweep.thresholds)
        self.bounds = np.maximum(bounds, threshold) if self.upper else np.minimum(bounds, threshold)
        # The place of the bound that flags as many memes as the threshold does.
        place = int(np.sum(np.unique(memes.scores) >= threshold))
        places = np.arange(len(bounds))
        self.beyond = places <= place if self.upper else places >= place

    def _precision(self, counts: Floats) -> Floats:
        """Compute the precision beyond each bound. *Shape:* (resamples, memes) -> (resamples, bounds)"""
        rates = self.sweep.rates(counts, self.traffic)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.upper:  # undefined where nothing is flagged
                return np.insert(rates.precision, 0, np.nan, axis=1)
            # Where all is allowed, it is the share of harmless memes.
            harmful = rates.hit[:, -1] + rates.miss[:, -1]
            return np.insert(rates.allow_precision, 0, 1 - harmful, axis=1)

    def choose(self, counts: Floats) -> Floats:
        """Return the bound of each resample; not a number where none keeps the precision. *Shape:* (resamples,)"""
        keeps = self.criterion.met_by(self._precision(counts)) & self.beyond
        index = len(self.bounds) - 1 - keeps[:, ::-1].argmax(axis=1) if self.upper else keeps.argmax(axis=1)
        return np.where(keeps.any(axis=1), self.bounds[index], np.nan)

    def explain_infeasible(self) -> str:
        """Say that no bound keeps the precision, and what the best one reaches."""
        precision = self._precision(np.ones((1, len(self.sweep.gold))))[0]
        reached = np.where(self.beyond & np.isfinite(precision), precision, -np.inf)
        side, direction = ("flag", "above") if self.upper else ("allow", "below")
        where = f"at or {direction} the threshold {self.threshold:.4g}"
        if not np.isfinite(reached).any():
            return f"{self.criterion.words()}: nothing to {side} {where}"
        most = int(reached.argmax())
        return (
            f"{self.criterion.words()} cannot be kept on these scores: the most that can be had {where} is "
            f"{100 * reached[most]:.1f} %, with the bound at {self.bounds[most]:.4g}"
        )


def _log_odds(scores: Floats) -> Floats:
    clipped = np.clip(scores, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(clipped / (1 - clipped)))
