"""Evaluate a detector on a split: verdicts stored in the run, and every figure of them. Figures only, no sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mrharm._version import __version__
from mrharm.evaluation.baseline_comparison import BaselineResult, compare_baselines, find_baseline_errors
from mrharm.evaluation.groups import Group, score_groups
from mrharm.evaluation.predictions import LabelledVerdicts, Predictions, judge_split
from mrharm.evaluation.published import Published, list_published
from mrharm.evaluation.saved_predictions import set_aside, verdicts_file, write_manifest
from mrharm.evaluation.scores import Curves, Scores, curves, score
from mrharm.memes.dataset import Dataset, in_split
from mrharm.memes.splits import TRAIN
from mrharm.metrics import Estimate
from mrharm.metrics.classification import settle
from mrharm.metrics.estimate import N_RESAMPLES
from mrharm.metrics.ranking import confidence_of
from mrharm.metrics.thresholds import Traffic, metrics_at_threshold
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Record, meme_text
from mrharm.runs import RUN, read_run
from mrharm.store import exclusive_lock, read_json_record
from mrharm.texts import fold
from mrharm.verdicts.card import Chosen, DetectorCard

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

Role = Literal["train", "validation"]
MISTAKES = 20


class Mistake(Record):
    """A meme that is decided wrongly; ``said``: what the detector decided; ``confidence``: P(its decision is right)."""

    meme_id: str
    text: str
    harmful: bool
    said: bool | None
    score: float
    confidence: float
    rationale: str | None = None


class Evaluation(Record):
    """The results of an evaluation; ``report.json``.

    words: plain sentences, the verdict first.
    role: what the split is for, where detectors learn from it or are chosen on it.
    trained_on: the dataset of the run, where it is known.
    seen_words: how many memes have exactly the words of a train meme.
    texts_cut: how many texts are longer than the student reads.
    doubted: how many memes go to a person whatever their score (`mrharm.records.Verdict.doubts`).
    memes: how many were predicted; ``failures`` could not be, and are in no figure.
    missing: part -> how many memes were predicted without that input of the recipe.
    chosen: how the threshold was chosen.
    band: the scores between which memes go to a person; ``band_figures``: what it does, as `metrics_at_threshold`.
    beside: baselines on the same memes.
    probes: probe -> its record; ``skipped``: probe -> why it does not apply.
    mistakes: the worst ones, the most confident first.
    draws: resamples of the bootstrap.
    """

    words: tuple[str, ...]
    detector: str
    recipe: str
    seed: int
    dataset: str
    dataset_sha256: str
    split: str
    role: Role | None = None
    trained_on: str | None = None
    seen_words: int = 0
    texts_cut: int = 0
    doubted: int = 0
    memes: int
    failures: tuple[Failure, ...]
    missing: dict[str, int]
    threshold: float
    chosen: Chosen | None = None
    band: tuple[float, float] | None = None
    band_figures: dict[str, Estimate] = {}
    scores: Scores
    curves: Curves
    groups: tuple[Group, ...]
    published: tuple[Published, ...]
    beside: tuple[BaselineResult, ...]
    probes: dict[str, dict[str, Any]]
    skipped: dict[str, str]
    mistakes: tuple[Mistake, ...]
    draws: int
    draws_seed: int
    mrharm: str


def predict_split(
    detector: Detector,
    dataset: Dataset,
    split: str = "test",
    *,
    folder: Path | None = None,
    rationales: bool = True,
    progress: Progress = no_progress,
) -> Predictions:
    """Predict the labelled memes of a split, and store the verdicts in an evaluation's folder.

    Verdicts stored for the same memes and detector are reused; those of the run's detector before it was trained or
    calibrated anew are set aside under that detector's key.

    Args:
        detector: what predicts.
        dataset: where the memes are.
        split: by its name or role.
        folder: the evaluation's (`saved_predictions.evaluation_folder`); None to store nothing.
        rationales: write them, too.
        progress: called with how many memes are done.

    Raises:
        InputError: no such split, or nothing in it can be predicted.
    """
    name = dataset.split_name(split)
    dataset.split(name)
    if folder is None:
        return judge_split(detector, dataset, name, rationales=rationales, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder, "evaluate"):
        file = verdicts_file(folder, name)
        set_aside(file, detector.key)
        predictions = judge_split(detector, dataset, name, out=file, rationales=rationales, progress=progress)
        write_manifest(predictions, folder, find_baseline_errors(predictions), rationales=rationales)
    return predictions


def evaluate(
    predictions: LabelledVerdicts,
    card: DetectorCard,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    folder: Path | None = None,
) -> Evaluation:
    """Compute every figure of verdicts on a split.

    ``words``, ``probes`` and ``skipped`` stay empty: `mrharm.reports.evaluation` runs the probes and describes both.

    Args:
        predictions: of the detector.
        card: the detector's.
        n_resamples, seed: of the bootstrap behind the intervals.
        folder: the evaluation's, from which the run's training dataset is known; None where there is no run.
    """
    gold, predicted, scores = predictions.gold, predictions.predicted, predictions.scores
    dataset, clusters = predictions.dataset, predictions.clusters
    role, policy, errors = role_of(predictions), predictions.verdicts[0], find_baseline_errors(predictions)
    judged, unjudged = len(predictions.memes), len(predictions.failures)
    memes, band_figures = predictions.labelled_scores, {}
    if policy.band:
        band_figures = metrics_at_threshold(memes, policy.threshold, Traffic(), policy.band, seed=seed)
    return Evaluation(
        words=(),
        # What was evaluated.
        detector=card.key(),
        recipe=card.recipe,
        seed=card.seed,
        dataset=dataset.info.name,
        dataset_sha256=dataset.fingerprint(),
        split=predictions.split,
        role=role,
        trained_on=trained_on(folder) if folder else None,
        seen_words=count_train_texts(predictions),
        texts_cut=sum(verdict.text_cut for verdict in predictions.verdicts),
        doubted=sum(bool(verdict.doubts) for verdict in predictions.verdicts),
        memes=judged,
        failures=predictions.failures,
        missing=dict(Counter(part for verdict in predictions.verdicts for part in verdict.missing)),
        # How it decides.
        threshold=policy.threshold,
        chosen=card.chosen,
        band=policy.band,
        band_figures=band_figures,
        # How well.
        scores=score(gold, predicted, scores, n_resamples=n_resamples, seed=seed, clusters=clusters),
        curves=curves(gold, predicted, scores),
        groups=score_groups(predictions, errors, n_resamples=n_resamples, seed=seed),
        published=list_published(dataset.info.name, predictions.split, judged, unjudged, role=role),
        beside=compare_baselines(predictions, n_resamples=n_resamples, seed=seed),
        probes={},
        skipped={},
        mistakes=worst_mistakes(predictions),
        draws=n_resamples,
        draws_seed=seed,
        mrharm=__version__,
    )


def read_report(file: Path) -> Evaluation:
    """Read a ``report.json``; raises DataError where it is something else, or written by another version."""
    return read_json_record(file, Evaluation, "evaluate the run again")


def role_of(predictions: LabelledVerdicts) -> Role | None:
    """Return the role of the split judged where detectors of this dataset learn from it or are chosen on it."""
    roles: tuple[Role, ...] = ("train", "validation")
    return next((role for role in roles if predictions.dataset.split_name(role) == predictions.split), None)


def trained_on(folder: Path) -> str | None:
    """Return the name of the dataset a run was trained on, by an evaluation's folder; None outside of a run."""
    for run in (folder, folder.parent.parent):
        if (run / RUN).is_file():
            return str(read_run(run).get("dataset") or "") or None
    return None


def count_train_texts(predictions: LabelledVerdicts) -> int:
    """Count the memes with the words of a meme of the train split (`meme_text`), whatever their case and spaces."""
    if role_of(predictions) == TRAIN:
        return len(predictions.memes)
    dataset, gathered = predictions.dataset, predictions.dataset.evidence
    train = [meme for meme in dataset.memes if in_split(meme, dataset.split_name(TRAIN))]
    train_texts = {fold(meme_text(meme, gathered.get(meme.id)) or "") for meme in train}
    texts = [
        fold(meme_text(meme, verdict.evidence) or "")
        for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True)
    ]
    return sum(text in train_texts for text in texts if text)


def worst_mistakes(predictions: LabelledVerdicts, most: int = MISTAKES) -> tuple[Mistake, ...]:
    """Return the wrong decisions, the most confident first; memes that got no label come last."""
    confidence = confidence_of(predictions.predicted, predictions.scores)
    wrong = np.flatnonzero(settle(predictions.gold, predictions.predicted) != predictions.gold)
    mistakes = []
    for index in sorted(wrong, key=lambda index: -confidence[index])[:most]:
        meme, verdict = predictions.memes[index], predictions.verdicts[index]
        mistakes.append(
            Mistake(
                meme_id=meme.id,
                text=meme_text(meme, verdict.evidence) or "",
                harmful=bool(predictions.gold[index]),
                said=predictions.predicted[index],
                score=float(predictions.scores[index]),
                confidence=float(confidence[index]),
                rationale=verdict.rationale,
            )
        )
    return tuple(mistakes)
