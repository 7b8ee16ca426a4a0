"""What the probe of rationales found: its records."""

from __future__ import annotations

from typing import Literal

from mrharm.metrics import Estimate
from mrharm.probes.gold_rationales import AgainstGold
from mrharm.probes.simulatability import Simulatability
from mrharm.records import Record


class Written(Record):
    """What the rationales look like. Shares are of memes; ``words`` is the mean length in words.

    ``copied``: word for word the same as that of another meme, but for case and spaces; ``distinct``: how many
    different ones there are.
    """

    blank: Estimate
    refused: Estimate
    states_label: Estimate
    words: Estimate
    copied: Estimate
    distinct: int


class Agreement(Record):
    """Rationale and verdict: ``speaking``, the share of rationales that take a side; ``agreeing``, of those, the share
    whose side is the decision; ``kappa``, the same beyond chance (Cohen 1960).

    ``read_by``: ``relation``, what a generated meme's rationale says that words and picture do together; ``verdict``,
    the side it pronounces. A meme without a decision (no label answered) agrees with nothing.
    """

    read_by: Literal["relation", "verdict"]
    speaking: Estimate
    agreeing: Estimate
    kappa: Estimate


class Truth(Record):
    """Shares of rationales that are true of their generated meme (`mrharm.synthetic.truth`), and the accuracy of the
    decisions that stand beside a rationale true in all its parts, and beside any other.
    """

    scene: Estimate
    tone: Estimate
    relation: Estimate
    all: Estimate
    accuracy_true: Estimate
    accuracy_false: Estimate


class Swap(Record):
    """Verdicts with another meme's rationale in place of the student's own.

    ``follows``: of one decided the other way, the share of decisions that change; ``drift``: how far P(harmful) moves
    to that side on average; ``strays``: of one decided alike, the share that change all the same.
    """

    memes: int
    follows: Estimate
    strays: Estimate
    drift: Estimate


class RationaleProbe(Record):
    """What the rationales of a split are worth. ``skipped``: part -> why it could not be measured."""

    memes: int
    written: Written
    simulatability: Simulatability | None = None
    agreement: Agreement
    truth: Truth | None = None
    gold: AgainstGold | None = None
    swap: Swap | None = None
    skipped: dict[str, str]
    words: tuple[str, ...] = ()
