"""The ledger of paid calls: one SQLite file, one row a question, so that no committed answer is paid for again.

A question's row is pending while it is asked, then answered or failed. An answer is committed before anyone sees it,
and what is committed survives a kill at any moment. One process at a time holds the ledger (a file lock), so a pending
row outside a batch may be left from a killed process: its question is asked again. A question in a batch is pending
until the ledger knows that the batch has ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from mrharm.llm.requests import (
    NANO,
    CallError,
    Completion,
    FailureKind,
    LedgerError,
    Request,
    parse_answer,
)

log = logging.getLogger("mrharm.llm")

FORM = 3  # of the tables; 1 had no batches, 2 had budgets and damaged rows in tables of their own
WINDOW_S = 26 * 3600.0  # a batch's day, and two hours for its files to be written
_BATCH = "batch:"  # before the batch's token, in `owner`
_PATIENCE_S = 10.0  # for a program that is not mrharm, such as the sqlite3 shell
_ROOM = 32 * 2**20  # bytes of the disk that answers in flight, which are paid for, may need
_ELSEWHERE = "name another file in MRHARM_LEDGER"
_FULL = "the disk is full; free some space and run the same command again"
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
# By SQLite's primary result code.
_MENDS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: "another program is writing it; close that and run the same command again",
    sqlite3.SQLITE_NOTADB: f"expected a ledger, got another kind of file; move it away or {_ELSEWHERE}",
}


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

    def read_result(self, *, cached: bool) -> Completion | CallError:
        """Return the answer of a sound row, or why the question has none."""
        if self.status == "failed":
            return CallError(self.failure or "", self.failure_kind or "busy", self.raw)
        usd = None if self.nano_usd is None else self.nano_usd / NANO
        answer = replace(parse_answer(self.raw or "", self.key), usd=usd, cached=cached)
        return answer.failure or answer


@dataclass(frozen=True)
class Batch:
    """A batch that has not ended."""

    token: str  # the ledger's name for it
    endpoint: str  # address of the provider
    model: str  # the model asked
    made: float  # when its file was uploaded, in seconds since the epoch
    file: str | None  # the provider's id of its file of questions
    id: str | None  # the provider's id of the batch; None until it is known to be created


_ROW = ", ".join(field.name for field in fields(Row))
_BATCH_ROW = ", ".join(field.name for field in fields(Batch))


def default_path() -> Path:
    """Return MRHARM_LEDGER, or a file for all of a user's work: an answer paid for once serves every dataset."""
    if os.environ.get("MRHARM_LEDGER"):
        return Path(os.environ["MRHARM_LEDGER"])
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "mrharm" / "ledger.sqlite"


class Ledger:
    """The ledger in a file (None: `default_path`), made and locked on first use, safe in threads.

    Ledgers of one process may share a file. Every method raises `LedgerError` where the file is in use by another
    process, damaged, full, or no ledger.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or default_path()).resolve()
        self._thread_lock = threading.RLock()
        # One object a file in a process, which counts how many ledgers hold it.
        self._process_lock = FileLock(f"{self.path}.lock", thread_local=False, is_singleton=True)
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file and release its lock; the next call opens it again."""
        with self._thread_lock:
            if self._db:
                self._db.close()
                self._db = None
                self._process_lock.release()

    def find_row(self, key: str) -> Row | None:
        """Return a question's row, whatever its state."""
        with self._transaction() as db:
            values = db.execute(f"SELECT {_ROW} FROM calls WHERE key = ?", (key,)).fetchone()
        row = Row(*values) if values else None
        if row and row.status == "answered" and not row.is_sound:
            log.warning("%s: the answer to question %s is damaged and counts as not there", self.path, key)
        return row

    def mark_pending(self, request: Request, reserved: int, endpoint: str) -> None:
        """Make a question pending before it is asked, with the most it can cost, while there is room for its answer."""
        if shutil.disk_usage(self.path.parent).free < _ROOM:
            raise LedgerError(f"{self.path}: {_FULL}. Answers committed before this are kept")
        with self._transaction() as db:
            _write_pending(db, request, reserved, endpoint, owner="")

    def commit(self, key: str, outcome: Completion | CallError) -> None:
        """Commit the answer to a question, or why it has none, so that it may be asked again."""
        with self._transaction() as db:
            _write_outcome(db, key, outcome)

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
            statement = "UPDATE batches SET state = 'sent', id = ?, sent = ? WHERE token = ?"
            db.execute(statement, (batch_id, time.time(), token))

    def end_batch(
        self, token: str, outcomes: Mapping[str, Completion | CallError], default: CallError
    ) -> dict[str, int]:
        """End a batch, and commit the outcomes of its pending questions by their keys, else ``default``.

        Returns key -> billionths of a dollar spent. An answer without a cost costs what was reserved.
        """
        spent: dict[str, int] = {}
        with self._transaction() as db:
            pending = "SELECT key, reserved FROM calls WHERE status = 'claimed' AND owner = ?"
            for key, reserved in db.execute(pending, (_BATCH + token,)).fetchall():
                outcome = outcomes.get(key, default)
                if isinstance(outcome, CallError):
                    spent[key] = reserved if outcome.maybe_paid else 0
                else:
                    spent[key] = reserved if outcome.nano_usd is None else outcome.nano_usd
                    outcome = replace(outcome, usd=spent[key] / NANO if spent[key] else outcome.usd)
                _write_outcome(db, key, outcome)
            db.execute("UPDATE batches SET state = 'ended', ended = ? WHERE token = ?", (time.time(), token))
        return spent

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._thread_lock:
            try:
                db = self._db = self._db or self._connect()
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, UnicodeDecodeError) as error:
                code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
                # SQLite's own message about a damaged schema may not be UTF-8.
                if code == sqlite3.SQLITE_CORRUPT or isinstance(error, UnicodeDecodeError):
                    raise self._damaged(str(error)) from None
                mend = _MENDS.get(code, f"it cannot be used; mend that or {_ELSEWHERE}")
                why = f"{self.path}: {mend} ({error}). Answers committed before this are kept"
                raise LedgerError(why) from None

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
            raise LedgerError(f"{lock}: cannot be written ({error.strerror}); {_ELSEWHERE}") from None

    def _connect(self) -> sqlite3.Connection:
        """Open the file once it is locked; it is checked before anything is written."""
        self._lock_file()
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._process_lock.release)
            db = sqlite3.connect(
                self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            on_error.callback(db.close)
            # A byte that is not UTF-8 must not keep its row from being read: the digest tells that it is damaged.
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            # Before anything else is read: a query may run for ever on a damaged page, this check does not.
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise self._damaged(str(damage).splitlines()[-1])
            # Another program's file is left as it is.
            form = int(db.execute("PRAGMA user_version").fetchone()[0])
            if form == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise LedgerError(
                    f"{self.path}: expected a ledger, got another program's database; {_ELSEWHERE}"
                )
            if form > FORM:
                raise LedgerError(f"{self.path}: written by a newer mrharm (form {form}); update mrharm")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
            if form < FORM:
                db.executescript(f"BEGIN; {_TABLES}; PRAGMA user_version = {FORM}; COMMIT")
            on_error.pop_all()
        return db

    def _damaged(self, damage: str) -> LedgerError:
        return LedgerError(
            f"{self.path}: expected a ledger, got a damaged file ({damage}); put a copy of it back, or move it away "
            f"or {_ELSEWHERE}, where its answers will be paid for again"
        )


def _write_pending(
    db: sqlite3.Connection, request: Request, reserved: int, endpoint: str, owner: str
) -> None:
    record = json.dumps(request.record, ensure_ascii=False)
    db.execute(
        "INSERT INTO calls (key, status, model, request, endpoint, run, owner, lease, asked_at, reserved) "
        "VALUES (?, 'claimed', ?, ?, ?, '', ?, 0, ?, ?) ON CONFLICT (key) DO UPDATE SET status = 'claimed', "
        "endpoint = excluded.endpoint, owner = excluded.owner, asked_at = excluded.asked_at, failure = NULL, "
        "failure_kind = NULL, reserved = excluded.reserved",
        (request.key, request.model, record, endpoint, owner, _now(), reserved),
    )


def _write_outcome(db: sqlite3.Connection, key: str, outcome: Completion | CallError) -> None:
    if isinstance(outcome, CallError):
        statement = "status = 'failed', failure_kind = ?, failure = ?, raw = ?"
        values: tuple[object, ...] = (outcome.kind, str(outcome), outcome.raw)
    else:
        usage = None if outcome.usage is None else json.dumps(outcome.usage)
        digest = _digest(key, outcome.raw, usage, outcome.nano_usd)
        statement = "status = 'answered', raw = ?, usage = ?, nano_usd = ?, answered_at = ?, digest = ?"
        values = (outcome.raw, usage, outcome.nano_usd, _now(), digest)
    db.execute(f"UPDATE calls SET {statement}, reserved = 0 WHERE key = ?", (*values, key))


def _digest(*parts: object) -> str:
    # `default`: a damaged row may hold bytes.
    return hashlib.sha256(json.dumps(parts, default=repr).encode("utf-8")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
