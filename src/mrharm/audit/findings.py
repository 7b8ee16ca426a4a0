"""Records of an audit: findings, each with its level, its counts and its worst examples; scores; the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, TypeAdapter

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


class _Kind(Record):
    """A kind of finding, as ``findings.yaml`` describes it; texts hold places for figures."""

    level: Level
    message: str
    note: str | None = None
    bars: tuple[Purpose, ...] = ()
    mend: str = ""


@cache
def _read_kinds() -> dict[str, _Kind]:
    text = Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, _Kind]).validate_python(yaml.safe_load(text))


def make_finding(
    code: str,
    *,
    level: Level | None = None,
    where: str = "dataset",
    count: int | None = None,
    of: int | None = None,
    examples: Iterable[Example] = (),
    **figures: Any,
) -> Finding:
    """Return the finding of this code: its sentence of ``findings.yaml`` with the figures in it.

    ``level`` is given where it is not that of the file; what is no error bars nothing. ``examples``: worst first.
    """
    kind = _read_kinds()[code]
    level = level or kind.level
    figures |= {"where": where, "count": count, "of": of}
    if count is not None and of:
        figures["share"] = percent(count, of)
    is_note = level == "note" and kind.note is not None
    return Finding(
        code=code,
        level=level,
        message=(kind.note if is_note and kind.note else kind.message).format(**figures),
        where=where,
        count=count,
        of=of,
        bars=kind.bars if level == "error" else (),
        mend=None if is_note else kind.mend.format(**figures) or None,
        examples=cut_examples(examples),
    )


def report_cases(code: str, cases: Sequence[Example], of: int, **details: Any) -> list[Finding]:
    """Return the finding about ``cases``, worst first; none where there are no cases."""
    return [make_finding(code, count=len(cases), of=of, examples=cases, **details)] if cases else []


def cut_examples(cases: Iterable[Example]) -> tuple[Example, ...]:
    """Return the first few cases, worst first as the caller sorted them; their texts cut to a line or two."""
    shown = islice(cases, SHOWN)
    return tuple(case.model_copy(update={"text": " ".join(case.text.split())[:160]}) for case in shown)


def percent(count: int, of: int) -> str:
    """Return a share in percent, with one decimal."""
    return f"{100 * count / of:.1f} %"
