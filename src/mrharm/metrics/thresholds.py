"""What thresholds, and bands around them, do to labelled memes at a stated prevalence, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.metrics.bootstrap import Statistic, bootstrap, effective_count, share_within
from mrharm.metrics.classification import f1_of_cells, macro_f1_of
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Estimate, Floats
from mrharm.metrics.ranking import Sorted, sort_by

RATE_DRAWS = 20_000
TAIL = 0.025  # beyond either end of an interval
Band = tuple[float, float]


@dataclass(frozen=True)
class LabelledScores:
    """Memes with a label and a score.

    Attributes:
        gold: people's labels; True is harmful. *Shape of all:* (memes,)
        scores: calibrated P(harmful).
        clusters: a number for each meme, the same for memes that depend on one another; None where each meme is its
            own cluster.
    """

    gold: Booleans
    scores: Floats
    clusters: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Traffic:
    """The memes to come: the share of harmful ones (``prevalence``; None for that of the split at hand) and how many
    memes a day.

    Raises:
        InputError: a prevalence that is not between 0 and 1, or not a positive number of memes a day.
    """

    prevalence: float | None = None
    per_day: float | None = None

    def __post_init__(self) -> None:
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise InputError(
                f"prevalence {self.prevalence:g}: expected the share of harmful memes among what comes in, above 0 and "
                "below 1, such as 0.02; where all or none is harmful there is nothing to choose"
            )
        if self.per_day is not None and not 0 < self.per_day < float("inf"):
            raise InputError(f"{self.per_day:g} memes a day: expected how many come in, more than 0")


@dataclass(frozen=True)
class ConfusionRates:
    """What flagging does to memes of which a share is harmful: the confusion table as shares of all memes.

    A split's rates hold for memes with another prevalence of harmful ones: the correction of Elkan ("The foundations
    of cost-sensitive learning", IJCAI 2001), as far as the memes to come are like those of the split, harmful and
    harmless ones each. Not a number where a figure is undefined (precision without a flag). *Shape of all:* any, all
    alike.

    Attributes:
        recall: share of the harmful memes that is flagged.
        alarms: share of the harmless memes that is flagged.
        harmful: share of all memes that is harmful.
    """

    recall: Floats
    alarms: Floats
    harmful: Floats

    @property
    def hit(self) -> Floats:
        """Share of all memes that is flagged and harmful."""
        return _part(self.harmful, self.recall)

    @property
    def false_alarm(self) -> Floats:
        """Share of all memes that is flagged and harmless."""
        return _part(1 - self.harmful, self.alarms)

    @property
    def miss(self) -> Floats:
        """Share of all memes that is not flagged and harmful."""
        return _part(self.harmful, 1 - self.recall)

    @property
    def correct_pass(self) -> Floats:
        """Share of all memes that is not flagged and harmless."""
        return _part(1 - self.harmful, 1 - self.alarms)

    @property
    def flagged(self) -> Floats:
        """Share of all memes that is flagged."""
        return self.hit + self.false_alarm

    @property
    def precision(self) -> Floats:
        """Share of harmful memes among those flagged."""
        return self.hit / (self.hit + self.false_alarm)

    @property
    def allow_precision(self) -> Floats:
        """Share of harmless memes among those not flagged."""
        return self.correct_pass / (self.correct_pass + self.miss)

    @property
    def macro_f1(self) -> Floats:
        """F1 averaged over harmful and harmless."""
        return f1_of_cells(self.hit, self.false_alarm, self.miss, self.correct_pass)


def _part(share: Floats, rate: Floats) -> Floats:
    # A class that does not come in needs no memes to measure its rate on.
    return np.where(share > 0, share * rate, 0.0)


@dataclass(frozen=True)
class ThresholdSweep:
    """Every threshold that tells scores apart, the highest first.

    ``thresholds`` are halfway between a score and the next lower one (0 at last), so that equal scores are never told
    apart and rounding decides nothing. *Shape:* (thresholds,)
    """

    gold: Booleans
    ranked: Sorted
    thresholds: Floats

    def rates(self, counts: Floats, traffic: Traffic) -> ConfusionRates:
        """Compute what each threshold does where each meme counts so often.

        *Shape:* (resamples, memes) -> (resamples, thresholds); not a number in resamples without one of the classes.
        """
        harmful = self.gold.astype(np.float64)
        hits = np.cumsum(self.ranked.sums(counts * harmful), axis=1)
        alarms = np.cumsum(self.ranked.sums(counts * (1 - harmful)), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = hits[:, -1:] / (hits[:, -1:] + alarms[:, -1:])
            if traffic.prevalence is not None:
                share = np.full_like(share, traffic.prevalence)
            return ConfusionRates(hits / hits[:, -1:], alarms / alarms[:, -1:], share)


def sweep_thresholds(gold: Booleans, scores: Floats) -> ThresholdSweep:
    """List the thresholds between the scores of labelled memes. *Shape of both:* (memes,)

    Raises:
        InputError: no memes, or memes of one label only.
    """
    truth = np.asarray(gold, dtype=bool)
    harmful = int(truth.sum())
    if not 0 < harmful < len(truth):
        raise InputError(
            f"{len(truth):,} memes with a label, {harmful:,} of them harmful: a threshold is chosen on memes of both "
            "kinds; choose it on another --split, or say it with --set-threshold"
        )
    ranked = sort_by(scores)
    falling = np.asarray(scores, dtype=np.float64)[ranked.order][ranked.starts]
    return ThresholdSweep(truth, ranked, halfway(falling))


def halfway(falling: Floats, last: float = 0.0) -> Floats:
    """Return halfway from each number to the next, at the end to ``last``; the number itself where no float lies
    between.
    """
    following = np.append(falling[1:], last)
    middle = (falling + following) / 2
    return np.where(middle > following, middle, falling)


Side = Literal["at", "flag", "review", "allow", "not allow"]
Rate = Literal["precision", "recall", "macro_f1", "flagged", "allow_precision"]

# A figure of a policy -> which memes count as flagged (those from the threshold up, "at", or those of a decision), and
# the property of their `ConfusionRates`.
AT_THRESHOLD: dict[str, tuple[Side, Rate]] = {
    "precision": ("at", "precision"),
    "recall": ("at", "recall"),
    "macro_f1": ("at", "macro_f1"),
    "flagged": ("flag", "flagged"),
}
WITH_BAND: dict[str, tuple[Side, Rate]] = {
    "reviewed": ("review", "flagged"),
    "flag_precision": ("flag", "precision"),
    "allow_precision": ("not allow", "allow_precision"),
    "allowed": ("allow", "flagged"),
    "harmful_of_allowed": ("allow", "precision"),
    "allowed_of_harmful": ("allow", "recall"),
}


def metrics_at_threshold(
    memes: LabelledScores,
    threshold: float,
    traffic: Traffic,
    band: Band | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Compute what a threshold, and a band around it, do on labelled memes, reweighted to the traffic.

    At a stated prevalence intervals are those of `interval_at_prevalence`; at the split's, which is resampled like all
    else, those of the bootstrap.

    Returns:
        ``precision``, ``recall`` and ``macro_f1`` of harmful at the threshold; ``flagged``, the share of memes that
        is flagged; with a band the shares ``reviewed`` and ``allowed``, ``flag_precision``, the share of harmful memes
        among those flagged, ``harmful_of_allowed``, the share among those allowed, and ``allow_precision``, what it
        lacks to 1, and ``allowed_of_harmful``, the share of the harmful memes that is allowed; with
        ``traffic.per_day``, ``reviews``: memes a day in the band, or flagged without one. No value where undefined.
    """
    gold = np.asarray(memes.gold, dtype=bool)
    measures = AT_THRESHOLD | (WITH_BAND if band else {})
    masks = _decision_masks(memes.scores, threshold, band)
    if traffic.prevalence is None:
        statistics = {name: _statistic(gold, masks[side], rate) for name, (side, rate) in measures.items()}
        figures = bootstrap(
            statistics, len(gold), n_resamples=n_resamples, seed=seed, clusters=memes.clusters
        )
    else:
        figures = {}
        for name, (side, rate) in measures.items():
            counts = count_flagged(gold, masks[side], memes.clusters)
            figures[name] = interval_at_prevalence(rate, counts, traffic.prevalence, seed=seed)
    if traffic.per_day is not None:
        figures["reviews"] = figures["reviewed" if band else "flagged"].scale(traffic.per_day)
    return figures


def _decision_masks(scores: Floats, threshold: float, band: Band | None) -> dict[Side, Booleans]:
    low, high = band or (threshold, threshold)
    return {
        "at": scores >= threshold,
        "flag": scores >= high,
        "review": (scores >= low) & (scores < high),
        "allow": scores < low,
        "not allow": scores >= low,
    }


def _statistic(gold: Booleans, flagged: Booleans, rate: Rate) -> Statistic:
    if rate == "macro_f1":
        return macro_f1_of(gold, flagged)
    every = np.ones(len(gold), dtype=bool)
    shares = {
        "precision": (gold, flagged),
        "recall": (flagged, gold),
        "flagged": (flagged, every),
        "allow_precision": (~gold, ~flagged),
    }
    return share_within(*shares[rate])


@dataclass(frozen=True)
class FlagCounts:
    """How many harmful and harmless memes there are, and how many of each are flagged (``hits``, ``alarms``); fractions
    where they are effective counts (`count_flagged`).
    """

    hits: float
    harmful: float
    alarms: float
    harmless: float


def count_flagged(gold: Booleans, flagged: Booleans, clusters: NDArray[np.int64] | None = None) -> FlagCounts:
    """Count flagged memes by label; with clusters, effective counts (`effective_count`). *Shape of all:* (memes,)"""
    return FlagCounts(*effective_count(flagged, gold, clusters), *effective_count(flagged, ~gold, clusters))


def count_for_target(
    name: str, memes: LabelledScores, threshold: float, band: Band | None = None
) -> FlagCounts:
    """Count the memes that a promised figure is measured on: flagged are those with its decision (for
    ``allow_precision``, those not allowed).
    """
    if name == "reviews":
        name = "reviewed" if band else "flagged"
    side, _ = (AT_THRESHOLD | WITH_BAND)[name]
    masks = _decision_masks(memes.scores, threshold, band)
    return count_flagged(np.asarray(memes.gold, dtype=bool), masks[side])


def interval_at_prevalence(
    rate: str, counts: FlagCounts, prevalence: float, *, n_draws: int = RATE_DRAWS, seed: int = 0
) -> Estimate:
    """Compute a property of `ConfusionRates` at a prevalence, with its 95 % interval; no value where it is undefined.

    A bootstrap of memes has no width where a rate is 0 or 1, which is where precision at a low prevalence is decided;
    so each rate gets its exact distribution. The ends of a rate of x in n are quantiles of Beta(x, n - x + 1) below and
    Beta(x + 1, n - x) above (Clopper and Pearson 1934). These also hold for a threshold that was put right beside a
    meme's score: between the x-th and the next of n scores, the share above has at worst these very distributions.
    Each end of the figure is the percentile over draws of both rates, each from the side that makes the figure lower
    there, or higher (the fiducial approach: Krishnamoorthy and Lee 2010).
    """

    def of(recall: Floats, alarms: Floats) -> Floats:
        return np.asarray(getattr(ConfusionRates(recall, alarms, np.full_like(recall, prevalence)), rate))

    # Every figure rises with the rate of the harmful memes.
    falls_with_alarms = rate in ("precision", "macro_f1", "allow_precision")
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.divide([counts.hits], np.float64(counts.harmful))
        alarms = np.divide([counts.alarms], np.float64(counts.harmless))
        value = float(of(recall, alarms)[0])
        if not np.isfinite(value):
            return Estimate()
        rng = np.random.default_rng(seed)
        below, above = (
            of(
                _draw_rate(rng, counts.hits, counts.harmful, upper, n_draws),
                _draw_rate(rng, counts.alarms, counts.harmless, upper != falls_with_alarms, n_draws),
            )
            for upper in (False, True)
        )
    low, high = np.quantile(below, TAIL), np.quantile(above, 1 - TAIL)
    return Estimate(value=value, low=float(min(low, value)), high=float(max(high, value)))


def _draw_rate(rng: np.random.Generator, hits: float, trials: float, upper: bool, n_draws: int) -> Floats:
    if upper:
        return rng.beta(hits + 1, trials - hits, n_draws) if hits < trials else np.ones(n_draws)
    return rng.beta(hits, trials - hits + 1, n_draws) if hits else np.zeros(n_draws)


def memes_needed(most: float) -> int | None:
    """Return how many memes without a wrong decision show that at most the share ``most`` is decided wrongly.

    About 3.7 / most: the rule of three (Hanley and Lippman-Hand 1983) at 97.5 %. None where no number does.
    """
    if most <= 0:
        return None
    return 1 if most >= 1 else ceil(log(TAIL) / log1p(-most))
