"""Find the tables of a Hugging Face dataset's folder: rows with pictures, in files a split, or as saved.

Which file is which split is told here and not by `datasets`: its patterns miss ``Test.csv`` and join ``test_seen`` with
``test_unseen``.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.images import SUFFIXES
from mrharm.memes.dataset import Imported
from mrharm.memes.rows import TABLES, Row, read_table

PARQUET, ARROW = ".parquet", ".arrow"
BATCHES = (PARQUET, ARROW)
PICTURES = ("images", "img", "data")
SAVED = ("dataset_dict.json", "state.json")
ROWS_AT_ONCE = 16  # of up to 20 MB each, so that the pictures of a file are never all in memory

_SPLIT = re.compile(
    r"(?:^|[^a-z0-9])((?:train|val|valid|validation|dev|test|eval|evaluation)(?:ing)?(?:_seen|_unseen)?)(?=$|[^a-z0-9])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True)
class Table:
    """Rows of one file or split.

    Attributes:
        file: relative to the source; pictures that rows name are relative to its folder.
        split: as the source calls it; empty where it does not say.
        columns: their names.
        read: yields the rows, as often as it is called.
        features: what the file says of its columns, as the library's classes.
        binary: the columns that hold bytes somewhere.
    """

    file: str
    split: str
    columns: Sequence[str]
    read: Callable[[], Iterable[Row]]
    features: Mapping[str, Any] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()


def import_datasets(path: Path) -> Any:
    """Return the `datasets` library; raises InputError, naming the extra, where it is not installed."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{path}: reading it needs the datasets library: pip install 'mrharm[huggingface]'"
        ) from None
    return datasets


@contextlib.contextmanager
def _name_errors(path: Path) -> Iterator[None]:
    """Turn whatever pyarrow and `datasets` raise on a hostile or cut file into a DataError that names it."""
    try:
        yield
    except MrHarmError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
        raise DataError(f"{path}: broken or cut short ({reason}); download or save it again") from None


def find_tables(source: Path, files: Sequence[Path], imported: Imported) -> list[Table]:
    """Find the tables among the ``files`` of a folder, or of one file; ``imported`` receives their names, and notes.

    Raises:
        InputError: several datasets are in it, or two files that could be the same split.
        DataError: a file is broken, cut short, or not what its name says.
    """
    if source.is_file():
        if source.suffix.lower() not in (*BATCHES, *TABLES):
            raise InputError(f"{source}: expected a folder, or a {', '.join((*BATCHES, *TABLES))} file")
        return _open_file(source.parent, source, imported)
    if any((source / name).is_file() for name in SAVED):
        return _open_saved(source, files, imported)
    tables = _make_class_tables(source, files, imported)
    if data := _choose_data_files(source, files, imported):
        tables = []
        for path in data:
            tables += _open_file(source, path, imported)
    if _SPLIT.fullmatch(source.name):  # "train/" alone
        tables = [replace(table, split=table.split or source.name.lower()) for table in tables]
    return tables


def _place(root: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root).as_posix())


def _find_split(place: PurePosixPath) -> str:
    """Return the split a file is by its name, else by its folders' names; empty where none of them says one."""
    shard = _SHARD.fullmatch(place.stem)
    name = shard[1] if shard else place.stem
    for part in (name, *reversed(place.parts[:-1])):
        if match := _SPLIT.search(part):
            return match[1].lower()
    return name if shard else ""


def _find_folder_split(picture: Any) -> str:
    """Return the split of a picture by the folders in its path; empty where none of them says one."""
    if not isinstance(picture, str) or picture.startswith("/"):
        return ""
    return _find_split(PurePosixPath(picture).parent / "_")


def _choose_data_files(root: Path, files: Sequence[Path], imported: Imported) -> list[Path]:
    """Return the files of rows: metadata of pictures, else Parquet or Arrow, else texts.

    Raises:
        InputError: several datasets, or a split in two formats, whose rows would come in twice.
    """
    tables = [path for path in files if path.suffix.lower() in (*BATCHES, *TABLES) or _is_split_json(path)]
    if metadata := [path for path in tables if path.stem == "metadata"]:
        _refuse_two_formats(root, {path: str(path.parent) for path in metadata})
        return metadata
    batches = [path for path in tables if path.suffix.lower() in BATCHES]
    data = batches or tables
    _refuse_several(root, data)
    _refuse_two_formats(root, {path: _find_split(_place(root, path)) for path in data})
    if len(data) < len(tables):
        texts = [str(_place(root, path)) for path in tables if path not in batches]
        names = ", ".join(texts[:5])
        imported.notes.append(f"{names}: skipped, since Parquet or Arrow files hold the dataset")
    return data


def _is_split_json(path: Path) -> bool:
    return path.suffix.lower() == ".json" and _SPLIT.search(path.stem) is not None


def _refuse_two_formats(root: Path, keys: Mapping[Path, str]) -> None:
    """Refuse files of the same key in two formats."""
    first: dict[str, Path] = {}
    for path, key in keys.items():
        earlier = first.setdefault(key, path)
        if earlier.suffix.lower() != path.suffix.lower():
            names = f"{_place(root, earlier)} and {_place(root, path)}"
            raise InputError(f"{root}: {names} may hold the same rows; move one of them away")


def _refuse_several(root: Path, data: Sequence[Path]) -> None:
    """Refuse a folder of several datasets (configurations, on the hub), whose columns and memes differ.

    What tells them apart is a folder that is no split's, a prefix of shards, or the name of a text file.
    """
    names = set()
    for path in data:
        place = _place(root, path)
        parts = [part for part in place.parts[:-1] if part != "data" and not _SPLIT.search(part)]
        shard = _SHARD.fullmatch(place.stem)
        match = _SPLIT.search(shard[1]) if shard else None
        if shard and match:
            parts.append(shard[1][: match.start()])
        elif path.suffix.lower() not in BATCHES and not _find_split(place):
            parts.append(place.name)
        names.add("/".join(parts))
    if len(names) > 1:
        listed = ", ".join(sorted(name or "(the folder itself)" for name in names)[:8])
        raise InputError(f"{root}: holds several datasets ({listed}); import the folder of one, or one file")


def _make_class_tables(root: Path, files: Sequence[Path], imported: Imported) -> list[Table]:
    """Make tables of pictures alone: the folder that a picture is in, if it is no split's, is its class."""
    splits: dict[str, list[Row]] = defaultdict(list)
    classes = set()
    for path in files:
        if path.suffix.lower() in SUFFIXES:
            place = str(_place(root, path))
            folder = PurePosixPath(place).parent.name
            label = None if _SPLIT.search(folder) or folder in PICTURES else folder or None
            classes.add(label)
            # The line is 0 of a row that stands in no file.
            splits[_find_folder_split(place)].append(Row(place, 0, {"image": place, "label": label}))
    columns = ("image", "label") if classes - {None} else ("image",)
    return [Table("", split, columns, rows.copy) for split, rows in splits.items()]


def _open_file(root: Path, path: Path, imported: Imported) -> list[Table]:
    """Open a file of rows; of metadata whose pictures are in folders a split, there is a table a split."""
    place = _place(root, path)
    file, split = str(place), _find_split(place)
    imported.sources[file] = path
    _check_end(path)
    if path.suffix.lower() == ARROW:
        with _name_errors(path):
            return [_open_dataset(_load_arrow(path), file, split, path)]
    if path.suffix.lower() == PARQUET:
        return [_open_parquet(path, file, split)]
    splits: dict[str, list[Row]] = defaultdict(list)
    for row in read_table(path, file, imported.failures):
        picture = row.values.get("file_name") if path.stem == "metadata" else None
        splits[split or _find_folder_split(picture)].append(row)
    return [
        Table(file, split, list(dict.fromkeys(name for row in rows for name in row.values)), rows.copy)
        for split, rows in splits.items()
    ]


def _load_arrow(path: Path) -> Any:
    datasets = import_datasets(path)
    if not _is_stream(path):  # as polars writes it; the library takes streams alone
        import pyarrow.ipc

        mapped = pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()
        return datasets.Dataset(datasets.table.InMemoryTable(mapped))
    return datasets.Dataset.from_file(str(path))


def _open_saved(root: Path, files: Sequence[Path], imported: Imported) -> list[Table]:
    """Open what ``save_to_disk`` wrote: one dataset, or one a split."""
    for path in files:
        if path.suffix.lower() == ARROW:
            _check_end(path)
            imported.sources[str(_place(root, path))] = path
    with _name_errors(root):
        loaded = import_datasets(root).load_from_disk(str(root))
    tables = []
    for split, dataset in loaded.items() if isinstance(loaded, dict) else [("", loaded)]:
        for data_file in dataset.cache_files:
            if not Path(data_file["filename"]).resolve().is_relative_to(root.resolve()):
                raise DataError(
                    f"{root}: names {data_file['filename']}, which leaves the folder; save it again"
                )
        name = split or _find_split(PurePosixPath(str(dataset.split or "")))
        tables.append(_open_dataset(dataset, split or root.name, name, root))
    return tables


def _open_dataset(dataset: Any, file: str, split: str, path: Path) -> Table:
    arrow = dataset.with_format("arrow")
    schema = dataset.features.arrow_schema
    return _make_table(file, split, path, schema, dataset.features, partial(arrow.iter, ROWS_AT_ONCE))


def _open_parquet(path: Path, file: str, split: str) -> Table:
    datasets = import_datasets(path)
    import pyarrow.parquet  # `datasets` brings it

    def batches() -> Iterator[
        Any
    ]:  # opens the file anew: a dataset may have more shards than files may be open
        yield from pyarrow.parquet.ParquetFile(path).iter_batches(ROWS_AT_ONCE)

    with _name_errors(path):
        schema = pyarrow.parquet.read_schema(path)
        features = datasets.Features.from_arrow_schema(schema)
    return _make_table(file, split, path, schema, features, batches)


def _make_table(
    file: str, split: str, path: Path, schema: Any, features: Any, batches: Callable[[], Iterable[Any]]
) -> Table:
    """Make a table of batches of Arrow; a NaN in them is None."""

    def read() -> Iterator[Row]:
        number = 0
        with _name_errors(path):
            for batch in batches():
                batch.validate(full=True)  # Arrow trusts a file's offsets, wherever they point
                for values in batch.to_pylist():
                    number += 1
                    cells = {name: None if value != value else value for name, value in values.items()}
                    yield Row(file, number, cells)

    # All columns but the index that pandas adds, and which of them hold bytes.
    names = [name for name in schema.names if not name.startswith("__index_level_")]
    kinds = {name: schema.field(name).type for name in names}
    binary = (name for name, kind in kinds.items() if "binary" in str(getattr(kind, "storage_type", kind)))
    return Table(file, split, names, read, features, frozenset(binary))


def _check_end(path: Path) -> None:
    """Refuse a Git LFS pointer, and a stream cut between two batches, which pyarrow takes for complete."""
    with path.open("rb") as file:
        start = file.read(40)
        file.seek(max(0, path.stat().st_size - len(_STREAM_END)))
        end = file.read()
    if start.startswith(b"version https://git-lfs"):
        raise DataError(
            f"{path}: a Git LFS pointer, not the file itself; fetch it with `git lfs pull` in its repository"
        )
    if path.suffix.lower() == ARROW and _is_stream(path) and end != _STREAM_END:
        raise DataError(f"{path}: cut short (its end mark is missing); download or save it again")


def _is_stream(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) != b"ARROW1"
