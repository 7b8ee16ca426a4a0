"""Reading a dataset folder leniently: what cannot be read becomes a finding, and the rest is looked at all the same.

`Dataset` refuses a folder whose ids repeat or whose lines are broken, as training must; an audit is there to say so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mrharm.audit.findings import Example, Finding, examples
from mrharm.errors import DataError
from mrharm.memes.dataset import EVIDENCE, MEMES, RATIONALES, Dataset
from mrharm.memes.splits import normalised_text
from mrharm.records import Evidence, Failure, Meme, Rationale, Record, parse_record

R = TypeVar("R", bound=Record)

NO_SPLIT = "(none)"
STAGE = "audit"


@dataclass(frozen=True)
class Item:
    """One row of ``memes.jsonl`` and what goes with it. ``number`` tells rows apart where ids repeat."""

    number: int
    meme: Meme
    evidence: Evidence | None

    @property
    def id(self) -> str:
        """The meme's id, as it stands in the row."""
        return self.meme.id

    @property
    def published_id(self) -> str:
        """The id in the source: an importer that must tell copies apart (Harm-P V0) keeps it beside."""
        return str(self.meme.extra.get("copy_of", self.meme.id))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Every split the meme belongs to."""
        also = self.meme.extra.get("also_in")
        return (self.meme.split or NO_SPLIT, *(also if isinstance(also, list) else ()))

    @cached_property
    def text(self) -> str:
        """The meme's own text with case and white space folded; that read off the picture where none was given."""
        if self.meme.text is None and self.evidence and self.evidence.text:
            return normalised_text(self.meme.model_copy(update={"text": self.evidence.text}))
        return normalised_text(self.meme)

    @property
    def picture_places(self) -> list[str]:
        """The places of the meme's picture, and of its picture without text, relative to the dataset folder."""
        clean = self.evidence.clean_image if self.evidence else None
        return [place for place in (self.meme.image, clean) if place]

    @property
    def caption(self) -> str:
        """The caption, or nothing."""
        return (self.evidence.caption if self.evidence else None) or ""

    @property
    def harmful(self) -> bool | None:
        """The binary label; None where there is none."""
        return self.meme.label.harmful if self.meme.label else None


@dataclass
class Contents:
    """A dataset folder as an audit reads it."""

    dataset: Dataset
    items: list[Item]
    rationales: list[Rationale]
    findings: list[Finding] = field(default_factory=list)
    unreadable: list[Failure] = field(default_factory=list)

    @cached_property
    def by_split(self) -> dict[str, list[Item]]:
        """Split -> its items, in file order; train first, then as they come."""
        splits: dict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            for split in item.splits:
                splits[split].append(item)
        first = [self.train, self.validation]
        names = [name for name in first if name in splits] + [name for name in splits if name not in first]
        return {name: splits[name] for name in names}

    @property
    def train(self) -> str:
        """The name of the training split."""
        return self.dataset.split_name("train")

    @property
    def validation(self) -> str:
        """The name of the validation split."""
        return self.dataset.split_name("validation")

    @property
    def test(self) -> str:
        """The name of the test split."""
        return self.dataset.split_name("test")

    @cached_property
    def held_out(self) -> list[str]:
        """Every split on which figures may be published: neither train nor validation, nor memes without a split."""
        return [name for name in self.by_split if name not in (self.train, self.validation, NO_SPLIT)]


def read_contents(dataset: Dataset) -> Contents:
    """Everything in the folder that can be read, and a finding for what cannot."""
    findings: list[Finding] = []
    unreadable: list[Failure] = []
    evidence = {row.meme_id: row for row in _rows(dataset.root / EVIDENCE, Evidence, findings, unreadable)}
    memes = _rows(dataset.root / MEMES, Meme, findings, unreadable)
    items = [Item(number, meme, evidence.get(meme.id)) for number, meme in enumerate(memes)]
    rationales = _rows(dataset.root / RATIONALES, Rationale, findings, unreadable)
    findings += _strangers(items, EVIDENCE, evidence)
    findings += _strangers(items, RATIONALES, [row.meme_id for row in rationales])
    if (dataset.root / MEMES).is_file() and not items:
        findings.append(
            Finding(
                code="no-memes",
                level="error",
                message=f"{MEMES} holds not one meme",
                bars=("training", "publishing"),
                mend="import the source again",
            )
        )
    return Contents(dataset, items, rationales, findings, unreadable)


def _rows(path: Path, kind: type[R], findings: list[Finding], unreadable: list[Failure]) -> list[R]:
    """The rows that hold; one finding for all that do not, with their lines and reasons."""
    if not path.is_file():
        if path.name == MEMES:
            findings.append(
                Finding(
                    code="file-missing",
                    level="error",
                    message=f"{path.name} is not there",
                    bars=("training", "publishing"),
                    mend="import the source again",
                )
            )
        return []
    rows: list[R] = []
    broken: list[Failure] = []
    count = 0
    # Split at line feeds alone: a text may hold other line separators.
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        count += 1
        try:
            rows.append(parse_record(line.decode("utf-8"), kind, file=path.name, number=number))
        except (DataError, UnicodeDecodeError) as error:
            item = f"{path.name}:{number}"
            broken.append(
                Failure(item=item, stage=STAGE, reason=str(error)[:300], file=path.name, line=number)
            )
    unreadable += broken
    if broken:
        findings.append(
            Finding(
                code="row-unreadable",
                level="error",
                message=f"{len(broken):,} of {count:,} lines of {path.name} cannot be read (cut short or not a "
                f"{kind.__name__})",
                count=len(broken),
                of=count,
                bars=("training", "publishing"),
                mend="mend the lines named, import again, or leave them out with --fix",
                examples=examples(Example(memes=(row.item,), what=row.reason) for row in broken),
            )
        )
    return rows


def _strangers(items: list[Item], name: str, ids: Iterable[str]) -> list[Finding]:
    there = {item.id for item in items}
    strangers = [meme_id for meme_id, _ in Counter(ids).items() if meme_id not in there]
    if not strangers:
        return []
    return [
        Finding(
            code="row-of-no-meme",
            level="warning",
            message=f"{len(strangers):,} ids in {name} are of no meme in {MEMES}",
            count=len(strangers),
            examples=examples(Example(memes=(meme_id,)) for meme_id in strangers),
        )
    ]
