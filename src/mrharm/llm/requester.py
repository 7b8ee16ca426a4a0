"""One question: its cost reserved, asked until it is answered or cannot be, and its answer committed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mrharm.errors import InputError, ModelUnavailableError, MrHarmError
from mrharm.llm.cache import Answer, Failure, Ledger, Row
from mrharm.llm.endpoint import Endpoint, EndpointError
from mrharm.llm.pricing import Price, bound_cost, count_cost, find_price, load_prices
from mrharm.llm.requests import (
    NANO,
    CallError,
    Completion,
    LedgerError,
    Request,
    parse_answer,
    read_completion,
)

_LONGEST_PAUSE = 30.0
_TRIES_TO_CONNECT = 3  # to an endpoint that never answered


@dataclass(frozen=True)
class Retry:
    """How long a question is tried."""

    deadline: float = 120.0  # seconds for one question, its retries and pauses included
    attempts: int = 6  # calls a question gets
    pause: Callable[[float], object] | None = (
        None  # waits some seconds before a retry, in place of sleep; for tests
    )


class Budget:
    """What a client may spend, has spent, and has reserved for calls in flight, in billionths of a dollar.

    Raises:
        InputError: a limit in USD below 0.
    """

    def __init__(self, usd: float | None) -> None:
        if usd is not None and not usd >= 0:
            raise InputError(f"a budget of {usd} USD; expected 0 or more")
        self.limit = None if usd is None else round(usd * NANO)
        self.spent = 0  # questions in batches included, at the most they can cost
        self._reserved = 0
        self._charged: dict[str, int] = {}  # key -> cost, of questions in batches
        self._changed = threading.Condition()

    def reserve(self, cost: int, stop: threading.Event | None = None, deadline: float = 0.0) -> bool:
        """Reserve the most a call can cost; returns False where it does not fit.

        Until ``stop`` is set or ``deadline`` (of time.monotonic) has passed, waits for what calls in flight give back.
        """
        with self._changed:
            while self.limit is not None and self.spent + self._reserved + cost > self.limit:
                hopeless = self.spent + cost > self.limit
                if hopeless or stop is None or stop.is_set() or time.monotonic() > deadline:
                    return False
                self._changed.wait(0.05)
            self._reserved += cost
            return True

    def settle(self, reserved: int, spent: int) -> None:
        """Give back what was reserved for a call, and count what it cost."""
        with self._changed:
            self._reserved -= reserved
            self.spent += spent
            self._changed.notify_all()

    def charge(self, key: str, cost: int) -> bool:
        """Count the most a question in a batch can cost as spent, for hours; returns False where it does not fit."""
        fits = self.reserve(cost)
        if fits:
            self.settle(cost, cost)
            self._charged[key] = cost
        return fits

    def correct_charge(self, key: str, cost: int | None) -> None:
        """Count what a question charged here has cost in place of the most it could; None: as charged."""
        charged = self._charged.pop(key, None)
        if charged is not None and cost is not None:
            self.settle(0, cost - charged)

    @property
    def charged_keys(self) -> list[str]:
        """Return the keys of the questions charged whose cost is not known yet."""
        return list(self._charged)

    def explain_refusal(self, cost: int) -> str:
        """Return why a question of at most this cost was not asked."""
        limit = (self.limit or 0) / NANO
        return (
            f"it may cost {cost / NANO:.6f} USD; of the budget of {limit:.6f} USD, {self.spent / NANO:.6f} are spent "
            f"and {self._reserved / NANO:.6f} reserved; run again with a larger budget"
        )


@dataclass
class Run:
    """One round of questions: whether to stop asking, and the error that stopped it."""

    stop: threading.Event = field(default_factory=threading.Event)
    error: MrHarmError | None = None

    def end(self, error: MrHarmError) -> None:
        """Ask nothing more; the first error is the one to raise."""
        self.error = self.error or error
        self.stop.set()


@dataclass
class _Call:
    """A question while it is asked; money in billionths of a dollar."""

    request: Request
    cost: int  # the most one try can cost
    deadline: float  # of time.monotonic
    reserved: int = 0  # of the budget, for the try under way
    spent: int = 0  # on the last try


class Requester:
    """Asks questions one by one, from as many threads as there are; opens nothing before the first."""

    def __init__(
        self,
        ledger: Ledger,
        make_endpoint: Callable[[], Endpoint],
        budget: Budget,
        price_file: Path | None,
        retry: Retry,
    ) -> None:
        self.ledger, self.budget, self.retry = ledger, budget, retry
        self._make_endpoint, self._price_file = make_endpoint, price_file
        self._opening = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._has_answered = False

    @cached_property
    def prices(self) -> dict[str, Price]:
        """Return model -> price."""
        return load_prices(self._price_file)

    @cached_property
    def batch_prices(self) -> dict[str, Price]:
        """Return model -> price in a batch."""
        return {model: price.half for model, price in self.prices.items()}

    def open_endpoint(self) -> Endpoint:
        """Return the endpoint, opened on first use."""
        with self._opening:
            self._endpoint = self._endpoint or self._make_endpoint()
            return self._endpoint

    def close(self) -> None:
        """Close the connections."""
        if self._endpoint:
            self._endpoint.close()
            self._endpoint = None

    def answer(self, request: Request, run: Run) -> Completion:
        """Return a question's answer, from the ledger or the endpoint.

        Raises:
            CallError: this question has none.
            MrHarmError: of any other kind: no question can have one.
        """
        row = self.ledger.find_answer(request.key)
        if row:
            return read_completion(row.key, row.raw or "", row.nano_usd, cached=True)
        cost = bound_cost(request, self.prices, required=self.budget.limit is not None)
        endpoint = self.open_endpoint()
        call = _Call(request, cost, time.monotonic() + self.retry.deadline)
        try:
            self._reserve(call, run)
            row = self._start(call, endpoint)
            if row:
                return read_completion(row.key, row.raw or "", row.nano_usd, cached=True)
            call.deadline = time.monotonic() + self.retry.deadline  # waiting for money does not count
            answer = self._ask_or_fail(call, endpoint, run)
            call.spent = answer.nano_usd or 0
            try:
                self.ledger.commit_answer(request.key, answer)
            except LedgerError as error:
                run.end(error)  # the answer is paid for: it is handed over, and nothing more is asked
        except EndpointError as error:
            raise error.fatal or CallError(error.message, error.kind, error.raw) from None
        finally:
            self.budget.settle(call.reserved, call.spent)
        return read_completion(request.key, answer.raw, answer.nano_usd, cached=False)

    def _reserve(self, call: _Call, run: Run) -> None:
        if self.budget.reserve(call.cost, run.stop, call.deadline):
            call.reserved = call.cost
        elif run.stop.is_set():
            raise EndpointError("stopped", "stopped before it was answered")
        else:
            raise EndpointError("over_budget", self.budget.explain_refusal(call.cost))

    def _start(self, call: _Call, endpoint: Endpoint) -> Row | None:
        """Make a question pending; returns its row where another thread has had it answered since."""
        row = self.ledger.mark_pending(call.request, call.cost, endpoint.url)
        if row is None or row.is_sound:
            return row
        if row.batch:
            why = "it is in a batch that has not ended; run with --batch to wait for that"
            raise EndpointError("busy", why)
        raise EndpointError("busy", "another call of this process is asking it; run again later")

    def _ask_or_fail(self, call: _Call, endpoint: Endpoint, run: Run) -> Answer:
        """Return the answer, or commit why there is none and raise `EndpointError`."""
        try:
            raw = self._ask_with_retries(call, endpoint, run)
        except BaseException as error:
            # Whether an interrupted call is paid is not known.
            failure = Failure("stopped", type(error).__name__, maybe_paid=True)
            if isinstance(error, EndpointError):
                failure = Failure(error.kind, error.message, error.raw, error.maybe_paid)
            call.spent = call.reserved if failure.maybe_paid else 0
            self.ledger.commit_failure(call.request.key, failure)
            raise
        self._has_answered = True
        usage = parse_answer(raw).usage
        cost = count_cost(usage, find_price(self.prices, call.request.model))
        return Answer(raw, usage, (call.cost or None) if cost is None else cost)

    def _ask_with_retries(self, call: _Call, endpoint: Endpoint, run: Run) -> str:
        """Ask until there is an answer; raise `EndpointError` once trying again is of no use."""
        try:
            messages = call.request.encode_messages()
        except MrHarmError as error:
            raise EndpointError("bad_request", str(error)) from None
        tries = 0
        while True:
            tries += 1
            try:
                return endpoint.ask(call.request, messages, call.deadline)
            except EndpointError as error:
                trouble = error
            pause = self._choose_pause(trouble, tries)
            is_last = tries >= self.retry.attempts or time.monotonic() + pause > call.deadline
            given_up = is_last or tries >= _TRIES_TO_CONNECT
            if trouble.kind == "unreachable" and not self._has_answered and given_up:
                mend = "start the server, or set OPENAI_BASE_URL to one that runs"
                trouble.fatal = trouble.fatal or ModelUnavailableError(f"{trouble.message}; {mend}")
            if trouble.fatal or is_last or not trouble.retryable or run.stop.is_set():
                raise trouble
            if trouble.maybe_paid:
                # The answer was lost on its way: it counts as spent, and another try needs money of its own.
                self.budget.settle(call.reserved, call.cost)
                call.reserved = 0
                self._reserve(call, run)
            self._pause(pause, run)

    def _choose_pause(self, trouble: EndpointError, tries: int) -> float:
        """Return the seconds before the next try: what the server asks for and a little more, else growing."""
        if trouble.retry_after is not None:
            return trouble.retry_after * random.uniform(1.0, 1.1)
        return float(min(_LONGEST_PAUSE, 0.5 * 2 ** (tries - 1))) * random.uniform(0.5, 1.0)

    def _pause(self, seconds: float, run: Run) -> None:
        (self.retry.pause or run.stop.wait)(seconds)
        if run.stop.is_set():
            raise EndpointError("stopped", "stopped before it was answered")
