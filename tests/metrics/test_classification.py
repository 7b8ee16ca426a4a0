from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.classification import (
    accuracy_of,
    false_alarms_of,
    headline,
    macro_f1_of,
    precision_of,
    recall_of,
    settle,
)

GOLD = np.array([True, True, True, False, False])
SAID = np.array([True, None, False, True, None], dtype=object)


def value(statistic, count):
    return bootstrap({"it": statistic}, count, n_resamples=1)["it"].value


def test_no_label_is_settled_as_the_wrong_one():
    assert settle(GOLD, SAID).tolist() == [True, False, False, True, True]


def test_figures_by_hand():
    # hit 1, miss 2 (one unanswered), false alarm 1, unanswered 1; right 1 of 5
    assert value(accuracy_of(GOLD, SAID), 5) == pytest.approx(1 / 5)
    assert value(precision_of(GOLD, SAID), 5) == pytest.approx(1 / 2)
    assert value(recall_of(GOLD, SAID), 5) == pytest.approx(1 / 3)
    assert value(false_alarms_of(GOLD, SAID), 5) == pytest.approx(1 / 2)  # nothing was flagged unanswered
    # harmful: 2 / (2 + 2 + 2); harmless: 0
    assert value(macro_f1_of(GOLD, SAID), 5) == pytest.approx(1 / 6)


def test_precision_without_a_flag_and_recall_without_harm_cannot_be_had():
    never = np.zeros(5, dtype=bool)
    assert value(precision_of(GOLD, never), 5) is None
    assert value(recall_of(never, GOLD), 5) is None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([True, False, None])), min_size=1, max_size=40))
def test_they_agree_with_scikit_learn(pairs):
    gold = np.array([harmful for harmful, _ in pairs])
    predicted = np.array([answer for _, answer in pairs], dtype=object)
    decided = settle(gold, predicted)
    count = len(gold)
    assert value(accuracy_of(gold, predicted), count) == pytest.approx(accuracy_score(gold, decided))
    expected = f1_score(gold, decided, average="macro", labels=[False, True], zero_division=0)
    assert value(macro_f1_of(gold, predicted), count) == pytest.approx(expected)
    flagged = np.array([answer is True for answer in predicted])
    if flagged.any():
        assert value(precision_of(gold, predicted), count) == pytest.approx(precision_score(gold, flagged))
    if gold.any():
        assert value(recall_of(gold, predicted), count) == pytest.approx(recall_score(gold, decided))


def test_macro_f1_of_one_class_is_half_as_the_class_that_nobody_took_counts_0():
    for gold in (np.array([True, True]), np.array([False, False])):
        assert macro_f1_of(gold, gold).value(2) == 0.5


def test_the_headline_has_no_macro_f1_and_no_area_of_one_label():
    gold = np.array([True, True])
    found = bootstrap(headline(gold, np.array([True, None], dtype=object), np.array([0.5, 0.5])), len(gold))
    assert (found["accuracy"].value, found["macro_f1"], found["auroc"]) == (0.5, Estimate(), Estimate())
    found = bootstrap(headline(GOLD, SAID, np.array([0.9, 0.8, 0.3, 0.6, 0.1])), len(GOLD))
    assert found["macro_f1"].value == pytest.approx(1 / 6) and found["auroc"].value == pytest.approx(5 / 6)
