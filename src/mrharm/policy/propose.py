"""A detector and what people want of it -> the policy to store in its card, with what it does on labelled memes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import Band, LabelledScores, count_for_target, metrics_at_threshold
from mrharm.policy.bands import choose_band
from mrharm.policy.choose import Choice, Criterion, choices, choose_threshold
from mrharm.policy.proposal import Proposal, Row, Wanted
from mrharm.policy.targets import Promised, TargetCheck, standing
from mrharm.progress import Progress, no_progress
from mrharm.runs import results_folder
from mrharm.verdicts.card import Chosen, DetectorCard, figure_name, figure_words, read_card
from mrharm.verdicts.detector import Detector

_MENU = (
    Criterion(),
    *(Criterion(promise="precision", wanted=share) for share in (0.8, 0.9, 0.95)),
    *(Criterion(promise="recall", wanted=share) for share in (0.8, 0.9, 0.95)),
)


def propose(
    run: Path,
    dataset: Path | None,
    wanted: Wanted,
    *,
    split: str = "validation",
    check_split: str | None = None,
    menu: bool = False,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Proposal:
    """Choose a policy for a run's detector; nothing is stored before `Proposal.store`.

    Scores are kept in the run's folder (``scores.<split>.<scorer>.jsonl``), so that choosing again, or going on after a
    stop, judges nothing twice.

    Args:
        run: a run's folder or its ``detector/``.
        dataset: labelled memes; None only with a threshold of one's own.
        wanted: what the policy shall do.
        split: the split to choose on.
        check_split: another split to measure the choice on.
        menu: say what the usual criteria would give, too.
        device: as `Detector.from_pretrained`.
        progress: told what is done.

    Raises:
        InputError: no detector, no such split, or a promise that cannot be kept (the message says what can).
    """
    folder, before = read_card(run)
    if wanted.criterion and wanted.criterion.promise == "reviews" and (wanted.band_criterion or wanted.band):
        raise InputError(
            "--reviews counts what is flagged; with a band people review the band instead: say --band N alone"
        )
    if wanted.threshold is not None:
        before.with_policy(wanted.threshold, wanted.band)  # a number out of range is said before any work
    if dataset is None:
        return _said(folder, before, wanted, check_split)
    data = Dataset(dataset)
    own, other = data.split_name(split), data.split_name(check_split) if check_split else None
    if own == other:
        raise InputError(f"--check-split {check_split}: the threshold is chosen on it; name another split")
    detector = Detector.from_pretrained(run, device=device)
    predictions = _judge(folder, detector, data, own, progress)
    memes, stream = _labelled(predictions), wanted.traffic
    choice: Choice | None = None
    if wanted.threshold is None:
        choice = choose_threshold(memes, wanted.criterion or Criterion(), stream)
    at = choice.at if choice else float(wanted.threshold or 0.0)
    band = choose_band(memes, at, wanted.band_criterion, stream) if wanted.band_criterion else None
    bounds = band.at if band else wanted.band
    if bounds and bounds[0] == bounds[1]:
        bounds = None
    figures = metrics_at_threshold(memes, at, stream, bounds)
    found = Proposal(
        wanted=wanted,
        folder=folder,
        card=before,
        before=before,
        threshold=choice.threshold if choice else Estimate(value=at),
        criterion_words=choice.criterion.words() if choice else "said",
        band=band,
        band_words=band.criterion.words() if band else "said" if wanted.band else None,
        split=own,
        memes=len(predictions.memes),
        figures=figures,
        elsewhere=choice.elsewhere if choice else None,
        found_in=choice.found_in if choice else None,
        failures=list(predictions.failures),
    )
    found.card = before.with_policy(
        at,
        bounds,
        Chosen(
            criterion=found.criterion_words,
            band_criterion=found.band_words,
            dataset=data.info.name,
            dataset_sha256=data.fingerprint(),
            split=own,
            memes=len(predictions.memes),
            prevalence=stream.prevalence,
            per_day=stream.per_day,
            figures=figures,
        ),
    )
    found.promises += _standings(predictions, wanted, at, bounds, figures)
    found.notes += _notes(found, choice, predictions)
    if menu:
        found.menu = _menu(predictions, before, wanted)
    if other:
        there = _judge(folder, detector, data, other, progress)
        found.check_split, found.check_memes = other, len(there.memes)
        found.checked = metrics_at_threshold(_labelled(there), at, stream, bounds)
        found.promises += _standings(there, wanted, at, bounds, found.checked)
        found.failures += there.failures
    return found


def _said(folder: Path, before: DetectorCard, wanted: Wanted, check_split: str | None) -> Proposal:
    if wanted.threshold is None or wanted.band_criterion or check_split:
        raise InputError(
            "a threshold, a band or a check needs labelled memes: name a DATASET, or say --set-threshold X alone"
        )
    words = "said" if wanted.band else None
    card = before.with_policy(wanted.threshold, wanted.band, Chosen(criterion="said", band_criterion=words))
    return Proposal(wanted, folder, card, before, Estimate(value=wanted.threshold), "said", band_words=words)


def _judge(folder: Path, detector: Detector, data: Dataset, split: str, progress: Progress) -> Predictions:
    file = results_folder(folder) / f"scores.{split}.{detector.card.scorer()}.jsonl"
    return judge_split(detector, data, split, out=file, rationales=False, progress=progress)


def _labelled(predictions: Predictions) -> LabelledScores:
    return LabelledScores(predictions.gold, predictions.scores, predictions.clusters)


def _notes(found: Proposal, choice: Choice | None, predictions: Predictions) -> list[str]:
    notes = []
    data = predictions.dataset
    if choice and choice.elsewhere is not None:
        name = choice.criterion.promise
        as_were = (
            ", as were epoch and calibration of a detector trained on this dataset"
            if found.split == data.split_name("validation")
            else ""
        )
        notes.append(
            f"These figures flatter: the threshold was chosen on these very memes{as_were}. Elsewhere expect about "
            f"{figure_words(name, Estimate(value=choice.elsewhere))} ({figure_name(name)})."
        )
    if choice and choice.found_in < 1:
        notes.append(
            f"The promise could be kept at all in {100 * choice.found_in:.0f} of 100 draws of these memes."
        )
    if found.split == data.split_name("train"):
        notes.append("The student has learned from these memes; choose on memes it has not seen.")
    if choice and found.split == data.split_name("test"):
        notes.append(
            f"Chosen on {found.split}, which is there to test: what is measured on it from now on is too kind to this "
            "detector. Choose on validation, and check on test (--check-split)."
        )
    shown = "allowed" if found.card.band else "flagged"
    if found.figures.get(shown, Estimate()).value == 1:
        notes.append(f"This policy tells no meme from another: every meme is {shown}.")
    if predictions.detector.card.decoding == "greedy":
        silent = sum(said is None for said in predictions.predicted)
        notes.append(
            "This detector writes its labels (greedy): the threshold makes allow, review and flag from scores; harmful "
            f"stays what it wrote, no label on {silent:,} of these memes."
        )
    return notes


def _menu(predictions: Predictions, before: DetectorCard, wanted: Wanted) -> list[Row]:
    memes, stream = _labelled(predictions), wanted.traffic
    now = metrics_at_threshold(memes, before.threshold, stream)
    rows = [Row("in force", threshold=Estimate(value=before.threshold), figures=now)]
    asked: Sequence[Criterion] = (wanted.criterion,) if wanted.criterion else ()
    for criterion, choice in choices(memes, list(dict.fromkeys([*asked, *_MENU])), stream):
        if isinstance(choice, str):
            rows.append(Row(criterion.words(), why=choice))
        else:
            rows.append(Row(_short(criterion), criterion.promise, choice.threshold, choice.figures))
    return rows


def _short(criterion: Criterion) -> str:
    if criterion.wanted is None:
        return "best macro-F1"
    return f"{criterion.promise} {criterion.wanted:g}"


def _standings(
    predictions: Predictions, wanted: Wanted, at: float, bounds: Band | None, figures: dict[str, Estimate]
) -> list[TargetCheck]:
    """How everything that was wanted stands on a split."""
    asked: list[tuple[Promised, float | None]] = []
    criterion, band = wanted.criterion, wanted.band_criterion
    if criterion and criterion.promise != "macro_f1":
        asked.append((criterion.promise, criterion.wanted))
    if band:
        asked += [
            ("reviews", band.reviews),
            ("flag_precision", band.flag_precision),
            ("allow_precision", band.allow_precision),
        ]
    if band and not bounds:
        # A band that holds nothing keeps its promises at the threshold.
        bounds = (at, at)
        figures = metrics_at_threshold(_labelled(predictions), at, wanted.traffic, bounds)
    return [
        standing(
            predictions.split,
            name,
            share,
            figures[name],
            count_for_target(name, _labelled(predictions), at, bounds),
            wanted.traffic,
        )
        for name, share in asked
        if share is not None
    ]
