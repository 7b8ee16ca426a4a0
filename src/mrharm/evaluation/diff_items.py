"""The items two detectors are compared on: a user's memes, what each detector learned from them, and its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH
from mrharm.evaluation.saved_predictions import is_training_dataset
from mrharm.memes.dataset import INFO, Dataset, in_split
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Meme, Record, Verdict
from mrharm.runs import find_detector, find_run, results_folder
from mrharm.verdicts.batch import judge_to_file, read_verdicts
from mrharm.verdicts.card import read_card
from mrharm.verdicts.inputs import InputMemes, JudgeOptions, find_memes

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

ALL = "all"  # memes of a dataset, in place of a split


class DatasetItems(Record):
    """The items of a dataset folder: those of one split, by its name, or all (None); ``there`` counts all it has."""

    dataset: str
    split: str | None
    memes: int
    there: int


class ItemFailure(Failure):
    """An item that could not be judged, by which detector; once where both fail alike."""

    by: Literal["a", "b", "both"]


@dataclass(frozen=True)
class DiffItems:
    """The items to judge, the dataset folders they are of, and warnings that make a comparison on them too kind."""

    inputs: InputMemes
    datasets: tuple[DatasetItems, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgedItems:
    """A detector's verdicts on items, by meme id, and the items it could not judge."""

    detector: Detector
    verdicts: Mapping[str, Verdict]
    failures: Sequence[Failure] = ()


def find_items(paths: Sequence[Path], run_a: Path, run_b: Path, *, split: str | None = None) -> DiffItems:
    """Find the items in paths, as `find_memes`; of a dataset folder those of one split.

    Args:
        paths: pictures, folders, tables or datasets.
        run_a: the run of detector A: a warning says which of these memes it learned from.
        run_b: that of B; a warning says that it is the same detector.
        split: of dataset folders, by name or role, or ``all`` for all memes. None: test where there is one, else all.

    Raises:
        InputError: as `find_memes`, no such split, a split where no path is a dataset, or no detector in a run.
    """
    runs = {"A": run_a, "B": run_b}
    keys = {read_card(run)[1].key() for run in runs.values()}
    datasets = {path: Dataset(path) for path in paths if (path / INFO).is_file()}
    if split is not None and not datasets:
        raise InputError(f"--split {split}: goes with a dataset folder (one with {INFO}); none is given")
    splits = {path: _choose_split(dataset, split) for path, dataset in datasets.items()}
    inputs = find_memes(paths, splits={path: name for path, name in splits.items() if name is not None})
    used, warnings = [], []
    if len(keys) == 1:
        warnings.append(f"A and B are the same detector ({keys.pop()}): no decision can change")
    for path, dataset in datasets.items():
        name = splits[path]
        memes = dataset.memes if name is None else dataset.split(name)
        used.append(
            DatasetItems(dataset=dataset.info.name, split=name, memes=len(memes), there=len(dataset.memes))
        )
        for side, run in runs.items():
            if warning := _warn_of_training_memes(side, run, dataset, memes):
                warnings.append(warning)
    return DiffItems(inputs, tuple(used), tuple(warnings))


def _choose_split(dataset: Dataset, split: str | None) -> str | None:
    """Return the split's name; None for all memes."""

    def has(name: str) -> bool:
        return any(in_split(meme, name) for meme in dataset.memes)

    if split is None:
        test = dataset.split_name("test")
        return test if has(test) else None
    return None if split == ALL and not has(ALL) else dataset.split_name(split)


def _warn_of_training_memes(side: str, run: Path, dataset: Dataset, memes: Sequence[Meme]) -> str | None:
    """Say which of these memes a detector learned from or was chosen on; None where it is not known of any."""
    uses = []
    try:
        trained = is_training_dataset(find_run(run), dataset)
    except InputError:  # a detector without its run
        trained = False
    if trained:
        for role, use in ((TRAIN, "learned from"), (VALIDATION, "was chosen and calibrated on")):
            uses.append((use, sum(in_split(meme, dataset.split_name(role)) for meme in memes)))
    chosen = read_card(run)[1].chosen
    if chosen and not chosen.by_hand and chosen.split and chosen.dataset == dataset.info.name:
        uses.append(("has a threshold chosen on", sum(in_split(meme, chosen.split) for meme in memes)))
    clauses = [f"{use} {count:,}" for use, count in uses if count]
    if not clauses:
        return None
    return (
        f"{side} {', '.join(clauses)} of these {len(memes):,} memes of {dataset.info.name}: it looks better on them "
        "than it will on new ones"
    )


def diff_verdicts_file(run: Path, detector: Detector, folder: Path | None = None) -> Path:
    """Return where a detector's verdicts on a user's items are kept: in its run's folder, or in ``folder``."""
    folder = folder or results_folder(find_detector(run))
    return folder / f"verdicts.diff.{detector.card.scorer()}.jsonl"


def judge_items(
    detector: Detector,
    inputs: InputMemes,
    file: Path,
    *,
    rationales: bool = True,
    what: str = "judging",
    progress: Progress = no_progress,
) -> JudgedItems:
    """Judge a user's items and append the verdicts to a file (`diff_verdicts_file`).

    Stopped at any moment, the same call goes on; verdicts of an older threshold are decided again from their scores.
    """
    options = JudgeOptions(evidence=inputs.evidence, batch_size=BATCH, rationales=rationales)
    failures: list[Failure] = []
    tally = judge_to_file(detector, inputs.memes, file, options, failures, partial(progress, what))
    return JudgedItems(detector, read_verdicts(file, tally), failures)


def merge_failures(
    unread: Sequence[Failure], by_a: Sequence[Failure] = (), by_b: Sequence[Failure] = ()
) -> tuple[ItemFailure, ...]:
    """List every failure once: items that could not be read, and those that failed with either detector."""
    alike = set(by_a) & set(by_b)
    merged = [ItemFailure(**failure.model_dump(), by="both") for failure in unread]
    merged += [ItemFailure(**failure.model_dump(), by="both") for failure in by_a if failure in alike]
    merged += [ItemFailure(**failure.model_dump(), by="a") for failure in by_a if failure not in alike]
    merged += [ItemFailure(**failure.model_dump(), by="b") for failure in by_b if failure not in alike]
    return tuple(merged)
