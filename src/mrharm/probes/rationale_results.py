"""What the probe of rationales found: its record, and the same in plain sentences."""

from __future__ import annotations

from typing import Literal

from mrharm.metrics import Estimate, format_sentence
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
    """What the rationales of a split are worth. ``skipped``: part -> why it could not be measured.

    ``words`` says the same in plain sentences.
    """

    memes: int
    written: Written
    simulatability: Simulatability | None = None
    agreement: Agreement
    truth: Truth | None = None
    gold: AgainstGold | None = None
    swap: Swap | None = None
    skipped: dict[str, str]
    words: tuple[str, ...] = ()


def say(found: RationaleProbe) -> tuple[str, ...]:
    """What was found, a sentence a part, what could not be measured last."""
    sentences = [_of_text(found.written, found.memes)]
    if found.simulatability:
        sentences += _of_simulatability(found.simulatability)
    sentences += _of_agreement(found.agreement)
    if found.truth:
        sentences += _of_truth(found.truth)
    if found.gold:
        sentences += _of_gold(found.gold)
    if found.swap:
        sentences.append(
            f"Given the rationale of a meme decided the other way, {_percent(found.swap.follows)} of the decisions "
            f"follow it; given that of one decided alike, {_percent(found.swap.strays)} change."
        )
    return (*sentences, *(f"Not measured ({part}): {why}." for part, why in found.skipped.items()))


def _of_text(written: Written, memes: int) -> str:
    length = f" of {written.words.value:.0f} words on average" if written.words.value is not None else ""
    return (
        f"{written.distinct:,} different rationales for {memes:,} memes{length}; "
        f"{_percent(written.states_label)} state a label, {_bare(written.refused)} refuse, "
        f"{_bare(written.blank)} are blank and {_bare(written.copied)} stand word for word under "
        "another meme, too."
    )


def _of_simulatability(found: Simulatability) -> list[str]:
    everything, rest = found.all, found.not_stating
    sentences = [
        f"A reader of the rationale alone recovers {_percent(everything.rationale)} of the decisions "
        f"({_bare(everything.unstated)} once the sentences that state a label are cut), a reader of the meme's text "
        f"{_percent(everything.meme)}, of both {_percent(everything.both)}; always guessing the commoner decision "
        f"recovers {_bare(found.commoner)}."
    ]
    if rest.memes and rest.memes < everything.memes:
        sentences.append(
            f"Among the {rest.memes:,} rationales that state no label, the rationale alone recovers "
            f"{_percent(rest.rationale)}, and adds {_points(rest.gain)} to the meme's text."
        )
    gain = f"The rationale adds {_points(everything.gain)} to the meme's text"
    if found.adjusted.value is None:
        return [
            *sentences,
            f"{gain}; it gives every decision away, or none, so nothing can be adjusted for leaking.",
        ]
    return [
        *sentences,
        f"{gain}, {_points(found.adjusted)} once adjusted for rationales that give the decision away.",
    ]


def _of_agreement(found: Agreement) -> list[str]:
    how = "name what words and picture do together" if found.read_by == "relation" else "pronounce a side"
    if found.agreeing.value is None:
        return [f"No rationale was found to {how}: nothing can agree with the verdict, or disagree."]
    beyond = f" (kappa {_plain(found.kappa)})" if found.kappa.value is not None else ""
    return [
        f"{_percent(found.speaking)} of the rationales {how}; of these, {_percent(found.agreeing)} agree with the "
        f"verdict{beyond}."
    ]


def _of_truth(found: Truth) -> list[str]:
    kinds = {"true": found.accuracy_true, "not": found.accuracy_false}
    beside = [
        f"{_percent(right)} beside one that is {kind}"
        for kind, right in kinds.items()
        if right.value is not None
    ]
    return [
        f"Held against what each generated meme shows and says, {_percent(found.all)} of the rationales are true in "
        f"every part (scene {_bare(found.scene)}, tone {_bare(found.tone)}, relation {_bare(found.relation)}).",
        f"Decisions are right {' and '.join(beside)}.",
    ]


def _of_gold(found: AgainstGold) -> list[str]:
    kinds = {"ROUGE-L": found.rouge_l, f"BERTScore by {found.encoder}": found.bertscore}
    return [
        f"{kind} against what people wrote of {found.memes:,} of these memes is {_plain(like.own)}; against what they "
        f"wrote of another meme, {_plain(like.other)}."
        for kind, like in kinds.items()
        if like
    ]


def _percent(figure: Estimate) -> str:
    return format_sentence(figure, unit=" %")


def _bare(figure: Estimate) -> str:
    return _percent(Estimate(value=figure.value))


def _points(figure: Estimate) -> str:
    return format_sentence(figure, unit=" points")


def _plain(figure: Estimate) -> str:
    return format_sentence(figure, times=1, digits=3)
