from __future__ import annotations

import math

import numpy as np
import pytest

from mrharm.metrics import accuracy, auroc, macro_f1, score_summary, wilson_interval

GOLD = np.array([True, True, False, False])


def test_accuracy_and_macro_f1_by_hand():
    said = np.array([True, False, False, False])
    assert accuracy(GOLD, said) == 0.75
    # harmful: P 1, R 1/2, F1 2/3; harmless: P 2/3, R 1, F1 4/5
    assert macro_f1(GOLD, said) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_no_label_counts_as_wrong():
    said = np.array([True, None, False, None], dtype=object)
    assert accuracy(GOLD, said) == 0.5
    assert macro_f1(GOLD, said) == macro_f1(GOLD, np.array([True, False, False, True]))


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
