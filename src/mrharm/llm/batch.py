"""Many questions by the provider's batch service: sent as files, waited for, fetched, and found again after a kill.

A file of questions is uploaded, its id and its questions are committed to the ledger, and a batch is created of it,
whose id is committed in turn. A batch without an id in the ledger is looked for by its file.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, StrictInt

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm.cache import Batch, Ledger
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.pricing import Budget, Price, bound_cost, count_cost, find_price
from mrharm.llm.requests import NANO, CallError, Completion, FailureKind, Request, parse_answer

T = TypeVar("T")
Result = Completion | CallError
log = logging.getLogger("mrharm.llm")

MOST_QUESTIONS = 50_000  # of a file
MOST_BYTES = 100_000_000  # half of what a file may hold: it is put together in memory
_CALL_S, _TRANSFER_S = 60.0, 3600.0  # for a call, and for a file sent or fetched
_MOST_TROUBLES = 20  # polls in a row that may fail before the waiting is given up
_UNSURE = ("cut", "timed_out", "server_error", "malformed")  # after these a batch may have been created
_OVER = ("completed", "expired", "cancelled", "failed")
_KINDS: dict[str, FailureKind] = {
    "batch_expired": "timed_out",
    "batch_cancelled": "stopped",
    "request_timeout": "timed_out",
}


class _Response(BaseModel):
    status_code: StrictInt
    body: Any = None


class _Line(BaseModel):
    """A line of a batch's output or error file."""

    custom_id: str
    response: _Response | None = None
    error: dict[str, Any] | None = None


class BatchService:
    """The calls of a batch service at an endpoint; every method raises as `Endpoint.translate_errors`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def upload(self, content: bytes) -> str:
        """Upload a file of questions and return its id."""
        file = ("questions.jsonl", content, "application/jsonl")
        return self._call(lambda api: str(api.files.create(file=file, purpose="batch").id), _TRANSFER_S)

    def create(self, batch: Batch) -> str:
        """Create a batch of its uploaded file and return its id."""
        options = {"completion_window": "24h", "endpoint": "/v1/chat/completions"}
        return self._call(lambda api: str(api.batches.create(input_file_id=batch.file, **options).id))

    def find(self, batch: Batch) -> str | None:
        """Return the id of the batch created of an uploaded file, if there is one."""

        def search(api: Any) -> str | None:
            listed = api.batches.list(limit=100)  # and the next hundred, as far as need be
            return next((str(each.id) for each in listed if each.input_file_id == batch.file), None)

        return self._call(search) if batch.file else None

    def get(self, batch_id: str) -> Any | None:
        """Return the `openai` package's record of a batch; None where the account has no such batch."""

        def retrieve(api: Any) -> Any | None:
            try:
                state = api.batches.retrieve(batch_id)
            except self.endpoint.openai.NotFoundError:
                url = self.endpoint.url
                log.warning("%s does not know batch %s; was it sent with another key?", url, batch_id)
                return None
            return state if state.status else None

        return self._call(retrieve)

    def read_lines(self, file: str) -> list[bytes]:
        """Return the lines of a file; no other byte than a line feed ends one."""
        content: bytes = self._call(lambda api: api.files.content(file).content, _TRANSFER_S)
        return list(filter(bytes.strip, content.split(b"\n")))

    def _call(self, call: Callable[[Any], T], seconds: float = _CALL_S) -> T:
        timeout = self.endpoint.timeout(time.monotonic() + seconds)
        try:
            with self.endpoint.translate_errors() as client:
                return call(client.with_options(timeout=timeout))
        except (ValueError, TypeError, AttributeError):
            why = f"{self.endpoint.url}: expected a batch or a file, got something else"
            raise CallError(why, "malformed") from None


class BatchRound:
    """Asks some questions in batches, as `HostedClient.complete_batch`; opens nothing before the first.

    Args:
        ledger: where batches and answers are committed.
        budget: what may be spent.
        prices: model -> price; half of it is paid in a batch.
        questions: by their keys.
    """

    def __init__(
        self, ledger: Ledger, budget: Budget, prices: Mapping[str, Price], questions: Mapping[str, Request]
    ) -> None:
        self._ledger, self._budget, self._prices = ledger, budget, prices
        self._unanswered = dict(questions)
        self._waiting: set[str] = set()  # tokens of the batches waited for
        self._reserved: dict[str, int] = {}  # key -> reserved of the budget, in billionths of a dollar

    def complete(
        self, open_endpoint: Callable[[], Endpoint], show: Callable[[int], None], pause: Callable[[], object]
    ) -> Iterator[tuple[str, Result]]:
        """Yield each question's key with its result; between polls, ``show`` gets how many questions have none."""
        yield from self._take_results("answered", cached=True)
        if not self._unanswered:
            return
        try:
            self._service = BatchService(open_endpoint())
            # What earlier calls left at the provider comes first.
            self._poll_open_batches()
            yield from self._take_results("answered")
            yield from self._send()
            troubles = 0
            while self._waiting:
                trouble = self._poll_open_batches(only_waiting=True)
                troubles = troubles + 1 if trouble else 0
                if trouble and troubles == _MOST_TROUBLES:
                    raise trouble
                yield from self._take_results("answered", "failed")
                show(len(self._unanswered))
                if self._waiting:
                    pause()
            for key in self._unanswered:
                why = "it is in a batch that has not ended and cannot be looked at here"
                yield key, CallError(why, "busy")
        except CallError as error:
            raise ModelUnavailableError(f"{error}; run the same command again") from None
        finally:
            for key, cost in self._reserved.items():  # counts as spent where it was sent
                row = self._ledger.find_row(key)
                self._budget.settle(cost, cost if row and row.batch else 0)
            if self._waiting:
                what = "%d batches of questions go on at the provider; the same command picks them up"
                log.warning(what, len(self._waiting))

    def _take_results(self, *statuses: str, cached: bool = False) -> Iterator[tuple[str, Result]]:
        """Yield the questions whose rows have one of these statuses, with their results."""
        for key in list(self._unanswered):
            row = self._ledger.find_row(key)
            if row is None or row.status not in statuses or (row.status == "answered" and not row.is_sound):
                continue
            del self._unanswered[key]
            try:
                result: Result = row.read_answer(cached=cached)
            except CallError as error:
                result = error
            yield key, result

    def _send(self) -> Iterator[tuple[str, Result]]:
        """Send the questions that are in no batch; yields those that cannot be sent, and why."""
        requests = sorted(self._unanswered.values(), key=lambda request: request.model)
        required = self._budget.limit is not None
        holding: set[str] = set()  # batches with questions of this round
        group: list[tuple[Request, bytes]] = []  # a batch asks one model
        size = 0  # bytes
        for request in requests:
            row = self._ledger.find_row(request.key)
            if row and row.batch:
                holding.add(row.batch)
                continue
            cost = bound_cost(request, self._prices, batch=True, required=required)
            try:
                line = _write_line(request)
                self._budget.reserve(cost)
            except CallError as error:
                del self._unanswered[request.key]
                yield request.key, error
                continue
            self._reserved[request.key] = cost
            is_other_model = bool(group) and group[0][0].model != request.model
            if is_other_model or len(group) == MOST_QUESTIONS or size + len(line) > MOST_BYTES:
                holding.add(self._create(group))
                group, size = [], 0
            group.append((request, line))
            size += len(line)
        if group:
            holding.add(self._create(group))
        self._waiting &= holding

    def _create(self, questions: Sequence[tuple[Request, bytes]]) -> str:
        """Upload a file of questions and have a batch created of it; returns the batch's token."""
        token, model, made = uuid.uuid4().hex, questions[0][0].model, time.time()
        file = self._service.upload(b"".join(line for _, line in questions))
        batch = Batch(token, self._service.endpoint.url, model, made, file, None)
        self._ledger.start_batch(batch, [(request, self._reserved[request.key]) for request, _ in questions])
        try:
            batch_id = self._service.create(batch)
        except MrHarmError as error:
            failure = CallError.wrap(error)
            if failure.kind not in _UNSURE:  # else the next call looks for it by its file
                self._end(batch, {}, failure)
            raise
        self._ledger.set_batch_id(token, batch_id)
        self._waiting.add(token)
        return token

    def _poll_open_batches(self, *, only_waiting: bool = False) -> CallError | None:
        """Look at batches once; returns the last trouble, which a later look may not meet."""
        trouble = None
        for batch in self._ledger.list_open_batches():
            if only_waiting and batch.token not in self._waiting:
                continue
            try:
                is_open = self._poll(batch)
            except CallError as error:
                log.warning("%s; looking again", error)
                trouble, is_open = error, True
            (self._waiting.add if is_open else self._waiting.discard)(batch.token)
        return trouble

    def _poll(self, batch: Batch) -> bool:
        """Look at a batch once, and fetch it if it has ended; returns whether it is to be waited for."""
        state = None
        if batch.endpoint == self._service.endpoint.url:
            batch_id = batch.id or self._service.find(batch)
            if batch_id is None:
                self._end(batch, {}, CallError("its process died before it was sent", "stopped"))
                return False
            if batch.id is None:
                self._ledger.set_batch_id(batch.token, batch_id)
            state = self._service.get(batch_id)
        if state and state.status in _OVER:
            self._fetch(batch, state)
        elif batch.is_overdue:
            why = f"batch {batch.id} at {batch.endpoint} has not ended within its day"
            self._end(batch, {}, CallError(why, "timed_out", maybe_paid=True))
        else:
            return state is not None
        return False

    def _fetch(self, batch: Batch, state: Any) -> None:
        """Commit what a batch brought, and end it. A question's first answer counts, and before any failure."""
        answers: dict[str, Result] = {}
        failures: dict[str, Result] = {}
        unreadable = 0
        for file in filter(None, (state.output_file_id, state.error_file_id)):
            for line in self._service.read_lines(file):
                try:
                    key, outcome = self._read_line(line, batch.model)
                except (ValueError, RecursionError):
                    unreadable += 1
                    continue
                (failures if isinstance(outcome, CallError) else answers).setdefault(key, outcome)
        if unreadable:
            log.warning("batch %s: %d lines cannot be read and are ignored", batch.id, unreadable)
        self._end(batch, failures | answers, _explain_end(state, self._service.endpoint, unreadable))

    def _read_line(self, line: bytes, model: str) -> tuple[str, Result]:
        """Return the key of a line's question, and its outcome.

        Raises:
            ValueError: not a line of a batch's output or error file.
        """
        row, endpoint = _Line.model_validate(json.loads(line)), self._service.endpoint
        if row.response is None:
            if row.error is None:
                raise ValueError("expected a response or an error")
            code = str(row.error.get("code"))
            why = endpoint.without_secrets(f"{code}: {row.error.get('message')}")[:300]
            return row.custom_id, CallError(why, _KINDS.get(code, "server_error"))
        status, body = row.response.status_code, row.response.body
        try:
            if status != 200:
                raise endpoint.classify(status, body.get("error") if isinstance(body, dict) else body, model)
            answer = parse_answer(
                endpoint.without_secrets(json.dumps(body, ensure_ascii=False)), row.custom_id
            )
        except MrHarmError as error:
            return row.custom_id, CallError.wrap(error)
        cost = count_cost(answer.usage, find_price(self._prices, model, batch=True))
        return row.custom_id, answer if cost is None else replace(answer, usd=cost / NANO)

    def _end(self, batch: Batch, outcomes: Mapping[str, Result], default: CallError) -> None:
        """End a batch in the ledger, and count what its questions cost."""
        for key, spent in self._ledger.end_batch(batch.token, outcomes, default).items():
            if key in self._reserved:
                self._budget.settle(self._reserved.pop(key), spent)


def _write_line(request: Request) -> bytes:
    """Return a question as a line. Plain ASCII, in which only its end can be taken for the end of a line."""
    body = {"model": request.model, "messages": request.encode_messages(), **request.settings}
    row = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    line = json.dumps(row).encode("ascii") + b"\n"
    if len(line) > MOST_BYTES:
        raise CallError(f"{len(line):,} bytes; too large for any batch", "bad_request")
    return line


def _explain_end(state: Any, endpoint: Endpoint, unreadable: int) -> CallError:
    """Return why the questions have no answer for which an ended batch has no line that can be read."""
    if unreadable or state.status == "completed":
        why = "the batch ended without a line for it that can be read"
        return CallError(why, "malformed", maybe_paid=True)
    if state.status in ("expired", "cancelled"):
        why = f"the batch was {state.status} before its turn came"
        return CallError(why, "timed_out" if state.status == "expired" else "stopped")
    errors = getattr(state.errors, "data", None) or []
    complaints = "; ".join(f"{error.code}: {error.message}" for error in errors[:3])
    why = endpoint.without_secrets(f"the batch was refused: {complaints}")[:300]
    if "limit" in complaints:
        return CallError(f"{why}; send fewer at once, or when other batches are over", "rate_limited")
    return CallError(why, "bad_request")
