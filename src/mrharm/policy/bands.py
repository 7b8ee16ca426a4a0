"""A band around a threshold whose memes go to a person: by how many can be reviewed, or how sure the rest must be."""

from __future__ import annotations

from collections.abc import Callable

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
    cumulative_rates,
    halfway,
    sweep_thresholds,
)
from mrharm.policy.choose import EPSILON
from mrharm.records import Record

CERTAIN = 1e-9  # scores nearer to 0 or 1 count as this near: their log-odds stay finite


class BandCriterion(Record):
    """What a band is to reach: at most so many ``reviews`` a day; or decisions so sure that at least the share
    ``flag_precision`` of the memes flagged is harmful, and ``allow_precision`` of those allowed harmless.
    """

    reviews: float | None = None
    flag_precision: float | None = None
    allow_precision: float | None = None

    def words(self) -> str:
        """Format the criterion: ``precision of flag >= 0.95, of allow >= 0.99``."""
        if self.reviews is not None:
            return f"reviews a day <= {self.reviews:g}"
        sides = (("flag", self.flag_precision), ("allow", self.allow_precision))
        return ", ".join(f"precision of {side} >= {share:g}" for side, share in sides if share is not None)


class BandChoice(Record):
    """A band; each bound with the interval of what would have been chosen on memes drawn anew around the threshold."""

    criterion: BandCriterion
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
    criterion: BandCriterion,
    traffic: Traffic,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> BandChoice:
    """Choose the band (low, high) around a threshold: allow below low, review from low up to high, flag from high up.

    By ``reviews``, the scores nearest to the threshold in log-odds fill it: at a threshold t it goes from odds
    t / (1 - t) / k to k t / (1 - t), with the largest k that keeps per_day x (share of memes in it) within the
    number. By precision, high is the lowest bound at or above the threshold from which the flagged keep
    ``flag_precision``, low the highest at or below it under which the allowed keep ``allow_precision``; a side without
    a criterion ends at the threshold. All shares are those of the stated prevalence (`reweigh`).

    Args:
        memes: labels, scores and clusters.
        threshold: the band goes around it.
        criterion: what to reach.
        traffic: the memes to come.
        n_resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        InputError: as `choose_threshold`.
    """
    _check_band_criterion(criterion, traffic)

    def estimate(choose: Callable[[Floats], Floats], value: float) -> Estimate:
        resamples = draw_counts(len(memes.gold), n_resamples, seed, memes.clusters)
        chosen = np.concatenate([choose(counts) for counts in resamples])
        low, high = percentile_interval(chosen) or (None, None)
        return Estimate(value=value, low=low, high=high)

    sweep, every_meme = sweep_thresholds(memes.gold, memes.scores), np.ones((1, len(memes.gold)))
    if criterion.reviews is not None:
        reach = _ReviewReach(memes, threshold, criterion, traffic)
        value = float(reach.choose(every_meme)[0])
        if not np.isfinite(value):
            raise InputError(reach.explain_infeasible())
        return reach.make_band(estimate(reach.choose, value))
    bounds = {"flag": Estimate(value=threshold), "allow": Estimate(value=threshold)}
    for side, share in (("flag", criterion.flag_precision), ("allow", criterion.allow_precision)):
        if share is None:
            continue
        bound = _PrecisionBound(sweep, memes.scores, threshold, side == "flag", share, traffic)
        value = float(bound.choose(every_meme)[0])
        if not np.isfinite(value):
            raise InputError(bound.explain_infeasible(every_meme))
        bounds[side] = estimate(bound.choose, value)
    return BandChoice(criterion=criterion, low=bounds["allow"], high=bounds["flag"])


def _check_band_criterion(criterion: BandCriterion, traffic: Traffic) -> None:
    shares = [share for share in (criterion.flag_precision, criterion.allow_precision) if share is not None]
    if criterion.reviews is not None:
        if shares:
            raise InputError("a band is filled by reviews a day or by precision, not by both; leave one out")
        if traffic.per_day is None or traffic.prevalence is None:
            raise InputError(
                "a band of so many reviews a day follows from what comes in: say how many memes a day (--per-day) and "
                "the share of harmful ones among them (--prevalence)"
            )
        if not 0 <= criterion.reviews < float("inf"):
            raise InputError(f"{criterion.reviews:g} reviews a day: expected a number, 0 or more")
    elif not shares:
        raise InputError("a band needs reviews a day, or the precision that flag or allow shall have")
    for share in shares:
        if not 0 < share <= 1:
            raise InputError(f"precision {share:g}: expected a share above 0 and up to 1, such as 0.95")


class _ReviewReach:
    """The search for the widest band, in log-odds from the threshold, that holds no more reviews than allowed."""

    def __init__(
        self, memes: LabelledScores, threshold: float, criterion: BandCriterion, traffic: Traffic
    ) -> None:
        self.gold, self.threshold, self.criterion, self.traffic = memes.gold, threshold, criterion, traffic
        self.middle = float(_log_odds(np.array([threshold]))[0])
        # Rounded, so that scores as far above as below are a tie, whatever the arithmetic.
        distance = np.asarray(np.round(np.abs(_log_odds(memes.scores) - self.middle), 9), dtype=np.float64)
        self.nearest = sort_by(-distance)
        # A band of this reach holds the scores up to here and none of the next.
        self.reaches = -halfway(-distance[self.nearest.order][self.nearest.starts], -np.inf)
        self.reaches[-1] = distance.max() + 1

    def _reviews(self, counts: Floats) -> Floats:
        """Compute the reviews a day of a band of each reach. *Shape:* (resamples, memes) -> (resamples, reaches)"""
        inside = cumulative_rates(self.nearest, self.gold, counts, self.traffic).flagged
        return inside * (self.traffic.per_day or 0.0)

    def choose(self, counts: Floats) -> Floats:
        """Return the widest reach in each resample; not a number where none holds a meme. *Shape:* (resamples,)"""
        fits = self._reviews(counts) <= (self.criterion.reviews or 0.0) * (1 + EPSILON)
        last = np.maximum(fits.sum(axis=1) - 1, 0)
        held = np.cumsum(self.nearest.sums(counts), axis=1)[np.arange(len(last)), last]
        return np.where(fits.any(axis=1) & (held > 0), self.reaches[last], np.nan)

    def make_band(self, reach: Estimate) -> BandChoice:
        """Turn a reach and its interval into bounds on the score."""

        def bound(distance: float | None, upper: bool) -> float | None:
            if distance is None:
                return None
            score = float(1 / (1 + np.exp(-(self.middle + (distance if upper else -distance)))))
            # Rounding must not leave the threshold out of its band.
            return max(score, self.threshold) if upper else min(score, self.threshold)

        value, shortest, longest = reach.value, reach.low, reach.high
        return BandChoice(
            criterion=self.criterion,
            low=Estimate(value=bound(value, False), low=bound(longest, False), high=bound(shortest, False)),
            high=Estimate(value=bound(value, True), low=bound(shortest, True), high=bound(longest, True)),
        )

    def explain_infeasible(self) -> str:
        """Say that the nearest score alone brings more reviews than allowed."""
        least = self._reviews(np.ones((1, len(self.gold))))[0, 0]
        return (
            f"{self.criterion.words()} leave no room for a band: the score nearest to the threshold "
            f"{self.threshold:.4g} brings {least:,.1f} a day; allow as many, or leave the band out"
        )


class _PrecisionBound:
    """The search for the bound on one side of the threshold that keeps a precision and leaves least to review."""

    def __init__(
        self,
        sweep: ThresholdSweep,
        scores: Floats,
        threshold: float,
        upper: bool,
        share: float,
        traffic: Traffic,
    ) -> None:
        self.sweep, self.threshold, self.upper, self.share, self.traffic = (
            sweep,
            threshold,
            upper,
            share,
            traffic,
        )
        # The first bound flags nothing, so that a threshold above all scores has a place among them.
        bounds = np.concatenate([[max(threshold, float(np.max(scores)))], sweep.thresholds])
        self.bounds = np.maximum(bounds, threshold) if upper else np.minimum(bounds, threshold)
        # The place of the bound that flags as many memes as the threshold does.
        place = int(np.sum(np.unique(scores) >= threshold))
        places = np.arange(len(bounds))
        self.beyond = places <= place if upper else places >= place

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
        keeps = (self._precision(counts) >= self.share - EPSILON) & self.beyond
        index = len(self.bounds) - 1 - keeps[:, ::-1].argmax(axis=1) if self.upper else keeps.argmax(axis=1)
        return np.where(keeps.any(axis=1), self.bounds[index], np.nan)

    def explain_infeasible(self, counts: Floats) -> str:
        """Say that no bound keeps the precision, and what the best one reaches."""
        precision = self._precision(counts)[0]
        reached = np.where(self.beyond & np.isfinite(precision), precision, -np.inf)
        side = "flag" if self.upper else "allow"
        where = f"at or {'above' if self.upper else 'below'} the threshold {self.threshold:.4g}"
        if not np.isfinite(reached).any():
            return f"precision of {side} >= {self.share:g}: nothing to {side} {where}"
        most = int(reached.argmax())
        return (
            f"precision of {side} >= {self.share:g} cannot be kept on these scores: the most that can be had {where} "
            f"is {100 * reached[most]:.1f} %, with the bound at {self.bounds[most]:.4g}"
        )


def _log_odds(scores: Floats) -> Floats:
    clipped = np.clip(scores, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(clipped / (1 - clipped)))
