"""Choose a policy for a run's detector: the threshold and band of its new card, and what they do on labelled memes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.evaluation.saved_predictions import list_stale_pages, safe_name
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import Band, Traffic, count_for_target, metrics_at_threshold
from mrharm.policy.bands import BandChoice, choose_band
from mrharm.policy.choose_threshold import Criterion, ThresholdChoice, choose_threshold
from mrharm.policy.targets import TargetCheck, check_target
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Record
from mrharm.runs import results_folder
from mrharm.verdicts.card import BY_HAND, Chosen, DetectorCard, read_card, write_card

MENU = (
    Criterion(),
    *(Criterion(promise="precision", limit=share) for share in (0.8, 0.9, 0.95)),
    *(Criterion(promise="recall", limit=share) for share in (0.8, 0.9, 0.95)),
)


@dataclass(frozen=True)
class PolicyRequest:
    """What a policy is to reach: a ``criterion``, or a ``threshold`` set by hand; ``band_criteria``, a ``band`` set
    by hand, or neither; chosen on ``split``, measured on ``check_split``, too; with ``menu``, by the usual criteria
    as well.
    """

    traffic: Traffic
    criterion: Criterion | None = None
    threshold: float | None = None
    band_criteria: tuple[Criterion, ...] = ()
    band: Band | None = None
    split: str = "validation"
    check_split: str | None = None
    menu: bool = False


class MenuRow(Record):
    """What a usual criterion would give: a threshold and its figures, or ``why_not``: why no threshold meets it."""

    criterion: str
    promise: str | None = None
    threshold: Estimate = Estimate()
    figures: dict[str, Estimate] = {}
    why_not: str | None = None


@dataclass(frozen=True)
class Measurement:
    """What a policy does on a split: its figures, and its targets compared with them."""

    split: str | None = None
    memes: int = 0
    figures: dict[str, Estimate] = field(default_factory=dict)
    checks: tuple[TargetCheck, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class PolicyChoice:
    """A policy that is not stored yet: the detector's new ``card`` and the one ``before``.

    chosen: None where the threshold was set by hand; ``band``: None where there is none, or it was set by hand.
    measured: on the split it was chosen on, whose ``role`` may be train, validation or test; ``checked``: on the check
        split.
    unanswered: of the memes it was chosen on, where the detector writes its labels.
    """

    request: PolicyRequest
    folder: Path
    card: DetectorCard
    before: DetectorCard
    chosen: ThresholdChoice | None = None
    band: BandChoice | None = None
    measured: Measurement = Measurement()
    checked: Measurement = Measurement()
    role: str | None = None
    unanswered: int | None = None
    menu: tuple[MenuRow, ...] = ()

    def store(self, *, force: bool = False) -> bool:
        """Write the policy into the detector's card and README, and no other file; return whether it was written.

        One that misses a target is written only with ``force``.
        """
        if self.missed and not force:
            return False
        write_card(self.folder, self.card)
        return True

    @property
    def provenance(self) -> Chosen:
        """How it was chosen, in words."""
        assert self.card.chosen is not None  # every policy of this module says how
        return self.card.chosen

    @property
    def promises(self) -> tuple[TargetCheck, ...]:
        """The checks of both splits."""
        return self.measured.checks + self.checked.checks

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The memes of both splits that could not be judged."""
        return self.measured.failures + self.checked.failures

    @property
    def missed(self) -> bool:
        """Whether a target is missed on the split it was chosen on, or on the one it is checked on."""
        return any(check.state == "missed" for check in self.promises)

    def stale_pages(self) -> list[Path]:
        """List the pages and model cards in the run that show another policy than this one."""
        same = (self.card.threshold, self.card.band) == (self.before.threshold, self.before.band)
        return [] if same else list_stale_pages(results_folder(self.folder), self.card.key())


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
    criterion = request.criterion
    if criterion and criterion.promise == "reviews" and (request.band_criteria or request.band):
        raise InputError(
            "--reviews counts what is flagged; with a band people review the band instead: say --band N alone"
        )
    if request.threshold is not None:
        before.with_policy(request.threshold, request.band)  # refuse a number out of range before any work
    if dataset is None:
        if request.threshold is None or request.band_criteria or request.check_split:
            raise InputError(
                "a threshold, a band or a check needs labelled memes: name a DATASET, or say --set-threshold X alone"
            )
        by_hand = Chosen(criterion=BY_HAND, band_criterion=BY_HAND if request.band else None)
        card = before.with_policy(request.threshold, request.band, by_hand)
        return PolicyChoice(request, folder, card, before)
    data = Dataset(dataset)
    split = data.split_name(request.split)
    check_split = data.split_name(request.check_split) if request.check_split else None
    if split == check_split:
        raise InputError(
            f"--check-split {request.check_split}: the threshold is chosen on it; name another split"
        )
    from mrharm.verdicts.detector import Detector  # PyTorch: refusals come first

    detector = Detector.from_pretrained(run, device=device)

    def judge(name: str) -> Predictions:
        file = results_folder(folder) / f"scores.{safe_name(name)}.{detector.card.scorer()}.jsonl"
        return judge_split(detector, data, name, out=file, rationales=False, progress=progress)

    choice = _choose_on(judge(split), folder, before, request)
    if check_split:
        choice = replace(choice, checked=_measure(judge(check_split), request, choice.card))
    return choice


def _choose_on(
    predictions: Predictions, folder: Path, before: DetectorCard, request: PolicyRequest
) -> PolicyChoice:
    """Choose threshold and band on a split's predictions."""
    # The threshold first, then the band around it.
    memes, chosen, band = predictions.labelled_scores, None, None
    if request.threshold is None:
        chosen = choose_threshold(memes, request.criterion or Criterion(), request.traffic)
    at = chosen.at if chosen else float(request.threshold or 0.0)
    if request.band_criteria:
        band = choose_band(memes, at, request.band_criteria, request.traffic)
    card = before.with_policy(at, band.at if band else request.band)
    # What they do, and the card that says how they were chosen.
    data, split = predictions.dataset, predictions.split
    measured = _measure(predictions, request, card)
    unanswered = sum(label is None for label in predictions.predicted)
    return PolicyChoice(
        request=request,
        folder=folder,
        card=card.with_policy(at, card.band, _describe_origin(data, request, measured)),
        before=before,
        chosen=chosen,
        band=band,
        measured=measured,
        role=next((role for role in (TRAIN, VALIDATION, "test") if data.split_name(role) == split), None),
        unanswered=unanswered if before.decoding == "greedy" else None,
        menu=_choose_menu(predictions, before, request) if request.menu else (),
    )


def _describe_origin(data: Dataset, request: PolicyRequest, measured: Measurement) -> Chosen:
    """Say for the card how a policy was chosen, and on what."""
    by_hand = BY_HAND if request.band else None
    return Chosen(
        criterion=BY_HAND if request.threshold is not None else (request.criterion or Criterion()).words(),
        band_criterion=", ".join(criterion.words() for criterion in request.band_criteria) or by_hand,
        dataset=data.info.name,
        dataset_sha256=data.fingerprint(),
        split=measured.split,
        memes=measured.memes,
        prevalence=request.traffic.prevalence,
        per_day=request.traffic.per_day,
        figures=measured.figures,
    )


def _measure(predictions: Predictions, request: PolicyRequest, card: DetectorCard) -> Measurement:
    """Measure the policy of a card on a split, and compare every promised figure with its target."""
    memes, at, band, traffic = predictions.labelled_scores, card.threshold, card.band, request.traffic
    figures = promised = metrics_at_threshold(memes, at, traffic, band)
    if request.band_criteria and not band:
        # A band without width meets its targets at the threshold.
        band = (at, at)
        promised = metrics_at_threshold(memes, at, traffic, band)
    checks = []
    for criterion in filter(None, (request.criterion, *request.band_criteria)):
        if criterion.limit is not None:
            name = criterion.promise
            counts = count_for_target(name, memes, at, band)
            checks.append(check_target(predictions.split, criterion, promised[name], counts, traffic))
    return Measurement(
        predictions.split, len(predictions.memes), figures, tuple(checks), predictions.failures
    )


def _choose_menu(
    predictions: Predictions, before: DetectorCard, request: PolicyRequest
) -> tuple[MenuRow, ...]:
    """Choose by the usual criteria, the requested one first; the threshold in force leads."""
    memes, traffic = predictions.labelled_scores, request.traffic
    figures = metrics_at_threshold(memes, before.threshold, traffic)
    rows = [MenuRow(criterion="in force", threshold=Estimate(value=before.threshold), figures=figures)]
    for criterion in dict.fromkeys(filter(None, (request.criterion, *MENU))):
        try:
            choice = choose_threshold(memes, criterion, traffic)
        except InputError as error:
            rows.append(MenuRow(criterion=criterion.words(), why_not=str(error)))
            continue
        words = "best macro-F1" if criterion.limit is None else f"{criterion.promise} {criterion.limit:g}"
        figures = metrics_at_threshold(memes, choice.at, traffic)
        rows.append(
            MenuRow(criterion=words, promise=criterion.promise, threshold=choice.threshold, figures=figures)
        )
    return tuple(rows)
