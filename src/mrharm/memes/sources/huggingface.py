"""Import a Hugging Face dataset as downloaded from the hub or saved by `datasets`: from its folder and nothing else.

The layouts are those that `datasets` loads (pictures with metadata or in a folder a class, a file a split, shards of
the hub) or writes (``save_to_disk``). The library, the extra ``huggingface``, reads Arrow, what was saved, and what the
dataset says of its columns; no call here reaches the hub or runs a loading script.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import ParsedRow, add_memes
from mrharm.memes.columns import find_columns, parse_row, rename_splits
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.pictures import PictureFinder, write_picture
from mrharm.memes.rows import Row, read_bytes
from mrharm.memes.sources.folder import list_files
from mrharm.memes.sources.hateful_memes import choose_roles
from mrharm.memes.sources.huggingface_tables import PICTURES, Table, find_tables, import_datasets

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
INFO, README, INFOS = CARD = ("dataset_info.json", "README.md", "dataset_infos.json")


def import_huggingface(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import a Hugging Face dataset. Pictures that come as bytes are checked and written under ``folder/images/``.

    A meme's id is its id column's, else ``<split>-<row>``, counting from 0 as `datasets` does. Class numbers mean what
    the dataset says they do, else 0 and 1.

    Raises:
        InputError: nothing of the kind is at ``source``, several datasets are, a mapped column is not there, or the
            extra is needed and not installed.
        DataError: a file is broken, cut short, or not what its name says.
    """
    if source is None or not source.exists():
        raise InputError(f"{source or 'no source given'}: nothing there; expected {LAYOUT}")
    root = source if source.is_dir() else source.parent
    name = root.resolve().name if source.is_dir() else source.stem
    imported = Imported(name=name, licence="not stated", label_scheme="none (no labels)", memes=[])

    # What the dataset says of itself, and its tables.
    features = _read_card(root, imported)
    files = [source] if source.is_file() else list(list_files(root, imported.failures))
    tables = find_tables(source, files, imported)
    if not tables:
        raise InputError(f"{source}: no table and no picture of a dataset in it; expected {LAYOUT}")
    for table in reversed(tables):  # the first file goes before the others, and all before the card
        features = {**features, **table.features}

    # Its memes.
    imported.sources |= {name: root / name for name in CARD if (root / name).is_file()}
    around = list_files(root, []) if source.is_file() else files
    with_files = any(path.suffix.lower() in SUFFIXES for path in around)
    reader = _Reader(tables, features, imported, folder, options.columns)
    finder = PictureFinder(root, PICTURES) if with_files else None
    add_memes(imported, reader.read(), reader.parse, name=reader.name_row, finder=finder)
    choose_roles(imported)
    reader.add_notes(with_files=with_files)
    return imported


def _read_card(root: Path, imported: Imported) -> Mapping[str, Any]:
    """Return the features that the card describes, and set the licence; a card that cannot be read is noted."""
    names = [name for name in CARD if (root / name).is_file()]
    try:
        card = _read_front_matter(root / README) if README in names else {}
        if isinstance(card.get("license"), str):
            imported.licence = f"{card['license']} (says its README.md)"
        features: dict[str, Any] = {}
        if "dataset_info" in card or INFOS in names:
            # Of several datasets, the one called as the folder, else the default one or the first.
            infos = import_datasets(root).info.DatasetInfosDict.from_directory(str(root))
            info = infos.get(root.name) or infos.get("default") or next(iter(infos.values()), None)
            features |= (info and info.features) or {}
        if INFO in names:
            features |= import_datasets(root).DatasetInfo.from_directory(str(root)).features or {}
        return features
    except MrHarmError:
        raise
    except Exception as error:  # YAML's, JSON's and the library's on odd contents
        reason = f"cannot be read ({type(error).__name__}); class names in it are not known"
        imported.notes.append(f"{' or '.join(names)}: {reason}")
        return {}


def _read_front_matter(path: Path) -> dict[str, Any]:
    head = re.match(r"---\r?\n(.*?)\n---", read_bytes(path).decode("utf-8-sig"), re.DOTALL)
    card = yaml.safe_load(head[1]) if head else {}
    return card if isinstance(card, dict) else {}


class _Reader:
    """Makes memes of the rows of many tables; the bytes of one picture are in memory at a time."""

    def __init__(
        self,
        tables: Sequence[Table],
        features: Mapping[str, Any],
        imported: Imported,
        folder: Path,
        mapping: Mapping[str, str],
    ) -> None:
        self._tables = tables
        self._imported = imported
        self._folder = folder
        kinds = {name: type(feature).__name__ for name, feature in features.items()}
        self._classes = {name: features[name].names for name, kind in kinds.items() if kind == "ClassLabel"}
        self._columns = self._find_columns([name for name, kind in kinds.items() if kind == "Image"], mapping)
        self._image = self._columns.get("image")
        self._file_splits, self._row_splits = self._find_splits(mapped="split" in mapping)
        # Of the row at hand, and of those before it:
        self._picture: bytes | None = None
        self._default_id = ""
        self._written: set[str] = set()
        self._file_names: set[str] = set()
        self._with_names = False

    def read(self) -> Iterator[Row]:
        """Yield every row with our split, its picture's name relative to the source; bytes are kept for `parse`."""
        counts: Counter[str | None] = Counter()
        for table in self._tables:
            split = self._file_splits.get(table.split)
            columns = [name for name in table.columns if name == self._image or name not in table.binary]
            for row in table.read():
                self._default_id = f"{split or 'row'}-{counts[split]}"
                counts[split] += 1
                values = {name: row.values[name] for name in columns if name in row.values}
                self._picture = None
                if self._image in values:
                    self._picture, name = _split_picture(values[self._image])
                    values[self._image] = _relative_to_source(name, table.file)
                yield replace(row, values=values, split=split)

    def parse(self, row: Row) -> ParsedRow:
        """Make a meme of a row; raises DataError or ImageError where it is wrong."""
        values = dict(row.values)
        for name, classes in self._classes.items():
            if name in values:
                values[name] = _name_class(values[name], name, classes)
        row = replace(row, values=values)
        source = self._imported.name
        parsed = parse_row(row, self._columns, self._row_splits, source, default_id=self._default_id)
        self._with_names = self._with_names or parsed.picture is not None
        if self._picture is None or parsed.meme.id in self._written:  # a repeat is refused by `add_memes`
            return parsed
        image = write_picture(self._picture, self._folder, parsed.meme.id, self._file_names)
        self._written.add(parsed.meme.id)
        return ParsedRow(parsed.meme.model_copy(update={"image": image}))

    def name_row(self, row: Row) -> str | None:
        """Return what to call a row that fails."""
        value = row.values.get(self._columns.get("id", ""))
        return None if value is None else str(value) or None

    def add_notes(self, *, with_files: bool) -> None:
        """Note what was left out, and set what the labels are."""
        notes = self._imported.notes
        binary = frozenset[str]().union(*(table.binary for table in self._tables)) - {self._image}
        if binary:
            notes.append(f"columns that hold bytes were left out: {', '.join(map(repr, sorted(binary)))}")
        if self._with_names and not with_files:
            notes.append(
                f"{self._image}: none of the pictures it names came with the source: those memes are text only"
            )
        if any(meme.label for meme in self._imported.memes):
            column = self._columns["label"]
            names = ", ".join(self._classes.get(column, ()))
            self._imported.label_scheme = f"as in column {column!r}" + (f" ({names})" if names else "")

    def _find_columns(self, images: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
        file = self._tables[0].file
        names = list(dict.fromkeys(name for table in self._tables for name in table.columns))
        certain = {"image": images[0]} if images and images[0] in names else {}
        if not file:  # pictures in a folder a class
            certain = {part: part for part in names}
            if "label" in names:
                self._imported.notes.append("labels are the names of the pictures' folders")
        elif PurePosixPath(file).stem == "metadata" and "file_name" in names:
            certain = {"image": "file_name"}
        title = (file or "the folder") + (" and the other tables" if len(self._tables) > 1 else "")
        return find_columns(title, certain | dict(mapping), names, self._imported.notes)

    def _find_splits(self, *, mapped: bool) -> tuple[dict[str, str], dict[str, str]]:
        """Return a file's split -> ours, and a row's -> ours: files say it, or else, or when mapped, a column does."""
        notes = self._imported.notes
        names = {table.split for table in self._tables if table.split}
        file_splits = rename_splits(names, notes)
        if names and not mapped:
            self._columns.pop("split", None)
        column = self._columns.get("split")
        if column:
            values: set[str] = set()
            for table in self._tables:
                values.update(str(row.values.get(column) or "").strip() for row in table.read())
            return file_splits, rename_splits(values, notes)
        if not names:
            notes.append("no split is named: all memes are put in train; evaluating needs a test split")
        return {"": "train"} | file_splits, {}


def _name_class(value: Any, column: str, names: Sequence[str]) -> Any:
    """Return the name of a class's number, None for -1 (as in tests without labels); other values as they are.

    Raises:
        DataError: there is no class of that number.
    """
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value.strip() in names):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if number == -1:
        return None
    if not number.is_integer() or not 0 <= number < len(names):
        raise DataError(
            f"{column}: no class {str(value)[:60]}; there are 0 to {len(names) - 1} ({', '.join(names)[:80]})"
        )
    return names[int(number)]


def _split_picture(value: Any) -> tuple[bytes | None, Any]:
    """Return the bytes, or else the name, of a picture: `datasets` keeps bytes, path or both; others keep one."""
    data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, value)
    return (data, None) if isinstance(data, bytes) else (None, name)


def _relative_to_source(name: Any, file: str) -> Any:
    """Return a picture's name relative to the source, where it is relative to the file that names it."""
    if not isinstance(name, str) or not name.strip() or re.match(r"[A-Za-z]:", name):
        return name
    return (PurePosixPath(file).parent / name.strip().replace("\\", "/")).as_posix()
