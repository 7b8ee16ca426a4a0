"""What the probe of saliency found: its record, and the same in plain sentences."""

from __future__ import annotations

from mrharm.metrics import Estimate, format_sentence
from mrharm.records import Record
from mrharm.reports.summary import FEWEST

# Of the words or patches taken away, or given.
SHARES = tuple(step / 10 for step in range(11))
UNITS = {"text": "words", "picture": "patches"}
# P(decision) that moves by less between all and nothing leaves no order anything to show.
_MOVES = 0.05


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
    """Whether saliency tells what a decision rests on. ``skipped``: what could not be measured -> why.

    ``words`` says the same in plain sentences.
    """

    memes: int
    text: Part | None = None
    picture: Part | None = None
    skipped: dict[str, str]
    shares: tuple[float, ...] = SHARES
    words: tuple[str, ...] = ()


def say(found: SaliencyProbe) -> tuple[str, ...]:
    """What was found, the words first, what could not be measured last."""
    sentences: list[str] = []
    for name, part in (("text", found.text), ("picture", found.picture)):
        if part:
            sentences += _of_part(part, UNITS[name])
    return (*sentences, *(f"Not measured ({part}): {why}." for part, why in found.skipped.items()))


def _of_part(part: Part, units: str) -> list[str]:
    by_lot = part.orders["random"]
    whole, nothing = by_lot.deletion_curve[0], by_lot.deletion_curve[-1]
    sentence = (
        f"On {part.memes:,} memes P(decision) is {whole:.2f} on average with all {units} "
        f"and {nothing:.2f} without any"
    )
    if abs(whole - nothing) < _MOVES:
        sentence += f": so little hangs on the {units} that no order of them can show much"
    sentences = [f"{sentence}."]
    for kind, order in part.orders.items():
        if order.deletion_gain and order.insertion_gain:
            sentences.append(
                f"{kind.capitalize()} over {units}: taking the weightiest away first {_verdict(order.deletion_gain)}, "
                f"{_areas(order.deletion, by_lot.deletion, order.deletion_gain)}; giving them first "
                f"{_verdict(order.insertion_gain)}, "
                f"{_areas(order.insertion, by_lot.insertion, order.insertion_gain)}. "
                + (
                    _in_short(kind, units, order.deletion_gain, order.insertion_gain)
                    if part.memes >= FEWEST
                    else f"Fewer than {FEWEST} memes settle nothing."
                )
            )
    return sentences


def _verdict(gain: Estimate) -> str:
    if gain.low is None or gain.high is None:
        return "could not be held against a random order"
    if gain.low > 0:
        return "beats a random order"
    if gain.high < 0:
        return "does worse than a random order"
    return "is not shown to beat a random order"


def _in_short(kind: str, units: str, deletion: Estimate, insertion: Estimate) -> str:
    better = [gain.low is not None and gain.low > 0 for gain in (deletion, insertion)]
    if all(better):
        return f"So {kind} finds {units} that the decisions rest on."
    if any(better):
        return (
            f"So {kind} tells something of the {units} that the decisions rest on, by one of the two tests."
        )
    return f"So {kind} is not shown to tell which {units} the decisions rest on: do not read it as a reason."


def _areas(own: Estimate, by_lot: Estimate, gain: Estimate) -> str:
    alone = [format_sentence(Estimate(value=one.value), times=1, digits=3) for one in (own, by_lot)]
    return f"area {alone[0]} against {alone[1]}, gain {format_sentence(gain, times=1, digits=3, sign=True)}"
