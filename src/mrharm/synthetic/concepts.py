"""The concepts: what a meme claims of "you", and the scenes that suit the claim or contradict it.

A scene marked ``!`` is extreme for its concept: mockery built on it is ``very`` harmful, on others ``somewhat``. The
``held_out`` scenes go with the concept in the composition split alone; elsewhere they occur with other concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Polarity = Literal["suits", "contradicts"]


@dataclass(frozen=True)
class Pair:
    """A scene as one concept sees it."""

    concept: str
    scene: str
    polarity: Polarity
    extreme: bool
    held_out: bool


# concept: (suits, contradicts, held out: suits, held out: contradicts)
_TABLE: dict[str, tuple[str, str, str, str]] = {
    "smell": ("roses! cake", "skunk! garbage! toast", "rainbow", "donkey"),
    "popularity": ("crowd! heart", "desert! chairs! scarecrow", "roses", "skunk"),
    "cooking": ("cake! trophy", "toast! garbage!", "heart", "skunk"),
    "singing": ("songbird! crowd", "donkey! chairs lion", "trophy", "garbage"),
    "speed": ("rocket! race_car storm", "snail! snowman", "trophy", "wall"),
    "strength": ("elephant! lion wall", "mouse! wilted", "rocket", "snail"),
    "tidiness": ("bookshelf! gem", "garbage! scribble", "roses", "crash"),
    "gardening": ("roses! sun", "wilted! desert", "songbird", "toast"),
    "dancing": ("swan! trophy dolphin", "elephant! wall! snowman", "crowd", "donkey"),
    "wit": ("rocket! bookshelf sun", "donkey! wall", "gem", "snail"),
    "style": ("peacock! gem rainbow", "scarecrow! garbage!", "swan", "wilted"),
    "driving": ("race_car! rocket", "crash! ship", "trophy", "donkey"),
    "drawing": ("rainbow! peacock", "scribble! crash", "gem", "garbage"),
    "welcome": ("sun! heart songbird", "snowman storm! skunk!", "cake", "wall"),
    "bravery": ("lion! rocket", "mouse! snail", "elephant", "wilted"),
    "swimming": ("dolphin! swan", "ship! desert", "trophy", "wall"),
}


def _pairs(concept: str) -> tuple[Pair, ...]:
    suits, contradicts, rare_suits, rare_contradicts = _TABLE[concept]
    cells: tuple[tuple[str, Polarity, bool], ...] = (
        (suits, "suits", False),
        (contradicts, "contradicts", False),
        (rare_suits, "suits", True),
        (rare_contradicts, "contradicts", True),
    )
    return tuple(
        Pair(concept, name.rstrip("!"), polarity, name.endswith("!"), held_out)
        for cell, polarity, held_out in cells
        for name in cell.split()
    )


CONCEPTS: dict[str, tuple[Pair, ...]] = {concept: _pairs(concept) for concept in _TABLE}


def select_pairs(concept: str, polarity: Polarity, *, held_out: bool = False) -> list[Pair]:
    """Return a concept's pairs of this polarity: those of all splits but composition, or those held out for it."""
    return [pair for pair in CONCEPTS[concept] if pair.polarity == polarity and pair.held_out == held_out]
