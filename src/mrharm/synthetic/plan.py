"""Plan the benchmark: which quads there are, and what each says and shows. What is drawn later follows from it alone.

A quad is one concept, a straight text and a flipping text, a picture that suits and one that contradicts: four memes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mrharm.errors import InputError
from mrharm.synthetic.backdrops import TEST_RENDERINGS, TRAIN_RENDERINGS, VALIDATION_RENDERINGS
from mrharm.synthetic.concepts import CONCEPTS, Pair, Polarity, select_pairs
from mrharm.synthetic.layouts import CAPITALS_ONLY, FONTS, LAYOUTS, Style, draw_style
from mrharm.synthetic.phrases import CLAIMS, FRAMES, MANNERS, Tone

T = TypeVar("T")

QUAD = 4  # memes
FEWEST = 12
LARGEST_MEASURED = 500  # quads; past them the splits that measure stop growing

CASES = ("lower", "sentence", "title", "upper")
_ENDINGS = ("", "", "!", ".", "...")
_RENDERINGS = {"train": TRAIN_RENDERINGS, "validation": VALIDATION_RENDERINGS}


@dataclass(frozen=True)
class Words:
    """One text of a quad, with the frame and the phrase it was made of."""

    text: str
    tone: Tone
    frame: str
    phrase: str


@dataclass(frozen=True)
class Picture:
    """One picture of a quad; everything that can be seen in it but the words follows from these and the seed."""

    pair: Pair
    rendering: int
    size: tuple[int, int]
    style: Style
    seed: str


@dataclass(frozen=True)
class Quad:
    """Four memes: each of ``texts`` (straight, flipping) on each of ``pictures`` (suits, contradicts)."""

    name: str
    split: str
    concept: str
    texts: tuple[Words, Words]
    pictures: tuple[Picture, Picture]
    font: str
    case: str


class Deck(Generic[T]):
    """Deals its items in shuffled rounds, so that each is dealt as often as any other, give or take one."""

    def __init__(self, items: Sequence[T], rng: random.Random) -> None:
        self._items, self._rng = list(items), rng
        self._round: list[T] = []

    def deal(self) -> T:
        """Return the next item; shuffle a new round when one is over."""
        if not self._round:
            self._round = self._rng.sample(self._items, len(self._items))
        return self._round.pop()


def count_quads(memes: int) -> dict[str, int]:
    """Return how many quads each split gets where train, validation and test hold ``memes`` memes in all.

    60 %, 10 % and 30 %; composition adds 20 % and lexical 10 %, at least one quad a concept from 400 memes on. Past
    2,000 memes only train grows: 600 test memes tell 0.90 from 0.93, and more cost time and tell no more.

    Raises:
        InputError: too few memes for a quad in each split.
    """
    if memes < FEWEST:
        raise InputError(f"memes: {memes}; expected at least {FEWEST}, a quad of four for each split")
    total = round(memes / QUAD)
    measured = min(total, LARGEST_MEASURED)
    test, validation = max(1, round(0.3 * measured)), max(1, round(0.1 * measured))
    fewest = len(CONCEPTS) if memes >= 400 else 1
    return {
        "train": total - test - validation,
        "validation": validation,
        "test": test,
        "composition": max(fewest, round(0.2 * measured)),
        "lexical": max(fewest, round(0.1 * measured)),
    }


def make_plan(memes: int, seed: int) -> list[Quad]:
    """Plan every quad of the benchmark; the same ``memes`` and ``seed`` give the same plan everywhere."""
    plan = []
    for split, count in count_quads(memes).items():
        decks = _Decks(split, random.Random(f"{seed}/{split}"))
        plan += [_plan_quad(f"{split}-q{number:04d}", split, decks, seed) for number in range(count)]
    return plan


class _Decks:
    """All the decks of one split: what is dealt evenly there."""

    def __init__(self, split: str, rng: random.Random) -> None:
        held_out = split == "composition"
        polarities: tuple[Polarity, Polarity] = ("suits", "contradicts")
        straight: tuple[Tone, ...] = ("praise", "comparison")
        flipping: tuple[Tone, ...] = ("contrast", "relief")
        self.rng = rng
        self.concepts = Deck(list(CONCEPTS), rng)
        self.tones = {concept: (Deck(straight, rng), Deck(flipping, rng)) for concept in CONCEPTS}
        self.frames = {tone: Deck(frames.of(split), rng) for tone, frames in FRAMES.items()}
        self.claims = {concept: Deck(CLAIMS[concept].of(split), rng) for concept in CONCEPTS}
        self.manners = {concept: Deck(MANNERS[concept].of(split), rng) for concept in CONCEPTS}
        self.pairs = {
            concept: tuple(
                Deck(select_pairs(concept, polarity, held_out=held_out), rng) for polarity in polarities
            )
            for concept in CONCEPTS
        }
        scenes = {pair.scene for concept in CONCEPTS.values() for pair in concept}
        renderings = _RENDERINGS.get(split, TEST_RENDERINGS)
        self.renderings = {scene: Deck(renderings, rng) for scene in sorted(scenes)}
        self.layouts = Deck(list(LAYOUTS), rng)
        self.cases = Deck(CASES, rng)


def _plan_quad(name: str, split: str, decks: _Decks, seed: int) -> Quad:
    rng = decks.rng
    concept = decks.concepts.deal()
    case = decks.cases.deal()
    # A font without small letters would draw other words than the text field holds.
    font = rng.choice([font for font in FONTS if case == "upper" or font not in CAPITALS_ONLY])
    straight, flipping = (_plan_words(concept, deck.deal(), case, decks) for deck in decks.tones[concept])
    suits, contradicts = (
        _plan_picture(deck.deal(), decks, f"{seed}/{name}/{side}")
        for side, deck in zip("pq", decks.pairs[concept], strict=True)
    )
    return Quad(name, split, concept, (straight, flipping), (suits, contradicts), font, case)


def _plan_words(concept: str, tone: Tone, case: str, decks: _Decks) -> Words:
    frame = decks.frames[tone].deal()
    phrase = (decks.claims if tone == "praise" else decks.manners)[concept].deal()
    return Words(post_text(frame.replace("{}", phrase), case, decks.rng), tone, frame, phrase)


def post_text(text: str, case: str, rng: random.Random) -> str:
    """Return the text as a person would post it: cased (one of ``CASES``), with some ending or none."""
    text += rng.choice(_ENDINGS)
    if case == "upper":
        return text.upper()
    if case == "title":
        return " ".join(word.capitalize() for word in text.split(" "))
    return text[:1].upper() + text[1:] if case == "sentence" else text


def _plan_picture(pair: Pair, decks: _Decks, seed: str) -> Picture:
    rng = decks.rng
    width = rng.randrange(256, 361, 8)
    height = min(360, max(256, round(width * rng.uniform(0.85, 1.2))))
    rendering = decks.renderings[pair.scene].deal()
    return Picture(pair, rendering, (width, height), draw_style(decks.layouts.deal(), rng), seed)
