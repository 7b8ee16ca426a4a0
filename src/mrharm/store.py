"""Files written so that a kill at any moment loses at most the item in hand.

Whole files are written aside and renamed; long work appends one line an item to a `JsonlStore`, which skips what is
done when the same command runs again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout

from mrharm.errors import DataError, InputError
from mrharm.records import (
    Failure,
    Record,
    make_record,
    parse_json,
    parse_record,
    read_records,
    to_line,
    to_lines,
)

R = TypeVar("R", bound=Record)

FAILURES = "failures.jsonl"


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, UTF-8, aside and then renamed: readers see the old file or the new one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file aside, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(aside).unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON a person can read, aside and then renamed."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a whole JSONL file of records, aside and then renamed."""
    write_text(path, to_lines(records))


def read_json(path: Path, mend: str = "") -> Any:
    """Read a JSON file that mrharm wrote; ``mend`` says how to get a whole one, and ends the message of an error.

    Raises:
        DataError: it is missing, cannot be read, or is not JSON.
    """
    mend = mend and f"; {mend}"
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a JSON file{mend}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); it may have been edited or cut short{mend}") from None


def read_json_record(path: Path, kind: type[R], mend: str) -> R:
    """Read a JSON file that holds one record; raises DataError, as `read_json`, also where it is something else."""
    values = read_json(path, mend)
    try:
        return make_record(values, kind, file=path)
    except DataError as error:
        raise DataError(f"{error}; {mend}") from None


def check_place(file: Path, option: str) -> None:
    """Refuse a place where no file can be written, before long work starts; nothing is created.

    Raises:
        InputError: ``option`` named a folder, or a folder on the way is a file or may not be written to.
    """
    if file.is_dir():
        raise InputError(f"{option} {file}: expected a file, and this is a folder; name a file in it")
    parent = next(folder for folder in file.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise InputError(f"{option} {file}: {parent} is a file, not a folder; name another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {file}: no permission to write in {parent}; name another place")


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it is renamed to ``path``, replacing what was there.

    An error removes the folder and leaves ``path`` as it was. A kill leaves ``.<name>.aside``, which the next call for
    the same path removes; a kill between the two renames leaves ``.<name>.old``, which the next call puts back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.aside"
    old = path.parent / f".{path.name}.old"
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    aside.rename(path)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def exclusive_lock(path: Path, work: str | None = None) -> Iterator[None]:
    """Hold a lock against a second process that writes the same file; it ends with this process, however it ends.

    Args:
        path: the file; with ``work`` a folder, which a process at other work may write in at the same time.
        work: such as ``abduce``.

    Raises:
        InputError: another process holds it; the message has its process id where that is known.
    """
    lock_file = path / f".{work}.lock" if work else path.with_name(f".{path.name}.lock")
    lock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        holder = _read_holder(lock_file)
        process = f" (process {holder})" if holder else ""
        raise InputError(f"another process is writing {path}{process}; wait for it or stop it") from None
    try:
        if _read_holder(lock_file) != os.getpid():
            with contextlib.suppress(OSError):  # some systems let nobody write a locked file
                lock_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def _read_holder(lock_file: Path) -> int | None:
    """Return the process id that a lock's holder wrote into its file; None where it cannot be known."""
    try:
        return int(lock_file.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def content_key(*parts: object) -> str:
    """Return a short stable key (16 hex digits of SHA-256) of JSON-able parts: same content, same key."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class JsonlStore(Generic[R]):
    """Append-only JSONL output of a stage, keyed by one field; opening it again tells what is done.

    A line cut short by a kill is dropped on opening, so that its item is done again; a whole one that only lacks its
    line feed, as an editor may leave it, is kept.
    """

    def __init__(self, path: Path, kind: type[R], key: str) -> None:
        self.path = path
        self._key = key
        self.done: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._drop_cut_line()
            self.done = {str(getattr(record, key)) for record in read_records(path, kind)}

    def append(self, record: R) -> None:
        """Write one record at once, so that it survives a kill of this process, whole or not at all."""
        # Unbuffered, a line goes to the system in one call, however long it is.
        with self.path.open("ab", buffering=0) as file:
            data = (to_line(record) + "\n").encode("utf-8")
            while data:  # a disk that fills takes a part of it, and then raises
                data = data[file.write(data) :]
        self.done.add(str(getattr(record, self._key)))

    def _drop_cut_line(self) -> None:
        with self.path.open("rb+") as file:
            data = file.read()
            start = data.rfind(b"\n") + 1
            if start == len(data):
                return
            try:
                json.loads(data[start:])
            except ValueError:
                file.truncate(start)
            else:
                file.write(b"\n")


def read_appended(path: Path, kind: type[R]) -> list[R]:
    """Read the records of a file that grows by a line an item; a last line that was cut short is skipped.

    Raises:
        DataError: another line does not hold a ``kind``, or is not UTF-8.
    """
    rows: list[R] = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                rows.append(parse_record(line.decode("utf-8"), kind, file=path, number=number))
        except UnicodeDecodeError as error:
            if number < len(lines):
                raise DataError(
                    f"{path}, line {number}: not UTF-8 ({error.reason}); save it as UTF-8"
                ) from None
        except DataError:
            if number < len(lines):
                raise
    return rows


def write_failures(
    folder: Path, failures: Iterable[Failure], *, stage: str, items: Collection[str] | None = None
) -> None:
    """Replace this stage's rows of ``folder/failures.jsonl``, as `replace_failures`."""
    replace_failures(folder / FAILURES, failures, stage=stage, items=items)


def replace_failures(
    path: Path, failures: Iterable[Failure], *, stage: str, items: Collection[str] | None = None
) -> None:
    """Replace this stage's rows of a file of failures, keeping the rows of other stages, which may run meanwhile.

    With ``items`` only the rows of those are replaced: a run over some memes says nothing of the others.
    """
    failures = list(failures)
    if not failures and not path.exists():
        return
    # Stages hold locks of their own, so that two of them can get here at once; the second waits for milliseconds.
    with FileLock(path.with_name(f".{path.name}.lock")):
        rows = list(read_records(path, Failure)) if path.exists() else []
        kept = [row for row in rows if row.stage != stage or (items is not None and row.item not in items)]
        write_records(path, [*kept, *failures])
