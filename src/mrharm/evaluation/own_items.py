"""A user's own items for two detectors: found, held against what each learned from, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH
from mrharm.evaluation.saved import is_training_dataset, run_folder
from mrharm.memes.dataset import INFO, Dataset, in_split
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Meme, Record, Verdict
from mrharm.runs import results_folder
from mrharm.verdicts.batch import judge_to_file, read_verdicts
from mrharm.verdicts.card import read_card
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.inputs import InputMemes, JudgeOptions, find_memes

ALL = "all"
By = Literal["a", "b", "both"]


class Taken(Record):
    """What was taken of a dataset folder: one split, by its own name, or all memes (None); ``there`` are all it has."""

    dataset: str
    split: str | None
    memes: int
    there: int


class NotJudged(Failure):
    """An item that could not be judged, by which detector; once for both where they fail alike."""

    by: By


@dataclass(frozen=True)
class Items:
    """What there is to judge, what was taken of each dataset folder, and what makes a comparison on it too kind."""

    found: InputMemes
    taken: tuple[Taken, ...]
    warnings: tuple[str, ...]


def find_items(paths: Sequence[Path], run_a: Path, run_b: Path, *, split: str | None = None) -> Items:
    """Paths as `find_memes` takes them -> what to judge; of a dataset folder one split.

    Args:
        paths: what to judge.
        run_a: the run of detector A: a warning says which of these memes it learned from.
        run_b: that of B; a warning says that it is the same detector.
        split: of dataset folders, by name or role, or ``all`` for all memes. None: test where there is one, else all.

    Raises:
        InputError: as `find_memes`, no such split, a split of what is no dataset folder, or no detector there.
    """
    runs = {"A": run_a, "B": run_b}
    keys = {read_card(run)[1].key() for run in runs.values()}
    datasets = {path: Dataset(path) for path in paths if (path / INFO).is_file()}
    if split is not None and not datasets:
        raise InputError(f"--split {split}: goes with a dataset folder (one with {INFO}); none is given")
    splits = {path: _choose(dataset, split) for path, dataset in datasets.items()}
    found = find_memes(paths, splits={path: name for path, name in splits.items() if name is not None})
    taken, warnings = [], []
    if len(keys) == 1:
        warnings.append(f"A and B are the same detector ({keys.pop()}): no decision can change")
    for path, dataset in datasets.items():
        name = splits[path]
        memes = dataset.memes if name is None else dataset.split(name)
        taken.append(Taken(dataset=dataset.info.name, split=name, memes=len(memes), there=len(dataset.memes)))
        warnings += [words for who, run in runs.items() if (words := _known(who, run, dataset, memes))]
    return Items(found, tuple(taken), tuple(warnings))


def _choose(dataset: Dataset, split: str | None) -> str | None:
    if split is not None and not (split == ALL and not _has(dataset, ALL)):
        return dataset.split_name(split)
    test = dataset.split_name("test")
    return test if split is None and _has(dataset, test) else None


def _has(dataset: Dataset, name: str) -> bool:
    return any(in_split(meme, name) for meme in dataset.memes)


def _known(who: str, run: Path, dataset: Dataset, memes: Sequence[Meme]) -> str | None:
    """What a detector has seen of these memes before, in a sentence; None where nothing is known of that."""
    did = []
    try:
        trained = is_training_dataset(run_folder(run), dataset)
    except InputError:  # a detector without its run
        trained = False
    if trained:
        for role, what in ((TRAIN, "learned from"), (VALIDATION, "was chosen and calibrated on")):
            count = sum(in_split(meme, dataset.split_name(role)) for meme in memes)
            did += [f"{what} {count:,}"] if count else []
    chosen = read_card(run)[1].chosen
    if chosen and chosen.split and chosen.dataset == dataset.info.name:
        count = sum(in_split(meme, chosen.split) for meme in memes)
        did += [f"has a threshold chosen on {count:,}"] if count else []
    if not did:
        return None
    return (
        f"{who} {', '.join(did)} of these {len(memes):,} memes of {dataset.info.name}: it looks better on them than "
        "it will on new ones"
    )


def judge_items(
    run: Path,
    detector: Detector,
    found: InputMemes,
    *,
    keep: Path | None = None,
    rationales: bool = True,
    what: str = "judging",
    progress: Progress = no_progress,
) -> tuple[dict[str, Verdict], list[Failure]]:
    """Verdicts on a user's own items, kept in ``verdicts.diff.<scorer>.jsonl`` of the run's folder or of ``keep``.

    Stopped at any moment, the same call goes on; verdicts of an older threshold are decided again from their scores.
    """
    options = JudgeOptions(evidence=found.evidence, batch_size=BATCH, rationales=rationales)
    failures: list[Failure] = []
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(what, done, len(found.memes))

    file = (keep or results_folder(read_card(run)[0])) / f"verdicts.diff.{detector.card.scorer()}.jsonl"
    tally = judge_to_file(detector, found.memes, file, options, failures, advance)
    return read_verdicts(file, tally), failures


def not_judged(
    neither: Sequence[Failure], by_a: Sequence[Failure] = (), by_b: Sequence[Failure] = ()
) -> tuple[NotJudged, ...]:
    """What could be read for neither detector, and what failed with each -> every failure once."""
    alike = set(by_a) & set(by_b)
    sides: dict[By, list[Failure]] = {
        "both": [*neither, *(one for one in by_a if one in alike)],
        "a": [one for one in by_a if one not in alike],
        "b": [one for one in by_b if one not in alike],
    }
    return tuple(NotJudged(**one.model_dump(), by=by) for by, some in sides.items() for one in some)
