"""The client of hosted models: many questions at once, each through the ledger, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from mrharm.errors import MrHarmError
from mrharm.llm.batch import BatchRound
from mrharm.llm.cache import Row, open_ledger
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.pricing import count_tokens, find_price, require_price
from mrharm.llm.requester import Budget, Requester, Retry, Run
from mrharm.llm.requests import NANO, CallError, Completion, Request


@dataclass(frozen=True)
class Tally:
    """How far a round of questions is."""

    done: int = 0  # questions answered or failed
    cached: int = 0  # of them, answered by the ledger
    failed: int = 0  # of them, without an answer
    usd: float = 0.0  # spent by the client
    waiting: int = 0  # questions in batches that have not ended


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


class HostedClient:
    """Asks hosted models. Opens nothing before the first question.

    Args:
        ledger: file of the answers paid for; None for the user's own (`cache.default_path`). One process at a time
            can use it; clients of one process share it.
        base_url: an OpenAI-compatible endpoint; None for OPENAI_BASE_URL, else OpenAI's own.
        key_file: a file that holds the key; None for OPENAI_API_KEY.
        prices: a table of prices that overrides the package's; None for the file in MRHARM_PRICES, if set.
        budget: USD this client may spend; not passed as long as the server keeps to max_tokens.
        retry: how long a question is tried.

    Raises:
        InputError: a budget below 0.
    """

    def __init__(
        self,
        *,
        ledger: Path | None = None,
        base_url: str | None = None,
        key_file: Path | None = None,
        prices: Path | None = None,
        budget: float | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.ledger = open_ledger(ledger)
        self._budget = Budget(budget)
        self._requester = Requester(
            self.ledger, lambda: Endpoint(base_url, key_file), self._budget, prices, retry or Retry()
        )

    def __enter__(self) -> HostedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and ledger; the next question opens them again."""
        self._requester.close()
        self.ledger.close()

    def check(self, model: str) -> None:
        """Raise now, without a call, what would keep every question to a model from an answer.

        Raises:
            InputError: no `openai` package, no key, or a budget without the model's price.
            LedgerError: the ledger is in use by another process, damaged or full.
        """
        self.ledger.find_row("")
        self.ledger.close()  # hours may pass before the first question
        self._requester.open_endpoint()
        if self._budget.limit is not None:
            require_price(self._requester.prices, model)

    @property
    def spent(self) -> float:
        """Return the USD this client has spent, what lost answers may have cost included."""
        return self._budget.spent / NANO

    def complete(self, request: Request) -> Completion:
        """Ask one question.

        Raises:
            CallError: it has no answer.
            MrHarmError: as `complete_many`.
        """
        for _, result in self.complete_many([request], concurrency=1):
            if isinstance(result, CallError):
                raise result
            return result
        raise CallError("stopped before it was asked", "stopped")

    def complete_many(
        self,
        requests: Iterable[Request],
        concurrency: int = 8,
        progress: Callable[[Tally], None] | None = None,
    ) -> Iterator[tuple[int, Completion | CallError]]:
        """Ask many questions, ``concurrency`` at a time; yields each with its position, as they are done.

        Every answer is in the ledger before it is yielded. When the caller stops early, calls in flight are waited for
        and kept. When no call can succeed any more, those in flight are yielded first, then the error is raised.

        Raises:
            AuthorizationError: the endpoint does not take the key.
            ModelUnavailableError: no endpoint in reach, no such model, or no credit.
            InputError: no key, no `openai` package, a budget without a price, a setting that a call cannot have.
            LedgerError: the ledger cannot be read or written; an answer that it cannot hold has been yielded.
        """
        run, workers, counter = Run(), max(1, concurrency), _Counter(self._budget, progress)
        source = enumerate(requests)
        positions: dict[str | int, list[int]] = {}  # of each question in flight, its copies included
        in_flight: dict[Future[Completion | CallError], str | int] = {}
        pool = ThreadPoolExecutor(workers, thread_name_prefix="hosted")
        try:
            while True:
                while not run.stop.is_set() and len(in_flight) < workers:
                    index, request = next(source, (-1, None))
                    if request is None:
                        break
                    key = _find_key(request, index)
                    positions.setdefault(key, []).append(index)
                    if len(positions[key]) == 1:
                        in_flight[pool.submit(self._answer, request, run)] = key
                if not in_flight:
                    break
                for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                    result, indexes = future.result(), positions.pop(in_flight.pop(future))
                    if not (run.error and isinstance(result, CallError) and result.kind == "stopped"):
                        yield from counter.deliver(result, indexes)
        finally:
            run.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if run.error:
            raise run.error

    def complete_batch(
        self,
        requests: Sequence[Request],
        *,
        progress: Callable[[Tally], None] | None = None,
        poll: float = 30.0,
    ) -> Iterator[tuple[int, Completion | CallError]]:
        """Ask many questions by the provider's batch service, at half the price, within a day; as `complete_many`.

        What earlier calls left at the provider is fetched first and not sent again. When the caller stops or is killed,
        batches that were sent go on, and the next call finds them. Every answer is in the ledger before it is yielded.
        A question without an answer at the end of the batch's day is "timed_out", and sent again by the next call.

        Args:
            requests: the questions.
            progress: called after each question, and each time the batches are looked at.
            poll: seconds between looks at the batches.

        Raises:
            MrHarmError: as `complete_many`.
        """
        counter = _Counter(self._budget, progress)
        positions: dict[str, list[int]] = {}
        questions: dict[str, Request] = {}
        for index, request in enumerate(requests):
            try:
                positions.setdefault(request.key, []).append(index)
                questions[request.key] = request
            except CallError as error:
                yield from counter.deliver(error, [index])
        results = BatchRound(self._requester, questions).complete(poll, counter.show_waiting)
        for key, result in results:
            yield from counter.deliver(result, positions[key])

    def estimate(self, requests: Iterable[Request], *, batch: bool = False) -> Estimate:
        """Estimate what asking would take, without a call: a question counts once, an answered one not at all.

        ``batch``: at the price of a batch; a question that is in a batch counts as answered.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        prices = self._requester.batch_prices if batch else self._requester.prices
        unique = {request.key: request for request in requests}
        rows = {key: self.ledger.find_row(key) for key in unique}
        paid = {key for key, row in rows.items() if _is_paid(row, batch)}
        tokens, likely, most = [], 0, 0
        is_priced = True
        for key in unique.keys() - paid:
            price = find_price(prices, unique[key].model)
            count = count_tokens(unique[key], price)
            tokens.append(count)
            if price is None or count.most_completion is None:
                is_priced = False
                continue
            likely += price.nano_usd(count.likely_prompt, count.most_completion)
            most += price.nano_usd(count.most_prompt, count.most_completion)
        return Estimate(
            questions=len(unique),
            cached=len(paid),
            calls=len(tokens),
            prompt_tokens=sum(count.likely_prompt for count in tokens),
            completion_tokens=sum(count.most_completion or 0 for count in tokens),
            usd_likely=likely / NANO if is_priced else None,
            usd_at_most=most / NANO if is_priced else None,
        )

    def _answer(self, request: Request, run: Run) -> Completion | CallError:
        """Ask one question in a thread of the pool; an error that no question can get past ends the run."""
        try:
            return self._requester.answer(request, run)
        except CallError as error:
            return error
        except MrHarmError as error:
            run.end(error)
            return CallError(str(error), "stopped")


class _Counter:
    """Counts the results of a round and delivers each to every position of its question."""

    def __init__(self, budget: Budget, progress: Callable[[Tally], None] | None) -> None:
        self._budget, self._progress, self._tally = budget, progress, Tally()

    def deliver(
        self, result: Completion | CallError, positions: Sequence[int]
    ) -> Iterator[tuple[int, Completion | CallError]]:
        """Yield a result with each position; copies of a question cost nothing."""
        for number, position in enumerate(positions):
            if number and isinstance(result, Completion):
                result = replace(result, cached=True)
            cached = self._tally.cached + (isinstance(result, Completion) and result.cached)
            failed = self._tally.failed + isinstance(result, CallError)
            self._show(replace(self._tally, done=self._tally.done + 1, cached=cached, failed=failed))
            yield position, result

    def show_waiting(self, questions: int) -> None:
        """Show how many questions wait for a batch."""
        self._show(replace(self._tally, waiting=questions))

    def _show(self, tally: Tally) -> None:
        self._tally = replace(tally, usd=self._budget.spent / NANO)
        if self._progress:
            self._progress(self._tally)


def _is_paid(row: Row | None, batch: bool) -> bool:
    """Return whether a question's answer is there, or with ``batch`` on its way in one."""
    return row is not None and (row.is_sound or (batch and row.batch is not None))


def _find_key(request: Request, index: int) -> str | int:
    """Return a question's key, or its position where it has none: asking it says why."""
    try:
        return request.key
    except MrHarmError:
        return index
