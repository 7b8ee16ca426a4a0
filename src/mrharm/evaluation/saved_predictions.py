"""The files that an evaluation leaves in a run's folder, so that runs are compared without judging memes again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import DataError
from mrharm.evaluation.predictions import LabelledVerdicts, Predictions
from mrharm.memes.dataset import Dataset
from mrharm.metrics.estimate import Booleans, Decisions, Floats
from mrharm.records import Failure, Record, Verdict, read_records
from mrharm.runs import find_run, read_run
from mrharm.store import content_key, read_appended, read_json, read_json_record, write_text
from mrharm.verdicts.batch import failures_file
from mrharm.verdicts.card import scorer_of

EVALUATIONS, REPORT = "evaluations", "report.json"
PAGE = "report.html"
PAGES = (PAGE, "model-card.md")  # that show a run's policy


class PredictionsManifest(Record):
    """``judged.<split>.json``: which memes of which dataset were judged by which detector, and their labels.

    rationales: whether they were asked for.
    rows: meme id -> its gold label, and the key of its verdict in ``verdicts.<split>.jsonl``.
    clusters: meme id -> number of its cluster, for memes that depend on another one (`cluster_ids`).
    baseline_errors: ids of the memes that words alone get wrong; None as `find_baseline_errors`.
    """

    dataset: str
    dataset_sha256: str
    split: str
    detector: str
    recipe: str
    seed: int
    rationales: bool
    failures: int
    rows: dict[str, tuple[bool, str]]
    clusters: dict[str, int] = {}
    baseline_errors: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SavedPredictions:
    """A manifest read back with its verdicts. *Shape of the arrays:* (memes,), in the order of ``ids``."""

    run: Path
    manifest: PredictionsManifest
    ids: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    clusters: NDArray[np.int64]

    @cached_property
    def gold(self) -> Booleans:
        """People's labels: True is harmful."""
        return np.array([self.manifest.rows[meme_id][0] for meme_id in self.ids], dtype=bool)

    @cached_property
    def predicted(self) -> Decisions:
        """The detector's labels: True, False, or None for no label."""
        return np.array([verdict.harmful for verdict in self.verdicts], dtype=object)

    @cached_property
    def scores(self) -> Floats:
        """Calibrated P(harmful)."""
        return np.array([verdict.score for verdict in self.verdicts], dtype=np.float64)

    @property
    def threshold(self) -> float:
        """The threshold of the decisions."""
        return self.verdicts[0].threshold

    def select(self, ids: Sequence[str]) -> SavedPredictions:
        """Return the predictions on some of the memes, in the order named."""
        place_of = {meme_id: place for place, meme_id in enumerate(self.ids)}
        places = [place_of[meme_id] for meme_id in ids]
        verdicts = tuple(self.verdicts[place] for place in places)
        return SavedPredictions(self.run, self.manifest, tuple(ids), verdicts, self.clusters[places])


def is_training_dataset(run: Path, dataset: Dataset) -> bool:
    """Tell whether a run was trained on a dataset: by its name, too, as gathered evidence changes the fingerprint."""
    trained = read_run(run)
    same_name = dataset.info.name == trained.get("dataset")
    return same_name or dataset.fingerprint() == trained.get("dataset_sha256")


def evaluation_folder(run: Path, dataset: Dataset, split: str) -> Path:
    """Return where a run keeps an evaluation: in itself for the test split of the dataset it was trained on, else in
    ``evaluations/<dataset>.<split>/``.

    A dataset with other evidence is the same one; with other memes or labels it is another one, even under the same
    name (a copy that `mrharm audit --fix` cleaned), and gets another folder.

    Raises:
        InputError: as `find_run`.
    """
    folder = find_run(run)
    name = safe_name(f"{dataset.info.name}.{split}")
    places = [folder] if split == dataset.split_name("test") and is_training_dataset(folder, dataset) else []
    places += [folder / EVALUATIONS / name]
    for place in places:
        file = manifest_file(place, split)
        if not file.exists() or _has_same_memes(read_manifest(file), dataset, split):
            return place
    labels = {meme.id: meme.label.harmful for meme in dataset.split(split) if meme.label}
    return folder / EVALUATIONS / f"{name}.{content_key(labels)[:8]}"


def _has_same_memes(manifest: PredictionsManifest, dataset: Dataset, split: str) -> bool:
    """Tell whether a manifest is of this split's labelled memes, of which some may not have been judged."""
    labels = {meme.id: meme.label.harmful for meme in dataset.split(split) if meme.label}
    return (
        manifest.dataset == dataset.info.name
        and len(manifest.rows) + manifest.failures == len(labels)
        and all(labels.get(name) == gold for name, (gold, _) in manifest.rows.items())
    )


def verdicts_file(folder: Path, split: str) -> Path:
    """Return where the verdicts on a split are in its evaluation's folder."""
    return folder / f"verdicts.{safe_name(split)}.jsonl"


def set_aside(file: Path, detector: str) -> None:
    """Rename a file of verdicts that another detector scored, and bring back the file of this one where there is one.

    A detector is another one after it was trained or calibrated anew.
    """
    first = next(iter(read_appended(file, Verdict)), None)
    if first and scorer_of(first.detector) != scorer_of(detector):
        file.replace(file.with_suffix(f".{scorer_of(first.detector)}.jsonl"))
    earlier = file.with_suffix(f".{scorer_of(detector)}.jsonl")
    if not file.exists() and earlier.exists():
        earlier.replace(file)


def write_manifest(
    predictions: Predictions, folder: Path, baseline_errors: Booleans | None, *, rationales: bool
) -> None:
    """Write ``judged.<split>.json`` beside the verdicts."""
    numbers = predictions.clusters.tolist()
    sizes = Counter(numbers)
    errors = None
    if baseline_errors is not None:
        errors = tuple(predictions.memes[place].id for place in np.flatnonzero(baseline_errors))
    manifest = PredictionsManifest(
        dataset=predictions.dataset.info.name,
        dataset_sha256=predictions.dataset.fingerprint(),
        split=predictions.split,
        detector=predictions.detector.key,
        recipe=predictions.detector.card.recipe,
        seed=predictions.detector.card.seed,
        rationales=rationales,
        failures=len(predictions.failures),
        rows={
            verdict.meme_id: (bool(gold), verdict.key or "")
            for verdict, gold in zip(predictions.verdicts, predictions.gold, strict=True)
        },
        clusters={
            meme.id: number
            for meme, number in zip(predictions.memes, numbers, strict=True)
            if sizes[number] > 1
        },
        baseline_errors=errors,
    )
    write_text(manifest_file(folder, predictions.split), manifest.model_dump_json() + "\n")


def list_manifests(run: Path) -> list[Path]:
    """List the manifests in a run, that of its test split first."""
    return [*sorted(run.glob("judged.*.json")), *sorted((run / EVALUATIONS).glob("*/judged.*.json"))]


def list_stale_pages(run: Path, detector: str) -> list[Path]:
    """List the pages and model cards of evaluations in a run that show another detector, or another policy.

    ``detector`` is the key of the detector as it is now.
    """
    stale: dict[Path, None] = {}
    for file in list_manifests(run):
        # The report, as verdicts may have been written anew without it, as `compare --dataset` does.
        report = file.parent / REPORT
        try:
            same = read_json(report).get("detector") == detector
        except (DataError, AttributeError):
            same = False  # an unreadable report has to be made again
        if not same:
            stale |= dict.fromkeys(path for name in PAGES if (path := file.parent / name).exists())
    return list(stale)


def read_manifest(file: Path) -> PredictionsManifest:
    """Read a ``judged.<split>.json``; raises DataError where it is something else."""
    return read_json_record(file, PredictionsManifest, "evaluate the run again")


def read_saved(run: Path, file: Path) -> SavedPredictions:
    """Read a manifest with its verdicts.

    Raises:
        DataError: verdicts are missing or are something else.
    """
    manifest = read_manifest(file)
    stored = {
        (verdict.meme_id, verdict.key): verdict
        for verdict in read_appended(verdicts_file(file.parent, manifest.split), Verdict)
    }
    keys = [(meme_id, key) for meme_id, (_, key) in manifest.rows.items()]
    missing = [meme_id for meme_id, key in keys if (meme_id, key) not in stored]
    if missing:
        raise DataError(
            f"{file}: {len(missing):,} of its {len(manifest.rows):,} verdicts are not in "
            f"{verdicts_file(file.parent, manifest.split).name} ({missing[0]}); evaluate the run again"
        )
    # A meme that is in no cluster gets a negative number, which no cluster has.
    clusters = [manifest.clusters.get(meme_id, -1 - place) for place, meme_id in enumerate(manifest.rows)]
    verdicts = tuple(stored[key] for key in keys)
    return SavedPredictions(run, manifest, tuple(manifest.rows), verdicts, np.array(clusters))


def read_labelled(folder: Path, dataset: Dataset, split: str) -> LabelledVerdicts:
    """Read the verdicts of an evaluation's folder with their memes; raises DataError as `read_saved`."""
    saved = read_saved(folder, manifest_file(folder, split))
    memes = {meme.id: meme for meme in dataset.split(split)}
    failed = failures_file(verdicts_file(folder, split))
    failures = read_records(failed, Failure) if failed.exists() else ()
    # The file may also list memes without a label, from a submission, and memes that have been mended or removed.
    unjudged = {meme_id for meme_id, meme in memes.items() if meme.label} - set(saved.ids)
    return LabelledVerdicts(
        dataset,
        split,
        memes=tuple(memes[meme_id] for meme_id in saved.ids),
        verdicts=saved.verdicts,
        failures=tuple(failure for failure in failures if failure.item in unjudged),
    )


def manifest_file(folder: Path, split: str) -> Path:
    """Return where the manifest of a split is in its evaluation's folder."""
    return folder / f"judged.{safe_name(split)}.json"


def safe_name(name: str) -> str:
    """Make a dataset's or split's name safe in a file name: the dataset's maker chose it, and it may be ``../..``."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".") or "_"
