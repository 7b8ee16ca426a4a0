"""Choose a policy for a run's detector: the threshold and band of its new card, and what they do on labelled memes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.evaluation.saved import list_stale_pages
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.estimate import N_RESAMPLES
from mrharm.metrics.thresholds import Band, LabelledScores, Traffic, count_for_target, metrics_at_threshold
from mrharm.policy.bands import BandChoice, BandCriterion, choose_band
from mrharm.policy.choose import Criterion, ThresholdChoice, choose_threshold
from mrharm.policy.targets import TargetCheck, TargetName, check_target
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure
from mrharm.runs import results_folder
from mrharm.verdicts.card import (
    Chosen,
    DetectorCard,
    figure_name,
    figure_words,
    read_card,
    write_card,
)
from mrharm.verdicts.detector import Detector

MENU = (
    Criterion(),
    *(Criterion(promise="precision", limit=share) for share in (0.8, 0.9, 0.95)),
    *(Criterion(promise="recall", limit=share) for share in (0.8, 0.9, 0.95)),
)
MENU_RESAMPLES = N_RESAMPLES // 5


@dataclass(frozen=True)
class PolicyRequest:
    """What a policy is to reach: a ``criterion``, or a ``threshold`` set by hand; a ``band_criterion``, a ``band`` set
    by hand, or neither; chosen on ``split``, measured on ``check_split``, too; with ``menu``, by the usual criteria
    as well.
    """

    traffic: Traffic
    criterion: Criterion | None = None
    threshold: float | None = None
    band_criterion: BandCriterion | None = None
    band: Band | None = None
    split: str = "validation"
    check_split: str | None = None
    menu: bool = False


@dataclass(frozen=True)
class MenuRow:
    """What a usual criterion would give: a threshold and its figures, or ``why`` no threshold meets it."""

    words: str
    promise: str | None = None
    threshold: Estimate = field(default_factory=Estimate)
    figures: dict[str, Estimate] = field(default_factory=dict)
    why: str | None = None


@dataclass
class PolicyChoice:
    """A policy that is not stored yet: the detector's new ``card``, the one ``before``, and what it was chosen by.

    ``figures`` are those of the split it was chosen on, ``checked`` of the check split; ``promises`` compare targets
    with figures on each; ``optimism_corrected`` and ``feasible_share`` as `ThresholdChoice`; ``notes`` are cautions.
    """

    request: PolicyRequest
    folder: Path
    card: DetectorCard
    before: DetectorCard
    threshold: Estimate
    criterion_words: str
    band: BandChoice | None = None
    band_words: str | None = None
    split: str | None = None
    memes: int = 0
    figures: dict[str, Estimate] = field(default_factory=dict)
    optimism_corrected: float | None = None
    feasible_share: float | None = None
    notes: list[str] = field(default_factory=list)
    menu: list[MenuRow] = field(default_factory=list)
    check_split: str | None = None
    check_memes: int = 0
    checked: dict[str, Estimate] = field(default_factory=dict)
    promises: list[TargetCheck] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def store(self) -> None:
        """Write the policy into the detector's card and README; no other file changes."""
        write_card(self.folder, self.card)

    @property
    def missed(self) -> bool:
        """Whether a target is missed on the split that the choice is checked on."""
        return any(check.state == "missed" for check in self.promises if check.split == self.check_split)

    def met_by_split(self) -> dict[str, bool]:
        """Return split -> whether every target is met there by the pessimistic end of its interval, too."""
        met: dict[str, bool] = {}
        for check in self.promises:
            met[check.split] = met.get(check.split, True) and check.state == "met"
        return met

    def stale_pages(self) -> list[Path]:
        """List the pages and model cards in the run that show another policy than this one."""
        same = (self.card.threshold, self.card.band) == (self.before.threshold, self.before.band)
        return [] if same else list_stale_pages(results_folder(self.folder), self.card.key())

    def summary(self) -> dict[str, Any]:
        """Return JSON-able values, as ``mrharm threshold --json`` prints them."""
        bounds = (
            {"low": self.band.low.model_dump(), "high": self.band.high.model_dump()} if self.band else None
        )
        traffic = self.request.traffic
        return {
            "detector": self.card.key(),
            "folder": str(self.folder),
            "threshold": self.card.threshold,
            "threshold_interval": [self.threshold.low, self.threshold.high],
            "band": list(self.card.band) if self.card.band else None,
            "band_bounds": bounds,
            "criterion": self.criterion_words,
            "band_criterion": self.band_words,
            "split": self.split,
            "memes": self.memes,
            "prevalence": traffic.prevalence,
            "per_day": traffic.per_day,
            "figures": _dump_figures(self.figures),
            "elsewhere": self.optimism_corrected,
            "found_in": self.feasible_share,
            "check_split": self.check_split,
            "check_memes": self.check_memes,
            "checked": _dump_figures(self.checked),
            "kept_on": self.met_by_split(),
            "promises": [check.to_json() for check in self.promises],
            "choices": [
                {
                    "criterion": row.words,
                    "threshold": row.threshold.model_dump(),
                    "figures": _dump_figures(row.figures),
                    "why_not": row.why,
                }
                for row in self.menu
            ],
            "before": {
                "threshold": self.before.threshold,
                "band": list(self.before.band) if self.before.band else None,
            },
            "notes": list(self.notes),
            "stale": [str(path) for path in self.stale_pages()],
            "failures": [failure.model_dump(mode="json") for failure in self.failures],
        }


def _dump_figures(figures: dict[str, Estimate]) -> dict[str, Any]:
    return {name: figure.model_dump() for name, figure in figures.items()}


def choose_policy(
    run: Path,
    dataset: Path | None,
    request: PolicyRequest,
    *,
    device: str = "auto",
    progress: Progress = no_progress,
) -> PolicyChoice:
    """Choose a policy for a run's detector; nothing is stored before `PolicyChoice.store`.

    Scores are kept in the run's folder (``scores.<split>.<scorer>.jsonl``), so that choosing again, or going on after a
    stop, judges no meme twice.

    Args:
        run: a run's folder or its ``detector/``.
        dataset: labelled memes; None only with a threshold set by hand.
        request: what to reach, and on which splits.
        device: as `Detector.from_pretrained`.
        progress: called as memes are judged.

    Raises:
        InputError: no detector, no such split, or a criterion that cannot be met (the message names what can).
    """
    folder, before = read_card(run)
    if (
        request.criterion
        and request.criterion.promise == "reviews"
        and (request.band_criterion or request.band)
    ):
        raise InputError(
            "--reviews counts what is flagged; with a band people review the band instead: say --band N alone"
        )
    if request.threshold is not None:
        before.with_policy(request.threshold, request.band)  # refuse a number out of range before any work
    if dataset is None:
        return _set_by_hand(folder, before, request)
    data = Dataset(dataset)
    split = data.split_name(request.split)
    check_split = data.split_name(request.check_split) if request.check_split else None
    if split == check_split:
        raise InputError(
            f"--check-split {request.check_split}: the threshold is chosen on it; name another split"
        )
    detector = Detector.from_pretrained(run, device=device)
    predictions = _judge(folder, detector, data, split, progress)
    choice = _choose_on(predictions, folder, before, request)
    if request.menu:
        choice.menu = _choose_menu(predictions, before, request)
    if check_split:
        _check_on(_judge(folder, detector, data, check_split, progress), choice)
    return choice


def _set_by_hand(folder: Path, before: DetectorCard, request: PolicyRequest) -> PolicyChoice:
    if request.threshold is None or request.band_criterion or request.check_split:
        raise InputError(
            "a threshold, a band or a check needs labelled memes: name a DATASET, or say --set-threshold X alone"
        )
    words = "said" if request.band else None
    card = before.with_policy(request.threshold, request.band, Chosen(criterion="said", band_criterion=words))
    return PolicyChoice(
        request, folder, card, before, Estimate(value=request.threshold), "said", band_words=words
    )


def _judge(folder: Path, detector: Detector, data: Dataset, split: str, progress: Progress) -> Predictions:
    file = results_folder(folder) / f"scores.{split}.{detector.card.scorer()}.jsonl"
    return judge_split(detector, data, split, out=file, rationales=False, progress=progress)


def _labelled_scores(predictions: Predictions) -> LabelledScores:
    return LabelledScores(predictions.gold, predictions.scores, predictions.clusters)


def _choose_on(
    predictions: Predictions, folder: Path, before: DetectorCard, request: PolicyRequest
) -> PolicyChoice:
    """Choose threshold and band on a split's predictions."""
    memes, traffic, data = _labelled_scores(predictions), request.traffic, predictions.dataset
    # The threshold first, then the band around it; a band without width is none.
    chosen: ThresholdChoice | None = None
    if request.threshold is None:
        chosen = choose_threshold(memes, request.criterion or Criterion(), traffic)
    at = chosen.at if chosen else float(request.threshold or 0.0)
    band = choose_band(memes, at, request.band_criterion, traffic) if request.band_criterion else None
    bounds = band.at if band else request.band
    if bounds and bounds[0] == bounds[1]:
        bounds = None
    # The card that says how they were chosen, and on what.
    figures = metrics_at_threshold(memes, at, traffic, bounds)
    criterion_words = chosen.criterion.words() if chosen else "said"
    band_words = band.criterion.words() if band else "said" if request.band else None
    provenance = Chosen(
        criterion=criterion_words,
        band_criterion=band_words,
        dataset=data.info.name,
        dataset_sha256=data.fingerprint(),
        split=predictions.split,
        memes=len(predictions.memes),
        prevalence=traffic.prevalence,
        per_day=traffic.per_day,
        figures=figures,
    )
    choice = PolicyChoice(
        request=request,
        folder=folder,
        card=before.with_policy(at, bounds, provenance),
        before=before,
        threshold=chosen.threshold if chosen else Estimate(value=at),
        criterion_words=criterion_words,
        band=band,
        band_words=band_words,
        split=predictions.split,
        memes=len(predictions.memes),
        figures=figures,
        optimism_corrected=chosen.optimism_corrected if chosen else None,
        feasible_share=chosen.feasible_share if chosen else None,
        promises=_check_targets(predictions, request, at, bounds, figures),
        failures=list(predictions.failures),
    )
    choice.notes = _note_cautions(choice, chosen, predictions)
    return choice


def _check_on(predictions: Predictions, choice: PolicyChoice) -> None:
    """Measure a choice on another split."""
    at, bounds = choice.card.threshold, choice.card.band
    choice.check_split, choice.check_memes = predictions.split, len(predictions.memes)
    choice.checked = metrics_at_threshold(_labelled_scores(predictions), at, choice.request.traffic, bounds)
    choice.promises += _check_targets(predictions, choice.request, at, bounds, choice.checked)
    choice.failures += predictions.failures


def _check_targets(
    predictions: Predictions,
    request: PolicyRequest,
    at: float,
    bounds: Band | None,
    figures: dict[str, Estimate],
) -> list[TargetCheck]:
    """Compare every figure that a criterion is about with its target, on one split."""
    targets: list[tuple[TargetName, float | None]] = []
    criterion, band, memes = request.criterion, request.band_criterion, _labelled_scores(predictions)
    if criterion and criterion.promise != "macro_f1":
        targets.append((criterion.promise, criterion.limit))
    if band:
        targets += [
            ("reviews", band.reviews),
            ("flag_precision", band.flag_precision),
            ("allow_precision", band.allow_precision),
        ]
    if band and not bounds:
        # A band without width meets its targets at the threshold.
        bounds = (at, at)
        figures = metrics_at_threshold(memes, at, request.traffic, bounds)
    checks = []
    for name, limit in targets:
        if limit is not None:
            counts = count_for_target(name, memes, at, bounds)
            checks.append(
                check_target(predictions.split, name, limit, figures[name], counts, request.traffic)
            )
    return checks


def _note_cautions(
    choice: PolicyChoice, chosen: ThresholdChoice | None, predictions: Predictions
) -> list[str]:
    """Say what makes the figures worth less than they seem."""
    notes = []
    data = predictions.dataset
    if chosen and chosen.optimism_corrected is not None:
        name = chosen.criterion.promise
        as_were = (
            ", as were epoch and calibration of a detector trained on this dataset"
            if choice.split == data.split_name("validation")
            else ""
        )
        notes.append(
            f"These figures are optimistic: the threshold was chosen on these memes{as_were}. Elsewhere expect about "
            f"{figure_words(name, Estimate(value=chosen.optimism_corrected))} ({figure_name(name)})."
        )
    if chosen and chosen.feasible_share < 1:
        notes.append(
            f"The target could be met at all in {100 * chosen.feasible_share:.0f} of 100 resamples of these memes."
        )
    if choice.split == data.split_name("train"):
        notes.append("The student was trained on these memes; choose on memes that it was not trained on.")
    if chosen and choice.split == data.split_name("test"):
        notes.append(
            f"The threshold was chosen on {choice.split}, so what is measured there from now on is optimistic for "
            "this detector. Choose on validation, and check on test (--check-split)."
        )
    shown = "allowed" if choice.card.band else "flagged"
    if choice.figures.get(shown, Estimate()).value == 1:
        notes.append(f"This policy does not tell memes apart: every one of them is {shown}.")
    if predictions.detector.card.decoding == "greedy":
        silent = sum(label is None for label in predictions.predicted)
        notes.append(
            "This detector writes its labels (greedy): the threshold decides allow, review or flag by the score, while "
            f"`harmful` remains what the student wrote, which is no label on {silent:,} of these memes."
        )
    return notes


def _choose_menu(predictions: Predictions, before: DetectorCard, request: PolicyRequest) -> list[MenuRow]:
    """Choose by the usual criteria, the requested one first; the threshold in force leads."""
    memes, traffic = _labelled_scores(predictions), request.traffic
    figures = metrics_at_threshold(memes, before.threshold, traffic)
    rows = [MenuRow("in force", threshold=Estimate(value=before.threshold), figures=figures)]
    criteria = [request.criterion, *MENU] if request.criterion else list(MENU)
    for criterion in dict.fromkeys(criteria):
        try:
            choice = choose_threshold(memes, criterion, traffic, n_resamples=MENU_RESAMPLES)
        except InputError as error:
            rows.append(MenuRow(criterion.words(), why=str(error)))
            continue
        words = "best macro-F1" if criterion.limit is None else f"{criterion.promise} {criterion.limit:g}"
        rows.append(MenuRow(words, criterion.promise, choice.threshold, choice.figures))
    return rows
