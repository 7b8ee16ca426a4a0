"""Rows of Parquet and Arrow files, a few at a time, so that their pictures are never all in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.memes.features import Features, features_in_schema

PARQUET, ARROW = ".parquet", ".arrow"
ROWS_AT_ONCE = 16  # of up to 20 MB each
_END = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True)
class Columns:
    """A file's columns: all of them, those that hold bytes somewhere, and what the file says of them."""

    names: tuple[str, ...]
    with_bytes: frozenset[str]
    features: Features


def columns_of(path: Path) -> Columns:
    """The columns of a Parquet or Arrow file, without the index that pandas adds.

    Raises:
        InputError: pyarrow is not installed.
        DataError: the file is neither, or broken, or cut short.
    """
    with _named(path), _open(path) as file:
        schema = file.schema_arrow if path.suffix.lower() == PARQUET else file.schema
        names = tuple(name for name in schema.names if not name.startswith("__index_level_"))
        with_bytes = frozenset(name for name in names if _holds_bytes(schema.field(name).type))
        return Columns(names, with_bytes, features_in_schema(schema.metadata))


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The values of some columns, row by row; a NaN is None. Raises as `columns_of` does, at the row it comes to."""
    with _named(path), _open(path) as file:
        if path.suffix.lower() == PARQUET:
            batches = file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(columns))
        else:
            batches = _slices(file, columns)
        for batch in batches:
            batch.validate(full=True)  # Arrow trusts a file's offsets, wherever they point
            for row in batch.to_pylist():
                yield {name: None if value != value else value for name, value in row.items()}


def _slices(reader: Any, columns: Sequence[str]) -> Iterator[Any]:
    for batch in _batches(reader):
        batch.validate()
        chosen = batch.select(list(columns))
        for start in range(0, chosen.num_rows, ROWS_AT_ONCE):
            yield chosen.slice(start, ROWS_AT_ONCE)


def _batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):  # the random-access kind of file
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from reader


def _open(path: Path) -> AbstractContextManager[Any]:
    """A reader of the file: a `ParquetFile`, or a stream or file of Arrow record batches."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet and Arrow needs pyarrow: pip install 'mrharm[parquet]'"
        ) from None
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(max(0, path.stat().st_size - len(_END)))
        end = file.read()
    refuse_pointer(path)
    if path.suffix.lower() == PARQUET:
        return pyarrow.parquet.ParquetFile(path)  # type: ignore[no-any-return]
    opened: Callable[[Any], Any] = pyarrow.ipc.open_file
    if not start.startswith(b"ARROW1"):
        if end != _END:  # pyarrow takes a stream that was cut between two batches for a whole one
            raise DataError(f"{path}: cut short (its end mark is missing); download or save it again")
        opened = pyarrow.ipc.open_stream
    return opened(pyarrow.memory_map(str(path)))  # type: ignore[no-any-return]


def refuse_pointer(path: Path) -> None:
    """Raise DataError where a file was left on the server and only Git LFS's pointer to it came along."""
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise DataError(
                f"{path}: a Git LFS pointer, not the file itself; fetch it with `git lfs pull` in its repository"
            )


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever pyarrow raises on a hostile or cut file -> a DataError that names it and the mend."""
    try:
        yield
    except MrHarmError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
        raise DataError(f"{path}: broken or cut short ({why}); download or save it again") from None


def _holds_bytes(kind: Any) -> bool:
    if hasattr(kind, "storage_type"):  # an extension
        return _holds_bytes(kind.storage_type)
    if hasattr(kind, "index_type"):  # a dictionary
        return _holds_bytes(kind.value_type)
    if re.match(r"(large_|fixed_size_)?binary", str(kind)):
        return True
    return any(_holds_bytes(kind.field(number).type) for number in range(kind.num_fields))
