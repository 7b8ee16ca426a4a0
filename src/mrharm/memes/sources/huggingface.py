"""Import a Hugging Face dataset as downloaded from the hub or saved by `datasets`: from its folder and nothing else.

The library, the extra ``huggingface``, is asked for Arrow alone; no call here reaches the hub or runs a loading script.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import ParsedRow, add_memes
from mrharm.memes.columns import find_columns, name_row, note_table, parse_row, rename_splits
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.pictures import PictureFinder, write_picture
from mrharm.memes.rows import Row, read_bytes
from mrharm.memes.sources.folder import list_files
from mrharm.memes.sources.hateful_memes import choose_roles
from mrharm.memes.sources.huggingface_tables import PICTURES, Table, find_tables, import_datasets

ABOUT = ImporterInfo(
    "A Hugging Face dataset, as downloaded or saved",
    "as its README.md says",
    "huggingface.co: `hf download --repo-type dataset NAME --local-dir FOLDER`, or `save_to_disk`",
    "a folder with metadata.jsonl, .csv or .parquet and pictures, or pictures in a folder a class, or "
    "data/train-*.parquet, or train.jsonl, test.csv, or what save_to_disk wrote; columns as for `folder`",
)
README, INFOS = CARD = ("README.md", "dataset_infos.json")


def import_huggingface(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import a Hugging Face dataset. Pictures that come as bytes are checked and written under ``folder/images/``.

    A meme's id is its id column's, else ``<split>-<row>``, counting from 0 as `datasets` does. Class numbers mean what
    the dataset says they do, else 0 and 1.
    """
    if source is None or not source.exists():
        raise InputError(f"{source or 'no source given'}: nothing there; expected {ABOUT.layout}")
    root = source if source.is_dir() else source.parent
    name = root.resolve().name if source.is_dir() else source.stem
    imported = Imported(name)

    # Its tables, what it says of itself, which column is which, and which split is which.
    files = [source] if source.is_file() else list(list_files(root, imported.failures))
    tables = find_tables(source, files, imported)
    if not tables:
        raise InputError(f"{source}: no table and no picture of a dataset in it; expected {ABOUT.layout}")
    images, classes = _read_features(root, tables, imported)
    columns = _find_columns(tables, images, options.columns, imported.notes)
    file_splits, row_splits = _find_splits(tables, columns, imported.notes, "split" in options.columns)
    binary = frozenset[str]().union(*(table.binary for table in tables)) - {columns.get("image", "")}
    if binary:
        names = ", ".join(map(repr, sorted(binary)))
        imported.notes.append(f"columns that hold bytes were left out: {names}")

    # Its memes.
    rows = (replace(row, split=file_splits.get(table.split)) for table in tables for row in table.read())
    parser = _RowParser(name, folder, columns, classes, row_splits, binary)
    around = list_files(root, []) if source.is_file() else files
    with_files = any(path.suffix.lower() in SUFFIXES for path in around)
    finder = PictureFinder(root, PICTURES) if with_files else None
    add_memes(imported, rows, parser.parse, name=partial(name_row, column=columns.get("id")), finder=finder)
    choose_roles(imported)
    note_table(imported, columns, classes, with_pictures=with_files)
    return imported


def _read_features(
    root: Path, tables: Sequence[Table], imported: Imported
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns that the dataset calls pictures, and column -> the names of its class numbers."""
    features = _read_card(root, imported)
    imported.sources |= {name: root / name for name in CARD if (root / name).is_file()}
    for table in reversed(tables):  # the first file goes before the others, and all before the card
        features |= table.features
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    return images, {name: features[name].names for name, kind in kinds.items() if kind == "ClassLabel"}


def _read_card(root: Path, imported: Imported) -> dict[str, Any]:
    """Return the features that the card describes, and set the licence; a card that cannot be read is noted."""
    names = [name for name in CARD if (root / name).is_file()]
    try:
        text = read_bytes(root / README).decode("utf-8-sig") if README in names else ""
        head = re.match(r"---\r?\n(.*?)\n---", text, re.DOTALL)
        card = yaml.safe_load(head[1]) if head else None
        card = card if isinstance(card, dict) else {}
        if isinstance(card.get("license"), str):
            imported.licence = f"{card['license']} (says its README.md)"
        if "dataset_info" not in card and INFOS not in names:
            return {}
        # Of several datasets, the one called as the folder, else the default one or the first.
        infos = import_datasets(root).info.DatasetInfosDict.from_directory(str(root))
        info = infos.get(root.name) or infos.get("default") or next(iter(infos.values()), None)
        return dict((info and info.features) or {})
    except MrHarmError:
        raise
    except Exception as error:  # YAML's, JSON's and the library's on odd contents
        reason = f"cannot be read ({type(error).__name__}); class names in it are not known"
        imported.notes.append(f"{' or '.join(names)}: {reason}")
        return {}


@dataclass
class _RowParser:
    """Makes memes of the rows of many tables, in order; the bytes of one picture are in memory at a time.

    Attributes:
        source: the memes' ``source``.
        folder: the dataset folder to make.
        columns: part of a meme -> its column.
        classes: column -> names of its class numbers.
        splits: the split column's names -> ours.
        binary: columns to leave out.
        counts: split -> rows so far.
        written: ids of the memes whose pictures were written, and in ``file_names`` the files' names.
    """

    source: str
    folder: Path
    columns: Mapping[str, str]
    classes: Mapping[str, Sequence[str]]
    splits: Mapping[str, str]
    binary: frozenset[str]
    counts: Counter[str | None] = field(default_factory=Counter)
    written: set[str] = field(default_factory=set)
    file_names: set[str] = field(default_factory=set)

    def parse(self, row: Row) -> ParsedRow:
        """Make a meme of a row; raises DataError or ImageError where it is wrong."""
        default_id = f"{row.split or 'row'}-{self.counts[row.split]}"
        self.counts[row.split] += 1
        values = {name: value for name, value in row.values.items() if name not in self.binary}

        image, data = self.columns.get("image"), None
        if image in values:
            data, values[image] = _split_picture(values[image], row.file)
        for name in self.classes.keys() & values.keys():
            values[name] = _name_class(values[name], name, self.classes[name])

        row = replace(row, values=values)
        parsed = parse_row(row, self.columns, self.splits, self.source, default_id=default_id)
        if data is None or parsed.meme.id in self.written:  # a repeat is refused by `add_memes`
            return parsed
        place = write_picture(data, self.folder, parsed.meme.id, self.file_names)
        self.written.add(parsed.meme.id)
        return ParsedRow(parsed.meme.model_copy(update={"image": place}))


def _find_columns(
    tables: Sequence[Table], images: Sequence[str], mapping: Mapping[str, str], notes: list[str]
) -> dict[str, str]:
    """Find the column of each part of a meme; ``images`` are those that the dataset calls pictures."""
    file = tables[0].file
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    certain = {"image": images[0]} if images and images[0] in names else {}
    if not file:  # pictures in a folder a class
        certain = {part: part for part in names}
        if "label" in names:
            notes.append("labels are the names of the pictures' folders")
    elif PurePosixPath(file).stem == "metadata" and "file_name" in names:
        certain = {"image": "file_name"}
    title = (file or "the folder") + (" and the other tables" if len(tables) > 1 else "")
    return find_columns(title, certain | dict(mapping), names, notes)


def _find_splits(
    tables: Sequence[Table], columns: dict[str, str], notes: list[str], mapped: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Return a file's split -> ours, and a row's -> ours: files say it, or else, or when mapped, a column does."""
    names = {table.split for table in tables if table.split}
    file_splits = rename_splits(names, notes)
    if names and not mapped:
        columns.pop("split", None)
    if column := columns.get("split"):
        values: set[str] = set()
        for table in tables:
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


def _split_picture(value: Any, file: str) -> tuple[bytes | None, Any]:
    """Return a picture's bytes, or else its name: relative to ``file``, and then made relative to the source.

    `datasets` keeps bytes, path or both; others keep one.
    """
    data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, value)
    if isinstance(data, bytes):
        return data, None
    if isinstance(name, str) and name.strip() and not re.match(r"[A-Za-z]:", name):
        name = (PurePosixPath(file).parent / name.strip().replace("\\", "/")).as_posix()
    return None, name
