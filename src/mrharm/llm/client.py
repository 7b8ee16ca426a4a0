"""The client of hosted models: many questions at once, each through the ledger, within a budget."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm.batch import BatchRound, Result
from mrharm.llm.cache import Ledger
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.pricing import Budget, Price, bound_cost, count_cost, count_tokens, find_price, load_prices
from mrharm.llm.requests import NANO, CallError, Completion, Request

_LONGEST_PAUSE_S = 30.0
_POLL_S = 30.0  # between looks at batches
_PASSING = ("rate_limited", "server_error", "timed_out", "malformed", "cut", "unreachable")  # tried again


@dataclass(frozen=True)
class Estimate:
    """What asking would take. Every answer is taken to be as long as it may be."""

    questions: int  # different questions
    cached: int  # of them, answered already
    calls: int  # the others
    prompt_tokens: int
    completion_tokens: int
    usd_likely: float | None  # prompts counted as English; None where no price is known
    usd_at_most: float | None  # prompts counted as the worst text


class HostedClient(AbstractContextManager["HostedClient"]):
    """Asks hosted models, from as many threads as there are. Opens nothing before the first question.

    Args:
        ledger: file of the answers paid for; None for the user's own (`cache.default_path`). One process at a time
            can use it; clients of one process share it.
        base_url: an OpenAI-compatible endpoint; None for OPENAI_BASE_URL, else OpenAI's own.
        key_file: a file that holds the key; None for OPENAI_API_KEY.
        prices: a table of prices that overrides the package's; None for the file in MRHARM_PRICES, if set.
        budget: USD this client may spend; not passed as long as the server keeps to max_tokens.

    Raises:
        InputError: a budget below 0.
    """

    deadline_s = 120.0  # for one question, its retries and pauses included
    attempts = 6  # calls a question gets

    def __init__(
        self,
        *,
        ledger: Path | None = None,
        base_url: str | None = None,
        key_file: Path | None = None,
        prices: Path | None = None,
        budget: float | None = None,
    ) -> None:
        self.ledger, self._budget = Ledger(ledger), Budget(budget)
        self._base_url, self._key_file, self._price_file = base_url, key_file, prices
        self._pause: Callable[[threading.Event, float], object] = threading.Event.wait

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self._base_url, self._key_file)

    @cached_property
    def _prices(self) -> dict[str, Price]:
        return load_prices(self._price_file)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and ledger; the next question opens them again."""
        endpoint: Endpoint | None = self.__dict__.pop("_endpoint", None)
        if endpoint:
            endpoint.close()
        self.ledger.close()

    def check(self, model: str) -> None:
        """Raise now, without a call, what would keep every question to a model from an answer.

        Raises:
            InputError: no `openai` package, no key, or a budget without the model's price.
            LedgerError: the ledger is in use by another process, damaged or full.
        """
        self.ledger.find_row("")
        self.ledger.close()  # hours may pass before the first question
        _ = self._endpoint
        find_price(self._prices, model, required=self._budget.limit is not None)

    @property
    def spent(self) -> float:
        """Return the USD this client has spent, what lost answers may have cost included."""
        return self._budget.spent / NANO

    def complete_many(
        self, requests: Iterable[Request], concurrency: int = 8
    ) -> Iterator[tuple[int, Result]]:
        """Ask many questions, ``concurrency`` at a time; yields each with its position, as they are done.

        Every answer is in the ledger before it is yielded. When the caller stops early, calls in flight are waited for
        and kept. When no call can succeed any more, those in flight are yielded first, then the error is raised.

        Raises:
            AuthorizationError: the endpoint does not take the key.
            ModelUnavailableError: no endpoint in reach, no such model, or no credit.
            InputError: no key, no `openai` package, a budget without a price, a setting that a call cannot have.
            LedgerError: the ledger cannot be read or written.
        """
        stop, workers = threading.Event(), max(1, concurrency)
        source = enumerate(requests)
        positions: dict[str, list[int]] = {}  # of each question in flight, its copies included
        in_flight: dict[Future[Result], str] = {}
        fatal: MrHarmError | None = None
        pool = ThreadPoolExecutor(workers, thread_name_prefix="hosted")
        try:
            while True:
                # Fill the pool.
                while not stop.is_set() and len(in_flight) < workers:
                    index, request = next(source, (-1, None))
                    if request is None:
                        break
                    try:
                        positions.setdefault(request.key, []).append(index)
                    except CallError as error:
                        yield index, error
                        continue
                    if len(positions[request.key]) == 1:
                        in_flight[pool.submit(self._ask, request, stop)] = request.key
                if not in_flight:
                    break
                # Hand over what is done; the first error that no question can get past ends the round.
                for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                    indexes = positions.pop(in_flight.pop(future))
                    try:
                        result: Result = future.result()
                    except CallError as error:
                        result = error
                    except MrHarmError as error:
                        fatal = fatal or error
                        stop.set()
                        continue
                    if isinstance(result, Completion) or result.kind != "stopped":
                        yield from _deliver(result, indexes)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if fatal:
            raise fatal

    def complete_batch(self, requests: Iterable[Request]) -> Iterator[tuple[int, Result]]:
        """Ask one model many questions by the provider's batch service, at half the price; as `complete_many`.

        What earlier calls left at the provider is fetched first and not sent again. When the caller stops or is killed,
        batches that were sent go on, and the next call finds them. A question without an answer at the end of the
        batch's day is "timed_out", and sent again by the next call.

        Raises:
            MrHarmError: as `complete_many`.
        """
        positions: dict[str, list[int]] = {}
        questions: dict[str, Request] = {}
        for index, request in enumerate(requests):
            try:
                positions.setdefault(request.key, []).append(index)
                questions[request.key] = request
            except CallError as error:
                yield index, error
        for key in list(questions):
            row = self.ledger.find_row(key)
            if row and row.is_sound:
                del questions[key]
                yield from _deliver(row.read_result(cached=True), positions[key])
        if questions:  # else neither a key nor a server is needed
            batches = BatchRound(self.ledger, self._budget, self._prices, self._endpoint, questions)
            for key, result in batches.complete(lambda: self._pause(threading.Event(), _POLL_S)):
                yield from _deliver(result, positions[key])

    def estimate(self, requests: Iterable[Request], *, batch: bool = False) -> Estimate:
        """Estimate what asking would take, without a call: a question counts once, an answered one not at all.

        ``batch``: at the price of a batch; a question that is in a batch counts as answered.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        unique = {request.key: request for request in requests}
        tokens, likely, most = [], 0, 0
        is_priced = True
        for key, request in unique.items():
            row = self.ledger.find_row(key)
            if row and (row.is_sound or (batch and row.batch)):
                continue
            price = find_price(self._prices, request.model, batch=batch)
            count = count_tokens(request, price)
            tokens.append(count)
            if price is None or count.most_completion is None:
                is_priced = False
                continue
            likely += price.nano_usd(count.likely_prompt, count.most_completion)
            most += price.nano_usd(count.most_prompt, count.most_completion)
        return Estimate(
            questions=len(unique),
            cached=len(unique) - len(tokens),
            calls=len(tokens),
            prompt_tokens=sum(count.likely_prompt for count in tokens),
            completion_tokens=sum(count.most_completion or 0 for count in tokens),
            usd_likely=likely / NANO if is_priced else None,
            usd_at_most=most / NANO if is_priced else None,
        )

    def _ask(self, request: Request, stop: threading.Event) -> Result:
        """Return a question's answer, from the ledger or the endpoint, or why it has none.

        Raises:
            CallError: it has none.
            MrHarmError: of any other kind: no question can have one.
        """
        row = self.ledger.find_row(request.key)
        if row and row.is_sound:
            return row.read_result(cached=True)
        if row and row.batch:
            raise CallError("it is in a batch that has not ended; run with --batch to wait for that", "busy")
        cost = bound_cost(request, self._prices, required=self._budget.limit is not None)
        self._budget.reserve(cost, stop, time.monotonic() + self.deadline_s)
        deadline = time.monotonic() + self.deadline_s  # waiting for money does not count
        for attempt in itertools.count(1):
            try:
                return self._ask_once(request, cost, deadline)
            except CallError as error:
                trouble = error
            # What the server asks for and a little more, else growing.
            pause = min(_LONGEST_PAUSE_S, 0.5 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            if trouble.retry_after is not None:
                pause = trouble.retry_after * random.uniform(1.0, 1.1)
            is_last = attempt >= self.attempts or time.monotonic() + pause > deadline
            if trouble.kind == "unreachable" and is_last:
                mend = "start the server, or set OPENAI_BASE_URL to one that runs"
                raise ModelUnavailableError(f"{trouble}; {mend}")
            if is_last or trouble.kind not in _PASSING:
                break
            self._pause(stop, pause)
            self._budget.reserve(cost, stop, deadline)
        raise trouble

    def _ask_once(self, request: Request, cost: int, deadline: float) -> Result:
        """Ask a question once, its cost reserved, and write the outcome into ledger and budget."""
        spent = 0
        try:
            self.ledger.mark_pending(request, cost, self._endpoint.url)
            spent = cost  # until it is known whether the call is paid
            try:
                answer = self._endpoint.ask(request, deadline)
            except MrHarmError as error:
                failure = CallError.wrap(error)
                # An answer lost on its way counts as spent, and another try needs money of its own.
                spent = cost if failure.maybe_paid else 0
                self.ledger.commit(request.key, failure)
                raise
            counted = count_cost(answer.usage, find_price(self._prices, request.model))
            spent = cost if counted is None else counted
            usd = None if counted is None and not cost else spent / NANO
            answer = replace(answer, usd=usd)
            self.ledger.commit(request.key, answer)
        finally:
            self._budget.settle(cost, spent)
        return answer.failure or answer


def _deliver(result: Result, positions: Sequence[int]) -> Iterator[tuple[int, Result]]:
    """Yield a result with each position of its question; copies of a question cost nothing."""
    for number, position in enumerate(positions):
        if number and isinstance(result, Completion):
            result = replace(result, cached=True)
        yield position, result
