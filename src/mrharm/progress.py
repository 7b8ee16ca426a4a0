"""Progress of long work: one shape for every room, drawn by whoever calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

# What is being done, how many items are done, how many there are (0: not known yet).
Progress = Callable[[str, int, int], None]


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


@contextlib.contextmanager
def counting(progress: Progress, what: str, total: int) -> Iterator[Callable[[], None]]:
    """Count items as they are done: yields a function to call after each."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(what, done, total)

    progress(what, 0, total)
    yield advance
    if not total:
        progress(what, max(done, 1), max(done, 1))  # the size of the work is known at its end
