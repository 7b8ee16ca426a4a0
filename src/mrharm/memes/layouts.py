"""Where a Hugging Face dataset keeps its rows: beside pictures, in files a split, or as ``save_to_disk`` wrote them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.images import SUFFIXES
from mrharm.memes.arrow import ARROW, PARQUET, columns_of, read_columns, refuse_pointer
from mrharm.memes.dataset import Imported
from mrharm.memes.features import Features
from mrharm.memes.pictures import inside
from mrharm.memes.rows import STAGE, TABLES, Row, read_bytes, table_rows
from mrharm.memes.sources.folder import files_below, is_unicode
from mrharm.records import Failure, parse_json

BATCHES = (PARQUET, ARROW)
PICTURES = ("images", "img", "data")
DICT, STATE = "dataset_dict.json", "state.json"

_SPLIT = re.compile(
    r"(?:^|[^a-z0-9])((?:train|val|valid|validation|dev|test|eval|evaluation)(?:ing)?(?:_seen|_unseen)?)(?=$|[^a-z0-9])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")


@dataclass(frozen=True)
class Table:
    """A file of rows, read as it goes.

    ``file`` is relative to the source; pictures that rows name are relative to ``file``'s folder. ``split`` is as the
    source calls it, empty where nothing says it. ``certain`` says of some parts of a meme which column holds them;
    ``with_bytes`` are the columns that hold bytes. ``read`` gives rows of the columns it is asked for.
    """

    file: str
    split: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Row]]
    certain: Mapping[str, str] = field(default_factory=dict)
    with_bytes: frozenset[str] = frozenset()
    features: Features = field(default_factory=Features)


@dataclass(frozen=True)
class Layout:
    """The tables of a dataset, in a steady order, and whether picture files came along."""

    tables: list[Table]
    has_pictures: bool


def find_tables(source: Path, imported: Imported) -> Layout:
    """The tables of a dataset's folder, or of one file; ``imported`` takes their names, notes and broken lines.

    Raises:
        InputError: several datasets are in it, or two files that could be the same split.
        DataError: a file is broken, cut short, or not what its name says.
    """
    if source.is_file():
        if source.suffix.lower() not in (*BATCHES, *TABLES):
            raise InputError(f"{source}: expected a folder, or a {', '.join((*BATCHES, *TABLES))} file")
        tables = [_table(source.parent, source, _split_of(PurePosixPath(source.name)), imported)]
        return Layout(tables, any(path.suffix.lower() in SUFFIXES for path in files_below(source.parent)))
    files = []
    for path in files_below(source):
        if is_unicode(path.as_posix()):
            files.append(path)
        else:
            name = ascii(path.relative_to(source).as_posix())
            reason = "name is not UTF-8; rename it"
            imported.failures.append(Failure(item=name, stage=STAGE, reason=reason, file=name))
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if (source / DICT).is_file() or (source / STATE).is_file():
        tables = list(_saved(source, imported))
    elif metadata := [path for path in files if path.stem == "metadata" and _is_table(path)]:
        _refuse_two(source, metadata, by=lambda path: str(path.parent))
        tables = [_table(source, path, _split_of(_place(source, path)), imported) for path in metadata]
    elif data := _data_files(source, files, imported):
        tables = [_table(source, path, _split_of(_place(source, path)), imported) for path in data]
    else:
        tables = _pictures_alone(source, pictures, imported)
    if _SPLIT.fullmatch(source.name):  # "train/" alone
        tables = [replace(table, split=table.split or source.name.lower()) for table in tables]
    return Layout(tables, bool(pictures))


def _place(root: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root).as_posix())


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (*BATCHES, *TABLES)


def _split_of(place: PurePosixPath) -> str:
    """The split a file is by its name, else by its folders' names; empty where none of them says one."""
    shard = _SHARD.fullmatch(place.stem)
    name = shard[1] if shard else place.stem
    for part in (name, *reversed(place.parts[:-1])):
        if match := _SPLIT.search(part):
            return match[1].lower()
    return name if shard else ""


def _data_files(root: Path, files: Sequence[Path], imported: Imported) -> list[Path]:
    """The files of rows: Parquet or Arrow if there are any (what else lies there is their raw material), else texts."""
    batches = [path for path in files if path.suffix.lower() in BATCHES]
    texts = [
        path
        for path in files
        if path.suffix.lower() in TABLES or (path.suffix.lower() == ".json" and _SPLIT.search(path.stem))
    ]
    if batches and texts:
        names = ", ".join(_place(root, path).as_posix() for path in texts[:5])
        imported.notes.append(f"{names}: left alone, since Parquet or Arrow files hold the dataset")
    data = batches or texts
    _refuse_several(root, data)
    nameless = [path for path in data if path in texts and not _split_of(_place(root, path))]
    if len(nameless) > 1:
        names = ", ".join(_place(root, path).as_posix() for path in nameless[:8])
        raise InputError(f"{root}: none of {names} says which split it is; import one of the files")
    _refuse_two(root, data, by=lambda path: _split_of(_place(root, path)))
    return data


def _refuse_several(root: Path, data: Sequence[Path]) -> None:
    """Several datasets (configurations, on the hub) in one folder have columns and memes of their own."""
    bases = set()
    for path in data:
        place = _place(root, path)
        folders = [part for part in place.parts[:-1] if part != "data" and not _SPLIT.search(part)]
        shard = _SHARD.fullmatch(place.stem)
        match = _SPLIT.search(shard[1]) if shard else None
        bases.add("/".join([*folders, *([shard[1][: match.start()]] if shard and match else [])]))
    if len(bases) > 1:
        names = ", ".join(sorted(base or "(the folder itself)" for base in bases)[:8])
        raise InputError(f"{root}: holds several datasets ({names}); import the folder of one, or one file")


def _refuse_two(root: Path, data: Sequence[Path], *, by: Callable[[Path], str]) -> None:
    """The same rows in two formats would come in twice."""
    first: dict[str, Path] = {}
    for path in data:
        other = first.setdefault(by(path), path)
        if other.suffix.lower() != path.suffix.lower():
            raise InputError(
                f"{root}: {_place(root, other)} and {_place(root, path)} may hold the same rows; move one of them away"
            )


def _table(root: Path, path: Path, split: str, imported: Imported) -> Table:
    file = _place(root, path).as_posix()
    imported.sources[file] = path
    certain = {"image": "file_name"} if path.stem == "metadata" else {}
    if path.suffix.lower() in BATCHES:
        columns = columns_of(path)
        return Table(
            file,
            split,
            columns.names,
            partial(_batch_rows, path, file),
            certain if "file_name" in columns.names else {},
            columns.with_bytes,
            columns.features,
        )
    refuse_pointer(path)
    rows = table_rows(path, file, imported.failures)
    names = tuple(dict.fromkeys(name for row in rows for name in row.values))
    return Table(file, split, names, lambda columns: iter(rows), certain if "file_name" in names else {})


def _batch_rows(path: Path, file: str, columns: Sequence[str]) -> Iterator[Row]:
    for number, values in enumerate(read_columns(path, columns), 1):
        yield Row(file, number, values)


def _saved(root: Path, imported: Imported) -> Iterator[Table]:
    """The tables that ``save_to_disk`` wrote, in the order its ``state.json`` gives."""
    if (root / DICT).is_file():
        folders = [(str(split), str(split)) for split in _list(root / DICT, "splits")]
    else:
        folders = [("", "")]
    for folder, split in folders:
        state = root / inside(folder) / STATE if folder else root / STATE
        said = _object(state)
        if said.get("_indices_data_files"):
            raise DataError(f"{state}: rows chosen by an index; load it with `datasets` and save it again")
        own = _SPLIT.search(str(said.get("_split") or ""))
        for number, one in enumerate(_list(state, "_data_files")):
            if not isinstance(one, dict) or not isinstance(one.get("filename"), str):
                raise DataError(f"{state}: _data_files[{number}]: expected a file name")
            path = state.parent / inside(one["filename"])
            if not path.is_file():
                raise DataError(f"{path}: not there, though {STATE} names it; download or save it again")
            yield _table(root, path, split or (own[1].lower() if own else ""), imported)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(read_bytes(path).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON in UTF-8 ({error}); download or save it again") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _list(path: Path, key: str) -> list[Any]:
    value = _object(path).get(key)
    if not isinstance(value, list) or not value:
        raise DataError(f"{path}: {key}: expected a list, got {str(value)[:60]!r}")
    return value


def _pictures_alone(root: Path, pictures: Sequence[Path], imported: Imported) -> list[Table]:
    """Pictures without a table: the folder that a picture lies in, if it is no split's, is its class."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for path in pictures:
        place = _place(root, path)
        split = next((found for part in place.parts[:-1] if (found := _split_of(PurePosixPath(part)))), "")
        folder = place.parent.name
        label = None if _SPLIT.search(folder) or folder in PICTURES else folder or None
        # A row's line is 0 where it is no line of a table.
        rows[split].append(Row(place.as_posix(), 0, {"image": place.as_posix(), "label": label}))
    columns = {"image": "image"}
    if any(row.values["label"] for group in rows.values() for row in group):
        columns["label"] = "label"
        imported.notes.append("labels are the names of the folders that the pictures lie in")
    return [
        Table("", split, tuple(columns), lambda _, group=group: iter(group), columns)  # type: ignore[misc]
        for split, group in rows.items()
    ]
