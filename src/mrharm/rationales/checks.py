"""What can be wrong with a rationale's text: it states its label, refuses, or speaks of a caption.

The published rationales state, in 88 % of cases, the severity that their teacher was told to withhold (METHOD.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mrharm.records import Label

# How the published schemes write a label. A rationale that holds its own states it.
_SEVERITIES = {"none": "not harmful", "somewhat": "somewhat harmful", "very": "very harmful"}
_WORDS = {
    True: ("harmful", "hateful", "offensive", "misogynous"),
    False: (
        "not harmful",
        "harmless",
        "non-harmful",
        "not hateful",
        "non-hateful",
        "not offensive",
        "non-offensive",
        "not misogynous",
    ),
}

# Four phrases that give the binary label of the published Harm-C rationales away: with one of them, it is harmless.
DENIALS = ("not harmful", "harmless", "not contain", "does not")

_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:cannot|can't|won't|will not) (?:assist|help|provide|comply"
    r"|fulfill|explain|generate|create|answer|analy[sz]e|do that)|as an? (?:ai|artificial intelligence)\b"
    r"|as a language model|(?:cannot|can't|unable to) (?:comply|fulfill|assist) with)"
)
_CAPTION = re.compile(r"\bcaptions?\b")


def holds_severity(text: str, label: Label) -> bool:
    """Whether a rationale holds its label's severity string, word for word, as HarMeme writes it."""
    return label.severity is not None and _SEVERITIES[label.severity] in _plain(text)


def holds_label(text: str, label: Label) -> bool:
    """Whether a rationale holds its label's severity string or a word for its side.

    A harmful label counts as stated by "harmful" only where no "not" stands before it: "not harmful" says the opposite.
    """
    plain = _plain(text)
    if holds_severity(text, label):
        return True
    if label.harmful:
        for denied in _WORDS[False]:
            plain = plain.replace(denied, "~")
    return any(re.search(rf"\b{re.escape(word)}\b", plain) for word in _WORDS[label.harmful])


def denies(text: str, phrases: Iterable[str] = DENIALS) -> bool:
    """Whether one of the phrases stands in a rationale: a guess that its meme is harmless."""
    plain = _plain(text)
    return any(phrase in plain for phrase in phrases)


def looks_refused(text: str) -> bool:
    """Whether a rationale is a teacher's refusal rather than reasoning."""
    return _REFUSAL.search(_plain(text)) is not None


def speaks_of_caption(text: str) -> bool:
    """Whether a rationale talks about "the caption", which a reader of the meme does not see."""
    return _CAPTION.search(_plain(text)) is not None


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("’", "'").split())
