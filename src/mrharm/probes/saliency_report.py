"""What the probe of saliency found: its records."""

from __future__ import annotations

from mrharm.metrics import Estimate
from mrharm.records import Record

# Of the words or patches taken away, or given.
SHARES = tuple(step / 10 for step in range(11))
UNITS = {"text": "words", "picture": "patches"}


class Order(Record):
    """Words or patches taken away, or given, in one order. ``deletion`` and ``insertion``: the area under the curve,
    which is P(decision) on the average over all shares; low is good for deletion, high for insertion.

    The gains are how much better that is than by lot, meme by meme: above 0 is better; None for the order by lot.
    The curves hold the mean P(decision) at each of `SHARES`.
    """

    deletion: Estimate
    insertion: Estimate
    deletion_gain: Estimate | None = None
    insertion_gain: Estimate | None = None
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]


class Part(Record):
    """One part of the memes, words or patches, in the orders of ``attention``, ``gradient`` and ``random``."""

    memes: int
    orders: dict[str, Order]


class SaliencyProbe(Record):
    """Whether saliency tells what a decision rests on. ``skipped``: what could not be measured -> why."""

    memes: int
    text: Part | None = None
    picture: Part | None = None
    skipped: dict[str, str]
    shares: tuple[float, ...] = SHARES
    words: tuple[str, ...] = ()
