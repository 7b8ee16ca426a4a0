"""The ledger's part that knows of batches: which questions went into which, how far each is, and what came back.

A batch goes through four states. `new`: questions are being claimed for it, nothing has been created at the provider.
`sending`: its file lies there, and it may have been created, with the token in its metadata. `sent`: the provider's id
is known. `ended`: what it brought is in, no question is the batch's any more. Each step is committed before the next is
taken, so a process killed at any moment leaves a batch that another can find and bring to its end.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mrharm.llm.database import Database
from mrharm.llm.moves import Answer, Failure, Stake, give_up, keep, select, take
from mrharm.llm.owners import lives
from mrharm.llm.requests import LedgerError, Request
from mrharm.llm.rows import BATCH, Refusal, Row
from mrharm.llm.tables import BATCHES

WINDOW = 26 * 3600.0  # seconds: the provider's day, and two hours for its files to be written
_SENDING = 2 * 3600.0  # after which a sender out of sight counts as dead
_COLUMNS = ", ".join(BATCHES)


@dataclass(frozen=True)
class Batch:
    """A batch of questions, ours before it is the provider's: ``token`` is our name for it, ``id`` the provider's.

    ``owner`` is the process that sends it. Times are seconds since the epoch; ``outcome`` tells in JSON how it ended.
    """

    token: str
    state: Literal["new", "sending", "sent", "ended"]
    endpoint: str
    model: str
    run: str
    owner: str
    questions: int
    made: float
    file: str | None
    id: str | None
    sent: float | None
    ended: float | None
    outcome: str | None

    @property
    def is_being_sent(self) -> bool:
        """Whether a live process is at it, so that nobody else may touch it."""
        if self.state not in ("new", "sending"):
            return False
        alive = lives(self.owner)
        return alive if alive is not None else time.time() < self.made + _SENDING

    @property
    def is_overdue(self) -> bool:
        """Whether its window is over: it holds no question back any more."""
        return time.time() > (self.sent or self.made) + WINDOW


class BatchRows:
    """Batches in the ledger's file. Every method raises `LedgerError` where that cannot be read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, token: str) -> Batch | None:
        """A batch, whatever its state."""
        rows = self._select("token = ?", token)
        return rows[0] if rows else None

    def open(self, endpoint: str) -> list[Batch]:
        """The batches at an endpoint that have not ended, the oldest first."""
        return self._select("state != 'ended' AND endpoint = ? ORDER BY made", endpoint)

    def holder(self, key: str) -> str | None:
        """The token of the open batch that a question is in."""

        def work(db: sqlite3.Connection) -> str | None:
            found = db.execute(
                "SELECT token FROM batches, calls WHERE key = ? AND status = 'claimed' "
                "AND calls.owner = ? || token AND state != 'ended'",
                (key, BATCH),
            ).fetchone()
            return str(found[0]) if found else None

        return self._database.do(work, write=False)

    def claim(
        self, token: str, sender: str, asks: Sequence[tuple[Request, int]], stake: Stake
    ) -> dict[str, Row | Refusal]:
        """Take questions for a batch, each with the most it can cost set aside; those not to be had, and why."""

        def work(db: sqlite3.Connection) -> dict[str, Row | Refusal]:
            db.execute(
                "INSERT OR IGNORE INTO batches (token, state, endpoint, model, run, owner, made) "
                "VALUES (?, 'new', ?, ?, ?, ?, ?)",
                (token, stake.endpoint, asks[0][0].model, stake.run, sender, time.time()),
            )
            refused = {}
            for request, worst in asks:
                refusal = take(db, request, stake, worst, looked=True)
                if refusal:
                    refused[request.key] = refusal
            db.execute(
                "UPDATE batches SET questions = questions + ? WHERE token = ?",
                (len(asks) - len(refused), token),
            )
            return refused

        return self._database.do(work, write=True)

    def uploaded(self, token: str, file: str) -> None:
        """Its file lies at the provider: from now on it may exist there."""
        self._step(token, "state = 'sending', file = ?", file)

    def created(self, token: str, batch_id: str) -> None:
        """The provider has it."""
        self._step(token, "state = 'sent', id = ?, sent = ?", batch_id, time.time())

    def keep(self, token: str, answers: Mapping[str, Answer]) -> tuple[list[str], list[str]]:
        """Write answers that came back. Returns the keys that are answered now, and those that are not the batch's."""

        def work(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
            kept, strange = [], []
            for key, answer in answers.items():
                row = select(db, key)
                if row is None or row.owner != BATCH + token:
                    strange.append(key)
                elif row.status == "claimed":
                    keep(db, row, answer, 1)
                    kept.append(key)
            return kept, strange

        return self._database.do(work, write=True, at_last=True)

    def strangers(self, token: str, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that are not the batch's."""
        owner = BATCH + token

        def work(db: sqlite3.Connection) -> list[str]:
            rows = {key: select(db, key) for key in keys}
            return [key for key, row in rows.items() if row is None or row.owner != owner]

        return self._database.do(work, write=False)

    def end(
        self, token: str, failures: Mapping[str, Failure], rest: Failure, outcome: Mapping[str, object]
    ) -> list[str]:
        """End a batch, in one step with its questions that have no answer: by their own failure, else ``rest``.

        Returns the keys of these; none where another process has ended it before.
        """

        def work(db: sqlite3.Connection) -> list[str]:
            found = db.execute(
                "SELECT run FROM batches WHERE token = ? AND state != 'ended'", (token,)
            ).fetchone()
            if found is None:
                return []
            claimed = db.execute(
                "SELECT key FROM calls WHERE run = ? AND status = 'claimed' AND owner = ?",
                (found[0], BATCH + token),
            ).fetchall()
            for (key,) in claimed:
                row = select(db, key)
                if row:
                    give_up(db, row, failures.get(key, rest), 1)
            db.execute(
                "UPDATE batches SET state = 'ended', ended = ?, outcome = ? WHERE token = ?",
                (time.time(), json.dumps(outcome), token),
            )
            return [key for (key,) in claimed]

        return self._database.do(work, write=True, at_last=True)

    def _step(self, token: str, changes: str, *values: object) -> None:
        def work(db: sqlite3.Connection) -> int:
            return db.execute(
                f"UPDATE batches SET {changes} WHERE token = ? AND state != 'ended'", (*values, token)
            ).rowcount

        if not self._database.do(work, write=True, at_last=True):
            raise LedgerError(f"batch {token} was given up by another process while it was being sent")

    def _select(self, where: str, *values: object) -> list[Batch]:
        rows = self._database.do(
            lambda db: db.execute(f"SELECT {_COLUMNS} FROM batches WHERE {where}", values).fetchall(),
            write=False,
        )
        return [Batch(*row) for row in rows]
