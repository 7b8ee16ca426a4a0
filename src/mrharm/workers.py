"""Map a function over many items in several processes; an item that kills its process fails alone."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mrharm.errors import MrHarmError

T = TypeVar("T")
R = TypeVar("R")

_IN_FLIGHT = 4  # items handed out per process: enough to keep it busy, few to suspect when it dies


class WorkerDiedError(MrHarmError):
    """The process that worked on an item died of it: killed by the system, or by what the item holds."""


def map_items(
    function: Callable[[T], R], items: Sequence[T], workers: int
) -> Iterator[tuple[T, R | Exception]]:
    """Apply a function to items in worker processes, and yield each item with its result as it is completed.

    Args:
        function: what to do with an item; picklable. Each process receives one copy of it, so what a callable object
            loads at its first call (a model, say, in a cached property) is loaded once a process.
        items: what to work on; picklable.
        workers: how many processes; with one, everything happens in this process, in order and without protection.

    Yields:
        Each item with what the function returned, or with the exception it raised; `WorkerDiedError` where it killed
        its process.
    """
    if workers < 2:
        for item in items:
            yield item, _apply(function, item)
        return
    waiting = deque(items)
    while waiting:
        suspects = yield from _run_pool(function, waiting, min(workers, len(waiting)))
        # Of the items in flight when a process died, one killed it: run each alone, so that only that one fails.
        for item in suspects:
            yield item, _run_alone(function, item)


def _run_pool(
    function: Callable[[T], R], waiting: deque[T], workers: int
) -> Generator[tuple[T, R | Exception], None, list[T]]:
    """Work off ``waiting`` until it is empty or a process dies; return the items in flight when one died."""
    in_flight: dict[Future[R | Exception], T] = {}
    pool = _start_pool(function, workers)
    try:
        while waiting or in_flight:
            while waiting and len(in_flight) < _IN_FLIGHT * workers:
                future = pool.submit(_apply_in_worker, waiting[0])
                in_flight[future] = waiting.popleft()
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield in_flight.pop(future), result
    except BrokenProcessPool:
        return list(in_flight.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return []


def _run_alone(function: Callable[[T], R], item: T) -> R | Exception:
    with _start_pool(function, 1) as pool:
        try:
            result: R | Exception = pool.submit(_apply_in_worker, item).result()
            return result
        except BrokenProcessPool:
            return WorkerDiedError("the process that opened it died; the file may be built to do that")


def _start_pool(function: Callable[[T], R], workers: int) -> ProcessPoolExecutor:
    # "spawn": forking a process that holds threads (OpenMP, a progress bar's) can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_set_function, initargs=(function,))


_worker: dict[str, Callable[[Any], Any]] = {}  # the function of this worker process


def _set_function(function: Callable[[Any], Any]) -> None:
    _worker["function"] = function


def _apply_in_worker(item: Any) -> Any:
    return _apply(_worker["function"], item)


def _apply(function: Callable[[T], R], item: T) -> R | Exception:
    try:
        return function(item)
    except Exception as error:
        return error
