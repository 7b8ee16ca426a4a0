"""The ledger of paid calls: one SQLite file, one row a question, so that no committed answer is paid for again.

A question's row is pending while it is asked, then answered or failed. An answer is committed before anyone sees it,
and what is committed survives a kill at any moment. One process at a time holds the ledger (a file lock), so a pending
row that this process is not asking is left from a killed one: its question is asked again. A question in a batch is
pending until the ledger knows that the batch has ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

from filelock import FileLock, Timeout

from mrharm.llm.requests import FailureKind, LedgerError, Request

log = logging.getLogger("mrharm.llm")

FORM = 3  # of the tables; 1 had no batches, 2 had budgets and damaged rows in tables of their own
WINDOW_S = 26 * 3600.0  # a batch's day, and two hours for its files to be written
_BATCH = "batch:"  # before the batch's token, in `owner`
_PATIENCE_S = 10.0  # for a program that is not mrharm, such as the sqlite3 shell
_ELSEWHERE = "name another file in MRHARM_LEDGER"
# The columns are those of forms 1 and 2, whose tables are used as they are. Not every column is written any more.
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, status TEXT NOT NULL, model TEXT NOT NULL,
    request TEXT NOT NULL, endpoint TEXT NOT NULL, raw TEXT, usage TEXT, price TEXT, nano_usd INTEGER,
    presumed INTEGER NOT NULL DEFAULT 0, reserved INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    failure_kind TEXT, failure TEXT, run TEXT NOT NULL, owner TEXT NOT NULL, lease REAL NOT NULL,
    asked_at TEXT NOT NULL, answered_at TEXT, digest TEXT);
CREATE INDEX IF NOT EXISTS pending ON calls (owner) WHERE status = 'claimed';
CREATE TABLE IF NOT EXISTS batches (token TEXT PRIMARY KEY, state TEXT NOT NULL, endpoint TEXT NOT NULL,
    model TEXT NOT NULL, run TEXT NOT NULL, owner TEXT NOT NULL, questions INTEGER NOT NULL DEFAULT 0,
    made REAL NOT NULL, file TEXT, id TEXT, sent REAL, ended REAL, outcome TEXT)
"""


@dataclass(frozen=True)
class Row:
    """A question's row."""

    key: str  # content key of the question
    status: Literal["claimed", "answered", "failed"]  # "claimed" while the question is pending
    raw: str | None  # body of the answer, or of what came instead
    usage: str | None  # the server's count of tokens, as JSON
    nano_usd: int | None  # what the answer cost in billionths of a dollar; None where no price is known
    reserved: int  # the most the pending call can cost, in billionths of a dollar
    failure_kind: FailureKind | None  # why there is no answer
    failure: str | None  # the same in words
    owner: str  # ``batch:`` and the token of the batch the question went into; else empty
    digest: str | None  # checksum of a committed answer

    @property
    def batch(self) -> str | None:
        """Return the token of the batch in which the question is pending."""
        in_batch = self.status == "claimed" and str(self.owner).startswith(_BATCH)
        return self.owner.removeprefix(_BATCH) if in_batch else None

    @property
    def is_sound(self) -> bool:
        """Return whether it holds an answer that reads as it was committed."""
        digest = _digest(self.key, self.raw, self.usage, self.nano_usd)
        return self.status == "answered" and self.raw is not None and self.digest == digest


@dataclass(frozen=True)
class Answer:
    """An answer that came."""

    raw: str  # its body
    usage: Mapping[str, Any] | None  # the server's count of tokens
    nano_usd: int | None  # its cost in billionths of a dollar; None: not counted


@dataclass(frozen=True)
class Failure:
    """Why a question has no answer."""

    kind: FailureKind
    why: str  # the same in words
    raw: str | None = None  # what came instead
    maybe_paid: bool = False  # whether what was reserved for the call counts as spent


@dataclass(frozen=True)
class Batch:
    """A batch that has not ended."""

    token: str  # the ledger's name for it
    endpoint: str  # address of the provider
    model: str  # the model asked
    made: float  # when its file was uploaded, in seconds since the epoch
    file: str | None  # the provider's id of its file of questions
    id: str | None  # the provider's id of the batch; None until it is known to be created

    @property
    def is_overdue(self) -> bool:
        """Return whether the provider's time for it is over."""
        return time.time() > self.made + WINDOW_S


_ROW = ", ".join(field.name for field in fields(Row))
_BATCH_ROW = ", ".join(field.name for field in fields(Batch))


def default_path() -> Path:
    """Return MRHARM_LEDGER, or a file for all of a user's work: an answer paid for once serves every dataset."""
    if os.environ.get("MRHARM_LEDGER"):
        return Path(os.environ["MRHARM_LEDGER"])
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "mrharm" / "ledger.sqlite"


def open_ledger(path: Path | None = None) -> Ledger:
    """Return this process's ledger in a file (None: `default_path`); clients that name the same file share it."""
    place = (path or default_path()).resolve()
    with _ledgers_lock:
        ledger = _ledgers.get(place) or Ledger(place)
        _ledgers[place] = ledger
        return ledger


class Ledger:
    """The ledger in ``path``, made and locked on first use, safe in threads. Get it by `open_ledger`.

    Every method raises `LedgerError` where the file is in use by another process, damaged, full, or no ledger.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread_lock = threading.RLock()
        self._process_lock = FileLock(f"{path}.lock", thread_local=False)
        self._db: sqlite3.Connection | None = None
        self._asking: set[str] = set()  # keys of the questions this process is asking

    def close(self) -> None:
        """Close the file and release its lock; the next call opens it again."""
        with self._thread_lock:
            if self._db:
                self._db.close()
            self._db = None
            self._process_lock.release()

    def __del__(self) -> None:
        if getattr(self, "_db", None):
            self.close()

    def find_row(self, key: str) -> Row | None:
        """Return a question's row, whatever its state."""
        with self._transaction() as db:
            return _select(db, key)

    def find_answer(self, key: str) -> Row | None:
        """Return a question's row where it holds a sound answer."""
        row = self.find_row(key)
        if row and row.status == "answered" and not row.is_sound:
            log.warning("%s: the answer to question %s is damaged and counts as not there", self.path, key)
        return row if row and row.is_sound else None

    def mark_pending(self, request: Request, reserved: int, endpoint: str) -> Row | None:
        """Make a question pending before it is asked, with the most it can cost.

        Returns None, or the question's row where it must not be asked: answered, in a batch, or being asked.
        """
        with self._transaction() as db:
            row = _select(db, request.key)
            if row and (row.is_sound or row.batch or request.key in self._asking):
                return row
            _write_pending(db, request, reserved, endpoint, owner="")
            self._asking.add(request.key)
        return None

    def commit_answer(self, key: str, answer: Answer) -> None:
        """Commit the answer to a question that this process made pending."""
        try:
            with self._transaction() as db:
                _write_answer(db, key, answer)
        finally:
            self._asking.discard(key)

    def commit_failure(self, key: str, failure: Failure) -> None:
        """Commit why a question that this process made pending has no answer; it may be asked again."""
        try:
            with self._transaction() as db:
                _write_failure(db, key, failure)
        finally:
            self._asking.discard(key)

    def list_open_batches(self) -> list[Batch]:
        """Return the batches that have not ended, the oldest first."""
        with self._transaction() as db:
            rows = db.execute(f"SELECT {_BATCH_ROW} FROM batches WHERE state != 'ended' ORDER BY made")
            return [Batch(*row) for row in rows]

    def start_batch(self, batch: Batch, questions: Sequence[tuple[Request, int]]) -> None:
        """Make questions pending in a batch whose file is uploaded, each with the most it can cost."""
        with self._transaction() as db:
            db.execute(
                f"INSERT INTO batches ({_BATCH_ROW}, state, run, owner, questions) "
                "VALUES (?, ?, ?, ?, ?, ?, 'sending', '', '', ?)",
                (*astuple(batch), len(questions)),
            )
            for request, reserved in questions:
                _write_pending(db, request, reserved, batch.endpoint, owner=_BATCH + batch.token)

    def set_batch_id(self, token: str, batch_id: str) -> None:
        """Commit the provider's id of a batch."""
        with self._transaction() as db:
            db.execute(
                "UPDATE batches SET state = 'sent', id = ?, sent = ? WHERE token = ?",
                (batch_id, time.time(), token),
            )

    def commit_batch_answers(self, token: str, answers: Mapping[str, Answer]) -> dict[str, int | None]:
        """Commit answers a batch brought; those to questions that are not pending in it are ignored.

        Returns key -> cost of the answers committed; one without a count costs what was reserved.
        """
        costs: dict[str, int | None] = {}
        with self._transaction() as db:
            for key, answer in answers.items():
                row = _select(db, key)
                if row and row.batch == token:
                    costs[key] = (row.reserved or None) if answer.nano_usd is None else answer.nano_usd
                    _write_answer(db, key, replace(answer, nano_usd=costs[key]))
        return costs

    def end_batch(self, token: str, failures: Mapping[str, Failure], default: Failure) -> dict[str, Failure]:
        """End a batch and fail its pending questions, by their ``failures``, else by ``default``; returns these."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT key FROM calls WHERE status = 'claimed' AND owner = ?", (_BATCH + token,)
            )
            failed = {key: failures.get(key, default) for (key,) in rows.fetchall()}
            for key, failure in failed.items():
                _write_failure(db, key, failure)
            db.execute("UPDATE batches SET state = 'ended', ended = ? WHERE token = ?", (time.time(), token))
        return failed

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._thread_lock:
            try:
                db = self._open()
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._explain(error) from None
            except UnicodeDecodeError:  # of SQLite's own message about a damaged schema
                raise self._damaged("unreadable schema") from None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._lock_file()
            try:
                self._db = self._connect()
            except BaseException:
                self._process_lock.release()
                raise
        return self._db

    def _lock_file(self) -> None:
        """Keep other processes off the ledger; the lock ends with this process, however it ends."""
        lock = Path(self._process_lock.lock_file)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._process_lock.acquire(blocking=False)
            with contextlib.suppress(OSError):  # only the error below needs it
                lock.write_text(str(os.getpid()), encoding="ascii")
        except Timeout:
            holder = ""
            with contextlib.suppress(OSError, UnicodeDecodeError):
                holder = lock.read_text(encoding="ascii")
            raise LedgerError(
                f"{self.path}: process {holder or '(unknown)'} is using this ledger of paid calls, and only one can; "
                f"wait for it or stop it, or {_ELSEWHERE}"
            ) from None
        except OSError as error:
            self._process_lock.release()
            raise LedgerError(f"{lock}: cannot be written ({error.strerror}); {_ELSEWHERE}") from None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            # A byte that is not UTF-8 must not keep its row from being read: the digest tells that it is damaged.
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            # Before anything else is read: a query may run for ever on a damaged page, this check does not.
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise self._damaged(str(damage).splitlines()[-1])
            form = self._check_form(db)  # another program's file is left as it is
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
            if form < FORM:
                db.executescript(f"BEGIN; {_TABLES}; PRAGMA user_version = {FORM}; COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _check_form(self, db: sqlite3.Connection) -> int:
        """Return the form of the tables; 0 for a new file."""
        form = int(db.execute("PRAGMA user_version").fetchone()[0])
        if form == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise LedgerError(f"{self.path}: expected a ledger, got another program's database; {_ELSEWHERE}")
        if form > FORM:
            raise LedgerError(f"{self.path}: written by a newer mrharm (form {form}); update mrharm")
        return form

    def _explain(self, error: sqlite3.Error) -> LedgerError:
        """Return the error with its mend, by SQLite's primary result code."""
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            return self._damaged(str(error))
        mends = {
            sqlite3.SQLITE_FULL: "the disk is full; free some space and run the same command again",
            sqlite3.SQLITE_IOERR: "the disk is full or broken; mend that and run the same command again",
            sqlite3.SQLITE_BUSY: "another program is writing it; close that and run the same command again",
            sqlite3.SQLITE_NOTADB: f"expected a ledger, got another kind of file; move it away or {_ELSEWHERE}",
            sqlite3.SQLITE_CANTOPEN: f"cannot be opened; {_ELSEWHERE}",
            sqlite3.SQLITE_READONLY: f"cannot be written; {_ELSEWHERE}",
        }
        mend = mends.get(code, f"move it away or {_ELSEWHERE}")
        return LedgerError(f"{self.path}: {mend} ({error}). Answers committed before this are kept")

    def _damaged(self, damage: str) -> LedgerError:
        return LedgerError(
            f"{self.path}: expected a ledger, got a damaged file ({damage}); put a copy of it back, or move it away "
            f"or {_ELSEWHERE}, where its answers will be paid for again"
        )


_ledgers: WeakValueDictionary[Path, Ledger] = WeakValueDictionary()
_ledgers_lock = threading.Lock()


def _select(db: sqlite3.Connection, key: str) -> Row | None:
    values = db.execute(f"SELECT {_ROW} FROM calls WHERE key = ?", (key,)).fetchone()
    return Row(*values) if values else None


def _write_pending(
    db: sqlite3.Connection, request: Request, reserved: int, endpoint: str, owner: str
) -> None:
    """Make a question's row pending; what a killed process had reserved for it counts as paid."""
    record = json.dumps(request.record, ensure_ascii=False)
    db.execute(
        "INSERT INTO calls (key, status, model, request, endpoint, run, owner, lease, asked_at, reserved) "
        "VALUES (?, 'claimed', ?, ?, ?, '', ?, 0, ?, ?) ON CONFLICT (key) DO UPDATE SET status = 'claimed', "
        "endpoint = excluded.endpoint, owner = excluded.owner, asked_at = excluded.asked_at, failure = NULL, "
        "failure_kind = NULL, presumed = presumed + reserved, reserved = excluded.reserved",
        (request.key, request.model, record, endpoint, owner, _now(), reserved),
    )


def _write_answer(db: sqlite3.Connection, key: str, answer: Answer) -> None:
    usage = None if answer.usage is None else json.dumps(answer.usage)
    digest = _digest(key, answer.raw, usage, answer.nano_usd)
    db.execute(
        "UPDATE calls SET status = 'answered', raw = ?, usage = ?, nano_usd = ?, answered_at = ?, digest = ?, "
        "reserved = 0 WHERE key = ?",
        (answer.raw, usage, answer.nano_usd, _now(), digest, key),
    )


def _write_failure(db: sqlite3.Connection, key: str, failure: Failure) -> None:
    db.execute(
        "UPDATE calls SET status = 'failed', failure_kind = ?, failure = ?, raw = ?, "
        "presumed = presumed + reserved * ?, reserved = 0 WHERE key = ?",
        (failure.kind, failure.why, failure.raw, failure.maybe_paid, key),
    )


def _digest(*parts: object) -> str:
    # `default`: a damaged row may hold bytes.
    return hashlib.sha256(json.dumps(parts, default=repr).encode("utf-8")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
