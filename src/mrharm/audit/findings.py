"""Records of an audit: findings, each with its level, its counts and its worst examples; scores; the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Literal

from pydantic import Field

from mrharm.records import Record

Level = Literal["error", "warning", "note"]
Purpose = Literal["training", "publishing"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN = 10  # examples a finding carries


class Example(Record):
    """A case of a finding: its memes, what is the matter in a few words, and the words it is about."""

    memes: tuple[str, ...]
    what: str = ""
    text: str = ""


class Finding(Record):
    """A fact about the data that matters to training or publishing.

    An error bars a purpose (training, or publishing numbers) until it is mended; a warning is for a person to weigh; a
    note is a fact. ``count`` of ``of`` things are concerned; ``where`` is a split, a pair of splits, or the dataset.
    """

    code: str
    level: Level
    message: str
    where: str = "dataset"
    count: int | None = None
    of: int | None = None
    bars: tuple[Purpose, ...] = ()
    mend: str | None = None
    examples: tuple[Example, ...] = ()


class Score(Record):
    """How far one surface signal goes on one set of memes; intervals are 95 %."""

    accuracy: float
    accuracy_ci: tuple[float, float]
    macro_f1: float
    macro_f1_ci: tuple[float, float]
    auroc: float | None
    auroc_ci: tuple[float, float] | None
    n: int


class Shortcut(Record):
    """What one surface signal alone says of the labels: ``scores`` maps a protocol (see ``shortcuts``) to its score."""

    signal: str
    scores: dict[str, Score]


class LabelError(Record):
    """A label that the rest of the data contradicts: ``probability`` is the out-of-fold P(harmful)."""

    meme: str
    split: str
    harmful: bool
    probability: float


class Fitness(Record):
    """What the data is fit for, in plain words."""

    fit_to_train: bool
    fit_to_publish: bool
    words: tuple[str, ...]


class AuditReport(Record):
    """Everything an audit found; ``tables`` holds the counts behind the findings, by section."""

    dataset: str
    name: str
    fingerprint: str
    memes: int
    splits: dict[str, int]
    recipe: str
    verdict: Fitness
    findings: tuple[Finding, ...]
    tables: dict[str, Any] = Field(default_factory=dict)
    shortcuts: tuple[Shortcut, ...] = ()
    label_errors: tuple[LabelError, ...] = ()

    @property
    def errors(self) -> list[Finding]:
        """The findings that bar something."""
        return [finding for finding in self.findings if finding.level == "error"]


def cut_examples(cases: Iterable[Example]) -> tuple[Example, ...]:
    """Return the first few cases, worst first as the caller sorted them; their texts cut to a line or two."""
    shown = islice(cases, SHOWN)
    return tuple(case.model_copy(update={"text": " ".join(case.text.split())[:160]}) for case in shown)


def report_cases(
    code: str, level: Level, what: str, cases: Sequence[Example], of: int, **details: Any
) -> list[Finding]:
    """Return the finding ``12 of 34 <what>`` about ``cases``, worst first; none where there are no cases."""
    if not cases:
        return []
    message = f"{len(cases):,} of {of:,} {what}"
    shown = cut_examples(cases)
    return [
        Finding(code=code, level=level, message=message, count=len(cases), of=of, examples=shown, **details)
    ]
