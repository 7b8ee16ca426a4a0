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
from typing import Any

from pydantic import BaseModel, StrictInt

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm.cache import WINDOW_S, Batch, Ledger
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.pricing import Budget, Price, bound_cost, count_cost, find_price
from mrharm.llm.requests import NANO, CallError, Completion, FailureKind, Request, parse_answer

Result = Completion | CallError
log = logging.getLogger("mrharm.llm")

MOST_QUESTIONS = 50_000  # of a file
MOST_BYTES = 100_000_000  # half of what a file may hold: it is put together in memory
_MOST_TROUBLES = 20  # in a row before the waiting is given up
_UNSURE = ("cut", "timed_out", "server_error", "malformed")  # after these a batch may have been created
# A batch that ended before a question's turn came -> why the question has no answer.
_UNFINISHED: dict[str, FailureKind] = {
    "expired": "timed_out",
    "cancelled": "stopped",
    "failed": "bad_request",
}


class _Response(BaseModel):
    status_code: StrictInt
    body: Any = None


class _Line(BaseModel):
    """A line of a batch's output or error file."""

    custom_id: str
    response: _Response | None = None
    error: dict[str, Any] | None = None


class BatchRound:
    """Asks one model ``questions``, by their keys, none of them answered; as `HostedClient.complete_batch`."""

    def __init__(
        self,
        ledger: Ledger,
        budget: Budget,
        prices: Mapping[str, Price],
        endpoint: Endpoint,
        questions: Mapping[str, Request],
    ) -> None:
        self._ledger, self._budget, self._prices, self._endpoint = ledger, budget, prices, endpoint
        self._unanswered = dict(questions)
        self._reserved: dict[str, int] = {}  # key -> reserved of the budget, in billionths of a dollar
        self._open: set[str] = set()  # tokens of the batches that this endpoint knows and has not ended
        self._troubles = 0  # in a row
        self._holding: set[str] = set()  # tokens of the batches with unanswered questions of this round

    def complete(self, pause: Callable[[], object]) -> Iterator[tuple[str, Result]]:
        """Yield each question's key with its result; ``pause`` is called between polls."""
        try:
            # What earlier calls left at the provider comes first.
            self._poll()
            yield from self._take_results("answered")
            yield from self._send()
            while self._holding & self._open:
                self._poll()
                yield from self._take_results("answered", "failed")
                if self._holding & self._open:
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
            if self._holding & self._open:
                what = "%d batches of questions go on at the provider; the same command picks them up"
                log.warning(what, len(self._holding & self._open))

    def _take_results(self, *statuses: str) -> Iterator[tuple[str, Result]]:
        """Yield the questions whose rows have one of these statuses, and note which batches hold the others."""
        self._holding.clear()
        for key in list(self._unanswered):
            row = self._ledger.find_row(key)
            if row and row.batch:
                self._holding.add(row.batch)
            elif row and row.status in statuses and (row.is_sound or row.status == "failed"):
                del self._unanswered[key]
                yield key, row.read_result(cached=False)

    def _send(self) -> Iterator[tuple[str, Result]]:
        """Send the questions that are in no batch; yields those that cannot be sent, and why."""
        group: list[tuple[Request, bytes]] = []
        size = 0  # bytes
        for request in list(self._unanswered.values()):
            row = self._ledger.find_row(request.key)
            if row and row.batch:
                continue
            cost = bound_cost(request, self._prices, batch=True, required=self._budget.limit is not None)
            try:
                line = _write_line(request)
                self._budget.reserve(cost)
            except CallError as error:
                del self._unanswered[request.key]
                yield request.key, error
                continue
            self._reserved[request.key] = cost
            if len(group) == MOST_QUESTIONS or size + len(line) > MOST_BYTES:
                self._create(group)
                group, size = [], 0
            group.append((request, line))
            size += len(line)
        if group:
            self._create(group)

    def _create(self, questions: Sequence[tuple[Request, bytes]]) -> None:
        """Upload a file of questions and have a batch created of it."""
        file = ("questions.jsonl", b"".join(line for _, line in questions), "application/jsonl")
        file_id = self._call(lambda api: api.files.create(file=file, purpose="batch").id)
        model = questions[0][0].model
        batch = Batch(uuid.uuid4().hex, self._endpoint.url, model, time.time(), str(file_id), None)
        self._ledger.start_batch(batch, [(request, self._reserved[request.key]) for request, _ in questions])
        options = {"completion_window": "24h", "endpoint": "/v1/chat/completions"}
        try:
            batch_id = self._call(lambda api: api.batches.create(input_file_id=batch.file, **options).id)
        except MrHarmError as error:
            failure = CallError.wrap(error)
            if failure.kind not in _UNSURE:  # else the next call looks for it by its file
                self._end(batch, {}, failure)
            raise
        self._ledger.set_batch_id(batch.token, str(batch_id))
        self._open.add(batch.token)
        self._holding.add(batch.token)

    def _poll(self) -> None:
        """Look once at every batch that has not ended, and fetch what has; trouble may be over by the next look."""
        for batch in self._ledger.list_open_batches():
            try:
                is_open = self._poll_batch(batch)
                self._troubles = 0
            except CallError as error:
                self._troubles += 1
                if self._troubles == _MOST_TROUBLES:
                    raise
                log.warning("%s; looking again", error)
                is_open = True
            (self._open.add if is_open else self._open.discard)(batch.token)

    def _poll_batch(self, batch: Batch) -> bool:
        """Look at a batch once, and fetch it if it has ended; returns whether it is to be waited for."""
        state = None
        if batch.endpoint == self._endpoint.url:
            batch_id = batch.id or self._call(_find_batch, batch.file)
            if batch_id is None:
                self._end(batch, {}, CallError("its process died before it was sent", "stopped"))
                return False
            if batch.id is None:
                self._ledger.set_batch_id(batch.token, batch_id)
            state = self._call(_get_batch, batch_id, may_be_gone=True)
            if state is None:
                url = self._endpoint.url
                log.warning("%s does not know batch %s; was it sent with another key?", url, batch_id)
        if state and state.status in ("completed", *_UNFINISHED):
            self._fetch(batch, state)
        elif time.time() > batch.made + WINDOW_S:
            why = f"batch {batch.id} at {batch.endpoint} has not ended within its day"
            self._end(batch, {}, CallError(why, "timed_out", maybe_paid=True))
        else:
            return state is not None
        return False

    def _fetch(self, batch: Batch, state: Any) -> None:
        """Commit what a batch brought, and end it. A question's first answer counts, and before any failure."""
        answers: dict[str, Result] = {}
        failures: dict[str, Result] = {}
        lost = 0  # lines that cannot be read, and files that the provider has no longer
        for file in filter(None, (state.output_file_id, state.error_file_id)):
            content = self._call(_read_file, file, may_be_gone=True)
            lost += content is None
            for line in filter(bytes.strip, (content or b"").split(b"\n")):  # no other byte ends a line
                try:
                    key, outcome = self._read_line(line, batch.model)
                except (ValueError, RecursionError):
                    lost += 1
                    continue
                (failures if isinstance(outcome, CallError) else answers).setdefault(key, outcome)
        if lost:
            log.warning("batch %s: %d lines or files cannot be read and are ignored", batch.id, lost)
        self._end(batch, failures | answers, _explain_end(state, self._endpoint, lost))

    def _read_line(self, line: bytes, model: str) -> tuple[str, Result]:
        """Return the key of a line's question, and its outcome.

        Raises:
            ValueError: not a line of a batch's output or error file.
        """
        row, endpoint = _Line.model_validate(json.loads(line)), self._endpoint
        if row.response is None:
            if row.error is None:
                raise ValueError("expected a response or an error")
            why = endpoint.without_secrets(f"{row.error.get('code')}: {row.error.get('message')}")[:300]
            return row.custom_id, CallError(why, "server_error")
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

    def _call(self, call: Callable[..., Any], *arguments: Any, may_be_gone: bool = False) -> Any:
        """Return what a call of the `openai` client brings; raises as `Endpoint.translate_errors`.

        None for a thing that the provider does not know, where it ``may_be_gone``.
        """
        try:
            with self._endpoint.translate_errors() as client:
                try:
                    return call(client, *arguments)
                except self._endpoint.openai.NotFoundError:
                    if may_be_gone:
                        return None
                    raise
        except (ValueError, TypeError, AttributeError):
            why = f"{self._endpoint.url}: expected a batch or a file, got something else"
            raise CallError(why, "malformed") from None


def _get_batch(api: Any, batch_id: str) -> Any | None:
    """Return the provider's record of a batch; None for one without a status."""
    state = api.batches.retrieve(batch_id)
    return state if state.status else None


def _read_file(api: Any, file: str) -> bytes:
    content: bytes = api.files.content(file).content
    return content


def _find_batch(api: Any, file: str | None) -> str | None:
    """Return the id of the batch created of an uploaded file, if there is one."""
    batches = api.batches.list(limit=100)  # and the next hundred, as far as need be
    return next((str(batch.id) for batch in batches if batch.input_file_id == file), None)


def _write_line(request: Request) -> bytes:
    """Return a question as a line. Plain ASCII, in which only its end can be taken for the end of a line."""
    body = {"model": request.model, "messages": request.encode_messages(), **request.settings}
    row = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
    line = json.dumps(row).encode("ascii") + b"\n"
    if len(line) > MOST_BYTES:
        raise CallError(f"{len(line):,} bytes; too large for any batch", "bad_request")
    return line


def _explain_end(state: Any, endpoint: Endpoint, lost: int) -> CallError:
    """Return why the questions have no answer for which an ended batch has no line that can be read."""
    if lost or state.status == "completed":
        why = "the batch ended without a line for it that can be read"
        return CallError(why, "malformed", maybe_paid=True)
    errors = getattr(state.errors, "data", None) or []
    complaints = "; ".join(f"{error.code}: {error.message}" for error in errors[:3])
    why = endpoint.without_secrets(f"the batch was {state.status} before its turn came; {complaints}")[:300]
    return CallError(why.rstrip("; "), _UNFINISHED[state.status])
