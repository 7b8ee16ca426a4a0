"""A band around a threshold whose memes go to a person: by how many can be reviewed, or how sure the rest must be."""

from __future__ import annotations

import numpy as np

from mrharm.errors import InputError
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import draw_counts, percentile_interval
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Floats
from mrharm.metrics.ranking import sort_by
from mrharm.metrics.thresholds import (
    Band,
    LabelledScores,
    ThresholdSweep,
    Traffic,
    halfway,
    reweigh,
    sweep_thresholds,
)
from mrharm.policy.choose import EPSILON
from mrharm.records import Record

_CERTAIN = 1e-9  # scores nearer to 0 or 1 count as this near: their log-odds stay finite


class BandCriterion(Record):
    """What a band shall do: hold at most so many ``reviews`` a day around the threshold; or leave decisions so sure
    that at least the share ``flag_precision`` of what is flagged is harmful, and ``allow_precision`` of what is
    allowed harmless.
    """

    reviews: float | None = None
    flag_precision: float | None = None
    allow_precision: float | None = None

    def words(self) -> str:
        """``precision of flag >= 0.95, of allow >= 0.99``."""
        if self.reviews is not None:
            return f"reviews a day <= {self.reviews:g}"
        sides = (("flag", self.flag_precision), ("allow", self.allow_precision))
        return ", ".join(f"precision of {side} >= {share:g}" for side, share in sides if share is not None)


class BandChoice(Record):
    """A band with the interval of each bound, had it been chosen on memes drawn anew around the same threshold."""

    criterion: BandCriterion
    low: Estimate
    high: Estimate

    @property
    def at(self) -> Band:
        """The bounds themselves."""
        assert self.low.value is not None  # there is no BandChoice without
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
    """The band (low, high) around a threshold: allow below low, review from low up to high, flag from high up.

    By ``reviews``, the scores nearest to the threshold in log-odds fill it: at a threshold t it goes from odds
    t / (1 - t) / k to k t / (1 - t), with the largest k that keeps per_day x (share of memes in it) within the
    number. By precision, high is the lowest bound at or above the threshold from which the flagged keep
    ``flag_precision``, low the highest at or below it under which the allowed keep ``allow_precision``; a side without
    one ends at the threshold. All shares are those of the stated prevalence (`reweigh`).

    Args:
        memes: labels, scores and clusters.
        threshold: what the band goes around.
        criterion: what it shall do.
        stream: what will come in.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        InputError: as `choose_threshold`.
    """
    _check(criterion, traffic)
    cuts = sweep_thresholds(memes.gold, memes.scores)
    if criterion.reviews is not None:
        return _by_reviews(memes, threshold, criterion, traffic, n_resamples, seed)
    high, low = Estimate(value=threshold), Estimate(value=threshold)
    if criterion.flag_precision is not None:
        high = _bound(memes, cuts, threshold, criterion.flag_precision, traffic, True, n_resamples, seed)
    if criterion.allow_precision is not None:
        low = _bound(memes, cuts, threshold, criterion.allow_precision, traffic, False, n_resamples, seed)
    return BandChoice(criterion=criterion, low=low, high=high)


def _check(criterion: BandCriterion, traffic: Traffic) -> None:
    shares = (criterion.flag_precision, criterion.allow_precision)
    if criterion.reviews is not None:
        if any(share is not None for share in shares):
            raise InputError("a band is filled by reviews a day or by precision, not by both; leave one out")
        if traffic.per_day is None or traffic.prevalence is None:
            raise InputError(
                "a band of so many reviews a day follows from what comes in: say how many memes a day (--per-day) and "
                "the share of harmful ones among them (--prevalence)"
            )
        if not 0 <= criterion.reviews < float("inf"):
            raise InputError(f"{criterion.reviews:g} reviews a day: expected a number, 0 or more")
    elif all(share is None for share in shares):
        raise InputError("a band needs reviews a day, or the precision that flag or allow shall have")
    for share in shares:
        if share is not None and not 0 < share <= 1:
            raise InputError(f"precision {share:g}: expected a share above 0 and up to 1, such as 0.95")


def _by_reviews(
    memes: LabelledScores,
    threshold: float,
    criterion: BandCriterion,
    traffic: Traffic,
    n_resamples: int,
    seed: int,
) -> BandChoice:
    gold, scores = memes.gold, memes.scores
    middle = _log_odds(np.array([threshold]))[0]
    # Rounded, so that scores as far above as below are a tie, whatever the arithmetic.
    away = np.round(np.abs(_log_odds(scores) - middle), 9)
    nearest = sort_by(-away)
    # A band of this reach holds the scores up to here and none of the next.
    reaches = -halfway(-away[nearest.order][nearest.starts], -np.inf)
    reaches[-1] = away.max() + 1
    harmful = gold.astype(np.float64)
    most = (criterion.reviews or 0.0) / (traffic.per_day or 1.0)

    def widest(counts: Floats) -> tuple[Floats, Booleans]:
        hits = np.cumsum(nearest.sums(counts * harmful), axis=1)
        alarms = np.cumsum(nearest.sums(counts * (1 - harmful)), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = reweigh(hits, alarms, hits[:, -1:], alarms[:, -1:], traffic.prevalence).flagged
        fits = inside <= most * (1 + EPSILON)
        last = np.maximum(fits.sum(axis=1) - 1, 0)
        return reaches[last], fits.any(axis=1) & (hits + alarms > 0)[np.arange(len(last)), last]

    reach, found = widest(np.ones((1, len(gold))))
    if not found[0]:
        hits = nearest.sums(harmful[None])[:, :1]
        alarms = nearest.sums(1 - harmful[None])[:, :1]
        least = reweigh(
            hits, alarms, np.array([[harmful.sum()]]), np.array([[(1 - harmful).sum()]]), traffic.prevalence
        )
        raise InputError(
            f"{criterion.words()} leave no room for a band: the score nearest to the threshold {threshold:.4g} brings "
            f"{least.flagged[0, 0] * (traffic.per_day or 0):,.1f} a day; allow as many, or leave the band out"
        )
    drawn = [widest(counts) for counts in draw_counts(len(gold), n_resamples, seed, memes.clusters)]
    again, kept = np.concatenate([one for one, _ in drawn]), np.concatenate([one for _, one in drawn])
    shortest, longest = percentile_interval(again[kept]) or (None, None)

    def bound(far: float | None, upper: bool) -> float | None:
        if far is None:
            return None
        away_from = float(1 / (1 + np.exp(-(middle + (far if upper else -far)))))
        # Rounding must not leave the threshold out of its own band.
        return max(away_from, threshold) if upper else min(away_from, threshold)

    return BandChoice(
        criterion=criterion,
        low=Estimate(value=bound(reach[0], False), low=bound(longest, False), high=bound(shortest, False)),
        high=Estimate(value=bound(reach[0], True), low=bound(shortest, True), high=bound(longest, True)),
    )


def _bound(
    memes: LabelledScores,
    cuts: ThresholdSweep,
    threshold: float,
    wanted: float,
    traffic: Traffic,
    upper: bool,
    n_resamples: int,
    seed: int,
) -> Estimate:
    """The bound on one side of the threshold that keeps a precision and leaves least to review."""
    scores = memes.scores
    # The last cut that flags no more than the threshold does; -1 where the threshold flags nothing.
    own = int(np.sum(np.unique(scores) >= threshold)) - 1
    side = "flag" if upper else "allow"
    # Cut -1, nothing flagged, stands first, so that a threshold above all scores has a place.
    bounds = np.concatenate([[max(threshold, float(np.max(scores)))], cuts.thresholds])
    bounds = np.maximum(bounds, threshold) if upper else np.minimum(bounds, threshold)
    places = np.arange(len(bounds))
    beyond = places <= own + 1 if upper else places >= own + 1

    def sure(counts: Floats) -> Floats:
        cells = cuts.rates(counts, traffic)
        share = traffic.prevalence
        harmful = counts @ cuts.gold.astype(np.float64)
        base = harmful / counts.sum(axis=1) if share is None else np.full(len(counts), share)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = cells.precision if upper else cells.allow_precision
        # Of nothing flagged there is no precision; of all allowed, it is the share of harmless memes.
        return np.concatenate([np.full((len(counts), 1), np.nan) if upper else 1 - base[:, None], found], 1)

    def best(shares: Floats) -> tuple[Floats, Booleans]:
        keeps = (shares >= wanted - EPSILON) & beyond
        index = len(bounds) - 1 - keeps[:, ::-1].argmax(axis=1) if upper else keeps.argmax(axis=1)
        return bounds[index], np.any(keeps, axis=1)

    here = sure(np.ones((1, len(cuts.gold))))
    value, found = best(here)
    if not found[0]:
        had = np.where(beyond & np.isfinite(here[0]), here[0], -np.inf)
        where = f"at or {'above' if upper else 'below'} the threshold {threshold:.4g}"
        if not np.isfinite(had).any():
            raise InputError(f"precision of {side} >= {wanted:g}: nothing to {side} {where}")
        most = int(had.argmax())
        raise InputError(
            f"precision of {side} >= {wanted:g} cannot be kept on these scores: the most that can be had {where} is "
            f"{100 * had[most]:.1f} %, with the bound at {bounds[most]:.4g}"
        )
    drawn = [best(sure(counts)) for counts in draw_counts(len(cuts.gold), n_resamples, seed, memes.clusters)]
    again, kept = np.concatenate([one for one, _ in drawn]), np.concatenate([one for _, one in drawn])
    low, high = percentile_interval(again[kept]) or (None, None)
    return Estimate(value=float(value[0]), low=low, high=high)


def _log_odds(scores: Floats) -> Floats:
    sure = np.clip(scores, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(sure / (1 - sure)))
