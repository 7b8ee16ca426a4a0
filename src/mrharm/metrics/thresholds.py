"""What thresholds, and bands around them, do to labelled memes at a stated prevalence, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.metrics.bootstrap import Statistic, bootstrap, effective_count
from mrharm.metrics.classification import f1_of_cells
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
    """The confusion table as shares of all memes, and what follows from it.

    Not a number where a figure is undefined (precision without a flag). *Shape of all:* any, all alike.

    Attributes:
        hit: flagged and harmful.
        false_alarm: flagged and harmless.
        miss: not flagged and harmful.
        correct_pass: not flagged and harmless.
        recall: share of the harmful memes that is flagged; it does not depend on the prevalence.
        alarms: share of the harmless memes that is flagged; nor does this.
    """

    hit: Floats
    false_alarm: Floats
    miss: Floats
    correct_pass: Floats
    recall: Floats
    alarms: Floats

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


def reweigh(
    hits: Floats, alarms: Floats, harmful: Floats, harmless: Floats, prevalence: float | None = None
) -> ConfusionRates:
    """Turn counts of a split into shares of memes with another prevalence of harmful ones.

    Harmful memes weigh prevalence / (their share of the split), harmless ones (1 - prevalence) / (theirs): the
    correction for another prevalence of Elkan ("The foundations of cost-sensitive learning", IJCAI 2001). With
    r = hits / harmful and f = alarms / harmless, which do not depend on the prevalence p::

        hit = p r    false alarm = (1 - p) f    miss = p (1 - r)    correct pass = (1 - p) (1 - f)
        precision = p r / (p r + (1 - p) f)     flagged = p r + (1 - p) f

    It holds as far as the memes to come are like those of the split, harmful and harmless ones each.

    Args:
        hits: harmful memes that are flagged. *Shape:* (resamples, thresholds)
        alarms: harmless memes that are flagged. *Shape:* (resamples, thresholds)
        harmful: how many harmful memes. *Shape:* (resamples, 1)
        harmless: how many harmless memes. *Shape:* (resamples, 1)
        prevalence: None for the split's.
    """
    share = harmful / (harmful + harmless) if prevalence is None else np.full_like(harmful, prevalence)
    recall, alarmed = hits / harmful, alarms / harmless

    def part(share: Floats, rate: Floats) -> Floats:
        # A class that does not come in needs no memes to measure its rate on.
        return np.where(share > 0, share * rate, 0.0)

    return ConfusionRates(
        hit=part(share, recall),
        false_alarm=part(1 - share, alarmed),
        miss=part(share, 1 - recall),
        correct_pass=part(1 - share, 1 - alarmed),
        recall=recall,
        alarms=alarmed,
    )


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
        return cumulative_rates(self.ranked, self.gold, counts, traffic)


def cumulative_rates(ranked: Sorted, gold: Booleans, counts: Floats, traffic: Traffic) -> ConfusionRates:
    """Compute the rates of flagging each run of ranked memes and all before it; shapes as `ThresholdSweep.rates`."""
    harmful = gold.astype(np.float64)
    hits = np.cumsum(ranked.sums(counts * harmful), axis=1)
    alarms = np.cumsum(ranked.sums(counts * (1 - harmful)), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return reweigh(hits, alarms, hits[:, -1:], alarms[:, -1:], traffic.prevalence)


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


class Measure(NamedTuple):
    """A figure of a policy: which memes count as flagged (those from the threshold up, ``at``, or those of a decision),
    and the property of their `ConfusionRates`.
    """

    side: Side
    rate: Literal["precision", "recall", "macro_f1", "flagged", "allow_precision"]


AT_THRESHOLD = {
    "precision": Measure("at", "precision"),
    "recall": Measure("at", "recall"),
    "macro_f1": Measure("at", "macro_f1"),
}
FLAGGED = {"flagged": Measure("flag", "flagged")}
WITH_BAND = {
    "reviewed": Measure("review", "flagged"),
    "flag_precision": Measure("flag", "precision"),
    "allow_precision": Measure("not allow", "allow_precision"),
    "allowed": Measure("allow", "flagged"),
    "harmful_of_allowed": Measure("allow", "precision"),
    "allowed_of_harmful": Measure("allow", "recall"),
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
    """Compute what a threshold, and a band around it, do on labelled memes, reweighted to the traffic (`reweigh`).

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
    measures = AT_THRESHOLD | FLAGGED | (WITH_BAND if band else {})
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
            figures[name] = _rate_at_prevalence(counts, rate, traffic.prevalence, seed)
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


def _statistic(gold: Booleans, flagged: Booleans, rate: str) -> Statistic:
    cells = np.stack([gold & flagged, gold & ~flagged, ~gold & flagged, ~gold & ~flagged], 1).astype(float)
    bases = {
        "precision": flagged,
        "recall": gold,
        "flagged": np.ones(len(gold), dtype=bool),
        "allow_precision": ~flagged,
    }

    def of(counts: Floats) -> Floats:
        hit, miss, alarm, correct_pass = (counts @ cells).T
        return np.asarray(getattr(reweigh(hit, alarm, hit + miss, alarm + correct_pass), rate))

    return Statistic(of, bases.get(rate))


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
        side: Side = "review" if band else "flag"
    else:
        side = (AT_THRESHOLD | WITH_BAND)[name].side
    masks = _decision_masks(memes.scores, threshold, band)
    return count_flagged(np.asarray(memes.gold, dtype=bool), masks[side])


def _rate_at_prevalence(counts: FlagCounts, rate: str, prevalence: float, seed: int) -> Estimate:
    def of(recall: Floats, alarms: Floats) -> Floats:
        rates = reweigh(recall, alarms, np.ones_like(recall), np.ones_like(alarms), prevalence)
        return np.asarray(getattr(rates, rate))

    falls = rate in ("precision", "macro_f1", "allow_precision")
    return interval_at_prevalence(of, counts, falls_with_alarms=falls, seed=seed)


def interval_at_prevalence(
    of: Callable[[Floats, Floats], Floats],
    counts: FlagCounts,
    *,
    falls_with_alarms: bool,
    n_draws: int = RATE_DRAWS,
    seed: int = 0,
) -> Estimate:
    """Compute a figure of two rates, of harmful and of harmless memes, with its 95 % interval.

    A bootstrap of memes has no width where a rate is 0 or 1, which is where precision at a low prevalence is decided;
    so each rate gets its exact distribution. The ends of a rate of x in n are quantiles of Beta(x, n - x + 1) below and
    Beta(x + 1, n - x) above (Clopper and Pearson 1934). These also hold for a threshold that was put right beside a
    meme's score: between the x-th and the next of n scores, the share above has at worst these very distributions.
    Each end of the figure is the percentile over draws of both rates, each from the side that makes the figure lower
    there, or higher (the fiducial approach: Krishnamoorthy and Lee 2010).

    Args:
        of: rates of the harmful and of the harmless memes -> the figure, which never falls with the first. *Shape of
            all three:* (draws,)
        counts: what the rates were measured on.
        falls_with_alarms: whether the figure falls with the rate of the harmless, as precision does, or rises.
        n_draws: of each rate.
        seed: of the draws.

    Returns:
        No value where the figure is undefined.
    """
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
