"""What every possible threshold would do: hits, false alarms and what follows from them, at a stated prevalence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.metrics.decisions import Booleans, Floats
from mrharm.metrics.ranking import Sorted, sort_by


@dataclass(frozen=True)
class Traffic:
    """What will come in: the share of harmful memes in it (``prevalence``; None for that of the split at hand) and how
    many memes a day.

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
    """The confusion table as shares of all memes that come in, and what follows from it.

    Not a number where a figure cannot be had (the precision of nothing). *Shape of all:* any, all alike.

    Attributes:
        hit: flagged and harmful.
        false_alarm: flagged and harmless.
        miss: not flagged and harmful.
        rest: not flagged and harmless.
        recall: share of the harmful memes that is flagged; no prevalence changes it.
        alarms: share of the harmless memes that is flagged; the same.
    """

    hit: Floats
    false_alarm: Floats
    miss: Floats
    rest: Floats
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
        return self.rest / (self.rest + self.miss)

    @property
    def macro_f1(self) -> Floats:
        """F1 averaged over harmful and harmless; 0 for a side that neither people nor decisions ever took."""
        harmful = np.nan_to_num(2 * self.hit / (2 * self.hit + self.false_alarm + self.miss))
        harmless = np.nan_to_num(2 * self.rest / (2 * self.rest + self.false_alarm + self.miss))
        return np.asarray((harmful + harmless) / 2)


def reweigh(
    hits: Floats, alarms: Floats, harmful: Floats, harmless: Floats, prevalence: float | None = None
) -> ConfusionRates:
    """Counts of a split -> shares of a stream with another share of harmful memes.

    Harmful memes weigh prevalence / (their share of the split), harmless ones (1 - prevalence) / (theirs): the
    correction for another prevalence of Elkan ("The foundations of cost-sensitive learning", IJCAI 2001). With
    r = hits / harmful and f = alarms / harmless, which the prevalence p does not change::

        hit = p r    false alarm = (1 - p) f    miss = p (1 - r)    rest = (1 - p) (1 - f)
        precision = p r / (p r + (1 - p) f)     flagged = p r + (1 - p) f

    It holds as far as the harmful memes to come are like those of the split, and the harmless ones, too.

    Args:
        hits: harmful memes that are flagged. *Shape:* (draws, cuts)
        alarms: harmless memes that are flagged. *Shape:* (draws, cuts)
        harmful: how many there are. *Shape:* (draws, 1)
        harmless: how many there are. *Shape:* (draws, 1)
        prevalence: None for the split's own.
    """
    share = harmful / (harmful + harmless) if prevalence is None else np.full_like(harmful, prevalence)
    recall, alarmed = hits / harmful, alarms / harmless
    return ConfusionRates(
        hit=_part(share, recall),
        false_alarm=_part(1 - share, alarmed),
        miss=_part(share, 1 - recall),
        rest=_part(1 - share, 1 - alarmed),
        recall=recall,
        alarms=alarmed,
    )


def _part(share: Floats, rate: Floats) -> Floats:
    # A class that does not come in needs no memes to measure its rate on.
    return np.where(share > 0, share * rate, 0.0)


@dataclass(frozen=True)
class ThresholdSweep:
    """Every threshold that tells scores apart, the highest first.

    ``thresholds`` lie halfway between a score and the next lower one that occurs (0 at last), so that equal scores
    are never told apart and the noise of arithmetic decides nothing. *Shape:* (cuts,)
    """

    gold: Booleans
    ranked: Sorted
    thresholds: Floats

    def cells(self, counts: Floats, traffic: Traffic) -> ConfusionRates:
        """What each cut does where each meme counts so often.

        *Shape:* (draws, memes) -> (draws, cuts); not a number in draws without one of the two classes.
        """
        harmful = self.gold.astype(np.float64)
        hits = np.cumsum(self.ranked.sums(counts * harmful), axis=1)
        alarms = np.cumsum(self.ranked.sums(counts * (1 - harmful)), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return reweigh(hits, alarms, hits[:, -1:], alarms[:, -1:], traffic.prevalence)


def sweep_thresholds(gold: Booleans, scores: Floats) -> ThresholdSweep:
    """Labelled memes and their scores -> the cuts between them. *Shape of both:* (memes,)

    Raises:
        InputError: no memes, or one class only.
    """
    truth = np.asarray(gold, dtype=bool)
    harmful = int(truth.sum())
    if not 0 < harmful < len(truth):
        raise InputError(
            f"{len(truth):,} memes with a label, {harmful:,} of them harmful: a threshold is chosen on memes of both "
            "kinds; choose it on another --split, or say it with --set-threshold"
        )
    ranked = sort_by(scores)
    return ThresholdSweep(
        truth, ranked, halfway(np.asarray(scores, dtype=np.float64)[ranked.order][ranked.starts])
    )


def halfway(falling: Floats, last: float = 0.0) -> Floats:
    """Halfway from each number to the next, at the end to ``last``; the number itself where nothing lies between."""
    following = np.append(falling[1:], last)
    middle = (falling + following) / 2
    return np.where(middle > following, middle, falling)


def within(values: NDArray[np.float64], found: Booleans) -> tuple[float, float] | None:
    """The 95 % percentile interval of the values that were found in draws; None where none was."""
    kept = values[found]
    if not len(kept):
        return None
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)
