"""What the ledger hands out: a question's row, a claim on it, or why there is none."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Literal

from mrharm.llm.owners import lives
from mrharm.llm.requests import FailureKind


@dataclass(frozen=True)
class Row:
    """A question and what became of it. Money is in billionths of a dollar.

    ``presumed`` is what calls without an answer may have cost (cut, timed out, killed); ``nano_usd`` what the answer
    cost, None where no price was known.
    """

    key: str
    status: Literal["claimed", "answered", "failed"]
    model: str
    request: str
    endpoint: str
    raw: str | None
    usage: str | None
    price: str | None
    nano_usd: int | None
    presumed: int
    reserved: int
    attempts: int
    failure_kind: FailureKind | None
    failure: str | None
    run: str
    owner: str
    lease: float
    asked_at: str
    answered_at: str | None
    digest: str | None


@dataclass(frozen=True)
class Claim:
    """This process asks the question, and nobody else does."""

    key: str
    owner: str
    run: str


# Why there is no claim: another process is at it; it went into a batch that is open; the money left waits for calls in
# flight; it can never be paid.
Refusal = Literal["theirs", "batched", "later", "never"]
BATCH = "batch:"  # and the batch's token: the owner of its questions, which outlives the process that sent it


def is_live(row: Row) -> bool:
    """Whether whoever claimed the question may still bring its answer."""
    alive = lives(str(row.owner))
    # Told by the clock alone where the process is out of sight.
    return alive if alive is not None else isinstance(row.lease, int | float) and time.time() < row.lease


def is_whole(row: Row) -> bool:
    """Whether an answer reads as it was written."""
    return row.raw is not None and row.digest == digest(row.key, row.raw, row.usage, row.nano_usd)


def digest(*parts: object) -> str:
    """A checksum of what an answer must not lose."""
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()
