"""From the recogniser's probabilities to letters and words (CTC), with the spaces that plain decoding loses."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLANK = 0

# Between two letters, a space this likely is taken for one. The best path hardly ever has a space where letters are
# narrow or outlined (poster capitals: a third of the words stick together), though the model sees it: see docs/log.md.
SPACE = 0.05
_HOLD = ("@", "#")  # no space follows these, however likely
_CLING = "'’.,:;!?%)"  # a likely one does not precede these


@dataclass(frozen=True)
class Reading:
    """The text of one line; ``words``: (text, start, end), as shares of the line's length from 0 to 1.

    ``confidence``: mean probability of the letters, spaces left out.
    """

    text: str
    confidence: float
    words: tuple[tuple[str, float, float], ...]


def read_letters(
    probabilities: NDArray[np.float32], characters: Sequence[str], columns: float, space: float = SPACE
) -> Reading:
    """Decode one line.

    Args:
        probabilities: (steps, classes), each row sums to 1; class 0 is the blank.
        characters: what each class stands for; the last is the space.
        columns: how many of the steps the line covers; what follows is padding.
        space: the least probability of a space between two letters.
    """
    best, surest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    blank_or_space = (BLANK, len(characters) - 1)
    letters: list[tuple[str, int, float]] = []  # letter, step, probability
    words: list[list[tuple[str, int, float]]] = []
    spaced, last = True, -1
    for step, label in enumerate(best):
        if label == BLANK:
            continue
        if label == blank_or_space[1]:
            spaced = True
        elif step == 0 or label != best[step - 1]:
            letter = (characters[label], step, float(surest[step]))
            if (
                not spaced
                and last + 1 < step
                and _may_part("".join(one for one, _, _ in words[-1]), letter[0])
            ):
                spaced = float(probabilities[last + 1 : step, blank_or_space[1]].max()) > space
            if not words or (spaced and words[-1][-1][0] not in _HOLD):
                words.append([])
            words[-1].append(letter)
            letters.append(letter)
            spaced = False
        last = step
    if not letters:
        return Reading("", 0.0, ())
    wide = any(_is_wide(letter) for letter, _, _ in letters)
    texts = ["".join(letter for letter, _, _ in word) for word in words]
    texts = texts if wide else [_narrow(text) for text in texts]
    edges = _edges([(word[0][1], word[-1][1]) for word in words], columns)
    return Reading(
        " ".join(texts),
        float(np.mean([probability for _, _, probability in letters])),
        tuple((text, *edge) for text, edge in zip(texts, edges, strict=True)),
    )


def _may_part(word: str, letter: str) -> bool:
    """Whether a space that is only likely may stand here: not in a number, in an @name or before some marks."""
    in_number = word[-1].isdigit() and letter.isdigit()
    return letter not in _CLING and not in_number and not word.startswith(_HOLD)


def _edges(steps: list[tuple[int, int]], columns: float) -> list[tuple[float, float]]:
    """Where words lie, from the steps of their first and last letters: half of each gap belongs to either word."""
    cuts = [(before[1] + after[0] + 1) / 2 / columns for before, after in pairwise(steps)]
    bounds = [0.0, *(min(1.0, cut) for cut in cuts), 1.0]
    return list(pairwise(bounds))


def _is_wide(letter: str) -> bool:
    return letter.isalpha() and unicodedata.east_asian_width(letter) == "W"


def _narrow(text: str) -> str:
    """Full-width marks, which the model mixes in, as they are written among Latin letters."""
    return "".join(
        unicodedata.normalize("NFKC", letter) if unicodedata.east_asian_width(letter) == "F" else letter
        for letter in text
    )
