"""ROUGE-L: how much of a reference a text tells, in the same order."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def rouge_l(candidate: str, references: Sequence[str]) -> float:
    """The best ROUGE-L F-measure against any of the references, 0 to 1; 0 where there is none.

    F1 of precision and recall of the longest common subsequence of words (Lin, "ROUGE: A Package for Automatic
    Evaluation of Summaries", 2004, sentence level, beta = 1). Words are runs of letters and digits of any script, in
    lower case, unstemmed: a package would bring a stemmer and a tokenizer that drops all letters but a to z.
    """
    words = _words(candidate)
    return max((_f_measure(words, _words(reference)) for reference in references), default=0.0)


def _f_measure(candidate: list[str], reference: list[str]) -> float:
    # Precision is common / len(candidate), recall common / len(reference); their harmonic mean in one step.
    length = len(candidate) + len(reference)
    return 2 * _common(candidate, reference) / length if length else 0.0


def _common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, a row of the usual table at a time."""
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, theirs in enumerate(other, 1):
            diagonal, row[place] = (
                row[place],
                diagonal + 1 if word == theirs else max(row[place], row[place - 1]),
            )
    return row[-1]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
