"""A batch's files: the questions' lines, and what the lines that come back say."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from mrharm.llm.batch_service import BatchService, State
from mrharm.llm.moves import Answer, Failure, said
from mrharm.llm.pricing import Price, cost_of
from mrharm.llm.requests import FailureKind, Request, read_answer

MOST_QUESTIONS = 50_000  # of a file
MOST_BYTES = 200_000_000

# How a batch ends, and what that makes of the questions it has no line for.
_ENDS: dict[str, tuple[FailureKind, str]] = {
    "expired": ("timed_out", "the batch's day was over before its turn came"),
    "cancelled": ("stopped", "the batch was cancelled before its turn came"),
    "completed": ("malformed", "the batch ended without a line for it that can be read"),
}
_CODES: dict[str, FailureKind] = {
    "batch_expired": "timed_out",
    "batch_cancelled": "stopped",
    "request_timeout": "timed_out",
}


@dataclass
class Questions:
    """A file that fills with questions, on disk; ``owner`` is the process that sends it."""

    token: str
    owner: str
    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    keys: list[str] = field(default_factory=list)
    size: int = 0

    def has_room(self, questions: int, size: int) -> bool:
        """Whether so many more questions of so many bytes fit."""
        return len(self.keys) + questions <= MOST_QUESTIONS and self.size + size <= MOST_BYTES

    def add(self, key: str, line: bytes) -> None:
        """Write a question's line."""
        self.file.write(line)
        self.keys.append(key)
        self.size += len(line)


def line_of(request: Request) -> bytes:
    """A question as a line. Plain ASCII, in which nothing but its end can be taken for the end of a line."""
    body = {"model": request.model, "messages": request.messages_to_send(), **request.settings}
    line = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line).encode("ascii") + b"\n"


def read_line(
    line: bytes, service: BatchService, model: str, price: Price | None
) -> tuple[str, Answer | Failure]:
    """A line that came back -> the question's key, and its answer or why it has none.

    Args:
        line: of a batch's output or error file.
        service: where it came from.
        model: which was asked.
        price: what the model costs in a batch.

    Raises:
        ValueError: not a line of a batch's file.
    """
    try:
        row = json.loads(line)
        key, response, error = row["custom_id"], row.get("response"), row.get("error")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("expected a JSON object with a custom_id") from None
    if not isinstance(key, str) or not (isinstance(response, Mapping) or isinstance(error, Mapping)):
        raise ValueError("expected a custom_id and a response or an error")
    key = service.without_secrets(key)
    if not isinstance(response, Mapping):
        code, message = (str((error or {}).get(name) or "") for name in ("code", "message"))
        why = service.without_secrets(f"{code}: {message}")[:300]
        return key, Failure(_CODES.get(code, "server_error"), why)
    status, body = response.get("status_code"), response.get("body")
    if isinstance(status, bool) or not isinstance(status, int):
        raise ValueError("expected a status code")
    if status != 200:
        told = body.get("error") if isinstance(body, Mapping) else body
        trouble = service.judge_row(status, told, model)
        return key, Failure(trouble.kind, trouble.message, maybe_paid=trouble.maybe_paid)
    return key, _answer(body, service, price)


def end_of(state: State, garbled: int) -> Failure:
    """What becomes of the questions for which an ended batch has no line; ``garbled``: lines that could not be read."""
    if state.status == "failed":
        limited = "limit" in state.code
        mend = "; send fewer at once, or when other batches are over" if limited else ""
        why = f"the batch was refused: {state.code} {state.complaint}{mend}"
        return Failure("rate_limited" if limited else "bad_request", why)
    kind, why = _ENDS.get(state.status, _ENDS["completed"])
    if garbled:
        kind, why = _ENDS["completed"]
    return Failure(kind, why, maybe_paid=state.status == "completed" or garbled > 0)


def _answer(body: Any, service: BatchService, price: Price | None) -> Answer | Failure:
    raw = service.without_secrets(json.dumps(body, ensure_ascii=False))
    try:
        usage = read_answer(raw)[3]
    except ValueError as error:
        return Failure("malformed", f"{error}; got {raw[:80]!r}", raw[:2000], maybe_paid=True)
    return Answer(raw, said(usage), _price(price), cost_of(usage, price))


def _price(price: Price | None) -> str | None:
    """A batch's price as it is written: half of the model's, and said to be."""
    if price is None:
        return None
    return json.dumps({**price.model_dump(mode="json"), "batch": True}, separators=(",", ":"))
