"""The format of the answers to each prompt, prose or JSON by a schema, and how an answer is parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mrharm.errors import DataError
from mrharm.llm.answers import answer_schema, read_json_answer
from mrharm.records import Record
from mrharm.texts import keep_visible

FEWEST, MOST = 8, 400  # words of a paragraph that explains
Attack = Literal[
    "mockery", "contempt", "inferiority", "slur", "exclusion", "dehumanisation", "incitement", "falsehood", "none"
]  # fmt: skip
ATTACKS: tuple[str, ...] = get_args(Attack)
# Only words about the answer are cut: "Sure enough, the dog ..." and "Here is a dog with the words: ..." explain.
_OPENING = re.compile(
    r"^[\s\"'*]*(?:(?:sure|sure thing|certainly|of course|okay|ok)[.,!:]\s+)?"
    r"(?:here(?:['’]s| is)\b[^.:]{0,60}\b(?:rationale|explanation|answer|paragraph|reasoning|why)\b[^.:]{0,60}:\s+)?"
    r"(?:\**(?:rationale|explanation|answer)\**:\**\s+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ParsedAnswer:
    """A parsed answer: the text that teaches, and the words it quotes from the meme."""

    text: str
    quotes: str = ""


@dataclass(frozen=True)
class AnswerFormat:
    """The format of one prompt's answers."""

    read: Callable[[str], ParsedAnswer]  # raises DataError, which says what was expected
    told_label: bool = True  # whether the question gives the label
    judges: bool = False  # whether the answer may speak of harm, because it argues both sides
    schema: Mapping[str, Any] | None = None  # of an answer in JSON


def read_prose(answer: str) -> ParsedAnswer:
    """Parse a paragraph: one line, without hidden characters and an assistant's opening ("Sure, here is why:").

    Raises:
        DataError: JSON, a list, or a length that explains nothing or is no paragraph.
    """
    text = _OPENING.sub("", " ".join(keep_visible(answer).split()))
    words = len(text.split())
    if not FEWEST <= words <= MOST:
        raise DataError(f"it has {words} words, where one paragraph of {FEWEST} to {MOST} was asked for.")
    if text.startswith(("{", "[", "```", "<")) or re.search(r"^\s*(?:[-*#]|\d+\.) ", answer, re.MULTILINE):
        raise DataError("it is a list or markup, where one plain paragraph was asked for.")
    return ParsedAnswer(text.strip('"“”'))


class StructuredAnswer(Record):
    """An answer to ``structured.v1``, which names the parts of an explanation before it writes one."""

    target: str
    attack: Attack
    words: str
    cue: str
    combination: str
    background: str
    rationale: str


class TwoSidedAnswer(Record):
    """An answer to ``two-sided.v1``, which argues for either label."""

    harmful: str
    harmless: str


def read_structured(answer: str) -> ParsedAnswer:
    """Return the rationale of a `StructuredAnswer`, and the words it quotes."""
    parts = read_json_answer(answer, StructuredAnswer)
    return ParsedAnswer(read_prose(parts.rationale).text, parts.words)


def read_two_sided(answer: str) -> ParsedAnswer:
    """Return both cases of a `TwoSidedAnswer`, one after the other."""
    cases = read_json_answer(answer, TwoSidedAnswer)
    return ParsedAnswer(
        f"harmful: {read_prose(cases.harmful).text}\nharmless: {read_prose(cases.harmless).text}"
    )


# By the prompt's name before its version.
ANSWER_FORMATS: dict[str, AnswerFormat] = {
    "abductive": AnswerFormat(read_prose),
    "structured": AnswerFormat(read_structured, schema=answer_schema(StructuredAnswer)),
    "two-sided": AnswerFormat(
        read_two_sided, told_label=False, judges=True, schema=answer_schema(TwoSidedAnswer)
    ),
    "unconditioned": AnswerFormat(read_prose, told_label=False),
}
