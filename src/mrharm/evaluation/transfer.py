"""Transfer: the figures of runs on datasets they were not trained on, as a matrix of runs and datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrharm.errors import InputError
from mrharm.evaluation.evaluate import predict_split
from mrharm.evaluation.predictions import NothingPredicted, Predictions
from mrharm.evaluation.saved_predictions import evaluation_folder, is_training_dataset, verdicts_file
from mrharm.evaluation.scores import HEADLINE
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.classification import headline
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Record, Verdict
from mrharm.runs import find_run, read_run
from mrharm.store import read_appended

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector


class Cell(Record):
    """One run on one dataset.

    own: whether the run was trained on it.
    memes: how many were judged; ``failures``: how many could not be, and why the first could not. Where that is all of
        them there are no figures.
    """

    run: str
    dataset: str
    own: bool
    memes: int
    failures: int
    first_failure: str | None = None
    accuracy: Estimate
    macro_f1: Estimate
    auroc: Estimate


class Transfer(Record):
    """The matrix: ``cells`` row by row, runs in order and for each the datasets in order.

    trained_on: run -> the name of the dataset it was trained on.
    """

    split: str
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    trained_on: dict[str, str]
    cells: tuple[Cell, ...]
    words: tuple[str, ...] = ()

    def cell(self, run: str, dataset: str) -> Cell:
        """Return the cell of a run and a dataset."""
        return next(cell for cell in self.cells if (cell.run, cell.dataset) == (run, dataset))


def transfer(
    runs: Sequence[Path],
    datasets: Sequence[Path],
    *,
    split: str = "test",
    device: str = "auto",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Transfer:
    """Judge a split of every dataset with every run; verdicts are kept where `evaluate` keeps them, and reused.

    Args:
        runs: run folders.
        datasets: dataset folders, no two of the same name.
        split: by name or by role, which each dataset maps to a split.
        device: as `Detector.from_pretrained`.
        seed: of the bootstrap.
        progress: called as the memes of each cell are judged.

    Raises:
        InputError: no run, or no dataset, or two of one name; or a dataset has no such split with labels.
    """
    folders = {str(run): find_run(run) for run in runs}
    loaded = [Dataset(path) for path in datasets]
    if not folders or not loaded:
        raise InputError(f"{len(folders)} runs and {len(loaded)} datasets; expected at least one of each")
    if len(folders) < len(runs):
        raise InputError("a run is named twice; their verdicts would be in one place: name each once")
    # Refused before hours of judging, not after them.
    _check_datasets(loaded, split)
    from mrharm.verdicts.detector import Detector  # PyTorch: refusals come first

    cells = []
    for name, folder in folders.items():
        detector = Detector.from_pretrained(folder, device=device)
        for dataset in loaded:

            def show(what: str, done: int, total: int, cell: str = f"{name} on {dataset.info.name}") -> None:
                progress(cell, done, total)

            predictions, failures = _predict(detector, folder, dataset, split, show)
            cells.append(_fill_cell(name, folder, dataset, predictions, failures, seed))
    return Transfer(
        split=split,
        runs=tuple(folders),
        datasets=tuple(dataset.info.name for dataset in loaded),
        trained_on={name: str(read_run(folder).get("dataset", "")) for name, folder in folders.items()},
        cells=tuple(cells),
    )


def _check_datasets(datasets: Sequence[Dataset], split: str) -> None:
    counts = Counter(dataset.info.name for dataset in datasets)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"{', '.join(repeated)} is the name of two datasets; their verdicts would be in one place: name each once"
        )
    for dataset in datasets:
        if not any(meme.label for meme in dataset.split(split)):
            raise InputError(
                f"{dataset.root}: no meme of {split} has a label; nothing to hold verdicts against"
            )


def _fill_cell(
    name: str,
    folder: Path,
    dataset: Dataset,
    predictions: Predictions | None,
    failures: Sequence[Failure],
    seed: int,
) -> Cell:
    figures = dict.fromkeys(HEADLINE, Estimate())
    if predictions:
        statistics = headline(predictions.gold, predictions.predicted, predictions.scores)
        figures = bootstrap(
            statistics,
            len(predictions.gold),
            seed=seed,
            clusters=predictions.clusters,
        )
    return Cell(
        run=name,
        dataset=dataset.info.name,
        own=is_training_dataset(folder, dataset),
        memes=len(predictions.memes) if predictions else 0,
        failures=len(failures),
        first_failure=f"{failures[0].item}: {failures[0].reason}" if failures else None,
        **figures,
    )


def _predict(
    detector: Detector, folder: Path, dataset: Dataset, split: str, progress: Progress
) -> tuple[Predictions | None, Sequence[Failure]]:
    """Judge a split with a run, or read the verdicts kept; None where no meme could be judged."""
    split = dataset.split_name(split)
    place = evaluation_folder(folder, dataset, split)
    # Rationales change no figure here and take longest; where an evaluation has written them they stay, because
    # verdicts without them have other keys and would be judged again.
    stored = read_appended(verdicts_file(place, split), Verdict)
    rationales = any(verdict.rationale is not None for verdict in stored)
    try:
        predictions = predict_split(
            detector, dataset, split, folder=place, rationales=rationales, progress=progress
        )
    except NothingPredicted as error:  # texts alone, say, for a run that needs pictures: the rest goes on
        return None, error.failures
    return predictions, predictions.failures
