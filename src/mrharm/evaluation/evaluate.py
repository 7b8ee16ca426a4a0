"""``evaluate``: judge a split, say how good that is and for the right reasons or not, and keep it in the run."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrharm._version import __version__
from mrharm.errors import DataError
from mrharm.evaluation.baseline_comparison import BaselineResult, compare_baselines
from mrharm.evaluation.clusters import clusters_of
from mrharm.evaluation.contamination import Role, role_of, seen_words, trained_on
from mrharm.evaluation.groups import Group, score_groups
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.evaluation.published import Published, published
from mrharm.evaluation.saved import REPORT, evaluation_folder, keep, set_aside, verdicts_file
from mrharm.evaluation.scores import N_RESAMPLES, Curves, Scores, curves, score
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate, confidence_of, settle
from mrharm.metrics.measured import metrics_at_threshold
from mrharm.metrics.thresholds import Traffic
from mrharm.probes.run import Options, chosen, run_probes
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Record, make_record, meme_text
from mrharm.reports.probe_sentences import describe_probe
from mrharm.reports.summary import summarise
from mrharm.store import exclusive_lock, write_json
from mrharm.verdicts.card import Chosen
from mrharm.verdicts.detector import Detector

MISTAKES = 20


class Mistake(Record):
    """A meme that is judged wrongly; ``confidence`` is how probable the detector held its decision to be right."""

    meme_id: str
    text: str
    harmful: bool
    said: bool | None
    score: float
    confidence: float
    rationale: str | None = None


class Evaluation(Record):
    """What an evaluation found; ``report.json``.

    ``words`` say it in plain sentences, the verdict first. ``memes`` were judged, ``failures`` could not be and are in
    no figure; ``missing`` counts memes judged without an input the recipe wants.

    ``role``: what the split is for where detectors learn from it or are chosen on it; ``trained_on``: the dataset of
    the run, where it is known; ``seen_words``: how many of the memes have the very words of a train meme;
    ``texts_cut``: how many texts are longer than the student reads.

    ``chosen``: how the detector's threshold was chosen; ``band``: between what it allows and what it flags, and
    ``band_figures`` what that does, as `mrharm.metrics.measured.figures_at` names them.

    ``probes`` holds what each probe found, ``skipped`` why others do not apply. ``mistakes`` are the worst ones, the
    surest first.
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


def evaluate(
    detector: Detector | Path | str,
    dataset: Dataset | Path | str,
    split: str = "test",
    *,
    probes: str | Sequence[str] = "all",
    probe_memes: int = 500,
    probe_options: Options | None = None,
    seed: int = 0,
    rationales: bool = True,
    device: str = "auto",
    precision: str = "fp32",
    out: Path | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Judge a split's labelled memes and measure everything there is to measure.

    Args:
        detector: a run folder, or a Detector at hand.
        dataset: a dataset folder.
        split: by its own name or by its role.
        probes: ``all``, ``none``, or names of rows of `PROBES`.
        probe_memes: how many memes a probe looks at, at most.
        probe_options: what else is told to a probe, as `run_probes`.
        seed: of the bootstrap's draws and of what probes draw by lot.
        rationales: write them, too; without them there is no probe of rationales.
        device: for a run folder, as `Detector.from_pretrained`.
        precision: the same.
        out: the evaluation's folder; None for the run's own (`evaluation_folder`), or for a Detector at hand none.
        progress: told what is done.

    Raises:
        InputError: no such run, split or probe, or nothing in the split can be judged.
    """
    names = chosen(probes)
    predictions, folder = judge(
        detector,
        dataset,
        split,
        rationales=rationales,
        device=device,
        precision=precision,
        out=out,
        progress=progress,
    )
    return evaluate_judged(
        predictions,
        probes=names,
        probe_memes=probe_memes,
        probe_options=probe_options,
        seed=seed,
        folder=folder,
        progress=progress,
    )


def judge(
    detector: Detector | Path | str,
    dataset: Dataset | Path | str,
    split: str = "test",
    *,
    rationales: bool = True,
    device: str = "auto",
    precision: str = "fp32",
    out: Path | None = None,
    progress: Progress = no_progress,
) -> tuple[Predictions, Path | None]:
    """The first half of `evaluate`: verdicts on a split, kept in the evaluation's folder, which is returned too.

    What is there for the same memes and detector is not judged again; verdicts of the run's detector before it was
    trained or calibrated anew are set aside under that detector's key.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset(Path(dataset))
    own_name = data.split_name(split)
    data.split(own_name)  # no such split is said before anything is loaded
    folder = out
    if not isinstance(detector, Detector):
        folder = out or evaluation_folder(Path(detector), data, own_name)
        detector = Detector.from_pretrained(detector, device=device, precision=precision)
    if folder is None:
        return judge_split(detector, data, own_name, rationales=rationales, progress=progress), None
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder, "evaluate"):
        file = verdicts_file(folder, own_name)
        set_aside(file, detector.key)
        predictions = judge_split(
            detector, data, own_name, out=file, rationales=rationales, progress=progress
        )
        keep(predictions, folder, rationales=rationales)
    return predictions, folder


def evaluate_judged(
    predictions: Predictions,
    *,
    probes: str | Sequence[str] = "all",
    probe_memes: int = 500,
    probe_options: Options | None = None,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    folder: Path | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """The second half of `evaluate`: figures of what is judged; ``report.json`` is written where there is a folder."""
    with exclusive_lock(folder, "evaluate") if folder else contextlib.nullcontext():
        names = chosen(probes)
        return _evaluate_judged(
            predictions, names, probe_memes, probe_options, seed, n_resamples, folder, progress
        )


def _evaluate_judged(
    predictions: Predictions,
    names: Sequence[str],
    probe_memes: int,
    probe_options: Options | None,
    seed: int,
    n_resamples: int,
    folder: Path | None,
    progress: Progress,
) -> Evaluation:
    gold, said, scores, card = (
        predictions.gold,
        predictions.predicted,
        predictions.scores,
        predictions.detector.card,
    )
    clusters = clusters_of(predictions)
    found = score(gold, said, scores, n_resamples=n_resamples, seed=seed, clusters=clusters)
    groups = score_groups(predictions, n_resamples=max(1, n_resamples // 2), seed=seed, clusters=clusters)
    beside = compare_baselines(predictions, n_resamples=n_resamples, seed=seed, clusters=clusters)
    role = role_of(predictions)
    rows = published(
        predictions.dataset.info.name,
        predictions.split,
        len(predictions.memes),
        len(predictions.failures),
        role=role,
    )
    missing = Counter(part for verdict in predictions.verdicts for part in verdict.missing)
    probed, skipped = run_probes(
        predictions,
        names,
        seed=seed,
        memes=probe_memes,
        options=probe_options,
        folder=folder,
        progress=progress,
    )
    evaluation = Evaluation(
        words=(),
        detector=predictions.detector.key,
        recipe=predictions.detector.card.recipe,
        seed=predictions.detector.card.seed,
        dataset=predictions.dataset.info.name,
        dataset_sha256=predictions.dataset.fingerprint(),
        split=predictions.split,
        role=role,
        trained_on=trained_on(folder) if folder else None,
        seen_words=seen_words(predictions),
        texts_cut=sum(verdict.text_cut for verdict in predictions.verdicts),
        memes=len(predictions.memes),
        failures=predictions.failures,
        missing=dict(missing),
        threshold=card.threshold,
        chosen=card.chosen,
        band=card.band,
        band_figures=metrics_at_threshold(gold, scores, card.threshold, Traffic(), card.band, seed=seed)
        if card.band
        else {},
        scores=found,
        curves=curves(gold, said, scores),
        groups=groups,
        published=rows,
        beside=beside,
        probes={name: _with_sentences(name, record) for name, record in probed.items()},
        skipped=skipped,
        mistakes=worst_mistakes(predictions),
        draws=n_resamples,
        draws_seed=seed,
        mrharm=__version__,
    )
    evaluation = evaluation.model_copy(update={"words": summarise(evaluation)})
    if folder is not None:
        write_json(folder / REPORT, evaluation.model_dump(mode="json"))
    return evaluation


def with_probe(found: Evaluation, name: str, record: Record, folder: Path | None = None) -> Evaluation:
    """The evaluation with one more thing probed (a judge's marks); ``report.json`` is written anew where it lies."""
    more = {**found.probes, name: _with_sentences(name, json.loads(record.model_dump_json()))}
    found = found.model_copy(update={"probes": more})
    if folder is not None:
        write_json(folder / REPORT, found.model_dump(mode="json"))
    return found


def _with_sentences(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """A probe's record as report.json holds it: its figures, and ``words`` that describe them."""
    return {**record, "words": list(describe_probe(name, record))}


def read_report(file: Path) -> Evaluation:
    """A ``report.json`` back; raises DataError where it is something else, or written by another version."""
    try:
        return make_record(json.loads(file.read_text(encoding="utf-8")), Evaluation, file=file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); evaluate the run again") from None


def worst_mistakes(predictions: Predictions, most: int = MISTAKES) -> tuple[Mistake, ...]:
    """Memes judged wrongly, the ones the detector was surest of first; those without a label last."""
    confidence = confidence_of(predictions.predicted, predictions.scores)
    wrong = np.flatnonzero(settle(predictions.gold, predictions.predicted) != predictions.gold)
    surest = sorted(wrong, key=lambda place: -confidence[place])[:most]
    return tuple(
        Mistake(
            meme_id=predictions.memes[place].id,
            text=meme_text(predictions.memes[place], predictions.verdicts[place].evidence) or "",
            harmful=bool(predictions.gold[place]),
            said=predictions.predicted[place],
            score=float(predictions.scores[place]),
            confidence=float(confidence[place]),
            rationale=predictions.verdicts[place].rationale,
        )
        for place in surest
    )
