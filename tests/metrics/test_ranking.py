from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.ranking import (
    auprc_of,
    aurc_of,
    auroc_of,
    confidence_of,
    pr_points,
    risk_coverage_points,
    roc_points,
    sort_by,
    thin,
)

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


@given(ranked)
def test_areas_and_curves_agree_with_scikit_learn(pairs):
    gold = np.array([harmful for harmful, _ in pairs])
    scores = np.array([score for _, score in pairs]) / 6
    assume(0 < gold.sum() < len(gold))
    assert value(auroc_of(gold, scores), len(gold)) == pytest.approx(roc_auc_score(gold, scores))
    assert value(auprc_of(gold, scores), len(gold)) == pytest.approx(average_precision_score(gold, scores))
    alarms, hits, _ = roc_curve(gold, scores, drop_intermediate=False)
    assert np.array(roc_points(gold, scores)) == pytest.approx(np.stack([alarms, hits], axis=1))
    precision, recall, _ = precision_recall_curve(gold, scores)
    # Theirs ends in an invented point at recall 0.
    assert np.array(pr_points(gold, scores)) == pytest.approx(np.stack([recall, precision], axis=1)[-2::-1])


def test_one_class_has_neither_an_area_nor_a_curve():
    only = np.array([True, True])
    assert value(auroc_of(only, SCORES[:2]), 2) is None and roc_points(only, SCORES[:2]) == ()
    assert value(auprc_of(~only, SCORES[:2]), 2) is None and pr_points(~only, SCORES[:2]) == ()
    assert roc_points(only[:0], SCORES[:0]) == ()


def test_a_curve_is_thinned_to_its_ends_and_points_between():
    points = thin(np.arange(1000.0), np.arange(1000.0) / 2, most=11)
    assert len(points) == 11
    assert (points[0], points[-1]) == ((0.0, 0.0), (999.0, 499.5))
    assert thin(np.arange(3.0), np.arange(3.0), most=11) == ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))


def test_equal_numbers_make_one_run():
    found = sort_by(np.array([0.1, 0.5, 0.1, 0.9]))
    assert found.order.tolist() == [3, 1, 0, 2]
    assert found.starts.tolist() == [0, 1, 2]
    assert found.sums(np.array([[1.0, 2, 4, 8]])).tolist() == [[8, 2, 5]]


def area(right, confidence, n_resamples=1):
    return bootstrap(
        {"it": aurc_of(np.array(right), np.array(confidence))}, len(right), n_resamples=n_resamples
    )["it"]


def test_the_area_by_hand():
    # Wrong among the 1, 2, 3 surest: 0, 1/2, 1/3
    assert area([True, False, True], [0.9, 0.8, 0.7]).value == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=6))
def test_equally_sure_memes_count_as_the_mean_over_their_orders(rows):
    right, sure = zip(*rows, strict=True)
    areas = []
    for order in permutations(range(len(rows))):
        if all(sure[one] >= sure[two] for one, two in pairwise(order)):
            wrong = np.array([not right[place] for place in order])
            areas.append(np.mean(np.cumsum(wrong) / np.arange(1, len(rows) + 1)))
    assert area(right, np.array(sure) / 2).value == pytest.approx(np.mean(areas))


def test_confidence_is_the_score_of_the_side_that_was_said():
    predicted = np.array([True, False, False, None], dtype=object)
    assert confidence_of(predicted, np.array([0.9, 0.1, 0.7, 0.6])).tolist() == pytest.approx(
        [0.9, 0.9, 0.3, 0.0]
    )


def test_the_curve_ends_at_all_memes_and_their_share_of_wrong_ones():
    points = risk_coverage_points(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.6]))
    assert points == ((0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5))
    assert risk_coverage_points(np.array([], dtype=bool), np.array([])) == ()
