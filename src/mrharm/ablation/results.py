"""The table of an ablation: what each arm reaches with each number of memes, over seeds, and how far it is from others.

Differences are paired: both arms with the same training memes and the same seed, one difference a seed.
"""

from __future__ import annotations

from collections.abc import Sequence

from mrharm.ablation.arms import ARMS, REFERENCE
from mrharm.ablation.run import RunRow
from mrharm.metrics import Estimate, mean_with_interval
from mrharm.records import Record

FIGURES = ("accuracy", "macro_f1", "auroc")
TRUTH = "truth"


class Cell(Record):
    """One arm with one number of training memes, over its seeds.

    ``figures``: accuracy, macro_f1, auroc, and truth (the share of rationales true in all parts) where it is known;
    the mean over seeds and its 95 % interval by Student's t. ``differences``: the same of (this arm - the reference),
    over the seeds in ``paired``, which both have; empty for the reference itself.
    """

    arm: str
    size: int
    seeds: tuple[int, ...]
    figures: dict[str, Estimate]
    paired: tuple[int, ...] = ()
    differences: dict[str, Estimate] = {}


def tabulate(rows: Sequence[RunRow], split: str) -> list[Cell]:
    """Rows -> a cell for every size and arm there is; sizes from small to large, arms in their table's order."""
    cells = []
    for size in sorted({row.size for row in rows}):
        for arm in ARMS:
            if runs := _values(rows, arm, size, split, None):
                paired = paired_seeds(rows, arm, REFERENCE, size, split)
                cells.append(
                    Cell(
                        arm=arm,
                        size=size,
                        seeds=tuple(runs),
                        figures={
                            name: mean_with_interval(list(found.values()))
                            for name in (*FIGURES, TRUTH)
                            if (found := _values(rows, arm, size, split, name))
                        },
                        paired=() if arm == REFERENCE else paired,
                        differences={}
                        if arm == REFERENCE or not paired
                        else {name: difference(rows, arm, REFERENCE, size, split, name) for name in FIGURES},
                    )
                )
    return cells


def difference(
    rows: Sequence[RunRow], arm: str, other: str, size: int, split: str, figure: str = "macro_f1"
) -> Estimate:
    """How much more ``arm`` reaches than ``other``: the mean over their common seeds, and its 95 % interval."""
    return mean_with_interval(list(_differences(rows, arm, other, size, split, figure).values()))


def trend(
    rows: Sequence[RunRow], arm: str, other: str, sizes: tuple[int, int], split: str, figure: str = "macro_f1"
) -> Estimate:
    """How much larger the difference of two arms is at the second size than at the first, paired by seed."""
    first, second = (_differences(rows, arm, other, size, split, figure) for size in sizes)
    return mean_with_interval([second[seed] - first[seed] for seed in sorted(first.keys() & second.keys())])


def paired_seeds(rows: Sequence[RunRow], arm: str, other: str, size: int, split: str) -> tuple[int, ...]:
    """The seeds that both arms have a run of at this size."""
    return tuple(_differences(rows, arm, other, size, split, "accuracy"))


def _differences(
    rows: Sequence[RunRow], arm: str, other: str, size: int, split: str, figure: str
) -> dict[int, float]:
    """Seed -> difference."""
    ours, theirs = (_values(rows, name, size, split, figure) for name in (arm, other))
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


def _values(rows: Sequence[RunRow], arm: str, size: int, split: str, figure: str | None) -> dict[int, float]:
    """Seed -> figure, of the runs that have it; None for any run that judged the split."""
    found: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        if row.arm != arm or row.size != size or split not in row.splits:
            continue
        if figure == TRUTH:
            # Rationales are written for the main split alone.
            value = row.truth["all"] if row.truth and split == next(iter(row.splits)) else None
        else:
            value = row.splits[split]["n"] if figure is None else row.splits[split][figure]
        if value is not None:
            found[row.seed] = float(value)
    return found
