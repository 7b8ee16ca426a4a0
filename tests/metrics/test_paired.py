from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mrharm.metrics import mcnemar
from mrharm.metrics.paired import FEW


def decisions(only_first: int, only_second: int, both: int = 5) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * only_first + [False] * only_second + [True] * both)
    second = np.array([False] * only_first + [True] * only_second + [True] * both)
    return first, second


def test_few_memes_are_tested_exactly():
    found = mcnemar(*decisions(1, 7))
    # Two-sided: 2 (C(8,0) + C(8,1)) / 2^8
    assert (found.only_first, found.only_second, found.exact) == (1, 7, True)
    assert found.p == pytest.approx(18 / 256)


def test_many_memes_are_tested_with_the_continuity_correction():
    # (|59 - 16| - 1)^2 / 75 = 23.52; its tail of chi-squared with 1 degree of freedom
    found = mcnemar(*decisions(59, 16))
    assert not found.exact
    assert found.p == pytest.approx(1.236e-6, rel=1e-2)


def test_the_same_decisions_differ_in_nothing():
    same = np.array([True, False, True])
    assert mcnemar(same, same).p == 1.0
    assert mcnemar(*decisions(20, 20)).p == 1.0


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_order_does_not_matter_and_p_is_that_of_the_sign_test_for_few(one, two):
    there, back = mcnemar(*decisions(one, two)), mcnemar(*decisions(two, one))
    assert there.p == back.p
    assert 0 <= there.p <= 1
    if 0 < one + two < FEW:
        assert there.p == pytest.approx(binomtest(one, one + two).pvalue)
