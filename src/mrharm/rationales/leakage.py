"""Find in a rationale's text what must not teach: a statement of its label, or words about a caption."""

from __future__ import annotations

import re

from mrharm.records import Label
from mrharm.texts import fold

# How the published schemes write a label. A rationale that holds its label's words states it.
SEVERITIES = {"none": "not harmful", "somewhat": "somewhat harmful", "very": "very harmful"}
_WORDS = {
    True: ("harmful", "hateful", "offensive", "misogynous"),
    False: (
        "not harmful", "harmless", "non-harmful", "not hateful", "non-hateful", "not offensive", "non-offensive",
        "not misogynous",
    ),
}  # fmt: skip

# Four phrases that give the binary label of the published Harm-C rationales away: with one of them, it is harmless.
DENIALS = ("not harmful", "harmless", "not contain", "does not")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HARM = re.compile(r"(?<!self-)(?<!self )\bharm(?:s|ed|ing|ful\w*|less\w*)?\b|\bunharmful\b|\bnon-?harmful\b")
# What the meme is said to claim of others ("suggests that the council is causing harm") is no verdict on the meme. Two
# expressions in place of one, which would take a time quadratic in the length of a hostile answer.
_CLAIMS = re.compile(r"\b(?:suggest|impl|claim|portray|depict|say|state|mean)\w* ")
_DOING_HARM = re.compile(r"\b(?:caus|do)\w* (?:\w+ ){0,2}harm\b")
_HOW = r"(?:(?:not|never|perfectly|quite|entirely|totally|completely|wholly|at all) )*"
_VERDICT = re.compile(
    r"\b(?:in|non-?)?offensive\b|\boffen[cs]e\b|\bhateful\b|\bhate speech\b|\bmisogyn(?:y|ous|istic)\b"
    r"|\b(?:in)?appropriate (?:for|to share|content|meme)|\bunacceptable\b|\b(?:un)?problematic\b|\bmalicious\b"
    rf"|\b(?:is|are|be|as) {_HOW}acceptable\b|\b(?:is|are|be) {_HOW}(?:(?:in)?appropriate|(?:un)?objectionable)\b"
    r"|\bbenign\b|\binnocuous\b|\bno ill (?:intent|will)\b|\bnothing wrong with (?:it|this|the (?:meme|post))\b"
    r"|\b(?:safe|fine|ok|okay|all right) to (?:share|post)\b|\bsafe for (?:work|everyone|all)\b"
    r"|\bcommunity (?:guidelines|standards)\b"
    r"|(?:\b(?:should|must|ought|needs?|deserves?|has|have)|n't)(?: not| never)?(?: to)? (?:not |never )?be "
    r"(?:shared|posted|removed|deleted|reported|taken down|allowed|flagged|blocked|banned|circulated)\b(?! to\b)"
)
_CAPTION = re.compile(r"\bcaptions?\b")


def holds_severity(text: str, label: Label) -> bool:
    """Tell whether a rationale holds its label's severity string, word for word, as HarMeme writes it."""
    return label.severity is not None and SEVERITIES[label.severity] in fold(text)


def holds_label(text: str, label: Label) -> bool:
    """Tell whether a rationale holds its label's severity string or a word for its side.

    A harmful label counts as stated by "harmful" only without a "not" before it: "not harmful" says the opposite.
    """
    plain = fold(text)
    if holds_severity(text, label):
        return True
    if label.harmful:
        for denied in _WORDS[False]:
            plain = plain.replace(denied, "~")
    return any(re.search(rf"\b{re.escape(word)}\b", plain) for word in _WORDS[label.harmful])


def states_verdict(sentence: str) -> bool:
    """Tell whether a sentence states the verdict, in whatever words.

    It does when it says of the meme, of what it says, shows or does, that it is, contains or causes harm or offence, or
    none, or that it should or should not be shared: "it does not contain anything offensive", "this could harm people",
    "it should be taken down". Reasons, from which a reader may infer the verdict, do not state it: "it calls your club
    a kettle", "this is derogatory", "it spreads false claims", "you are mocked".

    On sentences of the published Harm-C rationales that were not used to write these rules: 98 of 98 detected, 1 of
    132 others flagged (`pytest tests/rationales/test_leakage.py`).
    """
    plain = fold(sentence)
    if _VERDICT.search(plain):
        return True
    if _HARM.search(plain) is None:
        return False
    claims = _CLAIMS.search(plain)
    return claims is None or _DOING_HARM.search(plain, claims.end()) is None


def states_label(text: str, label: Label | None = None) -> bool:
    """Tell whether a rationale states its label, by the label's words or a verdict in others; without one, either."""
    sides = (Label(harmful=True), Label(harmful=False)) if label is None else (label,)
    return any(
        states_verdict(sentence) or any(holds_label(sentence, side) for side in sides)
        for sentence in sentences(text)
    )


def cut_label(text: str, label: Label | None = None) -> str:
    """Return a rationale without the sentences that state its label; without one, either."""
    return " ".join(sentence for sentence in sentences(text) if not states_label(sentence, label))


def sentences(text: str) -> list[str]:
    """Split a text into sentences, after full stops, exclamation and question marks."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def denies(text: str) -> bool:
    """Tell whether a rationale holds one of `DENIALS`: a guess that its meme is harmless."""
    return any(phrase in fold(text) for phrase in DENIALS)


def speaks_of_caption(text: str) -> bool:
    """Tell whether a rationale talks about "the caption", which a reader of the meme does not see."""
    return _CAPTION.search(fold(text)) is not None
