from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrharm.metrics import aurc_of, bootstrap, confidence_of, risk_coverage_points


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


def test_a_meme_drawn_twice_counts_twice():
    statistic = aurc_of(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
    # Drawn: the first, and the second twice: 0, 1/2, 2/3
    assert statistic.of(np.array([[1.0, 2.0, 0.0]]))[0] == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)


def test_surest_mistakes_make_it_worse():
    right = [True] * 8 + [False] * 2
    falling = np.linspace(1, 0.5, 10)
    assert area(right, falling).value < 0.2 < area(right, falling[::-1]).value
    found = area(right, falling, n_resamples=300)
    assert found.low <= found.value <= found.high


def test_confidence_is_the_score_of_the_side_that_was_said():
    predicted = np.array([True, False, False, None], dtype=object)
    assert confidence_of(predicted, np.array([0.9, 0.1, 0.7, 0.6])).tolist() == pytest.approx(
        [0.9, 0.9, 0.3, 0.0]
    )


def test_the_curve_ends_at_all_memes_and_their_share_of_wrong_ones():
    points = risk_coverage_points(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.6]))
    assert points == ((0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5))
    assert risk_coverage_points(np.array([], dtype=bool), np.array([])) == ()
