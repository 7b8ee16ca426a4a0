"""Read a dataset folder leniently: what `Dataset` refuses, as training must, becomes a finding of the audit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.audit.findings import Example, Finding, make_finding, report_cases
from mrharm.errors import DataError
from mrharm.memes.dataset import EVIDENCE, MEMES, RATIONALES, Dataset
from mrharm.records import Evidence, Failure, Meme, Rationale, Record, meme_text, parse_record
from mrharm.texts import fold

NO_SPLIT = "(none)"
STAGE = "audit"


@dataclass(frozen=True)
class Item:
    """One row of ``memes.jsonl`` and its evidence. ``number`` tells rows apart where ids repeat."""

    number: int
    meme: Meme
    evidence: Evidence | None

    @property
    def id(self) -> str:
        """The meme's id, as the row has it."""
        return self.meme.id

    @property
    def published_id(self) -> str:
        """The id in the source; an importer that must tell copies apart (Harm-P V0) keeps it in ``extra``."""
        return str(self.meme.extra.get("copy_of", self.meme.id))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Every split the meme belongs to."""
        also = self.meme.extra.get("also_in")
        return (self.meme.split or NO_SPLIT, *(also if isinstance(also, list) else ()))

    @cached_property
    def words(self) -> str:
        """The words of the meme, as a student reads them (`meme_text`); empty where there are none."""
        return meme_text(self.meme, self.evidence) or ""

    @cached_property
    def text(self) -> str:
        """The words with case and white space folded."""
        return fold(self.words)

    @property
    def clean_image(self) -> str | None:
        """The place of the picture without its text, relative to the dataset folder."""
        return self.evidence.clean_image if self.evidence else None

    @property
    def picture_places(self) -> list[str]:
        """The places of the meme's pictures, with and without text, relative to the dataset folder."""
        return [place for place in (self.meme.image, self.clean_image) if place]

    @property
    def caption(self) -> str:
        """The caption; empty where there is none."""
        return (self.evidence.caption if self.evidence else None) or ""

    @property
    def harmful(self) -> bool | None:
        """The binary label; None where there is none."""
        return self.meme.label.harmful if self.meme.label else None


@dataclass
class Contents:
    """A dataset folder as an audit reads it; ``findings`` and ``unreadable`` are about its lines."""

    dataset: Dataset
    items: list[Item]
    rationales: list[Rationale]
    findings: list[Finding]
    unreadable: list[Failure]

    def __post_init__(self) -> None:
        # The names of the splits that have these roles.
        self.train, self.validation, self.test = map(self.dataset.split_name, ("train", "validation", "test"))

    @cached_property
    def gold(self) -> NDArray[np.bool_]:
        """Whether each item is labelled harmful; False without a label. *Shape:* (items,)"""
        return np.array([bool(item.harmful) for item in self.items], dtype=bool)

    @cached_property
    def by_split(self) -> dict[str, list[Item]]:
        """Split -> its items, in file order; train first, then as they come."""
        splits: dict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            for split in item.splits:
                splits[split].append(item)
        names = dict.fromkeys([self.train, self.validation, *splits])
        return {name: splits[name] for name in names if name in splits}

    def labelled(self, split: str) -> NDArray[np.int64]:
        """Return the numbers of a split's labelled items; none where there is no such split."""
        items = self.by_split.get(split, [])
        return np.array([item.number for item in items if item.harmful is not None], dtype=np.int64)

    @cached_property
    def held_out(self) -> list[str]:
        """Every split on which figures may be published: neither train nor validation, nor memes without a split."""
        return [name for name in self.by_split if name not in (self.train, self.validation, NO_SPLIT)]


def read_contents(dataset: Dataset) -> Contents:
    """Read everything in the folder that can be read, with a finding for what cannot."""
    findings: list[Finding] = []
    unreadable: list[Failure] = []
    rows: dict[str, list[Any]] = {}
    for name, kind in ((EVIDENCE, Evidence), (MEMES, Meme), (RATIONALES, Rationale)):
        rows[name], broken = _read_rows(dataset.root / name, kind)
        lines = [Example(memes=(failure.item,), what=failure.reason) for failure in broken]
        of = len(rows[name]) + len(broken)
        findings += report_cases("row-unreadable", lines, of, file=name, record=kind.__name__)
        unreadable += broken
    ids = {meme.id for meme in rows[MEMES]}
    for name in (EVIDENCE, RATIONALES):
        unmatched = dict.fromkeys(row.meme_id for row in rows[name] if row.meme_id not in ids)
        if unmatched:
            examples = [Example(memes=(meme_id,)) for meme_id in unmatched]
            findings.append(
                make_finding("row-of-no-meme", count=len(unmatched), examples=examples, file=name)
            )
    if not ids:
        findings.append(make_finding("no-memes" if (dataset.root / MEMES).is_file() else "file-missing"))
    evidence = {row.meme_id: row for row in rows[EVIDENCE]}
    items = [Item(number, meme, evidence.get(meme.id)) for number, meme in enumerate(rows[MEMES])]
    return Contents(dataset, items, rows[RATIONALES], findings, unreadable)


def _read_rows(path: Path, kind: type[Record]) -> tuple[list[Record], list[Failure]]:
    """Return the rows that hold, and a failure for each that does not; neither where there is no file."""
    rows: list[Record] = []
    broken: list[Failure] = []
    # Split at line feeds alone: a text may hold other line separators.
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(parse_record(line.decode("utf-8"), kind, file=path.name, number=number))
        except (DataError, UnicodeDecodeError) as error:
            item, reason = f"{path.name}:{number}", str(error)[:300]
            broken.append(Failure(item=item, stage=STAGE, reason=reason, file=path.name, line=number))
    return rows, broken
