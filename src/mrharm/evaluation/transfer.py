"""Trained on one dataset, asked of the others: one matrix of runs and datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrharm.errors import InputError
from mrharm.evaluation.evaluate import predict_split
from mrharm.evaluation.predictions import NothingPredicted, Predictions
from mrharm.evaluation.saved import evaluation_folder, is_training_dataset, verdicts_file
from mrharm.evaluation.scores import N_RESAMPLES
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.classification import headline
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Record, Verdict
from mrharm.runs import find_run, read_run
from mrharm.store import read_appended
from mrharm.verdicts.detector import Detector

NO_FIGURES = dict.fromkeys(("accuracy", "macro_f1", "auroc"), Estimate())


class Cell(Record):
    """One run on one dataset. ``own``: the dataset the run was trained on; ``failures``: memes not judged, and why the
    first was not; where that is all of them there are no figures.
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

    ``trained_on``: run -> the name of the dataset it was trained on.
    """

    split: str
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    trained_on: dict[str, str]
    cells: tuple[Cell, ...]
    words: tuple[str, ...] = ()

    def cell(self, run: str, dataset: str) -> Cell:
        """The cell of a run and a dataset."""
        return next(one for one in self.cells if (one.run, one.dataset) == (run, dataset))


def transfer(
    runs: Sequence[Path],
    datasets: Sequence[Path],
    *,
    split: str = "test",
    device: str = "auto",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Transfer:
    """Judge a split of every dataset with every run; verdicts are kept where `evaluate` keeps them, and reused.

    Args:
        runs: run folders.
        datasets: dataset folders, each with a name of its own.
        split: by its own name or by its role, which each dataset maps to a split.
        device: as `Detector.from_pretrained`.
        draws: of the bootstrap.
        seed: of the draws.
        progress: told how many memes of each cell are judged.

    Raises:
        InputError: no run, or no dataset, or two of one name; or a dataset has no such split with labels.
    """
    folders = {str(run): find_run(run) for run in runs}
    every = [Dataset(path) for path in datasets]
    if not folders or not every:
        raise InputError(f"{len(folders)} runs and {len(every)} datasets; expected at least one of each")
    twice = [name for name, count in Counter(one.info.name for one in every).items() if count > 1]
    if twice or len(folders) < len(runs):
        what = f"{', '.join(twice)} is the name of two datasets" if twice else "a run is named twice"
        raise InputError(f"{what}; their verdicts would lie in one place: name each once")
    for dataset in every:
        # What has no such split is said before hours of judging, not after them.
        if not any(meme.label for meme in dataset.split(split)):
            raise InputError(
                f"{dataset.root}: no meme of {split} has a label; nothing to hold verdicts against"
            )
    cells = []
    for name, folder in folders.items():
        detector = Detector.from_pretrained(folder, device=device)
        for dataset in every:
            try:
                predictions = _judge(detector, folder, dataset, split, name, progress)
            except (
                NothingPredicted
            ) as error:  # texts alone, say, for a run that wants pictures: the others go on
                cells.append(_cell(name, folder, dataset, error.failures, 0, NO_FIGURES))
                continue
            memes = len(predictions.memes)
            shown = bootstrap(
                headline(predictions.gold, predictions.predicted, predictions.scores),
                memes,
                n_resamples=n_resamples,
                seed=seed,
                clusters=predictions.clusters,
            )
            cells.append(_cell(name, folder, dataset, predictions.failures, memes, shown))
    return Transfer(
        split=split,
        runs=tuple(folders),
        datasets=tuple(one.info.name for one in every),
        trained_on={name: str(read_run(folder).get("dataset", "")) for name, folder in folders.items()},
        cells=tuple(cells),
    )


def _judge(
    detector: Detector, folder: Path, dataset: Dataset, split: str, name: str, progress: Progress
) -> Predictions:
    def tell(what: str, done: int, total: int) -> None:
        progress(f"{name} on {dataset.info.name}", done, total)

    own_name = dataset.split_name(split)
    place = evaluation_folder(folder, dataset, own_name)
    file = verdicts_file(place, own_name)
    # Rationales change no figure here and take longest; where an evaluation has written them they stand, because
    # verdicts without them would be others, judged anew.
    explained = any(one.rationale is not None for one in read_appended(file, Verdict))
    return predict_split(detector, dataset, split, folder=place, rationales=explained, progress=tell)


def _cell(
    name: str,
    folder: Path,
    dataset: Dataset,
    failures: Sequence[Failure],
    memes: int,
    shown: Mapping[str, Estimate],
) -> Cell:
    return Cell(
        run=name,
        dataset=dataset.info.name,
        own=is_training_dataset(folder, dataset),
        memes=memes,
        failures=len(failures),
        first_failure=f"{failures[0].item}: {failures[0].reason}" if failures else None,
        **shown,
    )
