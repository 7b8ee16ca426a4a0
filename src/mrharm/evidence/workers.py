"""Work on many items in several processes, where an item that kills its process takes nothing else with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_IN_FLIGHT = 4  # items handed out per process: enough to keep it busy, few to lose when it dies


class Crashed(Exception):
    """The process that worked on an item died of it."""


class Workers(Generic[T, R]):
    """Processes that apply one function to items, each with a state of its own made by ``prepare``.

    With one worker everything happens in this process, without protection.
    """

    def __init__(
        self,
        function: Callable[[Any, T], R],
        prepare: Callable[..., Any],
        arguments: tuple[Any, ...],
        count: int,
    ) -> None:
        self._function = function
        self._prepare = prepare
        self._arguments = arguments
        self._count = count

    def run(self, items: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
        """Each item with its result or its exception (`Crashed` where its process died), as they are done."""
        if self._count < 2:
            state = self._prepare(*self._arguments)
            for item in items:
                yield item, _guarded(self._function, state, item)
            return
        waiting = list(reversed(items))
        while waiting:
            suspects: list[T] = []
            yield from self._run_pool(waiting, suspects)
            # Of the items in flight when a process died, one killed it: each alone, so that only that one fails.
            for item in suspects:
                yield item, self._run_alone(item)

    def _pool(self, count: int) -> ProcessPoolExecutor:
        # "spawn": forking a process that holds threads can hang.
        return ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._function, self._prepare, self._arguments),
        )

    def _run_pool(self, waiting: list[T], suspects: list[T]) -> Iterator[tuple[T, R | Exception]]:
        """Work ``waiting`` off from its end; when a process dies, what was in flight goes to ``suspects``."""
        flying: dict[Future[R | Exception], T] = {}
        pool = self._pool(self._count)
        try:
            while waiting or flying:
                while waiting and len(flying) < _IN_FLIGHT * self._count:
                    item = waiting.pop()
                    flying[pool.submit(_work, item)] = item
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    item = flying.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        suspects += [item, *flying.values()]
                        return
                    yield item, result
        except BrokenProcessPool:  # while submitting
            suspects += [item, *flying.values()]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_alone(self, item: T) -> R | Exception:
        with self._pool(1) as pool:
            try:
                result: R | Exception = pool.submit(_work, item).result()
                return result
            except BrokenProcessPool:
                return Crashed("the process that opened it died; the file may be built to do that")


_here: dict[str, Any] = {}


def _start(function: Callable[..., Any], prepare: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    _here.update(function=function, state=prepare(*arguments))


def _work(item: Any) -> Any:
    return _guarded(_here["function"], _here["state"], item)


def _guarded(function: Callable[[Any, T], R], state: Any, item: T) -> R | Exception:
    try:
        return function(state, item)
    except Exception as error:
        return error
