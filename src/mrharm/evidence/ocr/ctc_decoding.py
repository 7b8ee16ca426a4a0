"""Decode the recogniser's probabilities into letters and words (CTC), with the spaces that plain decoding loses."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLANK = 0

# Between two letters, a space this likely is taken for one. The best path hardly ever has a space where letters are
# narrow or outlined (poster capitals: a third of the words stick together), though the model sees it: see docs/log.md.
SPACE = 0.05
_HOLD = ("@", "#")  # no space follows these, however likely
_CLING = "'’.,:;!?%)"  # a likely one does not precede these


class _Letter(NamedTuple):
    text: str
    step: int
    probability: float


@dataclass(frozen=True)
class Reading:
    """The text of one line; ``words``: (text, start, end), as shares of the line's length from 0 to 1.

    ``confidence``: mean probability of the letters, spaces left out.
    """

    text: str
    confidence: float
    words: tuple[tuple[str, float, float], ...]


def read_letters(probabilities: NDArray[np.float32], characters: Sequence[str], columns: float) -> Reading:
    """Decode one line from probabilities of shape (steps, classes); class 0 is the blank, the last the space.

    ``characters``: the text of each class; ``columns``: how many of the steps the line covers, the rest is padding.
    """
    words = _split_words(probabilities, characters)
    if not words:
        return Reading("", 0.0, ())
    letters = [letter for word in words for letter in word]
    texts = ["".join(letter.text for letter in word) for word in words]
    if not any(_is_wide(letter.text) for letter in letters):
        texts = [_narrow(text) for text in texts]
    # Between two words, each gets half of the gap.
    cuts = [(before[-1].step + after[0].step + 1) / 2 / columns for before, after in pairwise(words)]
    spans = pairwise([0.0, *(min(1.0, cut) for cut in cuts), 1.0])
    return Reading(
        " ".join(texts),
        float(np.mean([letter.probability for letter in letters])),
        tuple((text, *span) for text, span in zip(texts, spans, strict=True)),
    )


def _split_words(probabilities: NDArray[np.float32], characters: Sequence[str]) -> list[list[_Letter]]:
    """Follow the best path, and start a word at a space, or where a space is likely enough between two letters."""
    best, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    space_class = len(characters) - 1
    words: list[list[_Letter]] = []
    for step, previous, spaced in _letter_steps(best, space_class):
        letter = _Letter(characters[best[step]], step, float(highest[step]))
        if not spaced and previous + 1 < step and _may_part(words[-1], letter.text):
            spaced = float(probabilities[previous + 1 : step, space_class].max()) > SPACE
        if not words or (spaced and words[-1][-1].text not in _HOLD):
            words.append([])
        words[-1].append(letter)
    return words


def _letter_steps(best: NDArray[np.int64], space_class: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the step of each letter, the last step before it that is no blank, and whether a space came between."""
    spaced, previous = True, -1
    for step, label in enumerate(best):
        if label == BLANK:
            continue
        if label == space_class:
            spaced = True
        elif step == 0 or label != best[step - 1]:  # a label that goes on is one letter
            yield step, previous, spaced
            spaced = False
        previous = step


def _may_part(word: Sequence[_Letter], letter: str) -> bool:
    """Tell whether a likely space may end a word here: not in a number, in an @name or before some marks."""
    text = "".join(part.text for part in word)
    in_number = text[-1].isdigit() and letter.isdigit()
    return letter not in _CLING and not in_number and not text.startswith(_HOLD)


def _is_wide(letter: str) -> bool:
    return letter.isalpha() and unicodedata.east_asian_width(letter) == "W"


def _narrow(text: str) -> str:
    """Replace full-width marks, which the model mixes in, by those used among Latin letters."""
    return "".join(
        unicodedata.normalize("NFKC", letter) if unicodedata.east_asian_width(letter) == "F" else letter
        for letter in text
    )
