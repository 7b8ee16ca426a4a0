"""What an evaluation leaves in a run's folder, so that runs are compared without judging anything again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import DataError, InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.memes.dataset import Dataset
from mrharm.metrics.estimate import Decisions
from mrharm.records import Record, Verdict, make_record, read_records
from mrharm.runs import CARD, RUN, read_run
from mrharm.store import read_appended, write_text
from mrharm.verdicts.card import scorer_of

EVALUATIONS, REPORT = "evaluations", "report.json"
PAGES = ("report.html", "model-card.md")  # that show a run's policy


class PredictionsManifest(Record):
    """``judged.<split>.json``: which memes of which dataset were judged by which detector, and what people said.

    ``rationales``: whether they were asked for. ``rows`` maps a meme's id to its gold label and to the key of its
    verdict in ``verdicts.<split>.jsonl``; ``clusters`` the ids of memes that are no independent ones to a number each.
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


@dataclass(frozen=True)
class SavedPredictions:
    """A `Judgement` read back with its verdicts. *Shape of the arrays:* (memes,), in the order of ``ids``.

    ``together``: as `mrharm.metrics.estimate` takes it; ``threshold``: what its decisions were made by.
    """

    run: Path
    judgement: PredictionsManifest
    ids: tuple[str, ...]
    gold: NDArray[np.bool_]
    predicted: Decisions
    scores: NDArray[np.float64]
    clusters: NDArray[np.int64]
    threshold: float


def run_folder(run: Path) -> Path:
    """A run's folder, named by itself or by its ``detector/``.

    Raises:
        InputError: no run: no ``run.json`` there.
    """
    for folder in (run, run.parent) if (run / CARD).is_file() else (run,):
        if (folder / RUN).is_file():
            return folder
    raise InputError(
        f"{run}: no run there (no {RUN}), so there is nowhere to keep what is found; say --out FOLDER"
        if (run / CARD).is_file()
        else f"{run}: no run there (no {RUN}); `mrharm train DATASET --out {run}` makes one"
    )


def is_training_dataset(run: Path, dataset: Dataset) -> bool:
    """Whether a run was trained on this dataset: by name, too, as evidence gathered later changes the fingerprint."""
    trained = read_run(run)
    return dataset.info.name == trained.get("dataset") or dataset.fingerprint() == trained.get(
        "dataset_sha256"
    )


def evaluation_folder(run: Path, dataset: Dataset, split: str) -> Path:
    """Where a run keeps what it says of a split: in itself for the test split of the dataset it was trained on, else in
    ``evaluations/<dataset>.<split>/``; raises as `run_folder` does.

    A dataset with other evidence is the same one; with other memes or labels it is another one, even under the same
    name (a copy that `mrharm audit --fix` cleaned), and takes a folder of its own beside what lies there.
    """
    folder = run_folder(run)
    name = _plain(f"{dataset.info.name}.{split}")
    places = [folder] if split == dataset.split_name("test") and is_training_dataset(folder, dataset) else []
    places += [folder / EVALUATIONS / name]
    for place in places:
        file = manifest_file(place, split)
        if not file.exists() or _same_memes(read_manifest(file), dataset, split):
            return place
    return folder / EVALUATIONS / f"{name}.{dataset.fingerprint()[:8]}"


def _same_memes(there: PredictionsManifest, dataset: Dataset, split: str) -> bool:
    """Whether a judgement is of this split's labelled memes, of which some may not have been judged."""
    labels = {meme.id: meme.label.harmful for meme in dataset.split(split) if meme.label}
    return (
        there.dataset == dataset.info.name
        and len(there.rows) + there.failures == len(labels)
        and all(labels.get(name) == gold for name, (gold, _) in there.rows.items())
    )


def verdicts_file(folder: Path, split: str) -> Path:
    """Where the verdicts on a split lie in its evaluation's folder."""
    return folder / f"verdicts.{_plain(split)}.jsonl"


def set_aside(file: Path, detector: str) -> Path | None:
    """Rename a file of verdicts whose scores another detector gave, as one trained or calibrated anew is; where to."""
    first = next(iter(read_appended(file, Verdict)), None)
    if first is None or scorer_of(first.detector) == scorer_of(detector):
        return None
    aside = file.with_suffix(f".{scorer_of(first.detector)}.jsonl")
    file.replace(aside)
    return aside


def keep(predictions: Predictions, folder: Path, *, rationales: bool) -> PredictionsManifest:
    """Write ``judged.<split>.json`` beside the verdicts."""
    card = predictions.detector.card
    numbers = predictions.clusters.tolist()
    sizes = Counter(numbers)
    judgement = PredictionsManifest(
        dataset=predictions.dataset.info.name,
        dataset_sha256=predictions.dataset.fingerprint(),
        split=predictions.split,
        detector=predictions.detector.key,
        recipe=card.recipe,
        seed=card.seed,
        rationales=rationales,
        failures=len(predictions.failures),
        rows={
            verdict.meme_id: (bool(gold), verdict.key or "")
            for verdict, gold in zip(predictions.verdicts, predictions.gold, strict=True)
        },
        clusters={
            meme.id: one for meme, one in zip(predictions.memes, numbers, strict=True) if sizes[one] > 1
        },
    )
    write_text(manifest_file(folder, predictions.split), judgement.model_dump_json() + "\n")
    return judgement


def list_manifests(run: Path) -> list[Path]:
    """The files of every `Judgement` in a run, its own test split's first."""
    return [*sorted(run.glob("judged.*.json")), *sorted((run / EVALUATIONS).glob("*/judged.*.json"))]


def list_stale_pages(run: Path, detector: str) -> list[Path]:
    """List the pages and model cards of evaluations in a run that show another detector, or another policy.

    Args:
        run: its folder.
        detector: the key of the detector as it is now.
    """
    stale: dict[Path, None] = {}
    for file in list_manifests(run):
        # The report, as verdicts may have been written anew without it, as `compare --dataset` does.
        report = file.parent / REPORT
        try:
            same = json.loads(report.read_text(encoding="utf-8")).get("detector") == detector
        except (OSError, ValueError, AttributeError):
            same = False  # an unreadable report has to be made again
        if not same:
            stale |= dict.fromkeys(path for name in PAGES if (path := file.parent / name).exists())
    return list(stale)


def read_manifest(file: Path) -> PredictionsManifest:
    """A ``judged.<split>.json``; raises DataError where it is something else."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); evaluate the run again") from None
    return make_record(values, PredictionsManifest, file=file)


def read_saved(run: Path, file: Path) -> SavedPredictions:
    """A judgement with its verdicts.

    Raises:
        DataError: verdicts are missing or are something else.
    """
    judgement = read_manifest(file)
    there = {
        (verdict.meme_id, verdict.key): verdict
        for verdict in read_records(verdicts_file(file.parent, judgement.split), Verdict)
    }
    missing = [name for name, (_, key) in judgement.rows.items() if (name, key) not in there]
    if missing:
        raise DataError(
            f"{file}: {len(missing):,} of its {len(judgement.rows):,} verdicts are not in "
            f"verdicts.{judgement.split}.jsonl ({missing[0]}); evaluate the run again"
        )
    rows = judgement.rows.items()
    verdicts = [there[name, key] for name, (_, key) in rows]
    return SavedPredictions(
        run,
        judgement,
        tuple(judgement.rows),
        np.array([gold for _, (gold, _) in rows], dtype=bool),
        np.array([verdict.harmful for verdict in verdicts], dtype=object),
        np.array([verdict.score for verdict in verdicts], dtype=np.float64),
        np.array([judgement.clusters.get(name, -1 - place) for place, name in enumerate(judgement.rows)]),
        verdicts[0].threshold,
    )


def only(stored: SavedPredictions, ids: Sequence[str]) -> SavedPredictions:
    """The same for some of its memes, in the order named."""
    place = {name: number for number, name in enumerate(stored.ids)}
    kept = [place[name] for name in ids]
    return SavedPredictions(
        stored.run,
        stored.judgement,
        tuple(ids),
        stored.gold[kept],
        stored.predicted[kept],
        stored.scores[kept],
        stored.clusters[kept],
        stored.threshold,
    )


def manifest_file(folder: Path, split: str) -> Path:
    """Where the `Judgement` of a split lies in its evaluation's folder."""
    return folder / f"judged.{_plain(split)}.json"


def _plain(name: str) -> str:
    """A dataset's or split's name as part of a file's: whoever made the dataset chose it, and ``../..`` is one, too."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".") or "_"
