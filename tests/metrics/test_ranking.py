from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from mrharm.metrics import auprc_of, auroc, auroc_of, bootstrap, bootstrap_indexes, pr_points, roc_points
from mrharm.metrics.ranking import sort_by, thin

GOLD = np.array([True, False, True, False])
SCORES = np.array([0.9, 0.7, 0.7, 0.1])


def value(statistic, count):
    return bootstrap({"it": statistic}, count, n_resamples=1)["it"].value


ranked = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40)


def test_areas_by_hand_with_equal_scores():
    # Pairs: 0.9 beats both; 0.7 ties one and beats the other: (1 + 1 + 0.5 + 1) / 4
    assert value(auroc_of(GOLD, SCORES), 4) == pytest.approx(3.5 / 4)
    # Precision 1 at recall 1/2; 2/3 where the tie brings recall to 1
    assert value(auprc_of(GOLD, SCORES), 4) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_an_area_of_one_class_cannot_be_had():
    assert value(auroc_of(np.array([True, True]), SCORES[:2]), 2) is None
    assert value(auprc_of(np.array([False, False]), SCORES[:2]), 2) is None


@given(ranked)
def test_areas_and_curves_agree_with_scikit_learn(pairs):
    gold = np.array([one for one, _ in pairs])
    scores = np.array([one for _, one in pairs]) / 6
    assume(0 < gold.sum() < len(gold))
    assert value(auroc_of(gold, scores), len(gold)) == pytest.approx(roc_auc_score(gold, scores))
    assert value(auprc_of(gold, scores), len(gold)) == pytest.approx(average_precision_score(gold, scores))
    alarms, hits, _ = roc_curve(gold, scores, drop_intermediate=False)
    assert np.array(roc_points(gold, scores)) == pytest.approx(np.stack([alarms, hits], axis=1))
    precision, recall, _ = precision_recall_curve(gold, scores)
    # Theirs ends in an invented point at recall 0.
    assert np.array(pr_points(gold, scores)) == pytest.approx(np.stack([recall, precision], axis=1)[-2::-1])


@given(ranked, st.randoms(use_true_random=False))
def test_areas_do_not_depend_on_the_order_of_memes_and_turn_over_with_the_scores(pairs, random):
    gold = np.array([one for one, _ in pairs])
    scores = np.array([one for _, one in pairs]) / 6
    assume(0 < gold.sum() < len(gold))
    area = value(auroc_of(gold, scores), len(gold))
    order = list(range(len(gold)))
    random.shuffle(order)
    assert value(auroc_of(gold[order], scores[order]), len(gold)) == pytest.approx(area)
    assert value(auroc_of(gold, 1 - scores), len(gold)) == pytest.approx(1 - area)


def test_the_interval_of_auroc_is_that_of_drawing_memes_one_by_one():
    rng = np.random.default_rng(0)
    gold = rng.random(120) < 0.4
    scores = (0.3 * gold + rng.random(120)).round(1)
    slow = bootstrap_indexes(lambda drawn: auroc(gold[drawn], scores[drawn]), 120, n_resamples=1000)
    fast = bootstrap({"auroc": auroc_of(gold, scores)}, 120, n_resamples=1000)["auroc"]
    assert fast.value == pytest.approx(slow.value)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.015)


def test_a_curve_is_thinned_to_its_ends_and_points_between():
    points = thin(np.arange(1000.0), np.arange(1000.0) / 2, most=11)
    assert len(points) == 11
    assert (points[0], points[-1]) == ((0.0, 0.0), (999.0, 499.5))
    assert thin(np.arange(3.0), np.arange(3.0), most=11) == ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))


def test_curves_of_one_class_are_empty():
    only = np.array([True, True])
    assert roc_points(only, SCORES[:2]) == ()
    assert pr_points(~only, SCORES[:2]) == ()
    assert roc_points(np.array([], dtype=bool), np.array([])) == ()


def test_equal_numbers_make_one_run():
    found = sort_by(np.array([0.1, 0.5, 0.1, 0.9]))
    assert found.order.tolist() == [3, 1, 0, 2]
    assert found.starts.tolist() == [0, 1, 2]
    assert found.sums(np.array([[1.0, 2, 4, 8]])).tolist() == [[8, 2, 5]]
