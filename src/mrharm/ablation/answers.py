"""What an ablation settles, in plain words with figures; what it does not settle is said as plainly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mrharm.ablation.arms import REFERENCE
from mrharm.ablation.results import difference, paired_seeds, trend
from mrharm.ablation.run import RunRow
from mrharm.metrics import Estimate
from mrharm.records import Record

Sign = Literal["more", "less", "open"]
_FIGURE, _RANKING = "macro_f1", "auroc"
_MANY_SEEDS = 3  # two differences that happen to be equal have no spread and settle nothing


class Gain(Record):
    """How much more one arm reaches than another, over seeds: in macro-F1 and in AUROC.

    Students at chance differ in macro-F1 by how often they say either label, which is no gain: what is settled must
    show in both.
    """

    seeds: int
    macro_f1: Estimate
    auroc: Estimate

    @property
    def sign(self) -> Sign:
        """Whether both figures are shown to be above 0, or both below."""
        signs = {sign(self.macro_f1), sign(self.auroc)}
        return signs.pop() if len(signs) == 1 and self.seeds >= _MANY_SEEDS else "open"


class Answer(Record):
    """A question, the answer in words, and what it rests on: (what, size) -> difference."""

    question: str
    words: str
    rests_on: dict[str, Gain]


def answers(rows: Sequence[RunRow], split: str) -> list[Answer]:
    """The questions this ablation has runs for."""
    found = (_distillation(rows, split), _reasoning(rows, split), _leaking(rows, split))
    return [answer for answer in found if answer]


def sign(figure: Estimate) -> Sign:
    """Whether a difference is above 0, below, or open because its interval holds 0 or there is none."""
    if figure.low is not None and figure.low > 0:
        return "more"
    if figure.high is not None and figure.high < 0:
        return "less"
    return "open"


def plus_minus(figure: Estimate, *, signed: bool = False) -> str:
    """``0.963 ± 0.012``; without an interval the value alone."""
    if figure.value is None:
        return "-"
    value = f"{figure.value:+.3f}" if signed else f"{figure.value:.3f}"
    return value if figure.high is None else f"{value} ± {figure.high - figure.value:.3f}"


def _distillation(rows: Sequence[RunRow], split: str) -> Answer | None:
    gains = _gains(rows, REFERENCE, "labels-only", split)
    if not gains:
        return None
    said = [
        f"with {size:,} memes {_said(gain, 'it helps', 'it hurts', 'not settled')}"
        for size, gain in gains.items()
    ]
    rests_on = {f"two-stage - labels-only, {size} memes": gain for size, gain in gains.items()}
    if len(gains) > 1:
        ends = (min(gains), max(gains))
        more = Gain(
            seeds=min(gains[ends[0]].seeds, gains[ends[1]].seeds),
            macro_f1=trend(rows, REFERENCE, "labels-only", ends, split, _FIGURE),
            auroc=trend(rows, REFERENCE, "labels-only", ends, split, _RANKING),
        )
        rests_on[f"gain at {ends[1]} memes - gain at {ends[0]}"] = more
        than = f"at {ends[1]:,} memes than at {ends[0]:,}"
        said.append(
            _said(
                more,
                f"the gain is larger {than}",
                f"the gain is smaller {than}",
                f"whether the gain is larger {than} is not settled",
            )
        )
    return _answer("Does distillation help, and by how much as data grows?", said, rests_on)


def _reasoning(rows: Sequence[RunRow], split: str) -> Answer | None:
    gains = _gains(rows, REFERENCE, "shuffled", split)
    if not gains:
        return None
    said, rests_on = [], {}
    text = _gains(rows, "shuffled", "labels-only", split)
    for size, gain in gains.items():
        rests_on[f"two-stage - shuffled, {size} memes"] = gain
        words = _said(
            gain,
            "the meme's own rationale does better than another meme's",
            "another meme's rationale does better than its own",
            "a meme's own rationale is not shown to differ from another's",
        )
        if size in text:
            extra = text[size]
            rests_on[f"shuffled - labels-only, {size} memes"] = extra
            words += ", and " + _said(
                extra,
                "the extra text alone helps, too",
                "the extra text alone hurts",
                "the extra text alone is not shown to help or hurt",
            )
        said.append(f"with {size:,} memes {words}")
    return _answer("Is it the reasoning, or just the extra text?", said, rests_on)


def _leaking(rows: Sequence[RunRow], split: str) -> Answer | None:
    losses = _gains(rows, "leaking", REFERENCE, split)
    if not losses:
        return None
    said = [
        f"with {size:,} memes {_said(loss, 'it helps', 'it hurts', 'not settled')}"
        for size, loss in losses.items()
    ]
    rests_on = {f"leaking - two-stage, {size} memes": loss for size, loss in losses.items()}
    return _answer("Does it hurt when rationales state their label?", said, rests_on)


def _gains(rows: Sequence[RunRow], arm: str, other: str, split: str) -> dict[int, Gain]:
    """Size -> difference, for the sizes at which both have a seed in common."""
    seeds = {size: paired_seeds(rows, arm, other, size, split) for size in sorted({row.size for row in rows})}
    return {
        size: Gain(
            seeds=len(common),
            macro_f1=difference(rows, arm, other, size, split, _FIGURE),
            auroc=difference(rows, arm, other, size, split, _RANKING),
        )
        for size, common in seeds.items()
        if common
    }


def _said(gain: Gain, more: str, less: str, open_: str) -> str:
    words = {"more": more, "less": less, "open": open_}[gain.sign]
    both = f"macro-F1 {plus_minus(gain.macro_f1, signed=True)}, AUROC {plus_minus(gain.auroc, signed=True)}"
    few = f", {gain.seeds} seed{'s' * (gain.seeds > 1)}" if gain.seeds < _MANY_SEEDS else ""
    return f"{words} ({both}{few})"


def _answer(question: str, said: Sequence[str], rests_on: dict[str, Gain]) -> Answer:
    words = "; ".join(said)
    return Answer(question=question, words=f"{words[0].upper()}{words[1:]}.", rests_on=rests_on)
