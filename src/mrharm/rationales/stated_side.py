"""Read from a rationale's text which side it states: harmful, harmless, or neither."""

from __future__ import annotations

import re

from mrharm.rationales.leakage import sentences, states_label
from mrharm.texts import fold

_HARMLESS = re.compile(
    r"\b(?:benign|innocuous|harmless\w*|unharmful|inoffensive|non-?(?:harmful|offensive|hateful)|acceptable"
    r"|no ill (?:intent|will)|safe (?:to|for))\b|\bappropriate (?:for|to)\b|\bshould be (?:shared|posted|allowed)\b"
    r"|\b(?:should|must|ought to) (?:not|never) be (?:removed|reported|taken down|flagged|banned)\b"
)
_NOT_SHARED = re.compile(r"\b(?:should|must|ought to) (?:not|never) be (?:shared|posted|allowed)\b")
_NOT = re.compile(
    r"\b(?:no|not|none|nothing|never|nor|neither|without|cannot|lacks? any|(?:absence|devoid|free) of|free from"
    r"|rather than|unlikely)\b|n't\b"
)
# A denial ends with its clause: "while it may not be offensive, it is harmful".
_CLAUSE = re.compile(
    r"[,;:] (?=(?:and |or )?(?:it|this|these|they|that|the|which|but|yet|making|so|hence|therefore)\b)"
    r"|\b(?:but|however|although|though|while)\b|, (?=\w+ing\b)"
)
_HARM_WORD = re.compile(
    r"\bharm(?:s|ed|ing|ful\w*)?\b|\boffensive\b|\boffen[cs]e\b|\bhateful\b|\bhate speech\b|\bmisogyn\w*"
    r"|\binappropriate\b|\bunacceptable\b|\bproblematic\b|\bmalicious\b"
)


def stated_side(text: str) -> bool | None:
    """Return whether a rationale says that its meme is harmful (True) or harmless (False); None where it says neither.

    Its last sentence that states a verdict counts: a rationale weighs first and concludes last. A sentence states
    harmless by a word of that side, or by a "no", "not" or the like before every word of the other side in the last
    clause that holds one.
    """
    for sentence in reversed(sentences(text)):
        if states_label(sentence):
            return _is_harmful(fold(sentence))
    return None


def _is_harmful(sentence: str) -> bool:
    if _NOT_SHARED.search(sentence):
        return True
    for clause in reversed(_CLAUSE.split(sentence)):
        if words := list(_HARM_WORD.finditer(clause)):
            return any(not _NOT.search(clause[: word.start()]) for word in words)
    return not _HARMLESS.search(sentence)
