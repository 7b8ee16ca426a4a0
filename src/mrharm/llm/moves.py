"""What is done to the ledger's rows, each within a transaction of the caller's: taken, answered, given up, settled."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mrharm.llm.requests import FailureKind, Request
from mrharm.llm.rows import BATCH, Refusal, Row, digest, is_live, is_whole
from mrharm.llm.tables import CALLS

log = logging.getLogger("mrharm.llm")

_COLUMNS = ", ".join(CALLS)


@dataclass(frozen=True)
class Stake:
    """For whom a question is taken: whose budget, which claim, and for how long where its process cannot be seen."""

    run: str
    owner: str
    lease: float  # seconds from now
    endpoint: str
    budget: int | None


@dataclass(frozen=True)
class Answer:
    """An answer that came, what it counts as, and its cost: None for what was set aside."""

    raw: str
    usage: str | None
    price: str | None
    nano_usd: int | None


@dataclass(frozen=True)
class Failure:
    """Why a question has no answer. What may have been paid counts as spent."""

    kind: FailureKind
    why: str
    raw: str | None = None
    maybe_paid: bool = False


def select(db: sqlite3.Connection, key: str) -> Row | None:
    """A question's row."""
    found = db.execute(f"SELECT {_COLUMNS} FROM calls WHERE key = ?", (key,)).fetchone()
    return Row(*found) if found else None


def take(
    db: sqlite3.Connection,
    request: Request,
    stake: Stake,
    worst: int,
    *,
    waited: bool = False,
    looked: bool = False,
) -> Row | Refusal | None:
    """Claim a question with ``worst`` set aside; None when it is done, else why not.

    ``looked``: the provider has just been asked about the batches that are open.
    """
    row = select(db, request.key)
    if row and row.status == "answered":
        if is_whole(row):
            return row
        set_row_apart(db, row)
    elif row and row.status == "claimed":
        if in_open_batch(db, row):
            # Its answer may lie at the provider, paid for: nobody asks before that has been looked at.
            if not looked or is_held(db, row):
                return "batched"
        elif is_held(db, row):
            return "theirs"
        presume(db, row)
    elif row and row.status == "failed":
        # Many at one question try it to the end once.
        if waited and row.failure_kind not in ("stopped", "over_budget"):
            return row
    elif row:
        set_row_apart(db, row)
    refusal = reserve(db, stake.run, worst, stake.budget)
    if refusal:
        return refusal
    values = {
        "key": request.key,
        "model": request.model,
        "request": json.dumps(request.kept, ensure_ascii=False),
        "endpoint": stake.endpoint,
        "run": stake.run,
        "owner": stake.owner,
        "lease": time.time() + stake.lease,
        "asked_at": now(),
        "reserved": worst,
    }
    names = ", ".join(values)
    updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "key")
    db.execute(
        f"INSERT INTO calls ({names}, status) VALUES ({', '.join('?' * len(values))}, 'claimed') "
        f"ON CONFLICT (key) DO UPDATE SET {updates}, status = 'claimed', failure = NULL, failure_kind = NULL",
        list(values.values()),
    )
    return None


def keep(db: sqlite3.Connection, row: Row, answer: Answer, attempts: int) -> int | None:
    """Write an answer and settle its money. Returns its cost."""
    cost = (row.reserved or None) if answer.nano_usd is None else answer.nano_usd
    settle(db, row, cost or 0)
    db.execute(
        "UPDATE calls SET status = 'answered', raw = ?, usage = ?, price = ?, nano_usd = ?, reserved = 0, "
        "attempts = attempts + ?, answered_at = ?, digest = ? WHERE key = ?",
        (
            answer.raw,
            answer.usage,
            answer.price,
            cost,
            attempts,
            now(),
            digest(row.key, answer.raw, answer.usage, cost),
            row.key,
        ),
    )
    return cost


def give_up(db: sqlite3.Connection, row: Row, failure: Failure, attempts: int) -> None:
    """Write why a question has no answer, and settle its money; it may be asked again."""
    presumed = row.reserved if failure.maybe_paid else 0
    settle(db, row, presumed)
    db.execute(
        "UPDATE calls SET status = 'failed', failure_kind = ?, failure = ?, raw = ?, reserved = 0, "
        "presumed = presumed + ?, attempts = attempts + ? WHERE key = ?",
        (failure.kind, failure.why, failure.raw, presumed, attempts, row.key),
    )


def in_open_batch(db: sqlite3.Connection, row: Row) -> bool:
    """Whether a claimed question went into a batch of which the ledger does not know yet that it is over."""
    if not str(row.owner).startswith(BATCH):
        return False
    token = str(row.owner).removeprefix(BATCH)
    found = db.execute("SELECT 1 FROM batches WHERE token = ? AND state != 'ended'", (token,)).fetchone()
    return found is not None


def is_held(db: sqlite3.Connection, row: Row) -> bool:
    """Whether a claim is live: its process is at it, or its batch is open and within its window."""
    if not str(row.owner).startswith(BATCH):
        return is_live(row)
    return in_open_batch(db, row) and isinstance(row.lease, int | float) and time.time() < row.lease


def set_row_apart(db: sqlite3.Connection, row: Row) -> None:
    """Move a corrupt row out of the way; its question counts as not asked."""
    log.warning("ledger row %s is corrupt: set apart, the question counts as not asked", row.key)
    db.execute(
        "INSERT INTO quarantine (key, row, at) VALUES (?, ?, ?)", (row.key, json.dumps(row.__dict__), now())
    )
    db.execute("DELETE FROM calls WHERE key = ?", (row.key,))


def reserve(db: sqlite3.Connection, run: str, worst: int, budget: int | None) -> Refusal | None:
    """Set money of a run aside, or say why it cannot be."""
    db.execute("INSERT OR IGNORE INTO runs (run) VALUES (?)", (run,))
    if budget is not None:
        spent, reserved = db.execute("SELECT spent, reserved FROM runs WHERE run = ?", (run,)).fetchone()
        if spent + worst > budget:
            return "never"
        if spent + reserved + worst > budget:
            # What calls in flight give back is waited for; what a batch holds may be held for a day.
            return "never" if spent + _in_batches(db, run) + worst > budget else "later"
    db.execute("UPDATE runs SET reserved = reserved + ? WHERE run = ?", (worst, run))
    return None


def settle(db: sqlite3.Connection, row: Row, spent: int) -> None:
    """What was set aside for a row is free again, and of it ``spent`` is gone."""
    db.execute(
        "UPDATE runs SET reserved = reserved - ?, spent = spent + ? WHERE run = ?",
        (row.reserved, spent, row.run),
    )


def presume(db: sqlite3.Connection, row: Row) -> None:
    """What is set aside for a call whose answer never came counts as spent."""
    settle(db, row, row.reserved)
    db.execute("UPDATE calls SET presumed = presumed + reserved, reserved = 0 WHERE key = ?", (row.key,))


def said(usage: Mapping[str, object] | None) -> str | None:
    """A usage as it is written."""
    return json.dumps(usage) if usage is not None else None


def now() -> str:
    """The time as it is written."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _in_batches(db: sqlite3.Connection, run: str) -> int:
    found = db.execute(
        "SELECT COALESCE(SUM(reserved), 0) FROM calls WHERE run = ? AND status = 'claimed' AND owner LIKE ?",
        (run, f"{BATCH}%"),
    ).fetchone()
    return int(found[0])
