from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.calibration import brier_of, classwise_ece_of, ece_by_chance, reliability
from mrharm.metrics.estimate import wilson_interval

pairs = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)


def figure(statistic, count, n_resamples=1):
    return bootstrap({"it": statistic}, count, n_resamples=n_resamples)["it"]


@pytest.mark.parametrize(
    ("gold", "scores", "bins", "error"),
    [
        # Upper bin: mean 0.85, share 1/2, weight 1/2; lower: mean 0.2, share 1: 0.175 and 0.4, for either class.
        ([True, False, True, True], [0.9, 0.8, 0.3, 0.1], 2, 0.575),
        # 0.5 is in the upper bin of either class: harmful has two bins, each off by its meme; harmless has one.
        ([False, True], [0.4, 0.5], 2, ((0.4 + 0.5) / 2 + abs((0.6 - 1) + (0.5 - 0)) / 2) / 2),
        ([True] * 8 + [False] * 2 + [True] * 3 + [False] * 7, [0.8] * 10 + [0.3] * 10, 15, 0),
    ],
)
def test_the_class_wise_error_by_hand(gold, scores, bins, error):
    found = figure(classwise_ece_of(np.array(gold), np.array(scores), bins=bins), len(gold))
    assert found.value == pytest.approx(error)


def test_the_interval_of_the_error_holds_it_though_drawing_adds_noise():
    rng = np.random.default_rng(0)
    scores = rng.random(300)
    gold = rng.random(300) < scores
    found = figure(classwise_ece_of(gold, scores), 300, n_resamples=500)
    assert found.low < found.value < found.high


def test_chance_explains_the_error_of_scores_that_mean_what_they_say_and_no_more():
    rng = np.random.default_rng(1)
    scores = rng.random(200)
    bound = ece_by_chance(scores, n_resamples=400)
    errors = [figure(classwise_ece_of(rng.random(200) < scores, scores), 200).value for _ in range(200)]
    assert 0.93 < np.mean(np.array(errors) < bound) <= 1.0
    assert figure(classwise_ece_of(rng.random(200) < scores**3, scores), 200).value > bound
    # Ten times the memes leave chance about a third of the room.
    assert ece_by_chance(rng.random(2000), n_resamples=400) == pytest.approx(bound / np.sqrt(10), rel=0.2)


@given(pairs)
def test_brier_agrees_with_scikit_learn_and_the_error_is_a_share(rows):
    gold = np.array([one for one, _ in rows])
    scores = np.array([one for _, one in rows])
    expected = brier_score_loss(gold, scores, pos_label=True, labels=[False, True])
    assert figure(brier_of(gold, scores), len(gold)).value == pytest.approx(expected)
    assert 0 <= figure(classwise_ece_of(gold, scores), len(gold)).value <= 1


def test_a_bin_says_its_share_and_how_sure_that_is():
    gold, scores = np.array([True, False, True, True]), np.array([0.95, 1.0, 0.97, 0.02])
    low, high = reliability(gold, scores, bins=5)
    assert (low.memes, low.harmful.value, low.mean_score) == (1, 1.0, 0.02)
    assert (high.memes, high.harmful.value) == (3, pytest.approx(2 / 3))
    assert (high.harmful.low, high.harmful.high) == wilson_interval(2, 3)
    assert high.mean_score == pytest.approx(2.92 / 3)
