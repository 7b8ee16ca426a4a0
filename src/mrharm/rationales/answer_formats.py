"""What an answer to a prompt must look like, and how it is read: prose, or JSON by a schema. One row a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mrharm.errors import DataError
from mrharm.records import parse_json
from mrharm.texts import hides

FEWEST, MOST = 8, 400  # words of a paragraph that explains
ATTACKS = (
    "mockery",
    "contempt",
    "inferiority",
    "slur",
    "exclusion",
    "dehumanisation",
    "incitement",
    "falsehood",
    "none",
)
# Only what speaks of the answer goes: "Sure enough, the dog ..." and "Here is a dog with the words: ..." explain.
_OPENING = re.compile(
    r"^[\s\"'*]*(?:(?:sure|sure thing|certainly|of course|okay|ok)[.,!:]\s+)?"
    r"(?:here(?:['’]s| is)\b[^.:]{0,60}\b(?:rationale|explanation|answer|paragraph|reasoning|why)\b[^.:]{0,60}:\s+)?"
    r"(?:\**(?:rationale|explanation|answer)\**:\**\s+)?",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$", re.IGNORECASE)


@dataclass(frozen=True)
class Read:
    """An answer read: the text that teaches, and the words it quotes of the meme."""

    text: str
    quotes: str = ""


@dataclass(frozen=True)
class Form:
    """How one prompt's answers look.

    ``told_label``: the question gives the label. ``judges``: the answer may speak of harm (it argues both sides).
    ``read``: raises DataError, which says what was expected, where an answer has another form.
    """

    read: Callable[[str], Read]
    told_label: bool = True
    judges: bool = False
    schema: Mapping[str, Any] | None = None


def read_prose(answer: str) -> Read:
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
    return Read(text.strip('"“”'))


def read_structured(answer: str) -> Read:
    """`structured.v1`'s object: its rationale, and the words it quotes."""
    values = _object(answer, _STRUCTURED)
    return Read(read_prose(values["rationale"]).text, values["words"])


def read_two_sided(answer: str) -> Read:
    """`two-sided.v1`'s object: both cases, one after the other."""
    values = _object(answer, _TWO_SIDED)
    cases = [f"{side}: {read_prose(values[side]).text}" for side in ("harmful", "harmless")]
    return Read("\n".join(cases))


def _schema(**keys: Any) -> dict[str, Any]:
    properties = {name: value or {"type": "string"} for name, value in keys.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(keys),
        "additionalProperties": False,
    }


_STRUCTURED = _schema(
    target=None,
    attack={"type": "string", "enum": list(ATTACKS)},
    words=None,
    cue=None,
    combination=None,
    background=None,
    rationale=None,
)
_TWO_SIDED = _schema(harmful=None, harmless=None)


def _object(answer: str, schema: Mapping[str, Any]) -> dict[str, str]:
    """The one JSON object of an answer, held against a schema of texts.

    Raises:
        DataError: not JSON, other keys, a value that is no text, or one that is not in its list.
    """
    wanted = schema["required"]
    expected = f"one JSON object with exactly the keys {', '.join(wanted)} was asked for."
    try:
        value = parse_json(_FENCE.sub("", answer.strip()))
    except ValueError:
        raise DataError(f"it is not JSON, where {expected}") from None
    if not isinstance(value, dict) or set(value) != set(wanted):
        raise DataError(f"it has other keys, where {expected}")
    for name, one in value.items():
        allowed = schema["properties"][name].get("enum")
        if not isinstance(one, str) or (allowed and one not in allowed):
            what = f"one of {', '.join(allowed)}" if allowed else "a text"
            raise DataError(f'"{name}" is not {what}.')
    return value


# By the prompt's name before its version.
FORMS: dict[str, Form] = {
    "abductive": Form(read_prose),
    "structured": Form(read_structured, schema=_STRUCTURED),
    "two-sided": Form(read_two_sided, told_label=False, judges=True, schema=_TWO_SIDED),
    "unconditioned": Form(read_prose, told_label=False),
}
