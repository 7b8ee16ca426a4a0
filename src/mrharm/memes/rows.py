"""Read the rows of a source's annotation files, each with its file and line.

A row that cannot be read becomes a `Failure`, and the rest goes on; a file of another kind is a `DataError`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.memes.archives import SUFFIXES
from mrharm.records import Failure, parse_json

STAGE = "import"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
TABLES = (".jsonl", ".ndjson", ".csv", ".tsv")


@dataclass(frozen=True)
class Row:
    """A row of a source file.

    Attributes:
        file: relative to the source folder.
        line: from 1.
        values: column -> value.
        split: the split its file is; None where the row says it.
    """

    file: str
    line: int
    values: dict[str, Any]
    split: str | None = None

    def failure(self, reason: str, item: str | None = None) -> Failure:
        """Return this row as a failure of the import."""
        return Failure(
            item=item or f"{self.file}:{self.line}",
            stage=STAGE,
            reason=reason,
            file=self.file,
            line=self.line,
        )


def read_bytes(path: Path) -> bytes:
    """Read a source file's bytes; raises DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def read_table(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    """Read the rows of a file by its suffix: CSV, JSON lines, or for ``.json`` one array where it is one."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return read_csv_rows(path, name, failures)
    if suffix == ".json" and read_bytes(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return read_json_array(path, name, failures)
    return read_json_rows(path, name, failures)


def read_json_rows(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    """Read the rows of a JSONL file; raises DataError where it is UTF-16, or one JSON array."""
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if data.startswith(_UTF_16):
        raise _not_utf8(path, data, 0)
    if data.lstrip().startswith(b"[") and data.rstrip().endswith(b"]"):
        raise DataError(f"{path}: one JSON array; expected one JSON object a line (JSON lines)")
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row = Row(name, number, {})
        try:
            values = parse_json(line.decode("utf-8"))
            if isinstance(values, dict):
                rows.append(replace(row, values=values))
                continue
            reason = f"expected a JSON object, got {type(values).__name__}"
        except UnicodeDecodeError as error:
            wrong = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
            reason = f"not UTF-8 ({wrong}); save the file as UTF-8"
        except ValueError as error:
            reason = f"not JSON ({error}); the line may be cut short"
        failures.append(row.failure(reason))
    return rows


def read_json_array(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    """Read the rows of a file that is one JSON array; a row's line is its place in the array, from 1.

    Raises:
        DataError: not UTF-8, or not one whole JSON array.
    """
    text = read_utf8(path)
    try:
        array = parse_json(text)
    except ValueError as error:
        raise DataError(
            f"{path}: not one whole JSON array ({error}); {len(text):,} characters came, the last are "
            f"{text.strip()[-30:]!r}; fetch it again where it is cut short, or mend JSON lines with "
            f"`jq -s . {path.name} > array.json`"
        ) from None
    if not isinstance(array, list):
        raise DataError(f"{path}: expected one JSON array, got {type(array).__name__}")
    rows = [Row(name, place, element) for place, element in enumerate(array, 1)]
    for row in rows:
        if not isinstance(row.values, dict):
            failures.append(row.failure(f"expected a JSON object, got {type(row.values).__name__}"))
    return [row for row in rows if isinstance(row.values, dict)]


def read_text(row: Row, key: str) -> str | None:
    """Return a row's text under ``key``; blank or null is None; raises DataError where it is not a string."""
    value = row.values.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{key}: expected a string, got {str(value)[:60]!r}")
    return value if value and value.strip() else None


def read_csv_rows(
    path: Path, name: str, failures: list[Failure], *, columns: Sequence[str] = ()
) -> list[Row]:
    """Read the rows of a CSV file, split at comma, tab or semicolon as its header is.

    Raises:
        DataError: not UTF-8, or the header names a column twice or lacks one of ``columns``.
    """
    return _make_rows(_split_csv_records(read_utf8(path)), path, name, failures, columns, header=None)


def read_tab_rows(
    path: Path,
    name: str,
    failures: list[Failure],
    *,
    columns: Sequence[str] = (),
    header: Sequence[str] | None = None,
) -> list[Row]:
    """Read the rows of a tab-separated file in which people left quotes open; raises as `read_csv_rows` does.

    A quoted cell may run over several lines, but never over one with as many tabs as a row has: there the quote was
    left open, is a character like any other, and its line is a row by itself. ``header`` names the columns of a file
    without a header.
    """
    lines = io.StringIO(read_utf8(path), newline="").readlines()
    tabs = len(header) - 1 if header else "".join(lines[:1]).count("\t")
    return _make_rows(_split_tab_records(lines, tabs), path, name, failures, columns, header)


def _make_rows(
    records: Iterator[tuple[int, list[str] | str]],
    path: Path,
    name: str,
    failures: list[Failure],
    columns: Sequence[str],
    header: Sequence[str] | None,
) -> list[Row]:
    rows: list[Row] = []
    for line, cells in records:
        row = Row(name, line, {})
        if isinstance(cells, str):
            failures.append(row.failure(cells))
        elif not any(cell.strip() for cell in cells):
            continue
        elif header is None:
            header = _check_header(path, cells, columns)
        elif len(cells) != len(header):
            failures.append(row.failure(f"{len(cells)} cells, but the header has {len(header)}"))
        else:
            rows.append(replace(row, values=dict(zip(header, cells, strict=True))))
    return rows


def _check_header(path: Path, cells: list[str], columns: Sequence[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise DataError(f"{path}: header names {twice[0]!r} twice; rename one")
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(map(repr, missing))}; expected {', '.join(map(repr, columns))}; "
            f"the header has {', '.join(map(repr, header[:20]))}"
        )
    return header


def _split_csv_records(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line, cells) of each record; for a broken one (line, what is wrong)."""
    lines = io.StringIO(text, newline="")
    header = [lines.readline()]
    delimiter = max(",\t;", key=lambda mark: len(next(csv.reader(header, delimiter=mark), [])))
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"broken CSV up to line {reader.line_num} ({error}); is a quote unclosed?"


def _split_tab_records(lines: list[str], tabs: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line, cells) of each record; a quoted cell ends at the latest before the next line with all its tabs."""
    start = 0
    while start < len(lines):
        after = (number for number in range(start + 1, len(lines)) if lines[number].count("\t") >= tabs)
        stop = next(after, len(lines))
        reader = csv.reader(lines[start:stop], delimiter="\t", strict=True)
        try:
            cells, used = next(reader), reader.line_num
        except csv.Error:
            cells, used = lines[start].rstrip("\r\n").split("\t"), 1
        yield start + 1, cells
        start += used


def read_utf8(path: Path) -> str:
    """Read a source file's text; raises DataError, with the mend, where it cannot be read or is not UTF-8."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error.start) from None


def _not_utf8(path: Path, data: bytes, place: int) -> DataError:
    line = data.count(b"\n", 0, place) + 1
    likely = "UTF-16" if data.startswith(_UTF_16) else "WINDOWS-1252"
    return DataError(
        f"{path}: not UTF-8 (line {line}, byte 0x{data[place]:02x}); it looks like {likely}; convert it with "
        f"`iconv -f {likely} -t UTF-8 {path.name} > utf8-{path.name}`, and use that file instead"
    )


def need_folder(source: Path | None, what: str) -> Path:
    """Return ``source`` where it is a folder; raises InputError naming ``what`` was expected."""
    if source is None:
        raise InputError(f"no source given; expected {what}")
    if not source.is_dir():
        came = "a file" if source.is_file() else "nothing there"
        raise InputError(f"{source}: {came}; expected {what}; or a {', '.join(SUFFIXES)} of it")
    return source
