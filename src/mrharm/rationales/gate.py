"""The gate every answer passes: what it is classed as, what of it may teach, and why.

| status | meaning |
| --- | --- |
| ok | explains, and does not state the label |
| deleaked | stated the label; the sentences that did are cut, and what is left still explains |
| leaks_label | states the label (`checks`), and nothing that explains is left without it |
| refused | the teacher, or its provider's policy, would not answer |
| empty | no words |
| truncated | cut at the token limit |
| off_schema | not in the form that was asked for |
| injected | obeys the meme in place of explaining it (`injections`) |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mrharm.errors import DataError
from mrharm.llm import looks_refused
from mrharm.rationales.answer_formats import AnswerFormat
from mrharm.rationales.injection import detect_injection
from mrharm.rationales.leakage import holds_label, sentences, states_verdict
from mrharm.records import Label, RationaleStatus

ENOUGH = 12  # words that still explain, after cutting
_SIDES = (Label(harmful=True), Label(harmful=False))


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer classed. ``text`` is what may teach (or would, were it kept); ``reason`` why it is not simply ok."""

    status: RationaleStatus
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Context:
    """What an answer is held against: the form asked for, the label given, what was shown, the instructions.

    ``material``: the meme's words and caption; ``words_known``: whether its words are among them (they may stand in the
    picture alone).
    """

    format: AnswerFormat
    label: Label | None
    material: str
    prompt: str = ""
    words_known: bool = True


def check_answer(answer: str, context: Context, *, cut: bool = False) -> CheckedAnswer:
    """Class an answer; nothing is cut out of it yet (`deleak`).

    Args:
        answer: the teacher's words, as they came.
        context: what was asked.
        cut: the endpoint says that it stopped at the token limit.
    """
    plain = " ".join(answer.split())
    if not re.search(r"\w", plain):
        return CheckedAnswer("empty", "", "it has no words.")
    if looks_refused(plain):
        return CheckedAnswer("refused", plain, "it refuses to answer.")
    if why := detect_injection(plain, context.material, context.prompt):
        return CheckedAnswer("injected", plain, f"{why}.")
    if cut:
        return CheckedAnswer("truncated", plain, "it was cut at the token limit.")
    try:
        read = context.format.read(answer)
    except DataError as error:
        return CheckedAnswer("off_schema", plain, str(error))
    if looks_refused(read.text):
        return CheckedAnswer("refused", read.text, "it refuses to answer.")
    if why := detect_injection(read.text, context.material, context.prompt):
        return CheckedAnswer("injected", read.text, f"{why}.")
    if read.quotes and context.words_known and not _stands_in(read.quotes, context.material):
        return CheckedAnswer(
            "off_schema", read.text, f'"words" quotes what is not on the meme: {read.quotes[:80]!r}.'
        )
    if not context.format.judges and (stating := _stating(read.text, context.label)):
        shown = " / ".join(one[:200] for one in stating[:2])
        return CheckedAnswer("leaks_label", read.text, f'it states the judgement: "{shown}".')
    return CheckedAnswer("ok", read.text)


def deleak(gated: CheckedAnswer, label: Label | None) -> CheckedAnswer:
    """A leaking answer without the sentences that state the label, where what is left still explains."""
    if gated.status != "leaks_label":
        return gated
    stating = set(_stating(gated.text, label))
    left = " ".join(one for one in sentences(gated.text) if one not in stating)
    if len(left.split()) < ENOUGH or _stating(left, label):
        return gated
    return CheckedAnswer("deleaked", left, gated.reason)


def _stating(text: str, label: Label | None) -> list[str]:
    """The sentences that state the label; without one (nobody was told any), those that state either."""
    labels = (label,) if label else _SIDES
    return [
        one
        for one in sentences(text)
        if states_verdict(one) or any(holds_label(one, side) for side in labels)
    ]


def _stands_in(quotes: str, material: str) -> bool:
    """Whether nearly all quoted words stand on the meme; where its words are not known, nothing can be said."""
    words, there = re.findall(r"\w+", quotes.lower()), set(re.findall(r"\w+", material.lower()))
    return not there or not words or sum(word in there for word in words) >= 0.8 * len(words)
