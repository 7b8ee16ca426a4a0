from __future__ import annotations

import math

import numpy as np
import pytest

from mrharm.metrics.agreement import intraclass, kappa, within_sd

# Six things rated four times: the table of Shrout and Fleiss 1979, whose ICC(1, 1) they give as .17.
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_repeats_spread_by_the_root_of_the_mean_square_within() -> None:
    assert within_sd([[1, 3], [4], [2, 2, 5]]) == pytest.approx(math.sqrt((2 + 0 + 6) / 3))
    assert within_sd(RATINGS) ** 2 == pytest.approx(6.26, abs=0.005)
    assert within_sd([[4, 4], [2, 2]]) == 0.0
    assert math.isnan(within_sd([[1], [2]]))
    assert math.isnan(within_sd([]))


def test_the_intraclass_correlation_is_that_of_its_authors() -> None:
    assert intraclass(RATINGS) == pytest.approx(0.166, abs=0.0005)
    assert intraclass([[5, 3], [1, 1]]) == pytest.approx((9 - 1) / (9 + 1))
    assert intraclass([[4, 4], [2, 2], [5, 5]]) == 1.0
    assert intraclass([[1, 5], [5, 1]]) == -1.0


def test_questions_with_unlike_numbers_of_repeats_count_by_their_number() -> None:
    # Means 2 and 5 of 2 and 1 answers: overall 3, between 2 + 4 = 6, within 2 / 1, k0 = (3 - 5 / 3) / 1 = 4 / 3.
    assert intraclass([[1, 3], [5]]) == pytest.approx((6 - 2) / (6 + 2 / 3))


@pytest.mark.parametrize("repeats", [[], [[1, 2]], [[1], [2]], [[3, 3], [3, 3]], [[], []]])
def test_without_repeats_questions_or_variance_there_is_no_correlation(repeats: list[list[float]]) -> None:
    assert math.isnan(intraclass(repeats))


def test_kappa_is_agreement_beyond_chance() -> None:
    # 20 both harmful, 5 and 10 apart, 15 both harmless: 0.7 agree, 0.5 by chance.
    one = np.repeat([True, True, False, False], [20, 5, 10, 15])
    other = np.repeat([True, False, True, False], [20, 5, 10, 15])
    assert kappa(one, other) == pytest.approx(0.4)
    assert kappa(one, one) == 1.0
    assert kappa(one, ~one) < 0
    assert math.isnan(kappa(one | True, one | True))
