"""Find the tables of a Hugging Face dataset's folder: rows with pictures, in files a split, or as saved."""

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

PARQUET = ".parquet"
PICTURES = ("images", "img", "data")
SAVED = ("dataset_dict.json", "state.json")
ROWS_AT_ONCE = 16  # of up to 20 MB each, so that the pictures of a file are never all in memory

# The patterns of `datasets` itself miss ``Test.csv`` and join ``test_seen`` with ``test_unseen``.
_SPLIT = re.compile(
    r"(?:^|[^a-z0-9])((?:train|val|valid|validation|dev|test|eval|evaluation)(?:ing)?(?:_seen|_unseen)?)(?=$|[^a-z0-9])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")


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
        if source.suffix.lower() not in (PARQUET, *TABLES):
            raise InputError(f"{source}: expected a folder, or a {', '.join((PARQUET, *TABLES))} file")
        return _open_file(source.parent, source, imported)
    if any((source / name).is_file() for name in SAVED):
        return _open_saved(source, files, imported)
    data = _choose_data_files(source, files, imported)
    tables = [table for path in data for table in _open_file(source, path, imported)]
    tables = tables if data else _make_class_tables(source, files)
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
    relative = isinstance(picture, str) and not picture.startswith("/")
    return _find_split(PurePosixPath(picture).parent / "_") if relative else ""


def _choose_data_files(root: Path, files: Sequence[Path], imported: Imported) -> list[Path]:
    """Return the files of rows: metadata of pictures, else Parquet, else texts.

    Raises:
        InputError: several datasets, or a file in two formats, whose rows would come in twice.
    """
    tables = [path for path in files if _holds_rows(path)]
    data = [path for path in tables if path.stem == "metadata"]
    if not data:
        parquet = [path for path in tables if path.suffix.lower() == PARQUET]
        data = parquet or tables
        _refuse_several(root, data)
        if len(data) < len(tables):
            names = ", ".join([str(_place(root, path)) for path in tables if path not in parquet][:5])
            imported.notes.append(f"{names}: skipped, since Parquet files hold the dataset")
    first: dict[Path, Path] = {}
    for path in data:
        earlier = first.setdefault(path.with_suffix(""), path)
        if earlier != path:
            names = f"{_place(root, earlier)} and {_place(root, path)}"
            raise InputError(f"{root}: {names} may hold the same rows; move one of them away")
    return data


def _holds_rows(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in (PARQUET, *TABLES) or (suffix == ".json" and _SPLIT.search(path.stem) is not None)


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
        elif path.suffix.lower() != PARQUET and not _find_split(place):
            parts.append(place.name)
        names.add("/".join(parts))
    if len(names) > 1:
        listed = ", ".join(sorted(name or "(the folder itself)" for name in names)[:8])
        raise InputError(f"{root}: holds several datasets ({listed}); import the folder of one, or one file")


def _make_class_tables(root: Path, files: Sequence[Path]) -> list[Table]:
    """Make tables of pictures alone: the folder that a picture is in, if it is no split's, is its class."""
    rows = []
    for place in (_place(root, path) for path in files if path.suffix.lower() in SUFFIXES):
        folder = place.parent.name
        is_class = folder and not _SPLIT.search(folder) and folder not in PICTURES
        values = {"image": place.name} | ({"label": folder} if is_class else {})
        # The line is 0 of a row that stands in no file.
        rows.append(Row(str(place), 0, values, split=_find_folder_split(str(place))))
    return _make_tables("", rows)


def _make_tables(file: str, rows: Iterable[Row]) -> list[Table]:
    """Make a table a split of rows that are in memory."""
    splits: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        splits[row.split or ""].append(row)
    return [
        Table(file, split, list(dict.fromkeys(name for row in rows for name in row.values)), rows.copy)
        for split, rows in splits.items()
    ]


def _open_file(root: Path, path: Path, imported: Imported) -> list[Table]:
    """Open a file of rows; of metadata whose pictures are in folders a split, there is a table a split."""
    place = _place(root, path)
    file, split = str(place), _find_split(place)
    imported.sources[file] = path
    with path.open("rb") as opened:
        if opened.read(40).startswith(b"version https://git-lfs"):
            raise DataError(
                f"{path}: a Git LFS pointer, not the file itself; fetch it with `git lfs pull` in its repository"
            )
    if path.suffix.lower() == PARQUET:
        return [_open_parquet(path, file, split)]
    pictures = "file_name" if path.stem == "metadata" else ""
    rows = read_table(path, file, imported.failures)
    return _make_tables(
        file,
        (replace(row, split=split or _find_folder_split(row.values.get(pictures))) for row in rows),
    )


def _open_saved(root: Path, files: Sequence[Path], imported: Imported) -> list[Table]:
    """Open what ``save_to_disk`` wrote: one dataset, or one a split."""
    arrow = [path for path in files if path.suffix.lower() == ".arrow"]
    imported.sources |= {str(_place(root, path)): path for path in arrow}
    with _name_errors(root):
        loaded = import_datasets(root).load_from_disk(str(root))
    tables = []
    for split, dataset in loaded.items() if isinstance(loaded, dict) else [("", loaded)]:
        name = split or _find_split(PurePosixPath(str(dataset.split or "")))
        batches = partial(dataset.with_format("arrow").iter, ROWS_AT_ONCE)
        schema = dataset.features.arrow_schema
        tables.append(_make_table(split or root.name, name, root, schema, dataset.features, batches))
    return tables


def _open_parquet(path: Path, file: str, split: str) -> Table:
    datasets = import_datasets(path)
    import pyarrow.parquet  # `datasets` brings it

    def batches() -> Iterator[Any]:
        # Opens the file anew: a dataset may have more shards than files may be open.
        yield from pyarrow.parquet.ParquetFile(path).iter_batches(ROWS_AT_ONCE)

    with _name_errors(path):
        schema = pyarrow.parquet.read_schema(path)
        features = datasets.Features.from_arrow_schema(schema)
    return _make_table(file, split, path, schema, features, batches)


def _make_table(
    file: str, split: str, path: Path, schema: Any, features: Any, batches: Callable[[], Iterable[Any]]
) -> Table:
    """Make a table of batches of Arrow, without the index that pandas adds; a NaN is None."""
    names = [name for name in schema.names if not name.startswith("__index_level_")]

    def read() -> Iterator[Row]:
        number = 0
        with _name_errors(path):
            for batch in batches():
                batch.validate(full=True)  # Arrow trusts a file's offsets, wherever they point
                for values in batch.to_pylist():
                    number += 1
                    cells = {name: None if values[name] != values[name] else values[name] for name in names}
                    yield Row(file, number, cells)

    kinds = {name: schema.field(name).type for name in names}
    binary = (name for name, kind in kinds.items() if "binary" in str(getattr(kind, "storage_type", kind)))
    return Table(file, split, names, read, features, frozenset(binary))
