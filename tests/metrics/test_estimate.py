from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrharm.metrics import Estimate, counted, format_cell, format_sentence, share
from mrharm.metrics.estimate import difference_of_means, mean_with_interval, wilson_interval

SHARE = Estimate(value=0.854, low=0.81, high=0.8912)
GAIN = Estimate(value=0.031, low=-0.0025, high=0.06)


@pytest.mark.parametrize(
    ("figure", "options", "sentence", "cell"),
    [
        (SHARE, {}, "85.4 % (81.0 to 89.1)", "85.4 (81.0-89.1)"),
        (GAIN, {"sign": True}, "+3.1 % (-0.2 to +6.0)", "+3.1 (-0.2 to +6.0)"),
        (SHARE, {"times": 1, "digits": 3}, "0.854 % (0.810 to 0.891)", "0.854 (0.810-0.891)"),
        (
            Estimate(value=1234.4, low=1100, high=12000),
            {"times": 1, "digits": 0},
            "1,234 % (1,100 to 12,000)",
            "1,234 (1,100-12,000)",
        ),
        (Estimate(value=0.5, low=0.4), {}, "50.0 %", "50.0"),
        (Estimate(value=-0.0001, high=0.6), {}, "0.0 %", "0.0"),
        (Estimate(), {}, "not known", "-"),
    ],
)
def test_a_figure_in_a_sentence_and_in_a_table(
    figure: Estimate, options: dict[str, Any], sentence: str, cell: str
) -> None:
    assert format_sentence(figure, unit=" %", **options) == sentence
    assert format_cell(figure, **options) == cell


def test_shares_differences_and_counts_as_sentences_name_them() -> None:
    assert (counted(1, "meme"), counted(1200, "meme")) == ("1 meme", "1,200 memes")


def test_a_figure_is_scaled_with_its_interval() -> None:
    assert Estimate(value=0.5, low=0.25).scale(100) == Estimate(value=50, low=25)


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_interval_by_its_formula_and_ends_exactly_at_0_and_1(successes: int, trials: int) -> None:
    successes = min(successes, trials)
    rate, z = successes / trials, 1.959964
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    low, high = wilson_interval(successes, trials)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    # A hair beside it, 100 of 100 would lie below itself.
    assert successes or low == 0.0
    assert successes < trials or high == 1.0


def test_a_share_of_no_trials_has_no_value() -> None:
    assert share(0, 0) == Estimate() and wilson_interval(0, 0) == (0.0, 1.0)
    assert share(2, 3).value == pytest.approx(2 / 3)


def test_a_mean_over_seeds_has_the_interval_of_student() -> None:
    # 3 seeds: t(0.975, 2) = 4.3027, standard deviation 1, over the root of 3
    found = mean_with_interval([1.0, 2.0, 3.0])
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert (mean_with_interval([2.0]), mean_with_interval([])) == (Estimate(value=2.0), Estimate())


def test_a_difference_over_seeds_has_the_interval_of_welch() -> None:
    # Variances 1 and 4 of 3 each: 5/3 / 3 under the root, (5/3)^2 / (1/18 + 16/18) = 2.941 degrees of freedom.
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    found = difference_of_means(first, second)
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2 - 4.1528, 2 + 4.1528), abs=0.01)
    assert difference_of_means(first * 0, second * 0 + 1) == Estimate(value=1.0)
    assert difference_of_means(first, np.array([1.0, np.nan])) == Estimate()
