"""Records of an audit: findings, each with its level, its counts and its worst examples; scores; the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field

from mrharm.records import Record

Level = Literal["error", "warning", "note"]
Purpose = Literal["training", "publishing"]
LEVELS: tuple[Level, ...] = get_args(Level)
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

    @property
    def title(self) -> str:
        """The signal in words: ``text + caption``."""
        return self.signal.replace("_", " + ")


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


@cache
def _read_kinds() -> dict[str, dict[str, Any]]:
    """Return the kinds of finding by code, as ``findings.yaml`` describes them; texts hold places for figures."""
    text = Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8")
    kinds: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return kinds


def make_finding(
    code: str,
    *,
    level: Level | None = None,
    where: str = "dataset",
    count: int | None = None,
    of: int | None = None,
    examples: Sequence[Example] = (),
    **figures: Any,
) -> Finding:
    """Return the finding of this code: its sentence of ``findings.yaml`` with the figures in it.

    ``level`` is given where it is not that of the file; what is no error bars nothing. ``examples``: worst first; the
    first few are kept, their texts cut to a line or two.
    """
    kind = _read_kinds()[code]
    level = level or kind["level"]
    note = kind.get("note") if level == "note" else None
    figures |= {"where": where, "count": count, "of": of}
    if count is not None and of:
        figures["share"] = percent(count, of)
    shown = [
        example.model_copy(update={"text": " ".join(example.text.split())[:160]})
        for example in examples[:SHOWN]
    ]
    return Finding(
        code=code,
        level=level,
        message=(note or kind["message"]).format(**figures),
        where=where,
        count=count,
        of=of,
        bars=kind.get("bars", ()) if level == "error" else (),
        mend=None if note else kind.get("mend", "").format(**figures) or None,
        examples=tuple(shown),
    )


def report_cases(code: str, cases: Sequence[Example], of: int, **details: Any) -> list[Finding]:
    """Return the finding about ``cases``, worst first; none where there are no cases."""
    return [make_finding(code, count=len(cases), of=of, examples=cases, **details)] if cases else []


def percent(count: int, of: int) -> str:
    """Return a share in percent, with one decimal."""
    return f"{100 * count / of:.1f} %"
