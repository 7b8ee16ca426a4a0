"""One batch that was sent: found where its id was lost, looked at, and taken in whatever state it is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from mrharm.llm.batch_file import end_of, read_line
from mrharm.llm.batch_rows import Batch
from mrharm.llm.batch_service import BatchService, State
from mrharm.llm.endpoint import EndpointError
from mrharm.llm.moves import Answer, Failure
from mrharm.llm.pricing import find_price
from mrharm.llm.requester import Asker

T = TypeVar("T")
log = logging.getLogger("mrharm.llm")

_AT_ONCE = 200  # answers in one transaction
_LISTED_S = 10.0  # after which a batch that was created stands in the provider's list


@dataclass
class _Read:
    """What the lines of a file said; the first answer to a question counts, and any answer before any failure."""

    answered: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    repeated: int = 0
    garbled: int = 0


class Fetch:
    """Fetches one batch; raises `EndpointError` once trying again has not helped."""

    def __init__(self, asker: Asker, service: BatchService, batch: Batch) -> None:
        self._asker, self._service, self._batch = asker, service, batch
        self._rows = asker.ledger.batches

    def state(self) -> State:
        """How far it is at the provider."""
        batch = self._rows.get(self._batch.token) or self._batch
        return self._patiently(lambda: self._service.look(batch.id or ""))

    def find(self) -> bool:
        """Whether a batch that may have been created has been; where this says no, it never will be.

        Between the call that creates a batch and the word that it did, a process may die, and the call may still be on
        its way. So its file is taken away, and then looked again: without its file no batch can be created.
        """
        batch, file = self._batch, self._batch.file or ""
        found = self._patiently(lambda: self._service.find(batch.token, file, batch.made))
        if found is None:
            try:
                self._patiently(lambda: self._service.delete(file))
            except EndpointError as trouble:
                if trouble.kind != "bad_request":  # a service that deletes no files
                    raise
            self._asker.rest(_LISTED_S)
            found = self._patiently(lambda: self._service.find(batch.token, file, batch.made))
        if found:
            self._rows.created(batch.token, found.id)
        return found is not None

    def take_in(self, state: State) -> Iterator[str]:
        """Write down all that a batch brought, and end it; yields its questions as they are settled."""
        token = self._batch.token
        whole = _Read()
        for file in (state.output_file, state.error_file):
            if file:
                read = yield from self._take_in_file(file)
                whole.failures = read.failures | whole.failures
                whole.answered |= read.answered
                whole.strange += read.strange
                whole.repeated += read.repeated
                whole.garbled += read.garbled
        whole.strange += self._rows.strangers(token, whole.failures)
        failed = self._rows.end(
            token,
            whole.failures,
            end_of(state, whole.garbled),
            {
                "status": state.status,
                "answered": len(whole.answered),
                "failed": len(whole.failures),
                "repeated": whole.repeated,
                "strange": len(whole.strange),
                "garbled": whole.garbled,
            },
        )
        self._tell(state, whole)
        yield from failed

    def _take_in_file(self, file: str) -> Generator[str, None, _Read]:
        """Write down the answers in a file; from its beginning again where the connection is lost."""
        for tries in range(1, self._asker.limits.attempts + 1):
            read = _Read()
            try:
                yield from self._take_in_lines(file, read)
                return read
            except EndpointError as trouble:
                if trouble.gone:  # it has been deleted since, with what was paid for
                    read.garbled += 1
                    return read
                if not trouble.again or tries == self._asker.limits.attempts:
                    raise
                self._asker.rest(self._asker.delay(trouble, tries))
        raise AssertionError("the last try returns or raises")

    def _take_in_lines(self, file: str, read: _Read) -> Iterator[str]:
        model = self._batch.model
        price = find_price(self._asker.batch_prices, model)
        answers: dict[str, Answer] = {}
        try:
            for line in self._service.lines(file):
                try:
                    key, said = read_line(line, self._service, model, price)
                except ValueError as error:
                    read.garbled += 1
                    log.debug("a line of batch %s: %s", self._batch.id, error)
                    continue
                if isinstance(said, Failure):
                    read.repeated += key in read.answered or key in read.failures
                    read.failures.setdefault(key, said)
                elif key in read.answered:
                    read.repeated += 1
                else:
                    read.repeated += key in read.failures
                    read.answered.add(key)
                    answers[key] = said
                if len(answers) == _AT_ONCE:
                    yield from self._keep(answers, read)
        except EndpointError:
            yield from self._keep(answers, read)  # what came before the connection was lost
            raise
        yield from self._keep(answers, read)

    def _keep(self, answers: dict[str, Answer], read: _Read) -> list[str]:
        kept, strange = self._rows.keep(self._batch.token, answers)
        answers.clear()
        read.strange += strange
        return kept

    def _tell(self, state: State, read: _Read) -> None:
        if state.status == "failed":
            log.warning("batch %s was refused: %s %s", state.id, state.code, state.complaint)
        if read.strange:
            log.warning(
                "batch %s: %d answers to questions that are not its own are ignored; the first is called %r",
                state.id,
                len(read.strange),
                read.strange[0][:80],
            )
        if read.garbled:
            log.warning("batch %s: %d lines cannot be read, and are ignored", state.id, read.garbled)
        if read.repeated:
            log.warning("batch %s: %d lines came more than once; the first counts", state.id, read.repeated)

    def _patiently(self, call: Callable[[], T]) -> T:
        for tries in range(1, self._asker.limits.attempts + 1):
            try:
                return call()
            except EndpointError as trouble:
                again = trouble.again or trouble.kind == "timed_out"
                if trouble.final or not again or tries == self._asker.limits.attempts:
                    raise
                self._asker.rest(self._asker.delay(trouble, tries))
        raise AssertionError("the last try returns or raises")
