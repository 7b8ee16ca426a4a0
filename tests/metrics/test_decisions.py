from __future__ import annotations

import math

import numpy as np
import pytest

from mrharm.metrics import (
    accuracy,
    auroc,
    auroc_interval,
    macro_f1,
    macro_f1_interval,
    macro_f1_of,
    score_summary,
    wilson_interval,
)

GOLD = np.array([True, True, False, False])


def test_accuracy_and_macro_f1_by_hand():
    predicted = np.array([True, False, False, False])
    assert accuracy(GOLD, predicted) == 0.75
    # harmful: P 1, R 1/2, F1 2/3; harmless: P 2/3, R 1, F1 4/5
    assert macro_f1(GOLD, predicted) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_macro_f1_of_one_class_is_the_same_however_it_is_asked():
    """A side that nobody took counts 0: for figures with an interval and without."""
    for gold in (np.array([True, True]), np.array([False, False])):
        predicted = gold.astype(object)
        with np.errstate(invalid="ignore"):
            drawn = float(macro_f1_of(gold, predicted).of(np.ones((1, 2)))[0])
        assert macro_f1(gold, predicted) == drawn == 0.5


def test_no_label_counts_as_wrong():
    predicted = np.array([True, None, False, None], dtype=object)
    assert accuracy(GOLD, predicted) == 0.5
    assert macro_f1(GOLD, predicted) == macro_f1(GOLD, np.array([True, False, False, True]))


def test_auroc_by_hand_and_undefined_for_one_class():
    assert auroc(GOLD, np.array([0.9, 0.4, 0.6, 0.1])) == 0.75
    assert math.isnan(auroc(np.array([True, True]), np.array([0.1, 0.2])))


def test_wilson_interval_by_hand():
    # 90 of 100 (Wilson 1927): centre (0.9 + 1.92/100) / 1.0384, half width 0.0597
    low, high = wilson_interval(90, 100)
    assert (low, high) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_summary_says_none_where_there_is_no_area():
    assert score_summary([True, True], [True, None], [0.5, 0.5])["auroc"] is None


def test_the_interval_of_macro_f1_is_that_of_a_bootstrap_over_memes():
    gold = np.array([True] * 30 + [False] * 50)
    predicted = np.array([True] * 22 + [False] * 8 + [True] * 9 + [False] * 41)
    rng = np.random.default_rng(1)
    drawn = [rng.integers(0, len(gold), len(gold)) for _ in range(1000)]
    one_by_one = np.percentile([macro_f1(gold[rows], predicted[rows]) for rows in drawn], [2.5, 97.5])
    assert macro_f1_interval(gold, predicted) == pytest.approx(one_by_one, abs=0.015)


def test_the_interval_of_macro_f1_is_the_same_every_time_and_holds_the_figure():
    rng = np.random.default_rng(0)
    gold, predicted = rng.random(200) < 0.4, rng.random(200) < 0.5
    low, high = macro_f1_interval(gold, predicted)
    assert low < macro_f1(gold, predicted) < high
    assert macro_f1_interval(gold, predicted) == (low, high)
    few = macro_f1_interval(gold[:20], predicted[:20])
    assert few[1] - few[0] > high - low


def test_the_interval_of_macro_f1_at_its_ends():
    assert macro_f1_interval(GOLD, GOLD, n_resamples=50)[1] == 1.0
    assert macro_f1_interval(GOLD, ~GOLD) == (0.0, 0.0)
    assert macro_f1_interval(np.array([], dtype=bool), np.array([])) == (0.0, 1.0)
    # No label answered is the wrong one.
    predicted = np.array([True, None, False, None], dtype=object)
    assert macro_f1_interval(GOLD, predicted) == macro_f1_interval(GOLD, np.array([True, False, False, True]))


def test_the_interval_of_auroc_is_that_of_hanley_and_mcneil():
    # Their 109 CT images rated 1 to 5: 58 normal, 51 abnormal; they give W = 0.893 and its standard error as 0.032.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.repeat([1.0, 2, 3, 4, 5] * 2, normal + abnormal)
    gold = np.repeat([False, True], (58, 51))
    area = auroc(gold, ratings)
    assert area == pytest.approx(0.893, abs=5e-4)
    low, high = auroc_interval(area, 51, 58, z=1)
    assert (area - low, high - area) == pytest.approx((0.032, 0.032), abs=6e-4)


@pytest.mark.parametrize(
    ("harmful", "harmless", "error"), [(20, 200, 0.06498283), (110, 110, 0.03282048), (20, 20, 0.07789072)]
)
def test_the_standard_error_of_auroc_is_that_of_another_implementation(harmful, harmless, error):
    # The examples of se_auc(0.75, n_p, n_n) in the R package auctestr.
    low, high = auroc_interval(0.75, harmful, harmless, z=1)
    assert (0.75 - low, high - 0.75) == pytest.approx((error, error), abs=1e-8)


def test_the_interval_of_auroc_stays_within_0_and_1():
    assert auroc_interval(0.98, 5, 5)[1] == 1.0
    assert auroc_interval(0.02, 5, 5)[0] == 0.0
    assert auroc_interval(1.0, 5, 5) == (1.0, 1.0)


def test_a_share_of_all_or_none_ends_there_exactly():
    """A hair beside it, 100 of 100 would lie below itself."""
    assert all(wilson_interval(n, n)[1] == 1.0 and wilson_interval(0, n)[0] == 0.0 for n in range(1, 400))
