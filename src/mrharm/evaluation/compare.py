"""Runs compared on the verdicts they gave on the same memes: paired tests, and mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrharm.evaluation.aligned import align
from mrharm.evaluation.saved import SavedPredictions
from mrharm.evaluation.scores import HEADLINE, N_RESAMPLES
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, average, bootstrap
from mrharm.metrics.classification import headline, settle
from mrharm.metrics.estimate import difference_of_means
from mrharm.metrics.significance import McNemar, mcnemar
from mrharm.progress import Progress, no_progress
from mrharm.records import Record


class Spread(Record):
    """A figure over seeds: mean and standard deviation, the lowest and the highest."""

    mean: float
    sd: float
    low: float
    high: float


class Side(Record):
    """One side of a comparison: its runs, and their figures (the mean over runs, its interval over memes).

    ``spread`` is over the runs, where there are several; ``thresholds``: what each run decides by.
    """

    name: str
    runs: tuple[str, ...]
    recipe: str
    seeds: tuple[int, ...]
    thresholds: tuple[float, ...]
    figures: dict[str, Estimate]
    spread: dict[str, Spread]


class Comparison(Record):
    """The second side held against the first on the same memes.

    ``differences``: second minus first, by the paired bootstrap over memes (which memes were drawn for the test).
    ``over_seeds``: the same by Welch's t interval over runs (which seeds were drawn), where both sides have several.
    ``mcnemar`` and ``differ`` (memes decided differently) are of one run on each side. ``left_out``: memes that not all
    runs judged. ``dataset_sha256``: the dataset as the runs judged it; several where it was changed in between.
    """

    dataset: str
    dataset_sha256: tuple[str, ...]
    split: str
    memes: int
    left_out: int
    first: Side
    second: Side
    differences: dict[str, Estimate]
    over_seeds: dict[str, Estimate]
    mcnemar: McNemar | None = None
    differ: int | None = None
    words: tuple[str, ...] = ()


def compare(
    sides: Sequence[Sequence[Path]],
    *,
    dataset: Path | None = None,
    split: str | None = None,
    device: str = "auto",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[Comparison, ...]:
    """Hold every later side against the first.

    Args:
        sides: the runs of each side; several runs of a side differ in their seed only.
        dataset: judges with the runs that have no verdicts on it yet. None: what all runs have judged already.
        split: which one; None for ``test`` of a dataset, else for the one split that all runs have judged.
        device: for judging.
        draws: of the bootstrap.
        seed: of the draws.
        progress: told what is judged.

    Raises:
        InputError: fewer than two sides, runs of a side that differ in more than their seed, or no split that all have
            judged.
        DataError: stored verdicts are missing or broken.
    """
    aligned, left_out = align(sides, dataset=dataset, split=split, device=device, progress=progress)
    return tuple(_compare(aligned[0], side, left_out, n_resamples, seed) for side in aligned[1:])


def _compare(
    first: list[SavedPredictions], second: list[SavedPredictions], left_out: int, n_resamples: int, seed: int
) -> Comparison:
    one, two = _statistics(first), _statistics(second)
    gold = first[0].gold
    drawn = bootstrap(
        {
            **{f"first {name}": one[name] for name in HEADLINE},
            **{f"second {name}": two[name] for name in HEADLINE},
            **{name: two[name] - one[name] for name in HEADLINE},
        },
        len(gold),
        n_resamples=n_resamples,
        seed=seed,
        clusters=first[0].clusters,
    )
    spreads = [_spread(first), _spread(second)]
    alone = len(first) == len(second) == 1
    return Comparison(
        dataset=first[0].manifest.dataset,
        dataset_sha256=tuple(dict.fromkeys(one.manifest.dataset_sha256 for one in (*first, *second))),
        split=first[0].manifest.split,
        memes=len(gold),
        left_out=left_out,
        first=_side(first, {name: drawn[f"first {name}"] for name in HEADLINE}, spreads[0]),
        second=_side(second, {name: drawn[f"second {name}"] for name in HEADLINE}, spreads[1]),
        differences={name: drawn[name] for name in HEADLINE},
        over_seeds={
            name: difference_of_means(_values(first)[name], _values(second)[name]) for name in HEADLINE
        }
        if min(len(first), len(second)) > 1
        else {},
        mcnemar=mcnemar(_right(first[0]), _right(second[0]), clusters=first[0].clusters) if alone else None,
        differ=int(np.sum(first[0].predicted != second[0].predicted)) if alone else None,
    )


def _side(runs: list[SavedPredictions], drawn: dict[str, Estimate], spread: dict[str, Spread]) -> Side:
    paths = [str(one.run) for one in runs]
    name = paths[0] if len(runs) == 1 else f"{Path(paths[0]).name} and {len(runs) - 1} more"
    return Side(
        name=name,
        runs=tuple(paths),
        recipe=runs[0].manifest.recipe,
        seeds=tuple(one.manifest.seed for one in runs),
        thresholds=tuple(one.threshold for one in runs),
        figures=drawn,
        spread=spread,
    )


def _statistics(runs: list[SavedPredictions]) -> dict[str, Statistic]:
    each = [headline(one.gold, one.predicted, one.scores) for one in runs]
    return {name: average([statistics[name] for statistics in each]) for name in HEADLINE}


def _values(runs: list[SavedPredictions]) -> dict[str, np.ndarray]:
    whole = np.ones((1, len(runs[0].gold)))
    each = [headline(one.gold, one.predicted, one.scores) for one in runs]
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: np.array([float(one[name].of(whole)[0]) for one in each]) for name in HEADLINE}


def _spread(runs: list[SavedPredictions]) -> dict[str, Spread]:
    if len(runs) == 1:
        return {}
    return {
        name: Spread(
            mean=float(values.mean()),
            sd=float(values.std(ddof=1)),
            low=float(values.min()),
            high=float(values.max()),
        )
        for name, values in _values(runs).items()
        if np.isfinite(values).all()
    }


def _right(one: SavedPredictions) -> np.ndarray:
    return np.asarray(settle(one.gold, one.predicted) == one.gold)
