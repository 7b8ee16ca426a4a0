"""Whether a policy meets its targets on labelled memes: whatever their number, by the estimate alone, or not."""

from __future__ import annotations

from typing import Any, Literal

from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import FlagCounts, Traffic, memes_needed
from mrharm.policy.choose_threshold import Criterion, Promise
from mrharm.records import Record

State = Literal["met", "uncertain", "missed"]
JSON_STATES: dict[State, str] = {"met": "kept", "uncertain": "open", "missed": "broken"}


class TargetCheck(Record):
    """A figure of a policy on a split, and its target.

    name: of the figure; ``reviews`` at most as many as wanted, all else at least so much.
    wanted: the target.
    figure: what was measured.
    bound: the pessimistic end of its interval.
    state: ``met`` where the bound meets the target, ``uncertain`` where the estimate alone does or is undefined,
        ``missed`` where the estimate does not.
    kind: the memes whose wrong decisions count against the target.
    memes: how many of these the split has.
    needed: how many of these it takes, none of them decided wrongly, before an interval can meet the target; None where
        no number does.
    """

    split: str
    name: Promise
    wanted: float
    figure: Estimate
    bound: float | None
    state: State
    kind: Literal["harmful", "harmless"]
    memes: int
    needed: int | None

    @property
    def too_few(self) -> bool:
        """Whether the split is too small to show the target met, whatever the detector decides."""
        return self.needed is not None and self.memes < self.needed

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values, the state by the words of ``--json``: kept, open, broken."""
        return {**self.model_dump(), "state": JSON_STATES[self.state]}


def check_target(
    split: str, criterion: Criterion, figure: Estimate, counts: FlagCounts, traffic: Traffic
) -> TargetCheck:
    """Compare a figure on a split with its target; ``counts`` is what it was measured on (`count_for_target`)."""
    name, target = criterion.promise, criterion.limit or 0.0
    bound = figure.high if name == "reviews" else figure.low
    state: State = "uncertain"
    if figure.value is not None and not criterion.met_by(figure.value):
        state = "missed"
    elif figure.value is not None and bound is not None and criterion.met_by(bound):
        state = "met"
    harmful = name in ("recall", "allow_precision")
    most = _tolerable_error(name, target, counts, traffic)
    return TargetCheck(
        split=split,
        name=name,
        wanted=target,
        figure=figure,
        bound=bound,
        state=state,
        kind="harmful" if harmful else "harmless",
        memes=int(counts.harmful if harmful else counts.harmless),
        needed=memes_needed(most) if most is not None else None,
    )


def _tolerable_error(name: Promise, target: float, counts: FlagCounts, traffic: Traffic) -> float | None:
    """Return the highest rate of wrong decisions about one kind of memes that meets the target, those about the other
    kind being as they are; None without memes of both kinds.
    """
    if not counts.harmful or not counts.harmless:
        return None
    share = traffic.prevalence
    if share is None:
        share = counts.harmful / (counts.harmful + counts.harmless)
    recall, alarms = counts.hits / counts.harmful, counts.alarms / counts.harmless
    if name == "recall":
        return 1 - target
    if name == "reviews":
        return (target / (traffic.per_day or 1.0) - share * recall) / (1 - share)
    if name == "allow_precision":
        return (1 - share) * (1 - alarms) * (1 - target) / (target * share)
    return share * recall * (1 - target) / (target * (1 - share))
