from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from mrharm.metrics.bootstrap import Statistic
from mrharm.metrics.significance import (
    Repeats,
    kappa_of,
    leads_of,
    mcnemar,
    permutation_p,
    sign_flip_p,
    within_sd_of,
)


def test_a_lead_is_over_the_others_of_the_block() -> None:
    scores, blocks = np.array([0.1, 0.4, 0.7, 0.9, 0.2, 0.6]), np.array([0, 0, 0, 1, 2, 2])
    expected = [0.1 - 0.55, 0.4 - 0.4, 0.7 - 0.25, np.nan, -0.4, 0.4]
    assert leads_of(scores, blocks) == pytest.approx(expected, nan_ok=True)


def test_a_permutation_p_is_the_share_of_deals_as_far_apart() -> None:
    # Three blocks of two, always the same term higher by as much: 2 of 2^3 deals are as far apart.
    leads = np.array([1.0, -1.0] * 3)
    terms, blocks = np.array([0, 1] * 3), np.repeat([0, 1, 2], 2)
    assert permutation_p(leads, terms, blocks) == pytest.approx(0.25, abs=0.03)
    # Leads of one block are never dealt to another: blocks of one term each say nothing.
    assert (
        permutation_p(np.array([1.0, 1.0, -1.0, -1.0]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])) == 1
    )


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 5)), min_size=1, max_size=12))
def test_a_sign_flip_p_is_that_of_all_exchanges_one_by_one(pairs: list[tuple[int, int]]) -> None:
    differences, clusters = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    sums = [int(differences[clusters == number].sum()) for number in np.unique(clusters)]
    totals = [
        sum(sign * one for sign, one in zip(signs, sums, strict=True))
        for signs in product((-1, 1), repeat=len(sums))
    ]
    expected = np.mean([abs(total) >= abs(sum(sums)) for total in totals])
    assert sign_flip_p(differences, clusters) == pytest.approx(expected)


def decisions(only_first: int, only_second: int, agreed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * only_first + [False] * only_second + [True] * agreed)
    second = np.array([False] * only_first + [True] * only_second + [True] * agreed)
    return first, second


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_of_independent_memes_is_the_exact_sign_test_whichever_comes_first(
    one: int, two: int
) -> None:
    found, turned = mcnemar(*decisions(one, two)), mcnemar(*decisions(two, one))
    assert (found.only_first, found.only_second, found.exact) == (one, two, True)
    assert found.p == turned.p
    assert found.p == pytest.approx(binomtest(one, one + two).pvalue if one + two else 1.0)


def test_mcnemar_of_memes_that_share_an_outcome_counts_clusters() -> None:
    # 24 of 24 memes for the first, in quads: 2 of 2^6 exchanges of quads are as far apart.
    first, second = decisions(24, 0, agreed=0)
    assert mcnemar(first, second, clusters=np.repeat(np.arange(6), 4)).p == 2 / 64
    assert mcnemar(first, second).p < 1e-6


# Six things rated four times: the table of Shrout and Fleiss 1979, whose ICC(1, 1) they give as .17.
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def value(statistic: Callable[[Repeats], Statistic], repeats: Repeats) -> float:
    return statistic(repeats).value(len(repeats))


def test_repeats_spread_by_the_root_of_the_mean_square_within() -> None:
    assert value(within_sd_of, [[1, 3], [4], [2, 2, 5]]) == pytest.approx(math.sqrt((2 + 0 + 6) / 3))
    assert value(within_sd_of, RATINGS) ** 2 == pytest.approx(6.26, abs=0.005)
    assert value(within_sd_of, [[4, 4], [2, 2]]) == 0.0
    assert math.isnan(value(within_sd_of, [[1], [2]]))
    assert math.isnan(value(within_sd_of, []))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_agrees_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = kappa_of(first, second).value(len(first))
    if (first.all() and second.all()) or not (first.any() or second.any()):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(cohen_kappa_score(first, second))
