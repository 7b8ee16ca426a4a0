"""A Hugging Face dataset, as downloaded or saved: its folder and nothing else, no hub and no `datasets` library.

The layouts are those that `datasets` reads by itself (its "ImageFolder", its split patterns, Parquet of the hub) or
writes (``save_to_disk``); pictures are files beside the rows, or bytes in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import InputError
from mrharm.memes.annotations import Found, take_rows
from mrharm.memes.columns import find_columns, found_in, split_names
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.features import Features, class_name, read_card
from mrharm.memes.layouts import PICTURES, Table, find_tables
from mrharm.memes.pictures import PictureFinder, put_picture
from mrharm.memes.rows import Row
from mrharm.memes.sources.fhm import choose_roles

LAYOUT = (
    "a folder with metadata.jsonl, .csv or .parquet and pictures, or pictures in a folder a class, or "
    "data/train-*.parquet, or train.jsonl, test.csv, or what save_to_disk wrote; columns as for `folder`"
)
ABOUT = ImporterInfo(
    "A Hugging Face dataset, as downloaded or saved",
    "as its README.md says",
    "huggingface.co: `hf download --repo-type dataset NAME --local-dir FOLDER`, or `save_to_disk`",
    LAYOUT,
)


def import_huggingface(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """A Hugging Face dataset. Pictures that come as bytes are checked and written under ``folder/images/``.

    A meme's id is its id column's, else ``<split>-<row>``, counting from 0 as `datasets` does. Class numbers mean what
    the dataset says they do, else 0 and 1.

    Raises:
        InputError: nothing of the kind is at ``source``, several datasets are, a mapped column is not there, or pyarrow
            is needed and not installed.
        DataError: a file is broken, cut short, or not what its name says.
    """
    if source is None or not source.exists():
        raise InputError(f"{source or 'no source given'}: nothing there; expected {LAYOUT}")
    root = source if source.is_dir() else source.parent
    name = root.resolve().name if source.is_dir() else source.stem
    imported = Imported(name=name, licence="not stated", label_scheme="none (no labels)", memes=[])
    card = read_card(root, imported.notes)
    found = find_tables(source, imported)
    if not found.tables:
        raise InputError(f"{source}: no table and no picture of a dataset in it; expected {LAYOUT}")
    imported.sources |= card.files
    imported.licence = f"{card.licence} (says its README.md)" if card.licence else imported.licence
    reader = _Reader(found.tables, card.features, imported, folder, options)
    finder = PictureFinder(root, PICTURES) if found.has_pictures else None
    take_rows(imported, reader.rows(), reader.make, item=reader.item, finder=finder)
    choose_roles(imported)
    reader.tell(with_files=found.has_pictures)
    return imported


class _Reader:
    """Rows of many tables -> memes; the bytes of one picture are held at a time."""

    def __init__(
        self,
        tables: Sequence[Table],
        features: Features,
        imported: Imported,
        folder: Path,
        options: ImportOptions,
    ) -> None:
        self._tables = tables
        self._imported = imported
        self._folder = folder
        for table in reversed(tables):  # the first file's schema before the others', and all before the card
            features = table.features.over(features)
        self._classes = features.classes
        self._columns = self._find_columns(features, options.columns)
        self._image = self._columns.get("image")
        self._file_splits, self._row_splits = self._find_splits(told="split" in options.columns)
        # Of the row at hand, and of those before it:
        self._held: bytes | None = None
        self._own_id = ""
        self._written: set[str] = set()
        self._names: set[str] = set()
        self._named = 0

    def rows(self) -> Iterator[Row]:
        """Every row, its split ours, its picture's name relative to the source; bytes are held back for `make`."""
        counts: Counter[str | None] = Counter()
        for table in self._tables:
            split = self._file_splits.get(table.split)
            columns = [name for name in table.columns if name == self._image or name not in table.with_bytes]
            for row in table.read(columns):
                self._own_id = f"{split or 'row'}-{counts[split]}"
                counts[split] += 1
                values = dict(row.values)
                if self._image in values:
                    self._held, name = _bytes_or_name(values[self._image])
                    values[self._image] = _from_root(name, table.file)
                else:
                    self._held = None
                yield replace(row, values=values, split=split)

    def make(self, row: Row) -> Found:
        """What a row holds; raises DataError or ImageError where it is wrong."""
        classes = {
            name: class_name(row.values[name], name, names)
            for name, names in self._classes.items()
            if name in row.values
        }
        row = replace(row, values=row.values | classes)
        found = found_in(row, self._columns, self._row_splits, self._imported.name, own_id=self._own_id)
        self._named += found.picture is not None
        if self._held is None or found.meme.id in self._written:  # a repeat is refused by `take_rows`
            return found
        image = put_picture(self._held, self._folder, found.meme.id, self._names)
        self._written.add(found.meme.id)
        return Found(found.meme.model_copy(update={"image": image}))

    def item(self, row: Row) -> str | None:
        """What to call a row that fails."""
        value = row.values.get(self._columns.get("id", ""))
        return None if value is None else str(value) or None

    def tell(self, *, with_files: bool) -> None:
        """Note what was left out, and say what the labels are."""
        left = {name for table in self._tables for name in table.with_bytes if name != self._image}
        if left:
            names = ", ".join(map(repr, sorted(left)))
            self._imported.notes.append(f"columns that hold bytes were left out: {names}")
        if self._named and not with_files:
            self._imported.notes.append(
                f"{self._image}: none of the pictures it names came with the source: those memes are texts alone"
            )
        if any(meme.label for meme in self._imported.memes):
            column = self._columns["label"]
            names = ", ".join(self._classes.get(column, ()))
            self._imported.label_scheme = f"as in column {column!r}" + (f" ({names})" if names else "")

    def _find_columns(self, features: Features, told: Mapping[str, str]) -> dict[str, str]:
        there = list(dict.fromkeys(name for table in self._tables for name in table.columns))
        images = [name for name in features.images if name in there]
        certain = {"image": images[0]} if images else {}
        for table in reversed(self._tables):
            certain |= table.certain
        first = self._tables[0].file or "the folder"
        where = first if len(self._tables) == 1 else f"{first} and the other tables"
        return find_columns(where, certain | dict(told), there, self._imported.notes)

    def _find_splits(self, *, told: bool) -> tuple[dict[str, str], dict[str, str]]:
        """(a file's split -> ours, a row's split -> ours): the files say it, or else, or when told, a column does."""
        notes = self._imported.notes
        given = {table.split for table in self._tables if table.split}
        ours = split_names(given, notes)
        if given and not told:
            self._columns.pop("split", None)
        column = self._columns.get("split")
        if column:
            rows = (row for table in self._tables if column in table.columns for row in table.read([column]))
            return ours, split_names({str(row.values.get(column) or "").strip() for row in rows}, notes)
        if not given:
            notes.append("no split is named: all memes are put in train; evaluating needs a test split")
        return {"": "train"} | ours, {}


def _bytes_or_name(value: Any) -> tuple[bytes | None, Any]:
    """A picture as `datasets` keeps it (bytes, path or both), as bytes alone or as a path -> its bytes, or its name."""
    data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, value)
    return (data, None) if isinstance(data, bytes) else (None, name)


def _from_root(name: Any, file: str) -> Any:
    """A relative picture's name, seen from the folder of the file that names it -> seen from the source."""
    if not isinstance(name, str) or not name.strip() or re.match(r"[A-Za-z]:", name):
        return name
    return (PurePosixPath(file).parent / name.strip().replace("\\", "/")).as_posix()
