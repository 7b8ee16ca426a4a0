"""A threshold by what it shall do: the best macro-F1, a precision, a recall, or as many memes as people can review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import draw_counts, percentile_interval
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Floats
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
EPSILON = 1e-9  # a promise is not broken by the noise of arithmetic


class Criterion(Record):
    """What a threshold shall do: the highest ``macro_f1``; at least the ``precision`` or ``recall`` that is ``wanted``;
    or at most so many ``reviews`` a day.
    """

    promise: Promise = "macro_f1"
    wanted: float | None = None

    def words(self) -> str:
        """``precision >= 0.9``."""
        if self.promise == "macro_f1":
            return "highest macro-F1"
        if self.promise == "reviews":
            return f"reviews a day <= {self.wanted:g}"
        return f"{self.promise} >= {self.wanted:g}"


class Choice(Record):
    """A threshold and what it does on the memes it was chosen on.

    ``threshold`` has the interval of what would have been chosen on memes drawn anew. ``figures`` are those of
    `figures_at`. ``elsewhere`` is the promised figure without the optimism of choosing and measuring on the same memes,
    and ``found_in`` the share of draws in which the promise could be kept at all.
    """

    criterion: Criterion
    threshold: Estimate
    figures: dict[str, Estimate]
    elsewhere: float | None
    found_in: float

    @property
    def at(self) -> float:
        """The threshold itself."""
        assert self.threshold.value is not None  # there is no Choice without one
        return self.threshold.value


def choose_threshold(
    memes: LabelledScores,
    criterion: Criterion,
    traffic: Traffic,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Choice:
    """The threshold that does what is wanted: a meme is flagged when its score is at or above it.

    - ``macro_f1``: the highest; of equal ones the one that flags least;
    - ``precision`` >= p: the highest recall that keeps it;
    - ``recall`` >= r: the highest threshold that keeps it, which flags least;
    - ``reviews`` <= N a day: as many memes as that allows, all that is flagged being reviewed; per_day x
      (p r + (1 - p) f) of them at a prevalence p (`reweigh`).

    A promise is kept by the estimate, as nothing could be promised of few memes if an interval's end had to keep it;
    `standing` says how it stands with that end. A threshold that flags none of these memes is never chosen. The
    interval of the threshold comes from choosing again on each draw of memes. ``elsewhere`` takes the bootstrap's
    optimism (Efron, "Estimating the error rate of a prediction rule", 1983) off recall and off the rate of false
    alarms, and is what follows from these: the mean over draws of the rate on the draw less the rate on the memes at
    hand, both at the threshold chosen on the draw.

    Args:
        memes: labels, scores and clusters.
        criterion: what it shall do.
        stream: what will come in.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        InputError: no memes, one class only, a criterion that makes no sense, or a promise that cannot be kept on these
            scores; the message says what is the most that can be had.
    """
    _check(criterion, traffic)
    cuts = sweep_thresholds(memes.gold, memes.scores)
    if criterion.promise == "macro_f1" and len(cuts.thresholds) == 1:
        raise InputError(
            f"all {len(cuts.gold):,} memes have the same score: no threshold tells one from another"
        )
    whole = cuts.rates(np.ones((1, len(cuts.gold))), traffic)
    index, found = _best(whole, criterion, traffic)
    if not found[0]:
        raise InputError(_cannot(whole, cuts, criterion, traffic))
    at = float(cuts.thresholds[index[0]])
    again, kept, elsewhere = _choose_again(
        memes, cuts, whole, int(index[0]), criterion, traffic, n_resamples, seed
    )
    low, high = percentile_interval(cuts.thresholds[again][kept]) or (None, None)
    measured = metrics_at_threshold(memes, at, traffic, n_resamples=n_resamples, seed=seed)
    return Choice(
        criterion=criterion,
        threshold=Estimate(value=at, low=low, high=high),
        figures=measured,
        elsewhere=elsewhere,
        found_in=float(kept.mean()) if len(kept) else 0.0,
    )


def choices(
    memes: LabelledScores,
    criteria: Sequence[Criterion],
    traffic: Traffic,
    *,
    n_resamples: int = N_RESAMPLES // 5,
) -> list[tuple[Criterion, Choice | str]]:
    """Each criterion with its choice, or with why it cannot be had."""
    found: list[tuple[Criterion, Choice | str]] = []
    for criterion in criteria:
        try:
            found.append((criterion, choose_threshold(memes, criterion, traffic, n_resamples=n_resamples)))
        except InputError as error:
            found.append((criterion, str(error)))
    return found


def _check(criterion: Criterion, traffic: Traffic) -> None:
    wanted, name = criterion.wanted, criterion.promise
    if name == "macro_f1":
        return
    if name == "reviews":
        if traffic.per_day is None or traffic.prevalence is None:
            raise InputError(
                "reviews a day follow from what comes in: say how many memes a day (--per-day) and the share of "
                "harmful ones among them (--prevalence)"
            )
        if wanted is None or not 0 <= wanted < float("inf"):
            raise InputError(f"{wanted} reviews a day: expected a number, 0 or more")
    elif wanted is None or not 0 < wanted <= 1:
        raise InputError(f"{name} {wanted}: expected a share above 0 and up to 1, such as 0.9")


def _best(
    cells: ConfusionRates, criterion: Criterion, traffic: Traffic
) -> tuple[NDArray[np.int64], Booleans]:
    """The cut that does best in each draw, and whether there is one at all. *Shape of both:* (draws,)"""
    with np.errstate(divide="ignore", invalid="ignore"):
        allowed = np.isfinite(cells.recall + cells.alarms) & (cells.recall + cells.alarms > 0)
        wanted = criterion.wanted or 0.0
        if criterion.promise == "macro_f1":
            gain = cells.macro_f1
        elif criterion.promise == "precision":
            allowed &= cells.precision >= wanted - EPSILON
            gain = cells.recall
        elif criterion.promise == "recall":
            allowed &= cells.recall >= wanted - EPSILON
            gain = -(cells.recall + cells.alarms)
        else:
            allowed &= cells.flagged * (traffic.per_day or 0.0) <= wanted * (1 + EPSILON)
            gain = cells.recall + cells.alarms
    # Of gains that are equal but for rounding the first, the highest threshold, is taken.
    return np.where(allowed, np.round(gain, 12), -np.inf).argmax(axis=1), np.any(allowed, axis=1)


def _figure(cells: ConfusionRates, promise: Promise, per_day: float | None) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        if promise == "reviews":
            return cells.flagged * (per_day or 0.0)
        return np.asarray(getattr(cells, promise))


def _choose_again(
    memes: LabelledScores,
    cuts: ThresholdSweep,
    whole: ConfusionRates,
    own: int,
    criterion: Criterion,
    traffic: Traffic,
    n_resamples: int,
    seed: int,
) -> tuple[NDArray[np.int64], Booleans, float | None]:
    """The cut chosen in each draw, where one was found, and what the promised figure of the ``own`` cut is without the
    optimism of its two rates.
    """
    here = np.stack([whole.recall[0], whole.alarms[0]])
    chosen, kept, gaps = [], [], []
    for counts in draw_counts(len(cuts.gold), n_resamples, seed, memes.clusters):
        cells = cuts.rates(counts, traffic)
        index, found = _best(cells, criterion, traffic)
        row = np.arange(len(index))
        gaps.append(
            (np.stack([cells.recall[row, index], cells.alarms[row, index]]) - here[:, index])[:, found]
        )
        chosen.append(index)
        kept.append(found)
    gap = np.concatenate(gaps, axis=1)
    gap = gap[:, np.isfinite(gap).all(axis=0)]
    elsewhere: float | None = None
    if gap.size:
        recall, alarms = np.clip(here[:, own] - gap.mean(axis=1), 0, 1)[:, None]
        share = traffic.prevalence if traffic.prevalence is not None else float(cuts.gold.mean())
        cells = reweigh(recall, alarms, np.ones(1), np.ones(1), share)
        value = float(_figure(cells, criterion.promise, traffic.per_day)[0])
        elsewhere = value if np.isfinite(value) else None
    return np.concatenate(chosen), np.concatenate(kept), elsewhere


def _cannot(cells: ConfusionRates, cuts: ThresholdSweep, criterion: Criterion, traffic: Traffic) -> str:
    said = _figure(cells, criterion.promise, traffic.per_day)[0]
    if criterion.promise == "reviews":
        least = int(np.argmin(said))
        return (
            f"{criterion.words()} cannot be kept on these scores: the fewest with anything flagged at all are "
            f"{said[least]:,.1f} a day, at threshold {cuts.thresholds[least]:.4g}"
        )
    if not np.isfinite(said).any():
        return (
            f"{criterion.words()} cannot be kept: nothing of what comes in would be flagged at any threshold"
        )
    most = int(np.nanargmax(said))
    words = figure_words("share", Estimate(value=float(said[most])))
    return (
        f"{criterion.words()} cannot be kept on these scores: the most that can be had is {words}, at threshold "
        f"{cuts.thresholds[most]:.4g}, which finds {100 * cells.recall[0, most]:.1f} % of the harmful memes"
    )
