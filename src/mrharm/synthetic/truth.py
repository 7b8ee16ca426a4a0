"""Check whether a rationale is true: compare its text with the truth that a generated meme carries.

Nothing that draws memes or writes their rationales shares its words (``truth.yaml``), so that a fault there cannot hide
here. It is strict: a part named wrongly or twice differently is false, as are a scene and a tone not named at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mrharm.errors import DataError
from mrharm.records import Meme, Verdict
from mrharm.texts import fold

PARTS = ("scene", "tone", "relation", "all", "names_relation")

_WORDS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_SCENES: dict[str, str] = _WORDS["scenes"]
_TONES = {tone: "|".join(patterns) for tone, patterns in _WORDS["tones"].items()}
_RELATIONS = {relation: "|".join(patterns) for relation, patterns in _WORDS["relations"].items()}
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
    """Which parts of a rationale are true: what is shown, how the words speak, how the two combine.

    ``relation`` is None for a rationale that only describes both and leaves how they combine to the reader.
    """

    scene: bool
    tone: bool
    relation: bool | None

    @property
    def all(self) -> bool:
        """Return whether scene and tone are true, and the relation where it is named."""
        return self.scene and self.tone and self.relation is not False

    @property
    def names_relation(self) -> bool:
        """Return whether the rationale says how words and picture combine, rather than only describe them."""
        return self.relation is not None


def check_rationale(text: str, truth: Mapping[str, Any]) -> TruthCheck:
    """Compare a rationale's text with ``truth``, which names its ``scene``, ``tone`` and ``relation``.

    A part is true when the text names exactly one of its kind, and the right one; a relation that is not named is
    neither true nor false. A thing denied ("no roses") is not named; a relation denied ("without mocking you") names
    the other one.

    Raises:
        DataError: the truth lacks one of the three, or names one that is unknown here.
    """
    for part, names in _NAMES.items():
        if truth.get(part) not in names:
            raise DataError(f"truth.{part}: expected one of {', '.join(names)}; got {truth.get(part)!r}")
    folded = fold(text)
    relations = _find_relations(folded)
    return TruthCheck(
        scene={scene for scene, pattern in _SCENES.items() if _is_named(pattern, folded)} == {truth["scene"]},
        tone=_find_tones(folded) == {truth["tone"]},
        relation=relations == {truth["relation"]} if relations else None,
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
    """Return shares of generated memes' rationales: those that name the right scene, tone, relation, those true in all
    that they name, and those that name a relation at all.
    """
    checks = [
        check_rationale(verdict.rationale or "", meme.extra["truth"])
        for meme, verdict in zip(memes, verdicts, strict=True)
    ]
    return {part: sum(getattr(row, part) is True for row in checks) / len(checks) for part in PARTS}


def find_named_relation(text: str) -> str | None:
    """Return how a rationale says words and picture combine: ``backs``, ``undercuts``; None for both or neither."""
    relations = _find_relations(fold(text))
    return relations.pop() if len(relations) == 1 else None


def _find_tones(text: str) -> set[str]:
    contrast = rf"\b(?:{_WORDS['contrast_or_relief']})\b"
    contrasted = bool(re.search(contrast, text.replace("n't", " n't")))
    rest = re.sub(contrast, "~", text)
    tones = {tone for tone, pattern in _TONES.items() if _is_named(pattern, rest)}
    if contrasted and "relief" not in tones:
        tones.add("contrast")
    return tones


def _find_relations(text: str) -> set[str]:
    relations = set()
    for relation, pattern in _RELATIONS.items():
        for denied in _find_denials(pattern, text):
            relations.add(_OTHER[relation] if denied else relation)
    return relations


def _is_named(pattern: str, text: str) -> bool:
    return False in _find_denials(pattern, text)


def _find_denials(pattern: str, text: str) -> list[bool]:
    """Return for each mention of the pattern whether it is denied."""
    return [bool(_DENIED.search(text[: match.start()])) for match in re.finditer(rf"\b(?:{pattern})\b", text)]
