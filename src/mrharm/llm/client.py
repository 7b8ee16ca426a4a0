"""The one client for hosted models: many questions at once, each through the ledger, within one budget."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from mrharm.errors import InputError, MrHarmError
from mrharm.llm.batch import Batches
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.ledger import Ledger
from mrharm.llm.pricing import NANO, count_tokens, find_price, require_price
from mrharm.llm.requester import Asker, Limits, Run
from mrharm.llm.requests import CallError, Completion, LedgerError, Request

log = logging.getLogger("mrharm.llm")


@dataclass(frozen=True)
class Tally:
    """How far the work is: questions done, of them paid for before, of them failed; and USD the run has spent.

    ``waiting``: questions that the provider has been through, in batches that are not over.
    """

    done: int = 0
    cached: int = 0
    failed: int = 0
    usd: float = 0.0
    waiting: int = 0


@dataclass(frozen=True)
class Estimate:
    """What asking would take: different questions, those answered already, tokens, USD (None: not known).

    Answers are taken to be as long as they may be; prompts count as English does for ``usd_likely``, and as the worst
    text does for ``usd_at_most``.
    """

    questions: int
    cached: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd_likely: float | None
    usd_at_most: float | None


class HostedClient:
    """Asks hosted models. Nothing is opened or imported before the first question.

    Args:
        ledger: where paid calls are kept; None for the user's own (`ledger.default_path`).
        base_url: an OpenAI-compatible endpoint; None for OPENAI_BASE_URL, else OpenAI's own.
        key_file: a file that holds the key; None for OPENAI_API_KEY.
        prices: a table of prices that overrides the package's; None for what MRHARM_PRICES names, if anything.
        budget: USD the run may spend; never passed by what was asked, as long as the server keeps to max_tokens.
        run: whose budget it is: processes that name the same run share it. None for a run of this client alone.
        deadline: seconds for one question, its retries and pauses included.
        attempts: tries a question gets.
        pause: waits seconds before a retry; for tests.

    Raises:
        InputError: a budget below nothing.
    """

    def __init__(
        self,
        *,
        ledger: Ledger | Path | None = None,
        base_url: str | None = None,
        key_file: Path | None = None,
        prices: Path | None = None,
        budget: float | None = None,
        run: str | None = None,
        deadline: float = 120.0,
        attempts: int = 6,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        if budget is not None and not budget >= 0:
            raise InputError(f"a budget of {budget} USD; expected 0 or more")
        self.ledger = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        self.run = run or uuid.uuid4().hex
        limits = Limits(budget, deadline, max(1, attempts))
        self._asker = Asker(
            self.ledger, lambda: Endpoint(base_url, key_file), self.run, limits, prices, pause
        )
        self._batches = Batches(self._asker)

    def __enter__(self) -> HostedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and ledger; the next question opens them again."""
        self._asker.close()
        self.ledger.close()

    def check(self, model: str) -> None:
        """Raise now, without a call, what would keep every question to a model from an answer.

        Raises:
            InputError: no `openai` package, no key, or a budget without the model's price.
        """
        self._asker.open()
        if self._asker.limits.budget is not None:
            require_price(self._asker.prices, model)

    @property
    def spent(self) -> float:
        """USD the run has spent, what lost answers may have cost included."""
        return self.ledger.spent(self.run) / NANO

    def complete(self, request: Request) -> Completion:
        """Ask one question.

        Raises:
            CallError: it has no answer; and what `complete_many` raises.
        """
        result: Completion | CallError | None = None
        try:
            for _, answer in self.complete_many([request], concurrency=1):
                result = answer
        except LedgerError as error:
            if result is None:
                raise
            log.warning("%s", error)  # the answer is here, and is worth more than the complaint
        if isinstance(result, Completion):
            return result
        raise result or CallError("stopped before it was asked", "stopped")

    def complete_many(
        self,
        requests: Iterable[Request],
        concurrency: int = 8,
        progress: Callable[[Tally], None] | None = None,
    ) -> Iterator[tuple[int, Completion | CallError]]:
        """Ask many questions, ``concurrency`` at a time; each with its position, as they are done.

        Every answer is in the ledger before it is yielded. When the caller stops early, calls in flight are waited for
        and kept. When no call can succeed any more, those in flight are yielded first, then the error is raised.

        Raises:
            AuthorizationError: the endpoint does not take the key.
            ModelUnavailableError: no endpoint in reach, no such model, or no credit.
            InputError: no key, no `openai` package, a budget without a price, a setting that is none.
            LedgerError: the ledger cannot be read or written; an answer it had no room for has been yielded.
        """
        self._asker.save_late()
        run, tally = Run(self._batches.look), Tally()
        source = enumerate(requests)
        flying: dict[Future[Completion | CallError], int] = {}
        pool = ThreadPoolExecutor(max(1, concurrency), thread_name_prefix="hosted")
        try:
            while True:
                while not run.stop.is_set() and len(flying) < max(1, concurrency):
                    index, request = next(source, (-1, None))
                    if request is None:
                        break
                    flying[pool.submit(self._answer, request, run)] = index
                if not flying:
                    break
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    index, result = flying.pop(future), future.result()
                    if run.trouble and isinstance(result, CallError) and result.kind == "stopped":
                        continue
                    tally = self._counted(tally, result)
                    if progress:
                        progress(tally)
                    yield index, result
        finally:
            run.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if run.trouble:
            raise run.trouble

    def complete_batch(
        self,
        requests: Sequence[Request],
        *,
        progress: Callable[[Tally], None] | None = None,
        poll: float = 30.0,
    ) -> Iterator[tuple[int, Completion | CallError]]:
        """Ask many questions by the provider's batch service, at half the price, within a day; each as it is done.

        What earlier calls left at the provider is fetched first, and never sent again. When the caller stops, or is
        killed, the batches that were sent go on; the next call finds them. Every answer is in the ledger before it is
        yielded. What did not get its turn within the batch's day is "timed_out", and sent again by the next call.

        Args:
            requests: the questions.
            progress: told after each, and at each look.
            poll: seconds between looks at the batches that are under way.

        Raises:
            MrHarmError: as `complete_many`.
        """
        self._asker.save_late()
        tally = Tally()

        def looked(through: int) -> None:
            nonlocal tally
            tally = replace(tally, waiting=through)
            if progress:
                progress(tally)

        with closing(self._batches.complete(requests, poll, looked)) as results:
            for index, result in results:
                tally = self._counted(tally, result)
                if progress:
                    progress(tally)
                yield index, result

    def estimate(self, requests: Iterable[Request], *, batch: bool = False) -> Estimate:
        """What asking would take, without a call: a question counts once, one that is answered already not at all.

        ``batch``: at the price of a batch; a question that is in one already counts with those that are answered.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        keys: set[str] = set()
        cached = prompt = completion = 0
        likely: int | None = 0
        most: int | None = 0
        prices = self._asker.batch_prices if batch else self._asker.prices
        for request in requests:
            if request.key in keys:
                continue
            keys.add(request.key)
            if self.ledger.answered(request.key) or (batch and self.ledger.batches.holder(request.key)):
                cached += 1
                continue
            price = find_price(prices, request.model)
            tokens = count_tokens(request, price)
            longest = tokens.most_completion
            prompt, completion = prompt + tokens.likely_prompt, completion + (longest or 0)
            if price is None or longest is None:
                likely = most = None
            elif likely is not None and most is not None:
                likely += price.nano_usd(tokens.likely_prompt, longest)
                most += price.nano_usd(tokens.most_prompt, longest)
        calls = len(keys) - cached
        return Estimate(len(keys), cached, calls, prompt, completion, _usd(likely), _usd(most))

    def _answer(self, request: Request, run: Run) -> Completion | CallError:
        """One question in a thread of its own; what no question can get past ends the run."""
        try:
            return self._asker.answer(request, run)
        except CallError as error:
            return error
        except MrHarmError as error:
            run.end(error)
            return CallError(str(error), "stopped")

    def _counted(self, tally: Tally, result: Completion | CallError) -> Tally:
        try:
            usd = self.spent
        except LedgerError:  # the answers at hand are worth more than the sum
            usd = tally.usd
        cached = isinstance(result, Completion) and result.cached
        failed = isinstance(result, CallError)
        return Tally(tally.done + 1, tally.cached + cached, tally.failed + failed, usd, tally.waiting)


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO
