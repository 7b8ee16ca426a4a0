"""Probabilities are made by hand: each step names its likeliest class, and how likely a space is there."""

import numpy as np
import pytest

from mrharm.evidence.ocr.ctc_decoding import Reading, read_letters

CHARACTERS = ["", *"abcDE019@#'!，中", " "]


def read(steps: str, likely: dict[int, float] | None = None, sure: float = 0.9) -> Reading:
    """``steps``: a letter a step, "_" for the blank; ``likely``: step -> probability of a space there."""
    rows = np.full((len(steps), len(CHARACTERS)), 0.001, np.float32)
    for step, letter in enumerate(steps):
        rows[step, 0 if letter == "_" else CHARACTERS.index(letter)] = sure
    for step, probability in (likely or {}).items():
        rows[step, -1] = probability
    return read_letters(rows, CHARACTERS, len(steps))


@pytest.mark.parametrize(
    ("steps", "space", "text"),
    [
        ("_aab_b_", 0.0, "abb"),  # a letter over several steps is one, and a blank parts two
        ("a_b", 0.06, "a b"),  # a space that is merely likely parts words
        ("a_b", 0.04, "ab"),
        (" a  b_ ", 0.0, "a b"),  # none stands at the ends
        ("1_9", 0.4, "19"),  # a likely one never breaks numbers, marks and names
        ("a_'b", 0.4, "a'b"),
        ("a_!", 0.4, "a!"),
        ("@a_1", 0.4, "@a1"),
        ("# 1", 0.0, "#1"),  # none follows a hash sign, however sure
        ("a，b", 0.0, "a,b"),  # full-width marks become plain ones but among ideographs
        ("中，中", 0.0, "中，中"),
    ],
)
def test_letters_and_spaces_are_read_off_the_steps(steps: str, space: float, text: str) -> None:
    assert read(steps, {steps.index("_"): space} if space else None).text == text


def test_confidence_is_that_of_the_letters_alone() -> None:
    rows = read("a b", sure=0.9)
    assert rows.confidence == pytest.approx(0.9)
    unsure_space = read("a_b", {1: 0.06}, sure=0.9)
    assert unsure_space.confidence == pytest.approx(0.9)


def test_words_share_the_line_without_gap_or_overlap() -> None:
    words = read("ab_ _Da__").words
    assert [word for word, _, _ in words] == ["ab", "Da"]
    assert words[0][1] == 0.0 and words[1][2] == 1.0
    assert words[0][2] == words[1][1]
    assert 2 / 9 < words[0][2] < 6 / 9


def test_nothing_but_blanks_is_no_text() -> None:
    assert read("____") == Reading("", 0.0, ())
