"""One question: claimed in the ledger, asked until it is answered or cannot be, and its answer kept."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.llm.endpoint import Endpoint, EndpointError
from mrharm.llm.ledger import Ledger
from mrharm.llm.owners import let_go
from mrharm.llm.pricing import NANO, Price, cost_of, count_tokens, find_price, load_prices, worst_case
from mrharm.llm.requests import CallError, Completion, FailureKind, LedgerError, Request, read_answer
from mrharm.llm.rows import Claim, Row

log = logging.getLogger("mrharm.llm")

_LONGEST_PAUSE = 30.0
_GRACE = 60.0  # seconds past its deadline after which a claim of a process out of sight counts as dead
_TRIES_TO_CONNECT = 3  # to an endpoint that never answered


@dataclass(frozen=True)
class Limits:
    """What a question may take: USD of the whole run, seconds with all retries and pauses, tries."""

    budget: float | None = None
    deadline: float = 120.0
    attempts: int = 6

    @property
    def budget_nano(self) -> int | None:
        """The budget in billionths of a dollar."""
        return None if self.budget is None else round(self.budget * NANO)


@dataclass
class Run:
    """Many questions: whether to stop, the error no question can get past, and how open batches are looked at."""

    look: Callable[[], object] = lambda: None
    stop: threading.Event = field(default_factory=threading.Event)
    trouble: MrHarmError | None = None
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _looked: bool = False

    def look_once(self) -> None:
        """Fetch what open batches have brought, before the first question that is in one."""
        with self._looking:
            if not self._looked:
                self.look()
                self._looked = True

    def end(self, trouble: MrHarmError) -> None:
        """Ask nothing more; the first trouble is the one that is told."""
        self.trouble = self.trouble or trouble
        self.stop.set()


class Asker:
    """Asks questions one by one, from as many threads as there are; opens nothing before the first."""

    def __init__(
        self,
        ledger: Ledger,
        open_endpoint: Callable[[], Endpoint],
        name: str,
        limits: Limits,
        price_file: Path | None,
        pause: Callable[[float], object] | None,
    ) -> None:
        self.ledger, self._open_endpoint, self.name, self.limits = ledger, open_endpoint, name, limits
        self._price_file, self._pause = price_file, pause
        self._opening = threading.Lock()
        self._pid = os.getpid()
        self._endpoint: Endpoint | None = None
        self._has_answered = False
        self._not_before = 0.0
        self._unsaved: list[tuple[Claim, Callable[[], object]]] = []

    @cached_property
    def prices(self) -> dict[str, Price]:
        """Model -> price."""
        return load_prices(self._price_file)

    @cached_property
    def batch_prices(self) -> dict[str, Price]:
        """Model -> price in a batch."""
        return {model: price.half for model, price in self.prices.items()}

    def answer(self, request: Request, run: Run) -> Completion:
        """The answer, from the ledger or the endpoint.

        Raises:
            CallError: this question has none.
            MrHarmError: any other: none can have one.
        """
        claim: Claim | Row | None = self.ledger.answered(request.key)
        worst = 0 if claim else self.worst(request, self.prices)
        claim = claim or self._claim(request, worst, run)
        if isinstance(claim, Row) and claim.status == "failed":
            raise CallError(claim.failure or "", claim.failure_kind or "busy", claim.raw)
        if isinstance(claim, Row):
            return completion_of(claim.key, claim.raw or "", claim.nano_usd, cached=True)
        try:
            raw, tries = self._ask(request, claim, worst, run)
        except BaseException as error:
            if isinstance(error, LedgerError) or not isinstance(error, MrHarmError):
                self._let_go(claim, type(error).__name__)
            raise  # of any other error, the reason stands on the claim's row
        self._has_answered = True
        price, usage = find_price(self.prices, request.model), read_answer(raw)[3]
        cost = counted = cost_of(usage, price)

        def save() -> int | None:
            said = price.model_dump_json() if price else None
            return self.ledger.answer(claim, raw, usage=usage, price=said, nano_usd=counted, attempts=tries)

        try:
            cost = save()
        except LedgerError as error:
            # The answer is paid for: it is handed over, kept later if that can be, and nothing more is asked.
            self._unsaved.append((claim, save))
            run.end(error)
        return completion_of(request.key, raw, cost, cached=False)

    def _let_go(self, claim: Claim, why: str) -> None:
        def fail() -> None:
            self.ledger.fail(claim, "stopped", why, maybe_paid=True)

        try:
            fail()
        except LedgerError:
            self._unsaved.append((claim, fail))

    def save_late(self) -> None:
        """Keep what the ledger had no room for when it came.

        Raises:
            LedgerError: it still has none.
        """
        while self._unsaved:
            self._unsaved[0][1]()
            self._unsaved.pop(0)

    def close(self) -> None:
        """Keep what can be kept now, and close the connections."""
        try:
            self.save_late()
        except LedgerError as error:
            log.warning("%d answers that were handed over are not kept: %s", len(self._unsaved), error)
        for claim, _ in self._unsaved:
            let_go(claim.owner)
        self._unsaved.clear()
        if self._endpoint:
            self._endpoint.close()
            self._endpoint = None

    def open(self) -> Endpoint:
        """The endpoint, opened on first use."""
        with self._opening:
            # Connections must not be shared after a fork.
            if self._endpoint is None or self._pid != os.getpid():
                self._endpoint, self._pid = self._open_endpoint(), os.getpid()
            return self._endpoint

    def worst(self, request: Request, prices: Mapping[str, Price]) -> int:
        """The most it can cost; 0 where that is not known and no budget asks."""
        price = find_price(prices, request.model)
        bounded = price is not None and count_tokens(request, price).most_completion is not None
        return worst_case(request, prices) if bounded or self.limits.budget is not None else 0

    def _claim(self, request: Request, worst: int, run: Run) -> Claim | Row:
        """Wait for the right to ask, or for the answer of whoever asks already."""
        since, deadline = time.monotonic(), self.limits.deadline
        endpoint = self.open().url
        waited = looked = False
        for pause in _growing():
            outcome = self.ledger.claim(
                request,
                self.name,
                worst,
                self.limits.budget_nano,
                lease=deadline + _GRACE,
                endpoint=endpoint,
                waited=waited,
                looked=looked,
            )
            if isinstance(outcome, Claim | Row):
                return outcome
            if outcome == "never":
                raise CallError(self.over_budget(worst), "over_budget")
            if outcome == "batched" and looked:
                raise CallError("it is in a batch that is not over; wait for that with --batch", "busy")
            if outcome == "batched":
                run.look_once()
                looked = True
                continue
            waited = outcome == "theirs"
            if waited and time.monotonic() - since > 2 * deadline + _GRACE:
                raise CallError("another process is at this question and comes to no end; try later", "busy")
            if run.stop.wait(pause):
                raise CallError("stopped before it was asked", "stopped")
            if not waited:
                self.ledger.settle_dead(self.name)
        raise AssertionError("pauses do not end")

    def _ask(self, request: Request, claim: Claim, worst: int, run: Run) -> tuple[str, int]:
        """The answer's body and how many tries it took; why there is none is on the claim's row when this raises."""
        endpoint, deadline = self.open(), time.monotonic() + self.limits.deadline
        try:
            messages = request.messages_to_send()
        except MrHarmError as error:
            self._give_up(claim, "bad_request", str(error), 0)
        for tries in range(1, self.limits.attempts + 1):
            self._hold_back(claim, deadline, tries, run)
            try:
                return endpoint.ask(request, messages, deadline), tries
            except EndpointError as error:
                trouble = error
            delay = self.delay(trouble, tries)
            final = trouble.final or self._unreachable(trouble, tries)
            last = tries == self.limits.attempts or not trouble.again or time.monotonic() + delay > deadline
            if final or last or run.stop.is_set():
                self.ledger.fail(
                    claim,
                    trouble.kind,
                    trouble.message,
                    raw=trouble.raw,
                    maybe_paid=trouble.maybe_paid,
                    attempts=tries,
                )
                raise final or CallError(trouble.message, trouble.kind, trouble.raw)
            if trouble.maybe_paid:
                self._reserve_again(claim, worst, deadline, tries, run)
            self._wait(delay, claim, tries, run)
        raise AssertionError("the last try returns or raises")

    def _give_up(self, claim: Claim, kind: FailureKind, why: str, tries: int) -> NoReturn:
        self.ledger.fail(claim, kind, why, attempts=tries)
        raise CallError(why, kind)

    def _hold_back(self, claim: Claim, deadline: float, tries: int, run: Run) -> None:
        """Wait for the end of the pause the server asked for, through whichever question it said so."""
        left = self._not_before - time.monotonic()
        if self._not_before > deadline:
            self._give_up(claim, "rate_limited", f"the server asks for a pause of {left:.0f} s", tries - 1)
        self._wait(left * random.uniform(1.0, 1.1), claim, tries - 1, run)

    def _reserve_again(self, claim: Claim, worst: int, deadline: float, tries: int, run: Run) -> None:
        """Set money aside for another try, after one whose answer was lost; calls in flight may have to end first."""
        for pause in _growing():
            refusal = self.ledger.reserve_again(claim, worst, self.limits.budget_nano)
            if refusal is None:
                return
            if refusal != "later" or time.monotonic() > deadline or run.stop.wait(pause):
                break
            self.ledger.settle_dead(self.name)
        self._give_up(
            claim, "over_budget", f"an answer was lost on its way; {self.over_budget(worst)}", tries
        )

    def delay(self, trouble: EndpointError, tries: int) -> float:
        """Seconds before the next try: what the server asks for and a little more, else growing, with jitter."""
        if trouble.after is not None:
            # A limit is the account's, not the question's: no other question is asked before it ends.
            self._not_before = max(self._not_before, time.monotonic() + trouble.after)
            return trouble.after * random.uniform(1.0, 1.1)
        return float(min(_LONGEST_PAUSE, 0.5 * 2 ** (tries - 1))) * random.uniform(0.5, 1.0)

    def _wait(self, seconds: float, claim: Claim, tries: int, run: Run) -> None:
        if seconds > 0 and self._pause:
            self._pause(seconds)
        elif seconds > 0:
            run.stop.wait(seconds)
        if run.stop.is_set():
            self._give_up(claim, "stopped", "stopped before it was answered", tries)

    def rest(self, seconds: float) -> None:
        """Do nothing for a while."""
        if seconds > 0:
            (self._pause or time.sleep)(seconds)

    def _unreachable(self, trouble: EndpointError, tries: int) -> MrHarmError | None:
        enough = min(_TRIES_TO_CONNECT, self.limits.attempts)
        if trouble.kind != "unreachable" or self._has_answered or tries < enough:
            return None
        return ModelUnavailableError(
            f"{trouble.message}; start the server, or set OPENAI_BASE_URL to one that runs"
        )

    def over_budget(self, worst: int) -> str:
        """Why a question was not asked."""
        spent, aside = self.ledger.spent(self.name), self.ledger.set_aside(self.name)
        return (
            f"it may cost {worst / NANO:.6f} USD, and of {self.limits.budget:.6f}, {spent / NANO:.6f} are spent and "
            f"{aside / NANO:.6f} set aside; run again with a larger budget"
        )


def completion_of(key: str, raw: str, nano_usd: int | None, *, cached: bool) -> Completion:
    """An answer's body -> a completion.

    Raises:
        CallError: there are no words in it; it is paid for and stays in the ledger all the same.
    """
    text, finish, refusal, usage = read_answer(raw)
    if finish == "content_filter" or (refusal and not text.strip()):
        raise CallError(f"the model refused: {(refusal or 'content filter')[:200]}", "refused", raw)
    if not text.strip():
        why = (
            "it was cut before a word; raise max_tokens" if finish == "length" else f"finish reason {finish}"
        )
        raise CallError(f"an answer without words ({why})", "empty", raw)
    usd = None if nano_usd is None else nano_usd / NANO
    return Completion(text, usage, raw, finish, cached, usd, key)


def _growing() -> Iterator[float]:
    pause = 0.02
    while True:
        yield pause
        pause = min(1.0, pause * 1.5)
