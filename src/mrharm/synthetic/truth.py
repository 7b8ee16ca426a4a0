"""Check whether a rationale is true: compare its text with the truth that a generated meme carries.

It shares no word list with what draws the memes or writes their rationales, so that a fault there cannot hide here. It
is strict: a part that is named wrongly, twice differently or not at all is false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrharm.errors import DataError
from mrharm.records import Meme, Verdict
from mrharm.texts import fold

PARTS = ("scene", "tone", "relation", "all")

_SCENES: dict[str, str] = {
    "roses": r"roses|red rose|bouquets?",
    "cake": r"(?:birthday |pink )?cakes?",
    "skunk": r"skunks?",
    "garbage": r"garbage|trash|rubbish|dustbins?|litter",
    "toast": r"toast|burnt bread|(?:burnt|black|charred) slice",
    "crowd": r"crowds?|cheering (?:people|fans)|people cheering",
    "heart": r"hearts?|balloons?",
    "desert": r"deserts?|dunes?|cactus|sand",
    "chairs": r"chairs?|seats?",
    "scarecrow": r"scarecrows?",
    "trophy": r"troph(?:y|ies)|gold(?:en)? cup",
    "songbird": r"song ?birds?|blue ?birds?|singing bird|bird (?:sings|singing|on a branch)",
    "donkey": r"donkeys?|mules?",
    "lion": r"lions?",
    "rocket": r"rockets?|space ?ships?",
    "race_car": r"rac(?:e|ing)[ -]?cars?|sports cars?",
    "storm": r"storms?|lightning|thunder",
    "snail": r"snails?",
    "snowman": r"snow ?m[ae]n",
    "elephant": r"elephants?",
    "wall": r"(?:brick )?walls?|bricks?",
    "mouse": r"mouse|mice",
    "wilted": r"wilt(?:ed|ing)|withered|drooping|dead (?:flower|plant)s?",
    "bookshelf": r"book ?(?:shelf|shelves|cases?)|shel(?:f|ves)|books",
    "gem": r"gems?|diamonds?|jewels?",
    "scribble": r"scribbl(?:e|es|ing|ed)|scrawls?",
    "sun": r"sun|sunshine",
    "swan": r"swans?",
    "dolphin": r"dolphins?",
    "peacock": r"peacocks?",
    "crash": r"crash(?:es|ed)?|wreck(?:s|ed)?|crumpled car",
    "ship": r"ships?|boats?|shipwrecks?",
    "rainbow": r"rainbows?",
}

_TONES: dict[str, str] = {
    "praise": r"prais\w+|(?<!backhanded )(?<!hollow )compliments?|flatter\w*|admir\w+|applau\w+"
    r"|call\w* [\w' ]{1,30}(?:great|wonderful|amazing|perfect)",
    "comparison": r"compar(?:e|es|ed|ing|isons?)|liken\w*|(?:just|exactly|much) like|the same|equat\w+|resembl\w+"
    r"|is like|similar",
    "contrast": r"contrast\w*|sets? [\w' ]{0,30}apart|the reverse",
    "relief": r"glad|relie(?:f|ved)|thank(?:s|ful|fully)?|grateful|lucky|luckily|fortunate(?:ly)?|good thing",
}
# These speak of a contrast, but relief is put into such words, too.
_CONTRAST_TOO = (
    r"nothing like|unlike|opposites?|different|differs?|far from|(?:not|n't|never)(?: at all| a bit)? like"
)

_RELATIONS: dict[str, str] = {
    "backs": r"back(?:s|ed)?(?: up)? (?:the|this|that|these|those|it|them|up)|support(?:s|ed)?|kind(?! of)|kindly"
    r"|friendly|sincere(?:ly)?|genuine(?:ly)?|confirm(?:s|ed)?|bears? [\w ]{0,12}out|well meant|honest",
    "undercuts": r"undercuts?|mock\w*|ridicul\w+|(?:makes?|making|pokes?|poking) fun|jabs?|taunt\w*|insult\w*"
    r"|sneer\w*|belittl\w+|at your expense|jokes? (?:is )?on you|(?:backhanded|hollow) compliments?|sarcas\w+"
    r"|against you|unkind",
}
_NAMES = {"scene": _SCENES, "tone": _TONES, "relation": _RELATIONS}
_OTHER = {"backs": "undercuts", "undercuts": "backs"}

_NOT = (
    r"(?:\b(?:no|no one|nobody|nothing|not|never|without|nor|neither|hardly|cannot|instead of|rather than|no longer)"
    r"|n't)"
)
# A denial reaches over three words at most, and not past a comma, a "but" or what is being likened to.
_DENIED = re.compile(_NOT + r"(?: (?!but\b|and\b|like\b|as\b)[\w'-]+){0,3} $")


@dataclass(frozen=True)
class TruthCheck:
    """Which parts of a rationale are true: what is shown, how the words speak, how the two combine."""

    scene: bool
    tone: bool
    relation: bool

    @property
    def all(self) -> bool:
        """Return whether every part is true."""
        return self.scene and self.tone and self.relation


def check_rationale(text: str, truth: Mapping[str, Any]) -> TruthCheck:
    """Compare a rationale's text with ``truth``, which names its ``scene``, ``tone`` and ``relation``.

    A part is true when the text names exactly one of its kind, and the right one. A thing denied ("no roses") is not
    named; a relation denied ("without mocking you") names the other one.

    Raises:
        DataError: the truth lacks one of the three, or names one that is unknown here.
    """
    for part, names in _NAMES.items():
        if truth.get(part) not in names:
            raise DataError(f"truth.{part}: expected one of {', '.join(names)}; got {truth.get(part)!r}")
    folded = fold(text)
    return TruthCheck(
        scene=_find_scenes(folded) == {truth["scene"]},
        tone=_find_tones(folded) == {truth["tone"]},
        relation=_find_relations(folded) == {truth["relation"]},
    )


def has_truth(meme: Meme) -> bool:
    """Return whether a meme has a ``truth`` that `check_rationale` can use, as generated ones do."""
    truth = meme.extra.get("truth")
    return isinstance(truth, dict) and all(str(truth.get(part)) in names for part, names in _NAMES.items())


def quad_of(meme: Meme) -> str | None:
    """Return the name of a generated meme's quad, two texts crossed with two pictures; None for any other meme."""
    described = meme.extra.get("truth")
    quad = described.get("quad") if isinstance(described, dict) else None
    return str(quad) if quad else None


def measure_true_share(memes: Sequence[Meme], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the share of generated memes' rationales that name the right scene, tone and relation, and all three."""
    checks = [
        check_rationale(verdict.rationale or "", meme.extra["truth"])
        for meme, verdict in zip(memes, verdicts, strict=True)
    ]
    return {part: sum(getattr(row, part) for row in checks) / len(checks) for part in PARTS}


def find_named_relation(text: str) -> str | None:
    """Return how a rationale says words and picture combine: ``backs``, ``undercuts``; None for both or neither."""
    relations = _find_relations(fold(text))
    return relations.pop() if len(relations) == 1 else None


def _find_scenes(text: str) -> set[str]:
    return {scene for scene, pattern in _SCENES.items() if False in _find_denials(pattern, text)}


def _find_tones(text: str) -> set[str]:
    contrasted = bool(re.search(rf"\b(?:{_CONTRAST_TOO})\b", text.replace("n't", " n't")))
    rest = re.sub(rf"\b(?:{_CONTRAST_TOO})\b", "~", text)
    tones = {tone for tone, pattern in _TONES.items() if False in _find_denials(pattern, rest)}
    if contrasted and "relief" not in tones:
        tones.add("contrast")
    return tones


def _find_relations(text: str) -> set[str]:
    relations = set()
    for relation, pattern in _RELATIONS.items():
        for denied in _find_denials(pattern, text):
            relations.add(_OTHER[relation] if denied else relation)
    return relations


def _find_denials(pattern: str, text: str) -> list[bool]:
    """Return for each mention of the pattern whether it is denied."""
    return [bool(_DENIED.search(text[: match.start()])) for match in re.finditer(rf"\b(?:{pattern})\b", text)]
