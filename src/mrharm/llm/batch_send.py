"""Questions on their way into batches: claimed, written into files that are not too large, uploaded, created."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, islice
from typing import NamedTuple

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm import batch_file
from mrharm.llm.batch_fetch import Fetch
from mrharm.llm.batch_file import Questions, line_of
from mrharm.llm.batch_rows import WINDOW
from mrharm.llm.batch_service import BatchService
from mrharm.llm.endpoint import EndpointError
from mrharm.llm.moves import Failure, Stake
from mrharm.llm.owners import let_go, new_owner
from mrharm.llm.requester import Asker
from mrharm.llm.requests import CallError, Request
from mrharm.llm.rows import BATCH, Refusal, Row

_AT_ONCE = 64  # questions claimed in one transaction, their pictures in memory
_UNSURE = ("cut", "timed_out", "server_error", "malformed")  # after which a batch may have been created


class _Line(NamedTuple):
    """A question, the most it can cost, and its line."""

    request: Request
    worst: int
    line: bytes


class Sender:
    """Sends questions as batches; the token of each that is sent goes into ``under_way``."""

    def __init__(self, asker: Asker, service: BatchService, under_way: dict[str, int]) -> None:
        self._asker, self._service, self._under_way = asker, service, under_way
        self._rows = asker.ledger.batches

    def send(self, questions: Sequence[tuple[Request, int]]) -> Generator[tuple[str, CallError], None, None]:
        """Send questions, each with the most it can cost; yields the keys of those that are not, and why.

        Raises:
            MrHarmError: none can be sent.
            EndpointError: it cannot be told whether a batch was created; another call finds out.
        """
        in_order = sorted(questions, key=lambda question: question[0].model)
        for _, group in groupby(in_order, key=lambda question: question[0].model):
            filling: Questions | None = None  # a file asks one model
            try:
                while chunk := list(islice(group, _AT_ONCE)):
                    lines = yield from self._write(chunk)
                    while lines:
                        filling = filling or Questions(uuid.uuid4().hex, new_owner())
                        fitting = _fitting(filling, lines)
                        if not fitting:
                            yield from self._send(filling)
                            filling = None
                            continue
                        yield from self._claim(filling, fitting)
                        del lines[: len(fitting)]
                if filling:
                    yield from self._send(filling)
            finally:
                if filling:
                    filling.file.close()
                    let_go(filling.owner)

    def _write(
        self, chunk: Sequence[tuple[Request, int]]
    ) -> Generator[tuple[str, CallError], None, list[_Line]]:
        lines = []
        for request, worst in chunk:
            try:
                line = line_of(request)
            except MrHarmError as error:
                yield request.key, CallError(str(error), "bad_request")
                continue
            if len(line) > batch_file.MOST_BYTES:
                yield request.key, CallError(f"{len(line):,} bytes; too large for any batch", "bad_request")
            else:
                lines.append(_Line(request, worst, line))
        return lines

    def _claim(self, filling: Questions, lines: Sequence[_Line]) -> Iterator[tuple[str, CallError]]:
        """Claim questions and write them into the file; yields those that are not to be had."""
        stake = Stake(
            run=self._asker.name,
            owner=BATCH + filling.token,
            lease=WINDOW,
            endpoint=self._service.url,
            budget=self._asker.limits.budget_nano,
        )
        asks = [(line.request, line.worst) for line in lines]
        refused = self._rows.claim(filling.token, filling.owner, asks, stake)
        for request, worst, line in lines:
            if request.key not in refused:
                filling.add(request.key, line)
            else:
                error = self._refused(request.key, worst, refused[request.key])
                if error:
                    yield request.key, error

    def _refused(self, key: str, worst: int, refusal: Row | Refusal) -> CallError | None:
        """Why a question cannot be had; None where its answer is there, or under way, since a moment ago."""
        if refusal in ("never", "later"):
            return CallError(self._asker.over_budget(worst), "over_budget")
        if refusal == "theirs":
            return CallError("another process is at this question; run again later", "busy")
        token = self._rows.holder(key)
        if token:
            self._under_way.setdefault(token, 0)
        return None

    def _send(self, full: Questions) -> Iterator[tuple[str, CallError]]:
        """Have a batch made of a file; yields its questions where the provider does not take it."""
        try:
            trouble = self._create(full) if full.keys else EndpointError("stopped", "nothing in it")
        finally:
            full.file.close()
            let_go(full.owner)
        if trouble is None:
            self._under_way[full.token] = 0
            return
        self._rows.end(full.token, {}, Failure(trouble.kind, trouble.message), {"status": "not sent"})
        if trouble.final:
            raise trouble.final
        if trouble.kind == "unreachable":
            raise ModelUnavailableError(
                f"{trouble.message}; start the server, or set OPENAI_BASE_URL to one that runs"
            )
        for key in full.keys:
            yield key, CallError(trouble.message, trouble.kind)

    def _create(self, full: Questions) -> EndpointError | None:
        """Upload a file and have a batch made of it; what the trouble is once trying again has not helped."""
        file: str | None = None
        attempts = self._asker.limits.attempts
        for tries in range(1, attempts + 1):
            try:
                if file is None:
                    file = self._service.upload(full.token, full.file)
                    self._rows.uploaded(full.token, file)
                state = self._service.create(file, full.token)
                self._rows.created(full.token, state.id)
                return None
            except EndpointError as error:
                trouble = error
            if file is not None and trouble.kind in _UNSURE:
                batch = self._rows.get(full.token)
                if batch and Fetch(self._asker, self._service, batch).find():
                    return None
                file = None  # taken away, so that the lost call can make nothing of it
            again = trouble.again or trouble.kind == "timed_out"
            if trouble.final or not again or tries == attempts:
                break
            self._asker.rest(self._asker.delay(trouble, tries))
        if file is not None:
            with suppress(EndpointError):
                self._service.delete(file)
        return trouble


def _fitting(filling: Questions, lines: Sequence[_Line]) -> list[_Line]:
    """The first of the lines, as many as the file has room for."""
    size = 0
    for count, line in enumerate(lines):
        size += len(line.line)
        if not filling.has_room(count + 1, size):
            return list(lines[:count])
    return list(lines)
