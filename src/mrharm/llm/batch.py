"""Many questions by the provider's batch service: sent as files, waited for, fetched, and found again after a kill.

A file of questions is uploaded, its id and its questions are committed to the ledger, and a batch is created of it,
whose id is committed in turn. A batch without an id in the ledger is looked for by its file.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm.cache import Answer, Batch, Failure
from mrharm.llm.endpoint import Endpoint, EndpointError
from mrharm.llm.pricing import Price, bound_cost, count_cost, find_price
from mrharm.llm.requester import Requester
from mrharm.llm.requests import CallError, Completion, FailureKind, Request, parse_answer, read_completion

T = TypeVar("T")
Result = Completion | CallError
log = logging.getLogger("mrharm.llm")

MOST_QUESTIONS = 50_000  # of a file
MOST_BYTES = 100_000_000  # half of what a file may hold: it is put together in memory
_CALL_S, _TRANSFER_S = 60.0, 3600.0  # for a call, and for a file sent or fetched
_CLOCKS_S = 86_400  # how far the provider's clock and this one may differ
_MOST_TROUBLES = 20  # polls in a row that may fail before the waiting is given up
_UNSURE = ("cut", "timed_out", "server_error", "malformed")  # after these a batch may have been created
_OVER = ("completed", "expired", "cancelled", "failed")
_ENDS: dict[str, tuple[FailureKind, str]] = {
    "expired": ("timed_out", "the batch's day was over before its turn came"),
    "cancelled": ("stopped", "the batch was cancelled before its turn came"),
}
_CODES: dict[str, FailureKind] = {
    "batch_expired": "timed_out",
    "batch_cancelled": "stopped",
    "request_timeout": "timed_out",
}


class _BatchState(BaseModel):
    """A batch at the provider."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(min_length=1)
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Any = None


class _Response(BaseModel):
    status_code: StrictInt
    body: Any = None


class _Line(BaseModel):
    """A line of a batch's output or error file."""

    custom_id: str
    response: _Response | None = None
    error: dict[str, Any] | None = None


class _Prepared(NamedTuple):
    """A question to send."""

    request: Request
    cost: int  # the most it can cost, in billionths of a dollar
    line: bytes


class BatchService:
    """The calls of a batch service at an endpoint. Every method raises `EndpointError`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def upload(self, content: bytes) -> str:
        """Upload a file of questions and return its id."""
        file = ("questions.jsonl", content, "application/jsonl")
        made = self._call(lambda api: api.files.create(file=file, purpose="batch"), _TRANSFER_S, is_post=True)
        if not isinstance(getattr(made, "id", None), str):
            raise EndpointError("malformed", f"{self.endpoint.url}: expected a file with an id, got none")
        return str(made.id)

    def create(self, batch: Batch) -> str:
        """Create a batch of its uploaded file and return its id."""

        def create(api: Any) -> str:
            url = "/v1/chat/completions"
            made = api.batches.create(completion_window="24h", endpoint=url, input_file_id=batch.file)
            return _BatchState.model_validate(made).id

        try:
            return self._call(create, is_post=True)
        except EndpointError as trouble:
            if trouble.kind in _UNSURE:
                with suppress(EndpointError):  # another call looks for it again
                    batch_id = self.find(batch)
                    if batch_id:
                        return batch_id
            raise

    def find(self, batch: Batch) -> str | None:
        """Return the id of the batch created of an uploaded file, if there is one."""

        def search(api: Any) -> str | None:
            for listed in api.batches.list(limit=100):
                if listed.input_file_id == batch.file:
                    return str(listed.id)
                if listed.created_at < batch.made - _CLOCKS_S:
                    break  # the newest come first
            return None

        return self._call(search) if batch.file else None

    def get(self, batch_id: str) -> _BatchState:
        """Return the state of a batch; the error is ``not_found`` where the account has no such batch."""
        return self._call(lambda api: _BatchState.model_validate(api.batches.retrieve(batch_id)))

    def read_lines(self, file: str) -> list[bytes]:
        """Return the lines of a file; no other byte than a line feed ends one."""
        content: bytes = self._call(lambda api: api.files.content(file).content, _TRANSFER_S)
        return list(filter(bytes.strip, content.split(b"\n")))

    def _call(self, call: Callable[[Any], T], seconds: float = _CALL_S, *, is_post: bool = False) -> T:
        timeout = self.endpoint.timeout(time.monotonic() + seconds)
        try:
            with self.endpoint.translate_errors() as client:
                return call(client.with_options(timeout=timeout))
        except EndpointError as trouble:
            if trouble.not_found and is_post:
                why = f"{self.endpoint.url} has no batch service; ask without --batch"
                trouble.fatal = ModelUnavailableError(why)
            raise
        except (ValueError, TypeError, AttributeError):
            why = f"{self.endpoint.url}: expected a batch or a file, got something else"
            raise EndpointError("malformed", why) from None


class BatchRound:
    """Asks some questions in batches, as `HostedClient.complete_batch`; opens nothing before the first.

    Args:
        requester: whose endpoint, ledger and budget are used.
        questions: by their keys.
    """

    def __init__(self, requester: Requester, questions: Mapping[str, Request]) -> None:
        self._requester, self._ledger, self._budget = requester, requester.ledger, requester.budget
        self._unanswered = dict(questions)
        self._waiting: set[str] = set()  # tokens of the batches waited for

    def complete(self, poll: float, show: Callable[[int], None]) -> Iterator[tuple[str, Result]]:
        """Yield each question's key with its result; ``show`` is told how many have none, every ``poll`` seconds."""
        for key in list(self._unanswered):
            if self._ledger.find_answer(key):
                del self._unanswered[key]
                yield key, self._read_result(key, cached=True)
        if not self._unanswered:
            return
        try:
            self._service = BatchService(self._requester.open_endpoint())
            yield from self._fetch_left()
            yield from self._send()
            yield from self._wait(poll, show)
            yield from ((key, self._read_result(key, cached=False)) for key in self._unanswered)
        except EndpointError as trouble:
            again = ModelUnavailableError(f"{trouble.message}; run the same command again")
            raise (trouble.fatal or again) from None
        finally:
            for key in self._budget.charged_keys:
                row = self._ledger.find_row(key)
                if row is None or row.batch is None:  # never sent
                    self._budget.correct_charge(key, 0)
            if self._waiting:
                what = "%d batches of questions go on at the provider; the same command picks them up"
                log.warning(what, len(self._waiting))

    def _fetch_left(self) -> Iterator[tuple[str, Result]]:
        """Fetch what earlier calls left at the provider, and wait for the batches that hold questions of this round."""
        yield from self._poll_all(self._ledger.list_open_batches())
        rows = [self._ledger.find_row(key) for key in self._unanswered]
        self._waiting &= {row.batch for row in rows if row and row.batch}

    def _wait(self, poll: float, show: Callable[[int], None]) -> Iterator[tuple[str, Result]]:
        """Look at the batches waited for, again and again, until all have ended."""
        troubles = 0
        while self._waiting:
            batches = [batch for batch in self._ledger.list_open_batches() if batch.token in self._waiting]
            trouble = yield from self._poll_all(batches)
            troubles = troubles + 1 if trouble else 0
            if trouble and troubles == _MOST_TROUBLES:
                raise trouble
            show(len(self._unanswered))
            if self._waiting:
                (self._requester.retry.pause or time.sleep)(poll)

    def _poll_all(
        self, batches: Iterable[Batch]
    ) -> Generator[tuple[str, Result], None, EndpointError | None]:
        """Look at batches once, and yield what they bring; returns the trouble that a later look may not meet."""
        last: EndpointError | None = None
        for batch in batches:
            try:
                for key in self._poll(batch):
                    if self._unanswered.pop(key, None):
                        yield key, self._read_result(key, cached=False)
            except EndpointError as trouble:
                if trouble.fatal:
                    raise
                log.warning("%s; looking again", trouble.message)
                self._waiting.add(batch.token)
                last = trouble
        return last

    def _read_result(self, key: str, *, cached: bool) -> Result:
        row = self._ledger.find_answer(key) or self._ledger.find_row(key)
        if row and row.is_sound:
            try:
                return read_completion(key, row.raw or "", row.nano_usd, cached=cached)
            except CallError as error:
                return error
        if row and row.status == "failed":
            return CallError(row.failure or "", row.failure_kind or "busy", row.raw)
        return CallError("it is in a batch that has not ended and cannot be looked at here", "busy")

    def _send(self) -> Iterator[tuple[str, Result]]:
        """Send the questions that are in no batch; yields those that cannot be sent, and why."""
        prices, required = self._requester.batch_prices, self._budget.limit is not None
        requests = sorted(self._unanswered.values(), key=lambda request: request.model)
        costs = [bound_cost(request, prices, required=required) for request in requests]
        group: list[_Prepared] = []  # a batch asks one model
        size = 0  # bytes
        for request, cost in zip(requests, costs, strict=True):
            row = self._ledger.find_row(request.key)
            if row and row.batch:
                continue
            try:
                question = self._prepare(request, cost)
            except MrHarmError as error:
                del self._unanswered[request.key]
                why = error if isinstance(error, CallError) else CallError(str(error), "bad_request")
                yield request.key, why
                continue
            other_model = bool(group) and group[0].request.model != question.request.model
            size += len(question.line)
            if other_model or len(group) == MOST_QUESTIONS or size > MOST_BYTES:
                self._create(group)
                group, size = [], len(question.line)
            group.append(question)
        if group:
            self._create(group)

    def _prepare(self, request: Request, cost: int) -> _Prepared:
        """Write a question's line, and charge the budget with the most it can cost."""
        line = _write_line(request)
        if len(line) > MOST_BYTES:
            raise CallError(f"{len(line):,} bytes; too large for any batch", "bad_request")
        if not self._budget.charge(request.key, cost):
            raise CallError(self._budget.explain_refusal(cost), "over_budget")
        return _Prepared(request, cost, line)

    def _create(self, questions: Sequence[_Prepared]) -> None:
        """Upload a file of questions and have a batch created of it."""
        token, model, made = uuid.uuid4().hex, questions[0].request.model, time.time()
        file = self._service.upload(b"".join(question.line for question in questions))
        batch = Batch(token, self._service.endpoint.url, model, made, file, None)
        self._ledger.start_batch(batch, [(question.request, question.cost) for question in questions])
        try:
            self._ledger.set_batch_id(token, self._service.create(batch))
        except EndpointError as trouble:
            if trouble.kind not in _UNSURE:
                self._end(batch, Failure(trouble.kind, trouble.message))
            raise
        self._waiting.add(token)

    def _poll(self, batch: Batch) -> Iterator[str]:
        """Look at a batch once, and fetch it if it has ended; yields the keys of the questions it then settles."""
        state: _BatchState | None = None
        if batch.endpoint == self._service.endpoint.url:
            batch_id = batch.id or self._service.find(batch)
            if batch_id is None:
                self._end(batch, Failure("stopped", "its process died before it was sent"))
                return
            if batch.id is None:
                self._ledger.set_batch_id(batch.token, batch_id)
            try:
                state = self._service.get(batch_id)
            except EndpointError as trouble:
                if not trouble.not_found:
                    raise
                log.warning(
                    "%s does not know batch %s; was it sent with another key?", batch.endpoint, batch_id
                )
        if state and state.status in _OVER:
            yield from self._fetch(batch, state)
        elif batch.is_overdue:
            why = f"batch {batch.id} at {batch.endpoint} has not ended within its day"
            self._end(batch, Failure("timed_out", why, maybe_paid=True))
        elif state:
            self._waiting.add(batch.token)
        else:
            self._waiting.discard(batch.token)

    def _fetch(self, batch: Batch, state: _BatchState) -> Iterator[str]:
        """Commit what a batch brought, and end it. A question's first answer counts, and before any failure."""
        price = find_price(self._requester.batch_prices, batch.model)
        failures: dict[str, Failure] = {}
        unreadable = 0
        for file in filter(None, (state.output_file_id, state.error_file_id)):
            answers: dict[str, Answer] = {}
            for line in self._service.read_lines(file):
                try:
                    key, outcome = _read_line(line, self._service.endpoint, batch.model, price)
                except (ValueError, RecursionError):
                    unreadable += 1
                    continue
                if isinstance(outcome, Failure):
                    failures.setdefault(key, outcome)
                else:
                    answers.setdefault(key, outcome)
            costs = self._ledger.commit_batch_answers(batch.token, answers)
            for key, cost in costs.items():
                self._budget.correct_charge(key, cost or 0)
            yield from costs
        if unreadable:
            log.warning("batch %s: %d lines cannot be read and are ignored", batch.id, unreadable)
        yield from self._end(batch, _explain_end(state, self._service.endpoint, unreadable), failures)

    def _end(
        self, batch: Batch, default: Failure, failures: Mapping[str, Failure] | None = None
    ) -> Iterable[str]:
        """End a batch in the ledger; returns the keys of its questions without an answer, which fail."""
        self._waiting.discard(batch.token)
        failed = self._ledger.end_batch(batch.token, failures or {}, default)
        for key, failure in failed.items():
            self._budget.correct_charge(key, None if failure.maybe_paid else 0)
        return failed


def _write_line(request: Request) -> bytes:
    """Return a question as a line. Plain ASCII, in which only its end can be taken for the end of a line."""
    body = {"model": request.model, "messages": request.encode_messages(), **request.settings}
    line = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line).encode("ascii") + b"\n"


def _read_line(
    line: bytes, endpoint: Endpoint, model: str, price: Price | None
) -> tuple[str, Answer | Failure]:
    """Return the key of a line's question, and its answer or why it has none.

    Raises:
        ValueError: not a line of a batch's output or error file.
    """
    row = _Line.model_validate(json.loads(line))
    if row.response is None:
        if row.error is None:
            raise ValueError("expected a response or an error")
        code = str(row.error.get("code"))
        why = endpoint.without_secrets(f"{code}: {row.error.get('message')}")[:300]
        return row.custom_id, Failure(_CODES.get(code, "server_error"), why)
    status, body = row.response.status_code, row.response.body
    if status != 200:
        trouble = endpoint.classify(status, body.get("error") if isinstance(body, dict) else body, model)
        return row.custom_id, Failure(trouble.kind, trouble.message, maybe_paid=trouble.maybe_paid)
    raw = endpoint.without_secrets(json.dumps(body, ensure_ascii=False))
    try:
        usage = parse_answer(raw).usage
    except ValueError as error:
        why = f"{error}; got {raw[:80]!r}"
        return row.custom_id, Failure("malformed", why, raw[:2000], maybe_paid=True)
    return row.custom_id, Answer(raw, usage, count_cost(usage, price))


def _explain_end(state: _BatchState, endpoint: Endpoint, unreadable: int) -> Failure:
    """Return why the questions have no answer for which an ended batch has no line that can be read."""
    if unreadable or state.status == "completed":
        return Failure("malformed", "the batch ended without a line for it that can be read", maybe_paid=True)
    if state.status in _ENDS:
        return Failure(*_ENDS[state.status])
    errors = getattr(state.errors, "data", None) or []
    complaints = [f"{getattr(error, 'code', '')}: {getattr(error, 'message', '')}" for error in errors[:3]]
    why = endpoint.without_secrets(f"the batch was refused: {'; '.join(complaints)}")[:300]
    if any("limit" in complaint.partition(":")[0] for complaint in complaints):
        return Failure("rate_limited", f"{why}; send fewer at once, or when other batches are over")
    return Failure("bad_request", why)
