"""Probes for tests: one that finds something and counts its calls, one that does not apply, one that is broken."""

from __future__ import annotations

from mrharm.errors import MissingInputError
from mrharm.evaluation.predictions import Predictions
from mrharm.progress import Progress, no_progress
from mrharm.records import Record

CALLS: list[int] = []


class Found(Record):
    """What `finds` found."""

    memes: int
    odd: float | None
    words: tuple[str, ...]


def finds(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> Found:
    """Count memes."""
    CALLS.append(seed)
    some = predictions.sample(memes, seed)
    progress("probing", 1, 1)
    return Found(memes=len(some.memes), odd=float("nan"), words=(f"{len(some.memes)} memes were probed.",))


def does_not_apply(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> Found:
    """Refuse."""
    raise MissingInputError("no meme has a picture")


def broken(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> Found:
    """A bug."""
    raise ZeroDivisionError
