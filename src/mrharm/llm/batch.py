"""Many questions by the provider's batch service: sent as files, waited for, fetched, and found again after a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from mrharm.errors import ModelUnavailableError
from mrharm.llm.batch_fetch import Fetch
from mrharm.llm.batch_rows import Batch
from mrharm.llm.batch_send import Sender
from mrharm.llm.batch_service import BatchService
from mrharm.llm.endpoint import EndpointError
from mrharm.llm.moves import Failure
from mrharm.llm.requester import Asker, completion_of
from mrharm.llm.requests import CallError, Completion, Request

log = logging.getLogger("mrharm.llm")

_LOOKS = 20  # in a row that may fail before the waiting is given up


class Batches:
    """Batches of one client's questions; opens nothing before the first."""

    def __init__(self, asker: Asker) -> None:
        self._asker, self._ledger, self._rows = asker, asker.ledger, asker.ledger.batches

    def complete(
        self, requests: Sequence[Request], poll: float, looked: Callable[[int], None]
    ) -> Generator[tuple[int, Completion | CallError], None, None]:
        """As `HostedClient.complete_batch`; ``looked`` is told how many questions open batches are through with."""
        places: dict[str, list[int]] = {}
        questions: dict[str, Request] = {}
        for index, request in enumerate(requests):
            try:
                places.setdefault(request.key, []).append(index)
            except CallError as error:
                yield index, error
            else:
                questions[request.key] = request

        def results(keys: Iterable[str], *, cached: bool) -> Iterator[tuple[int, Completion | CallError]]:
            for key in keys:
                for number, index in enumerate(places.pop(key, [])):
                    yield index, self._result(key, cached=cached or number > 0)

        yield from results([key for key in questions if self._ledger.answered(key)], cached=True)
        if not places:
            return
        # A budget without a price is an error before anything is sent.
        worst = {key: self._asker.worst(questions[key], self._asker.batch_prices) for key in places}
        self._ledger.settle_dead(self._asker.name)
        service = BatchService(self._asker.open())
        yield from results(self._look_at_all(service), cached=False)
        under_way: dict[str, int] = {}  # token -> questions it is through with
        try:
            left = self._left(places, under_way, service)
            sender = Sender(self._asker, service, under_way)
            # Closed at once when the caller goes away, so that a batch that is being filled blocks nobody.
            with closing(sender.send([(questions[key], worst[key]) for key in left])) as all_refused:
                for key, refused in all_refused:
                    for index in places.pop(key, []):
                        yield index, refused
            yield from results(self._wait(service, under_way, poll, looked), cached=False)
            yield from results(list(places), cached=True)
        except EndpointError as trouble:
            raise _raised(trouble) from None
        finally:
            if under_way:
                log.warning(
                    "%d batches of questions go on at the provider; the same command picks them up",
                    len(under_way),
                )

    def look(self) -> None:
        """Fetch what open batches at this endpoint have brought."""
        for _ in self._look_at_all(BatchService(self._asker.open())):
            pass

    def _left(
        self, keys: Mapping[str, object], under_way: dict[str, int], service: BatchService
    ) -> list[str]:
        """The questions that are in no batch; the batches at this endpoint of the others are under way."""
        left = []
        for key in keys:
            token = self._rows.holder(key)
            batch = self._rows.get(token) if token else None
            if batch is None or batch.is_overdue:
                left.append(key)
            elif batch.endpoint == service.url:
                under_way.setdefault(batch.token, 0)
        return left

    def _look_at_all(self, service: BatchService) -> Iterator[str]:
        """Look once at every open batch; the questions of those that are over."""
        for batch in self._rows.open(service.url):
            try:
                yield from self._look(service, batch.token, {})
            except EndpointError as trouble:
                raise _raised(trouble) from None

    def _wait(
        self, service: BatchService, under_way: dict[str, int], poll: float, looked: Callable[[int], None]
    ) -> Iterator[str]:
        """The questions of the batches under way, as these end."""
        failed = 0
        while under_way:
            for token in list(under_way):
                try:
                    over = yield from self._look(service, token, under_way)
                    failed = 0
                except EndpointError as trouble:
                    failed += 1
                    if trouble.final or failed == _LOOKS:
                        raise
                    log.warning("%s; looking again", trouble.message)
                    over = False
                if over:
                    del under_way[token]
            looked(sum(under_way.values()))
            if under_way:
                self._asker.rest(poll)

    def _look(self, service: BatchService, token: str, through: dict[str, int]) -> Generator[str, None, bool]:
        """Look at a batch once, and fetch it where it is over; yields the questions it held. Returns whether it is."""
        batch = self._rows.get(token)
        if batch is None or batch.state == "ended":
            return True
        if batch.is_being_sent:
            return False
        fetch = Fetch(self._asker, service, batch)
        if batch.state == "new" or (batch.state == "sending" and not fetch.find()):
            self._drop(batch, Failure("stopped", "its process died before it was sent"), "never sent")
            return True
        try:
            state = fetch.state()
        except EndpointError as trouble:
            if not trouble.gone:
                raise
            return self._judge_gone(service, batch)
        if not state.is_over:
            through[token] = state.done
            return batch.is_overdue
        yield from fetch.take_in(state)
        return True

    def _judge_gone(self, service: BatchService, batch: Batch) -> bool:
        """A batch the provider does not know: it is gone, or it is another account's; its file tells which."""
        if not batch.is_overdue and not service.has_file(batch.file or ""):
            log.warning(
                "%s knows neither batch %s nor its file; if it was sent with another key, use that one",
                service.url,
                batch.id,
            )
            return True
        self._drop(batch, Failure("server_error", "the provider lost its batch", maybe_paid=True), "gone")
        return True

    def _drop(self, batch: Batch, failure: Failure, status: str) -> None:
        self._rows.end(batch.token, {}, failure, {"status": status})

    def _result(self, key: str, *, cached: bool) -> Completion | CallError:
        row = self._ledger.answered(key)
        if row:
            try:
                return completion_of(key, row.raw or "", row.nano_usd, cached=cached)
            except CallError as error:
                return error
        row = self._ledger.row(key)
        if row and row.status == "failed":
            return CallError(row.failure or "", row.failure_kind or "busy", row.raw)
        batch = self._rows.get(self._rows.holder(key) or "")
        if batch is None:
            return CallError("another process is at this question; run again later", "busy")
        if batch.is_overdue:
            return CallError(f"batch {batch.id} has not ended within its day", "timed_out")
        return CallError(
            f"it is in batch {batch.id} at {batch.endpoint}, which cannot be looked at here", "busy"
        )


def _raised(trouble: EndpointError) -> Exception:
    return trouble.final or ModelUnavailableError(f"{trouble.message}; run the same command again")
