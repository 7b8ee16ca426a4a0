from __future__ import annotations

import pytest

from mrharm.metrics import Estimate, format_cell, format_sentence

SHARE = Estimate(value=0.854, low=0.81, high=0.8912)
GAIN = Estimate(value=0.031, low=-0.0025, high=0.06)


def test_a_figure_in_a_sentence_and_in_a_table() -> None:
    assert format_sentence(SHARE, unit=" %") == "85.4 % (81.0 to 89.1)"
    assert format_cell(SHARE) == "85.4 (81.0-89.1)"


def test_a_difference_has_its_signs_and_no_hyphen_between_them() -> None:
    assert format_sentence(GAIN, unit=" points", sign=True) == "+3.1 points (-0.2 to +6.0)"
    assert format_cell(GAIN, sign=True) == "+3.1 (-0.2 to +6.0)"


def test_plain_numbers_have_their_digits_and_thousands() -> None:
    reviews = Estimate(value=1234.4, low=1100, high=12000)
    assert format_sentence(reviews, unit=" a day", times=1, digits=0) == "1,234 a day (1,100 to 12,000)"
    assert format_cell(SHARE, times=1, digits=3) == "0.854 (0.810-0.891)"


@pytest.mark.parametrize(
    "lacking", [Estimate(value=0.5), Estimate(value=0.5, low=0.4), Estimate(value=0.5, high=0.6)]
)
def test_without_both_bounds_there_is_no_interval(lacking: Estimate) -> None:
    assert (format_sentence(lacking, unit=" %"), format_cell(lacking)) == ("50.0 %", "50.0")


def test_what_cannot_be_had_is_said_so_without_a_unit() -> None:
    assert (format_sentence(Estimate(), unit=" %"), format_cell(Estimate())) == ("not known", "-")


def test_a_zero_has_no_minus() -> None:
    assert (format_sentence(Estimate(value=-0.0001)), format_cell(Estimate(value=-0.0001))) == ("0.0", "0.0")
