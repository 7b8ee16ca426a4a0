"""The ledger of paid calls: one SQLite file, one row a question, so that no question is paid twice.

A question is claimed before it is asked, in the transaction that sets money aside for it, and its answer is committed
before anyone sees it. What is committed survives a kill at any moment. A claim whose process died is taken over: its
question is asked again, and the money set aside for it counts as spent, because the provider may have taken it. A
claim whose process lives is never taken over. Beside the file lies another, ``.room``, which is given up for the
answers in flight when the disk is full. A question that went into a batch is the batch's, whoever lives, until the
batch is known to be over (`batch_rows`). The processes of one machine share a ledger safely; a network drive
cannot hold one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mrharm.llm.batch_rows import BatchRows
from mrharm.llm.database import Database
from mrharm.llm.moves import (
    Answer,
    Failure,
    Stake,
    give_up,
    in_open_batch,
    is_held,
    keep,
    presume,
    reserve,
    said,
    select,
    set_row_apart,
    take,
)
from mrharm.llm.owners import let_go, new_owner
from mrharm.llm.requests import FailureKind, Request
from mrharm.llm.rows import Claim, Refusal, Row, is_whole


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
        self.batches = BatchRows(self._database)

    def answered(self, key: str) -> Row | None:
        """The row of a question that has a whole answer, without a claim on it.

        Raises:
            LedgerError: the file cannot be read; also every method below.
        """

        def work(db: sqlite3.Connection) -> Row | None:
            row = select(db, key)
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
        looked: bool = False,
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
            looked: the provider has been asked about open batches; a question in one whose window is over is taken.
        """
        claim = Claim(request.key, new_owner(), run)
        stake = Stake(run, claim.owner, lease, endpoint, budget)

        def work(db: sqlite3.Connection) -> Claim | Row | Refusal:
            return take(db, request, stake, worst, waited=waited, looked=looked) or claim

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
            row = select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return nano_usd  # the lease ran out on another host, and the question is someone else's now
            return keep(db, row, Answer(raw, said(usage), price, nano_usd), attempts)

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
            row = select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return
            give_up(db, row, Failure(kind, why, raw, maybe_paid), attempts)

        self._database.do(work, write=True, at_last=True)
        let_go(claim.owner)

    def reserve_again(self, claim: Claim, worst: int, budget: int | None) -> Refusal | None:
        """Count what is set aside for a claim as spent, because an answer was lost on its way; set it aside anew."""

        def work(db: sqlite3.Connection) -> Refusal | None:
            row = select(db, claim.key)
            if row is None or row.owner != claim.owner or row.status != "claimed":
                return "theirs"
            presume(db, row)
            refusal = reserve(db, claim.run, worst, budget)
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
                row = select(db, key)
                if row and not is_held(db, row) and not in_open_batch(db, row):
                    presume(db, row)
                    db.execute(
                        "UPDATE calls SET status = 'failed', failure_kind = 'stopped', failure = ? WHERE key = ?",
                        ("its process died before the answer came", key),
                    )

        self._database.do(work, write=True)

    def row(self, key: str) -> Row | None:
        """A question's row, whatever its state."""
        return self._database.do(lambda db: select(db, key), write=False)

    def spent(self, run: str) -> int:
        """What a run has spent, what may have been paid for lost answers included."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT spent FROM runs WHERE run = ?", (run,)).fetchone()
            return int(row[0]) if row else 0

        return self._database.do(work, write=False)

    def set_aside(self, run: str) -> int:
        """What a run has set aside for questions that are on their way or in a batch."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT reserved FROM runs WHERE run = ?", (run,)).fetchone()
            return int(row[0]) if row else 0

        return self._database.do(work, write=False)

    def rows(self) -> Iterator[Row]:
        """Every whole row; those that are not are set apart in the table ``quarantine`` and said aloud."""
        keys = self._database.do(lambda db: db.execute("SELECT key FROM calls").fetchall(), write=False)
        for (key,) in keys:
            row = self.row(key)
            if row and row.status == "answered" and not is_whole(row):
                self._database.do(lambda db, row=row: set_row_apart(db, row), write=True)  # type: ignore[misc]
            elif row:
                yield row

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()
