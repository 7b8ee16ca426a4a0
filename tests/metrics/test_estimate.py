from __future__ import annotations

import pytest

from mrharm.metrics import Figure, in_table, spell

SHARE = Figure(value=0.854, low=0.81, high=0.8912)
GAIN = Figure(value=0.031, low=-0.0025, high=0.06)


def test_a_figure_in_a_sentence_and_in_a_table() -> None:
    assert spell(SHARE, unit=" %") == "85.4 % (81.0 to 89.1)"
    assert in_table(SHARE) == "85.4 (81.0-89.1)"


def test_a_difference_has_its_signs_and_no_hyphen_between_them() -> None:
    assert spell(GAIN, unit=" points", sign=True) == "+3.1 points (-0.2 to +6.0)"
    assert in_table(GAIN, sign=True) == "+3.1 (-0.2 to +6.0)"


def test_plain_numbers_have_their_digits_and_thousands() -> None:
    reviews = Figure(value=1234.4, low=1100, high=12000)
    assert spell(reviews, unit=" a day", times=1, digits=0) == "1,234 a day (1,100 to 12,000)"
    assert in_table(SHARE, times=1, digits=3) == "0.854 (0.810-0.891)"


@pytest.mark.parametrize(
    "lacking", [Figure(value=0.5), Figure(value=0.5, low=0.4), Figure(value=0.5, high=0.6)]
)
def test_without_both_bounds_there_is_no_interval(lacking: Figure) -> None:
    assert (spell(lacking, unit=" %"), in_table(lacking)) == ("50.0 %", "50.0")


def test_what_cannot_be_had_is_said_so_without_a_unit() -> None:
    assert (spell(Figure(), unit=" %"), in_table(Figure())) == ("not known", "-")


def test_a_zero_has_no_minus() -> None:
    assert (spell(Figure(value=-0.0001)), in_table(Figure(value=-0.0001))) == ("0.0", "0.0")
