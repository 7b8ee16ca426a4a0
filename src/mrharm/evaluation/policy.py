"""A detector and what people want of it -> the policy to store in its card, with what it does on labelled memes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.errors import InputError
from mrharm.evaluation.bands import BandChoice, BandCriterion, choose_band
from mrharm.evaluation.cuts import Stream
from mrharm.evaluation.judged import Judged, Progress, judge_split, quiet
from mrharm.evaluation.thresholds import (
    Band,
    Choice,
    Criterion,
    choices,
    choose_threshold,
    figures_at,
    keeps,
)
from mrharm.memes.dataset import Dataset
from mrharm.metrics.figures import Figure
from mrharm.records import Failure
from mrharm.verdicts.card import (
    Chosen,
    DetectorCard,
    beside,
    figure_name,
    figure_words,
    read_card,
    write_card,
)
from mrharm.verdicts.detector import Detector

_MENU = (
    Criterion(),
    *(Criterion(promise="precision", wanted=share) for share in (0.8, 0.9, 0.95)),
    *(Criterion(promise="recall", wanted=share) for share in (0.8, 0.9, 0.95)),
)


@dataclass(frozen=True)
class Wanted:
    """What a policy shall do: a ``criterion``, or a ``threshold`` of one's own; a ``band_criterion``, a ``band`` of
    one's own, or neither; and what will come in.
    """

    stream: Stream
    criterion: Criterion | None = None
    threshold: float | None = None
    band_criterion: BandCriterion | None = None
    band: Band | None = None


@dataclass(frozen=True)
class Row:
    """A line of the menu: what a threshold would do, or ``why`` it cannot be had."""

    words: str
    promise: str | None = None
    threshold: Figure = field(default_factory=Figure)
    figures: dict[str, Figure] = field(default_factory=dict)
    why: str | None = None


@dataclass
class Proposal:
    """A policy that is not stored yet: the new ``card``, the one ``before``, and the figures it stands on.

    ``figures`` are of the split it was chosen on, ``checked`` of another one; ``elsewhere`` and ``found_in`` as
    `Choice` has them.
    """

    wanted: Wanted
    folder: Path
    card: DetectorCard
    before: DetectorCard
    threshold: Figure
    criterion_words: str
    band: BandChoice | None = None
    band_words: str | None = None
    split: str | None = None
    memes: int = 0
    figures: dict[str, Figure] = field(default_factory=dict)
    elsewhere: float | None = None
    found_in: float | None = None
    notes: list[str] = field(default_factory=list)
    menu: list[Row] = field(default_factory=list)
    check_split: str | None = None
    check_memes: int = 0
    checked: dict[str, Figure] = field(default_factory=dict)
    check_notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def store(self) -> None:
        """Write the policy into the detector's card and README; no other file changes."""
        write_card(self.folder, self.card)

    def weighed(self) -> str:
        """Of which prevalence the figures are, where one was stated."""
        share = self.wanted.stream.prevalence
        return f", re-weighted to {100 * share:g} % harmful" if share is not None else ""

    def summary(self) -> dict[str, Any]:
        """JSON-able values."""

        def numbers(figures: dict[str, Figure]) -> dict[str, Any]:
            return {name: figure.model_dump() for name, figure in figures.items()}

        return {
            "detector": self.card.key(),
            "folder": str(self.folder),
            "threshold": self.card.threshold,
            "threshold_interval": [self.threshold.low, self.threshold.high],
            "band": list(self.card.band) if self.card.band else None,
            "band_bounds": {"low": self.band.low.model_dump(), "high": self.band.high.model_dump()}
            if self.band
            else None,
            "criterion": self.criterion_words,
            "band_criterion": self.band_words,
            "split": self.split,
            "memes": self.memes,
            "prevalence": self.wanted.stream.prevalence,
            "per_day": self.wanted.stream.per_day,
            "figures": numbers(self.figures),
            "elsewhere": self.elsewhere,
            "found_in": self.found_in,
            "check_split": self.check_split,
            "check_memes": self.check_memes,
            "checked": numbers(self.checked),
            "choices": [
                {
                    "criterion": row.words,
                    "threshold": row.threshold.model_dump(),
                    "figures": numbers(row.figures),
                    "why_not": row.why,
                }
                for row in self.menu
            ],
            "before": {
                "threshold": self.before.threshold,
                "band": list(self.before.band) if self.before.band else None,
            },
            "notes": [*self.notes, *self.check_notes],
            "failures": [failure.model_dump(mode="json") for failure in self.failures],
        }


def propose(
    run: Path,
    dataset: Path | None,
    wanted: Wanted,
    *,
    split: str = "validation",
    check_split: str | None = None,
    menu: bool = False,
    device: str = "auto",
    progress: Progress = quiet,
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
    judged = _judge(folder, detector, data, own, progress)
    gold, scores, stream = judged.gold, judged.scores, wanted.stream
    choice: Choice | None = None
    if wanted.threshold is None:
        choice = choose_threshold(gold, scores, wanted.criterion or Criterion(), stream)
    at = choice.at if choice else float(wanted.threshold or 0.0)
    band = choose_band(gold, scores, at, wanted.band_criterion, stream) if wanted.band_criterion else None
    bounds = band.at if band else wanted.band
    if bounds and bounds[0] == bounds[1]:
        bounds = None
    figures = figures_at(gold, scores, at, stream, bounds)
    found = Proposal(
        wanted=wanted,
        folder=folder,
        card=before,
        before=before,
        threshold=choice.threshold if choice else Figure(value=at),
        criterion_words=choice.criterion.words() if choice else "said",
        band=band,
        band_words=band.criterion.words() if band else "said" if wanted.band else None,
        split=own,
        memes=len(judged.memes),
        figures=figures,
        elsewhere=choice.elsewhere if choice else None,
        found_in=choice.found_in if choice else None,
        failures=list(judged.failures),
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
            memes=len(judged.memes),
            prevalence=stream.prevalence,
            per_day=stream.per_day,
            figures=figures,
        ),
    )
    found.notes += _notes(found, choice, judged)
    if menu:
        found.menu = _menu(judged, before, wanted)
    if other:
        _check(found, _judge(folder, detector, data, other, progress), at, bounds)
    return found


def _said(folder: Path, before: DetectorCard, wanted: Wanted, check_split: str | None) -> Proposal:
    if wanted.threshold is None or wanted.band_criterion or check_split:
        raise InputError(
            "a threshold, a band or a check needs labelled memes: name a DATASET, or say --set-threshold X alone"
        )
    words = "said" if wanted.band else None
    card = before.with_policy(wanted.threshold, wanted.band, Chosen(criterion="said", band_criterion=words))
    return Proposal(wanted, folder, card, before, Figure(value=wanted.threshold), "said", band_words=words)


def _judge(folder: Path, detector: Detector, data: Dataset, split: str, progress: Progress) -> Judged:
    file = beside(folder) / f"scores.{split}.{detector.card.scorer()}.jsonl"
    return judge_split(detector, data, split, out=file, rationales=False, progress=progress)


def _notes(found: Proposal, choice: Choice | None, judged: Judged) -> list[str]:
    notes = []
    if choice and choice.elsewhere is not None:
        name = choice.criterion.promise
        notes.append(
            "These figures flatter: the threshold was chosen on these very memes, as were epoch and calibration of a "
            "detector trained on this dataset.\nElsewhere expect about "
            f"{figure_words(name, Figure(value=choice.elsewhere))} ({figure_name(name)})."
        )
    if choice and choice.found_in < 1:
        notes.append(
            f"The promise could be kept at all in {100 * choice.found_in:.0f} of 100 draws of these memes."
        )
    if found.split == judged.dataset.split_name("train"):
        notes.append("The student has learned from these memes; choose on memes it has not seen.")
    if judged.detector.card.decoding == "greedy":
        silent = sum(said is None for said in judged.said)
        notes.append(
            "This detector writes its labels (greedy): the threshold makes allow, review and flag from scores; harmful "
            f"stays what it wrote, no label on {silent:,} of these memes."
        )
    return notes


def _menu(judged: Judged, before: DetectorCard, wanted: Wanted) -> list[Row]:
    gold, scores, stream = judged.gold, judged.scores, wanted.stream
    now = figures_at(gold, scores, before.threshold, stream)
    rows = [Row("in force", threshold=Figure(value=before.threshold), figures=now)]
    asked: Sequence[Criterion] = (wanted.criterion,) if wanted.criterion else ()
    for criterion, choice in choices(gold, scores, list(dict.fromkeys([*asked, *_MENU])), stream):
        if isinstance(choice, str):
            rows.append(Row(criterion.words(), why=choice))
        else:
            rows.append(Row(_short(criterion), criterion.promise, choice.threshold, choice.figures))
    return rows


def _short(criterion: Criterion) -> str:
    if criterion.wanted is None:
        return "best macro-F1"
    return f"{criterion.promise} {criterion.wanted:g}"


def _check(found: Proposal, judged: Judged, at: float, bounds: Band | None) -> None:
    """Measure the choice on another split and say where it does not keep there what it promised."""
    stream = found.wanted.stream
    found.check_split, found.check_memes = judged.split, len(judged.memes)
    found.checked = figures_at(judged.gold, judged.scores, at, stream, bounds)
    found.failures += judged.failures
    promises: list[tuple[str, float]] = []
    criterion, band = found.wanted.criterion, found.wanted.band_criterion
    if criterion and criterion.wanted is not None:
        promises.append((criterion.promise, criterion.wanted))
    for name in ("reviews", "flag_precision", "allow_precision"):
        share = getattr(band, name) if band else None
        if share is not None:
            promises.append((name, share))
    for name, share in promises:
        figure = found.checked[name]
        kept = keeps(name, share, figure)
        if kept is not None:
            found.check_notes.append(
                f"{figure_name(name)}: {'kept' if kept else 'NOT kept'} on {judged.split}: "
                f"{figure_words(name, figure)}, promised {figure_words(name, Figure(value=share))}"
            )
