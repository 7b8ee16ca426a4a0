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


def test_a_letter_over_several_steps_is_one_and_a_blank_parts_two() -> None:
    assert read("_aab_b_").text == "abb"


def test_a_space_that_is_merely_likely_parts_words() -> None:
    assert read("a_b", {1: 0.06}).text == "a b"
    assert read("a_b", {1: 0.04}).text == "ab"


def test_the_models_own_spaces_part_words_and_none_stands_at_the_ends() -> None:
    assert read(" a  b_ ").text == "a b"


@pytest.mark.parametrize(("steps", "text"), [("1_9", "19"), ("a_'b", "a'b"), ("a_!", "a!"), ("@a_1", "@a1")])
def test_a_likely_space_never_breaks_numbers_names_and_marks(steps: str, text: str) -> None:
    assert read(steps, {steps.index("_"): 0.4}).text == text


def test_no_space_follows_a_hash_sign_however_sure() -> None:
    assert read("# 1").text == "#1"


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


def test_full_width_marks_become_plain_ones_but_among_ideographs() -> None:
    assert read("a，b").text == "a,b"
    assert read("中，中").text == "中，中"


def test_nothing_but_blanks_is_no_text() -> None:
    assert read("____") == Reading("", 0.0, ())
