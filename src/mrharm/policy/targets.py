"""How a promise stands on labelled memes: kept whatever their number, kept by the estimate alone, or not kept."""

from __future__ import annotations

from typing import Literal

from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import FlagCounts, Traffic, memes_needed
from mrharm.policy.choose import EPSILON
from mrharm.records import Record
from mrharm.verdicts.card import figure_name, figure_words

Promised = Literal["precision", "recall", "reviews", "flag_precision", "allow_precision"]
State = Literal["kept", "open", "broken"]
_LIMIT = {"reviews": "at most"}


class TargetCheck(Record):
    """A promised ``figure`` on a split, and what was ``wanted`` of it.

    ``state``: ``kept`` where the pessimistic end of the interval (``bound``) keeps it, ``open`` where the estimate
    alone does or there is none, ``broken`` where the estimate does not. ``needed`` is how many memes of ``kind`` it
    takes, none of them decided wrongly, before an interval can keep the promise (None where more would not do), and
    ``memes`` how many the split has.
    """

    split: str
    name: Promised
    wanted: float
    figure: Estimate
    bound: float | None
    state: State
    kind: Literal["harmful", "harmless"]
    memes: int
    needed: int | None

    @property
    def too_few(self) -> bool:
        """Whether the split is too small to show the promise kept, whatever the detector decides."""
        return self.needed is not None and self.memes < self.needed

    def words(self) -> str:
        """What a person must know of it: the state first, the pessimistic end, and whether the split is too small."""
        name = figure_name(self.name)
        promised = f"promised {_LIMIT.get(self.name, 'at least')} {self._spell(self.wanted)}"
        if self.figure.value is None:
            return f"{name}: NOT KNOWN on {self.split}, where nothing is decided so; {promised}."
        state = {"kept": "kept", "open": "NOT SURE", "broken": "NOT kept"}[self.state]
        text = f"{name}: {state} on {self.split}: {figure_words(self.name, self.figure)}, {promised}"
        if self.bound is not None:
            text += f"; the pessimistic end is {self._spell(self.bound)}"
        text += "."
        if self.state == "open" and self.too_few:
            text += (
                f" {self.split} holds too few {self.kind} memes to tell: {self.memes:,}; it takes at least "
                f"{self.needed:,} without one mistake."
            )
        return text

    def _spell(self, value: float) -> str:
        return figure_words(self.name, Estimate(value=value))


def standing(
    split: str, name: Promised, wanted: float, figure: Estimate, counted: FlagCounts, traffic: Traffic
) -> TargetCheck:
    """How a promise stands on a split.

    Args:
        split: its name.
        name: what was promised: reviews at most, all else at least so.
        wanted: the number.
        figure: what was measured, with its interval.
        counted: what the figure stands on (`count_for_target`).
        stream: what will come in.
    """
    bound = figure.high if name == "reviews" else figure.low
    if figure.value is None:
        state: State = "open"
    elif not keeps(name, wanted, figure.value):
        state = "broken"
    else:
        state = "kept" if bound is not None and keeps(name, wanted, bound) else "open"
    harmful = name in ("recall", "allow_precision")
    most = _most(name, wanted, counted, traffic)
    return TargetCheck(
        split=split,
        name=name,
        wanted=wanted,
        figure=figure,
        bound=bound,
        state=state,
        kind="harmful" if harmful else "harmless",
        memes=int(counted.harmful if harmful else counted.harmless),
        needed=memes_needed(most) if most is not None else None,
    )


def keeps(name: str, wanted: float, value: float) -> bool:
    """Whether a figure is as promised: reviews at most, all else at least so."""
    return value <= wanted * (1 + EPSILON) if name == "reviews" else value >= wanted - EPSILON


def _most(name: Promised, wanted: float, counted: FlagCounts, traffic: Traffic) -> float | None:
    """The largest rate of wrong decisions about the memes of one kind that keeps a promise, those about the other kind
    being as they are; None where it cannot be had.
    """
    if not counted.harmful or not counted.harmless:
        return None
    share = traffic.prevalence
    if share is None:
        share = counted.harmful / (counted.harmful + counted.harmless)
    hit, alarm = counted.hits / counted.harmful, counted.alarms / counted.harmless
    if name == "recall":
        return 1 - wanted
    if name == "reviews":
        return (wanted / (traffic.per_day or 1.0) - share * hit) / (1 - share)
    if name == "allow_precision":
        return (1 - share) * (1 - alarm) * (1 - wanted) / (wanted * share)
    return share * hit * (1 - wanted) / (wanted * (1 - share))
