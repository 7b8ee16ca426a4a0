"""One SQLite file in WAL mode: transactions, safe in threads, processes and after a fork; named errors; repair."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mrharm.llm.requests import LedgerError
from mrharm.llm.tables import FORM, TABLES, create, set_damaged_apart
from mrharm.store import write_bytes

T = TypeVar("T")
log = logging.getLogger("mrharm.llm")

# Connections that came with a fork: SQLite wants them neither used nor closed here.
_inherited: list[sqlite3.Connection | None] = []

_ROOM = 1 << 20  # bytes kept free for answers that come when the disk is full
_ELSEWHERE = "name a ledger elsewhere in MRHARM_LEDGER"


class Database:
    """The file, made on first use; ``patience``: seconds to wait while another process writes."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._pid == os.getpid():
            with self._lock:
                if self._connection:
                    self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self.close()

    def do(self, work: Callable[[sqlite3.Connection], T], *, write: bool, at_last: bool = False) -> T:
        """Run ``work`` in one transaction; a damaged file is repaired once, and the work done again.

        Args:
            work: what to do.
            write: whether it writes.
            at_last: on a full disk, use the room that was kept for what is paid for already.

        Raises:
            LedgerError: the file cannot be read or written.
        """
        if self._pid != os.getpid():
            _inherited.append(self._connection)
            self._reset()
        with self._lock:
            try:
                if write and not at_last:
                    self._keep_room()
                return self._transact(work, write)
            except sqlite3.DatabaseError as error:
                if _code(error) == sqlite3.SQLITE_CORRUPT:
                    mend = self._repair
                elif _code(error) == sqlite3.SQLITE_FULL and at_last:
                    mend = self._use_room
                else:
                    raise _explained(error, self._path) from None
            try:
                mend()
                return self._transact(work, write)
            except sqlite3.DatabaseError as error:
                raise _explained(error, self._path) from None

    def _room(self) -> Path:
        return self._path.with_name(self._path.name + ".room")

    def _keep_room(self) -> None:
        """Before anything is asked: a file that can be given up for answers that come when the disk is full."""
        room = self._room()
        if not room.exists():
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(room, bytes(_ROOM))
            except OSError as error:
                raise LedgerError(
                    f"no room for the ledger of paid calls at {self._path} ({error.strerror}); free some, or "
                    f"{_ELSEWHERE}, and run the same command again"
                ) from None

    def _use_room(self) -> None:
        self._room().unlink(missing_ok=True)

    def _repair(self) -> None:
        reader = self._connect()
        try:
            read, lost = self._transact(lambda db: set_damaged_apart(db, reader), write=True)
        finally:
            reader.close()
        log.warning(
            "%s is damaged: %d rows read, %d row ids not; the damaged table is kept in it",
            self._path,
            read,
            lost,
        )

    def _transact(self, work: Callable[[sqlite3.Connection], T], write: bool) -> T:
        db = self._open()
        if not write:
            return work(db)
        db.execute("BEGIN IMMEDIATE")
        try:
            result = work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(
                    f"{self._path.parent}: cannot be made ({error.strerror}); {_ELSEWHERE}"
                ) from None
            db = self._connect()
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        # A byte that is no UTF-8 must not keep the row from being read and set apart.
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        self._form(db)  # another's file is left as it is
        deadline = time.monotonic() + self._patience
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # While another process makes the same switch, SQLite does not wait by itself.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        db.execute("PRAGMA synchronous = FULL")  # an answer outlives a power cut, too
        if self._form(db) < FORM:
            db.execute("BEGIN IMMEDIATE")
            if self._form(db) < FORM:  # no other process was faster
                there = {
                    name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                }
                for table in TABLES.keys() - there:
                    create(db, table)
                db.execute(f"PRAGMA user_version = {FORM}")
            db.execute("COMMIT")

    def _form(self, db: sqlite3.Connection) -> int:
        """The form of the tables; 0 for a new file.

        Raises:
            LedgerError: a form that is not known here, or a database of something else.
        """
        form = _number(db, "PRAGMA user_version")
        if form == 0 and _number(db, "SELECT count(*) FROM sqlite_master"):
            # Tables and form come in one transaction, which may have been another process's between the two looks.
            form = _number(db, "PRAGMA user_version")
            if form == 0:
                raise LedgerError(f"{self._path}: a database of something else; {_ELSEWHERE}")
        if form > FORM:
            raise LedgerError(f"{self._path}: made by a newer mrharm (form {form}); update mrharm")
        return form


def _number(db: sqlite3.Connection, question: str) -> int:
    return int(db.execute(question).fetchone()[0])


def _explained(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
    mends = {
        sqlite3.SQLITE_FULL: "the disk is full; free some and run the same command again",
        sqlite3.SQLITE_BUSY: "locked by another process for too long; wait for it or stop it, then run again",
        sqlite3.SQLITE_NOTADB: f"no ledger, some other file; move it away or {_ELSEWHERE}",
        sqlite3.SQLITE_READONLY: f"cannot be written; {_ELSEWHERE}",
        sqlite3.SQLITE_CANTOPEN: f"cannot be opened; {_ELSEWHERE}",
        sqlite3.SQLITE_CORRUPT: f"damaged beyond repair; put a copy back, move it away, or {_ELSEWHERE}",
    }
    mend = mends.get(_code(error), "is the disk full or broken?")
    return LedgerError(f"the ledger of paid calls {path}: {mend} ({error}). What is committed in it stays")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
