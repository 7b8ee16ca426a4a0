"""Read a dataset folder: ``dataset.json``, ``memes.jsonl``, ``images/``, and what each later stage adds.

Anyone can read it without mrharm; every reader in mrharm goes through `Dataset`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.images import place_in
from mrharm.records import Evidence, Failure, Meme, Rationale, Record, read_records
from mrharm.store import read_appended, read_json_record

INFO, MEMES, EVIDENCE, RATIONALES = "dataset.json", "memes.jsonl", "evidence.jsonl", "rationales.jsonl"


class DatasetInfo(Record):
    """``dataset.json``: where the memes come from and what their labels mean.

    Attributes:
        name: of the dataset.
        kind: the importer.
        source: the path that was imported, or "generated".
        licence: as the source states it.
        label_scheme: what the labels mean, in one line.
        splits: split -> memes in it; a meme in two splits (``extra["also_in"]``) counts in both.
        roles: train, validation or test -> the split that plays it, where the source calls it otherwise (``dev_seen``).
        options: of the import, and facts the importer found.
        notes: what a user should know of the import.
        files: record file -> its SHA-256 as imported.
        sources: annotation file read -> its SHA-256.
    """

    name: str
    kind: str
    source: str
    licence: str
    label_scheme: str
    splits: dict[str, int]
    roles: dict[str, str] = {}
    options: dict[str, Any] = {}
    notes: list[str] = []
    files: dict[str, str] = {}
    sources: dict[str, str] = {}


@dataclass(frozen=True)
class ImportOptions:
    """Options of `mrharm import`; an importer reads those that concern it.

    Attributes:
        images: copy pictures into the dataset folder, or link them ("copy" or "link").
        seed: of the validation split, and of generated memes.
        validation_share: of train, moved to validation where a source has no validation split.
        allow_v0: import Harm-P V0.
        columns: part of a meme -> the column that holds it.
        memes: how many to generate.
        workers: threads or processes that check or draw pictures.
    """

    images: str = "copy"
    seed: int = 0
    validation_share: float = 0.1
    allow_v0: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    memes: int = 2000
    workers: int = 2


@dataclass(frozen=True)
class ImporterInfo:
    """An importer's row in `mrharm import --list`; ``ABOUT`` in the importer's file.

    Attributes:
        title: the dataset in one line.
        licence: of the dataset.
        obtain: where to get it.
        layout: the files expected.
        needs_source: false for an importer that draws its memes.
    """

    title: str
    licence: str
    obtain: str
    layout: str
    needs_source: bool = True


@dataclass
class Imported:
    """What an importer returns; `mrharm.memes.importing` turns it into a dataset folder.

    Attributes:
        name: of the dataset.
        licence: as the source states it.
        label_scheme: what the labels mean, in one line.
        memes: with ``image`` set only where the importer put the picture under the dataset folder's ``images/`` itself.
        evidence: that came with the source.
        rationales: that came with the source.
        failures: rows that are no memes.
        pictures: meme id -> picture file in the source.
        picture_names: meme id -> the picture's name in the source, also where no pictures came along.
        notes: what a user should know of the import.
        roles: as in `DatasetInfo`.
        options: facts found that belong in ``dataset.json``.
        sources: name of each annotation file read -> its path.
    """

    name: str
    licence: str = "not stated"
    label_scheme: str = "none (no labels)"
    memes: list[Meme] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    rationales: list[Rationale] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pictures: dict[str, Path] = field(default_factory=dict)
    picture_names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)


def in_split(meme: Meme, name: str) -> bool:
    """Tell whether a meme belongs to the split ``name``: by ``split``, or by ``extra["also_in"]`` (a list)."""
    also = meme.extra.get("also_in")
    return meme.split == name or (isinstance(also, list) and name in also)


def count_splits(memes: Iterable[Meme]) -> dict[str, int]:
    """Count the memes of each split, as `DatasetInfo.splits` has it; a meme in two splits counts in both."""
    names: Counter[str] = Counter()
    for meme in memes:
        also = meme.extra.get("also_in")
        names.update([meme.split or "(none)", *(also if isinstance(also, list) else [])])
    return dict(names)


class Dataset:
    """A dataset folder, read on demand: ``len(dataset)`` memes, in file order as it is iterated.

    Raises:
        InputError: the folder or its ``dataset.json`` is not there.
        DataError: a file in it does not hold what it should (file, line and key named).
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        path = self.root / INFO
        if not path.is_file():
            raise InputError(
                f"{root}: not a dataset (no {INFO}); make one with `mrharm import KIND SOURCE {root}`"
            )
        self.info = read_json_record(path, DatasetInfo, "mend it, or import the dataset again")

    def __repr__(self) -> str:
        splits = ", ".join(f"{name} {count:,}" for name, count in self.info.splits.items())
        return f"Dataset({str(self.root)!r}): {self.info.name}, {splits or 'no memes'}"

    def __len__(self) -> int:
        return len(self.memes)

    def __iter__(self) -> Iterator[Meme]:
        return iter(self.memes)

    @cached_property
    def memes(self) -> list[Meme]:
        """All memes, in file order; ids are unique."""
        memes = list(read_records(self.root / MEMES, Meme))
        repeated = [meme_id for meme_id, count in Counter(meme.id for meme in memes).items() if count > 1]
        if repeated:
            raise DataError(
                f"{self.root / MEMES}: ids must be unique; these are not: {', '.join(repeated[:5])}"
            )
        return memes

    @cached_property
    def evidence(self) -> dict[str, Evidence]:
        """Meme id -> evidence, for the memes that have some."""
        return {row.meme_id: row for row in read_appended(self.root / EVIDENCE, Evidence)}

    @cached_property
    def rationales(self) -> dict[str, Rationale]:
        """Meme id -> rationale, for the memes that have one; a later line wins."""
        return {row.meme_id: row for row in read_appended(self.root / RATIONALES, Rationale)}

    def split(self, name: str) -> list[Meme]:
        """Return the memes of a split, by its name or role (``validation`` finds ``dev_seen``).

        Raises:
            InputError: no meme is in it; the message lists the splits there are.
        """
        split = self.split_name(name)
        memes = [meme for meme in self.memes if in_split(meme, split)]
        if not memes:
            names = ", ".join(sorted({meme.split or "(none)" for meme in self.memes}))
            raise InputError(
                f"{self.root}: no split called {name!r}; there are: {names}"
                if names
                else f"{self.root}: holds no memes; `mrharm import` makes a dataset of some"
            )
        return memes

    def split_name(self, role: str) -> str:
        """Return the split that plays a role: what ``dataset.json`` maps it to, else the role's name."""
        return self.info.roles.get(role, role)

    def image_path(self, meme: Meme) -> Path | None:
        """Return the path of a meme's picture as posted, if any; raises ImageError where it leaves the folder."""
        return place_in(self.root, meme.image) if meme.image else None

    def clean_path(self, evidence: Evidence | None) -> Path | None:
        """Return the path of a picture without its words, if any; raises ImageError where it leaves the folder."""
        return place_in(self.root, evidence.clean_image) if evidence and evidence.clean_image else None

    def fingerprint(self) -> str:
        """Return the SHA-256 over the folder's record files: the hash a run is saved with."""
        digest = hashlib.sha256()
        for name in (MEMES, EVIDENCE, RATIONALES):
            path = self.root / name
            digest.update(name.encode())
            if path.exists():
                digest.update(path.read_bytes())
        return digest.hexdigest()
