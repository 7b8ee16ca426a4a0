"""Change a text the way people get around a filter, mistype, or add words that mean no harm.

The seed alone decides what changes, and what strength 1 changes, strength 3 changes, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from mrharm.probes.changed_memes import Change

_WORD = re.compile(r"\w+")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
# Cyrillic letters that look the same in most fonts; `mrharm.texts.plain` knows each of them.
_TWINS = dict(zip("aceijopsxyhdABCEHIJKMOPSTX", "асеіјорѕхуһԁАВСЕНІЈКМОРЅТХ", strict=True))
_ZERO_WIDTH = "\u200b\u200c\u2060\ufeff"  # zero-width space, non-joiner, word joiner, no-break space
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
BENIGN_WORDS = ("today", "garden", "tea", "window", "train", "Tuesday", "blanket", "river", "bread", "lamp")
BENIGN_SENTENCES = (
    "have a nice day",
    "the weather is mild and the bread is fresh",
    "see you at the library on Tuesday, we will bring tea and a cake with apples",
)


def change_text(text: str, name: str, strength: int, seed: int = 0) -> str:
    """Change a text by a row of `TEXT_CHANGES` at strength 1, 2 or 3; one without words stays as it is."""
    change = TEXT_CHANGES[name]
    if not _WORD.search(text):
        return text
    changed: str = change.apply(text, change.strengths[strength - 1], np.random.default_rng(seed))
    return changed


def _leet(text: str, share: float, rng: np.random.Generator) -> str:
    places = [place for place, letter in enumerate(text) if ord(letter) in _LEET]
    letters = list(text)
    for place in _draw_places(places, share, rng):
        letters[place] = letters[place].translate(_LEET)
    return "".join(letters)


def _homoglyph(text: str, share: float, rng: np.random.Generator) -> str:
    places = []
    for word in _WORD.finditer(text):
        twins = [place for place in range(*word.span()) if text[place] in _TWINS]
        latin = re.sub(r"[^A-Za-z]", "", word[0])
        # One letter of a word stays Latin: a word entirely in another script would be of another language.
        places += twins if set(latin) - _TWINS.keys() else twins[1:]
    letters = list(text)
    for place in _draw_places(places, share, rng):
        letters[place] = _TWINS[letters[place]]
    return "".join(letters)


def _zero_width(text: str, share: float, rng: np.random.Generator) -> str:
    gaps = [place for word in _WORD.finditer(text) for place in range(word.start() + 1, word.end())]
    letters = list(text)
    for number, place in enumerate(_draw_places(gaps, share, rng)):
        letters[place] = _ZERO_WIDTH[number % len(_ZERO_WIDTH)] + letters[place]
    return "".join(letters)


def _typos(text: str, share: float, rng: np.random.Generator) -> str:
    words = [word.span() for word in _WORD.finditer(text) if len(word[0]) > 1]
    mistyped = _draw_places(range(len(words)), share, rng)
    # Drawn for every word, mistyped or not: so a word is mistyped alike at every strength.
    slips = rng.random((len(words), 3))
    for number in sorted(mistyped, reverse=True):
        start, end = words[number]
        text = text[:start] + _mistype(text[start:end], *slips[number]) + text[end:]
    return text


def _mistype(word: str, kind: float, where: float, key: float) -> str:
    """Swap two letters, leave one out, write one twice, or hit a neighbouring key; the numbers are from 0 to 1."""
    place = int(where * (len(word) - 1))
    letter, following = word[place], word[place + 1]
    neighbour = _neighbouring_key(letter, key)
    if letter != following and kind < 0.25:
        return word[:place] + following + letter + word[place + 2 :]
    if kind < 0.5:
        return word[:place] + word[place + 1 :]
    if kind < 0.75 or neighbour is None:
        return word[:place] + letter + word[place:]
    return word[:place] + neighbour + word[place + 1 :]


def _neighbouring_key(letter: str, key: float) -> str | None:
    for row in _KEYBOARD:
        place = row.find(letter.lower())
        if place >= 0:
            neighbours = row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
            neighbour = neighbours[int(key * len(neighbours))]
            return neighbour.upper() if letter.isupper() else neighbour
    return None


def _spacing(text: str, share: float, rng: np.random.Generator) -> str:
    words = [word.span() for word in _WORD.finditer(text) if len(word[0]) > 1]
    for number in sorted(_draw_places(range(len(words)), share, rng), reverse=True):
        start, end = words[number]
        text = text[:start] + " ".join(text[start:end]) + text[end:]
    return text


def _benign_words(text: str, count: float, rng: np.random.Generator) -> str:
    words = text.split()
    for place, number in rng.random((len(BENIGN_WORDS), 2))[: int(count)]:
        words.insert(int(place * (len(words) + 1)), BENIGN_WORDS[int(number * len(BENIGN_WORDS))])
    return " ".join(words)


def _benign_suffix(text: str, count: float, rng: np.random.Generator) -> str:
    return ". ".join([text.rstrip(" ."), *BENIGN_SENTENCES[: int(count)]])


def _draw_places(places: Sequence[int], share: float, rng: np.random.Generator) -> list[int]:
    """Return the first places of a random order, as many as the share, rounded up."""
    order = rng.permutation(len(places))
    return [places[number] for number in order[: math.ceil(share * len(places))]]


TEXT_CHANGES: dict[str, Change] = {
    "leet": Change(_leet, (0.2, 0.5, 1.0), "share of a, e, i, o, s, t written as digits"),
    "homoglyph": Change(_homoglyph, (0.2, 0.5, 1.0), "share of letters with a twin in another script"),
    "zero_width": Change(_zero_width, (0.1, 0.3, 1.0), "share of gaps in words with an unseen letter"),
    "typos": Change(_typos, (0.1, 0.3, 0.6), "share of words with a slip"),
    "spacing": Change(_spacing, (0.15, 0.4, 1.0), "share of words spelled out"),
    "benign_words": Change(_benign_words, (1, 3, 8), "words added in between"),
    "benign_suffix": Change(_benign_suffix, (1, 2, 3), "sentences added at the end"),
}
