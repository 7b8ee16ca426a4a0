"""The ledger of paid calls: one SQLite file, one row a question, so that no question is paid twice.

A question is claimed before it is asked, in the transaction that sets money aside for it, and its answer is committed
before anyone sees it. What is committed survives a kill at any moment. A claim whose process died is taken over: its
question is asked again, and the money set aside for it counts as spent, because the provider may have taken it. A
claim whose process lives is never taken over. Beside the file lies another, ``.room``, which is given up for the
answers in flight when the disk is full. The processes of one machine share a ledger safely; a network drive
cannot hold one.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mrharm.hosted.database import Database
from mrharm.hosted.owners import let_go, new_owner
from mrharm.hosted.requests import FailureKind, Request
from mrharm.hosted.rows import Claim, Refusal, Row, digest, is_live, is_whole
from mrharm.hosted.tables import CALLS

log = logging.getLogger("mrharm.hosted")

_COLUMNS = ", ".join(CALLS)


def default_path() -> Path:
    """MRHARM_LEDGER, or one file for all of a user's work: what was paid for once serves every dataset."""
    if os.environ.get("MRHARM_LEDGER"):
        return Path(os.environ["MRHARM_LEDGER"])
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "mrharm" / "ledger.sqlite"


class Ledger:
    """The ledger in ``path``; made on first use. Safe in threads, processes and after a fork."""

    def __init__(self, path: Path | None = None, *, patience: float = 60.0) -> None:
        self.path = path or default_path()
        self._database = Database(self.path, patience)

    def answered(self, key: str) -> Row | None:
        """The row of a question that has a whole answer, without a claim on it.

        Raises:
            LedgerError: the file cannot be read; also every method below.
        """

        def work(db: sqlite3.Connection) -> Row | None:
            row = _select(db, key)
            return row if row and row.status == "answered" and is_whole(row) else None

        return self._database.do(work, write=False)

    def claim(
        self,
        request: Request,
        run: str,
        worst: int,
        budget: int | None,
        *,
        lease: float,
        endpoint: str,
        waited: bool = False,
    ) -> Claim | Row | Refusal:
        """Take a question, with ``worst`` set aside for it, or say why not: its row is there, or a `Refusal`.

        Args:
            request: the question.
            run: whose budget it is; processes that name the same run share one.
            worst: the most it can cost.
            budget: what the run may spend in all; None for no bound.
            lease: seconds after which a claim counts as dead where its process cannot be seen (another host).
            endpoint: where it is asked, for the record.
            waited: another process was at it before this call; if that has just failed, its row is returned.
        """
        claim = Claim(request.key, new_owner(), run)

        def work(db: sqlite3.Connection) -> Claim | Row | Refusal:
            row = _select(db, request.key)
            if row and row.status == "answered":
                if is_whole(row):
                    return row
                _set_row_apart(db, row)
            elif row and row.status == "claimed":
                if is_live(row):
                    return "theirs"
                _presume(db, row)
            elif row and row.status == "failed":
                # Many at one question try it to the end once.
                if waited and row.failure_kind not in ("stopped", "over_budget"):
                    return row
            elif row:
                _set_row_apart(db, row)
            refusal = _reserve(db, run, worst, budget)
            if refusal:
                return refusal
            values = {
                "key": request.key,
                "model": request.model,
                "request": json.dumps(request.kept, ensure_ascii=False),
                "endpoint": endpoint,
                "run": run,
                "owner": claim.owner,
                "lease": time.time() + lease,
                "asked_at": _now(),
                "reserved": worst,
            }
            names = ", ".join(values)
            updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "key")
            db.execute(
                f"INSERT INTO calls ({names}, status) VALUES ({', '.join('?' * len(values))}, 'claimed') "
                f"ON CONFLICT (key) DO UPDATE SET {updates}, status = 'claimed', failure = NULL, failure_kind = NULL",
                list(values.values()),
            )
            return claim

        try:
            outcome = self._database.do(work, write=True)
        except BaseException:
            let_go(claim.owner)
            raise
        if outcome is not claim:
            let_go(claim.owner)
        return outcome

    def answer(
        self,
        claim: Claim,
        raw: str,
        *,
        usage: Mapping[str, Any] | None,
        price: str | None,
        nano_usd: int | None,
        attempts: int,
    ) -> int | None:
        """Commit an answer and settle its money. Returns its cost: what was set aside, where none is given."""

        def work(db: sqlite3.Connection) -> int | None:
            row = _select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return nano_usd  # the lease ran out on another host, and the question is someone else's now
            said = json.dumps(usage) if usage is not None else None
            cost = (row.reserved or None) if nano_usd is None else nano_usd
            _settle(db, row, cost or 0)
            db.execute(
                "UPDATE calls SET status = 'answered', raw = ?, usage = ?, price = ?, nano_usd = ?, reserved = 0, "
                "attempts = attempts + ?, answered_at = ?, digest = ? WHERE key = ?",
                (raw, said, price, cost, attempts, _now(), digest(claim.key, raw, said, cost), claim.key),
            )
            return cost

        cost = self._database.do(work, write=True, at_last=True)
        let_go(claim.owner)
        return cost

    def fail(
        self,
        claim: Claim,
        kind: FailureKind,
        why: str,
        *,
        raw: str | None = None,
        maybe_paid: bool = False,
        attempts: int = 0,
    ) -> None:
        """Give a claim up and keep why; the question may be asked again. What may have been paid counts as spent."""

        def work(db: sqlite3.Connection) -> None:
            row = _select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return
            _settle(db, row, row.reserved if maybe_paid else 0)
            db.execute(
                "UPDATE calls SET status = 'failed', failure_kind = ?, failure = ?, raw = ?, reserved = 0, "
                "presumed = presumed + ?, attempts = attempts + ? WHERE key = ?",
                (kind, why, raw, row.reserved if maybe_paid else 0, attempts, claim.key),
            )

        self._database.do(work, write=True, at_last=True)
        let_go(claim.owner)

    def reserve_again(self, claim: Claim, worst: int, budget: int | None) -> Refusal | None:
        """Count what is set aside for a claim as spent, because an answer was lost on its way; set it aside anew."""

        def work(db: sqlite3.Connection) -> Refusal | None:
            row = _select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return "theirs"
            _presume(db, row)
            refusal = _reserve(db, claim.run, worst, budget)
            if refusal is None:
                db.execute("UPDATE calls SET reserved = ? WHERE key = ?", (worst, claim.key))
            return refusal

        return self._database.do(work, write=True)

    def settle_dead(self, run: str) -> None:
        """Count as spent what claims of a run hold whose processes died, so that nobody waits for it."""

        def work(db: sqlite3.Connection) -> None:
            for (key,) in db.execute(
                "SELECT key FROM calls WHERE status = 'claimed' AND run = ?", (run,)
            ).fetchall():
                row = _select(db, key)
                if row and not is_live(row):
                    _presume(db, row)
                    db.execute(
                        "UPDATE calls SET status = 'failed', failure_kind = 'stopped', failure = ? WHERE key = ?",
                        ("its process died before the answer came", key),
                    )

        self._database.do(work, write=True)

    def row(self, key: str) -> Row | None:
        """A question's row, whatever its state."""
        return self._database.do(lambda db: _select(db, key), write=False)

    def spent(self, run: str) -> int:
        """What a run has spent, what may have been paid for lost answers included."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT spent FROM runs WHERE run = ?", (run,)).fetchone()
            return int(row[0]) if row else 0

        return self._database.do(work, write=False)

    def rows(self) -> Iterator[Row]:
        """Every whole row; those that are not are set apart in the table ``quarantine`` and said aloud."""
        keys = self._database.do(lambda db: db.execute("SELECT key FROM calls").fetchall(), write=False)
        for (key,) in keys:
            row = self.row(key)
            if row and row.status == "answered" and not is_whole(row):
                self._database.do(lambda db, row=row: _set_row_apart(db, row), write=True)  # type: ignore[misc]
            elif row:
                yield row

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def _select(db: sqlite3.Connection, key: str) -> Row | None:
    found = db.execute(f"SELECT {_COLUMNS} FROM calls WHERE key = ?", (key,)).fetchone()
    return Row(*found) if found else None


def _set_row_apart(db: sqlite3.Connection, row: Row) -> None:
    log.warning("ledger row %s is corrupt: set apart, the question counts as not asked", row.key)
    db.execute(
        "INSERT INTO quarantine (key, row, at) VALUES (?, ?, ?)", (row.key, json.dumps(row.__dict__), _now())
    )
    db.execute("DELETE FROM calls WHERE key = ?", (row.key,))


def _reserve(db: sqlite3.Connection, run: str, worst: int, budget: int | None) -> Refusal | None:
    db.execute("INSERT OR IGNORE INTO runs (run) VALUES (?)", (run,))
    if budget is not None:
        spent, reserved = db.execute("SELECT spent, reserved FROM runs WHERE run = ?", (run,)).fetchone()
        if spent + worst > budget:
            return "never"
        if spent + reserved + worst > budget:
            return "later"
    db.execute("UPDATE runs SET reserved = reserved + ? WHERE run = ?", (worst, run))
    return None


def _settle(db: sqlite3.Connection, row: Row, spent: int) -> None:
    db.execute(
        "UPDATE runs SET reserved = reserved - ?, spent = spent + ? WHERE run = ?",
        (row.reserved, spent, row.run),
    )


def _presume(db: sqlite3.Connection, row: Row) -> None:
    """What is set aside for a call whose answer never came counts as spent."""
    _settle(db, row, row.reserved)
    db.execute("UPDATE calls SET presumed = presumed + reserved, reserved = 0 WHERE key = ?", (row.key,))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
