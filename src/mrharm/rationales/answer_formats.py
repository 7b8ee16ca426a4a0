"""What an answer to a prompt must look like, and how it is read: prose, or JSON by a schema. One row a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mrharm.errors import DataError
from mrharm.llm.answers import answer_schema, read_json_answer
from mrharm.records import Record
from mrharm.texts import hides

FEWEST, MOST = 8, 400  # words of a paragraph that explains
Attack = Literal[
    "mockery",
    "contempt",
    "inferiority",
    "slur",
    "exclusion",
    "dehumanisation",
    "incitement",
    "falsehood",
    "none",
]
ATTACKS: tuple[str, ...] = get_args(Attack)
# Only what speaks of the answer goes: "Sure enough, the dog ..." and "Here is a dog with the words: ..." explain.
_OPENING = re.compile(
    r"^[\s\"'*]*(?:(?:sure|sure thing|certainly|of course|okay|ok)[.,!:]\s+)?"
    r"(?:here(?:['’]s| is)\b[^.:]{0,60}\b(?:rationale|explanation|answer|paragraph|reasoning|why)\b[^.:]{0,60}:\s+)?"
    r"(?:\**(?:rationale|explanation|answer)\**:\**\s+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ParsedAnswer:
    """An answer read: the text that teaches, and the words it quotes of the meme."""

    text: str
    quotes: str = ""


@dataclass(frozen=True)
class AnswerFormat:
    """How one prompt's answers look.

    ``told_label``: the question gives the label. ``judges``: the answer may speak of harm (it argues both sides).
    ``read``: raises DataError, which says what was expected, where an answer has another form.
    """

    read: Callable[[str], ParsedAnswer]
    told_label: bool = True
    judges: bool = False
    schema: Mapping[str, Any] | None = None


def read_prose(answer: str) -> ParsedAnswer:
    """A paragraph: its words, on one line, without hidden characters and an assistant's opening ("Sure, here is why:").

    Raises:
        DataError: JSON, a list, or a length that explains nothing or is no paragraph.
    """
    seen = "".join(letter for letter in answer if letter.isspace() or not hides(letter))
    text = _OPENING.sub("", " ".join(seen.split()))
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
