from __future__ import annotations

import numpy as np
import pytest

from mrharm.metrics import Estimate
from mrharm.metrics import bootstrap as bootstrap_module
from mrharm.metrics.bootstrap import (
    Statistic,
    average,
    bootstrap,
    draw_counts,
    effective_count,
    mean_of,
    mean_of_values,
    share_of,
    share_within,
)
from mrharm.metrics.calibration import brier_of, classwise_ece_of
from mrharm.metrics.classification import accuracy_of, macro_f1_of, precision_of
from mrharm.metrics.estimate import wilson_interval
from mrharm.metrics.ranking import auprc_of, aurc_of, auroc_of
from mrharm.metrics.significance import kappa_of, within_sd_of

VALUES = np.array([0.0, 1.0, 4.0, 9.0, 16.0] * 12)


def test_draws_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch):
    whole = np.concatenate(list(draw_counts(10, 20, 1)))
    assert whole.shape == (20, 10) and (whole.sum(axis=1) == 10).all()
    assert (whole != np.concatenate(list(draw_counts(10, 20, 2)))).any()
    monkeypatch.setattr(bootstrap_module, "MATRIX_CELLS", 30)
    parts = list(draw_counts(10, 20, 1))
    assert len(parts) == 7
    assert (np.concatenate(parts) == whole).all()


def test_the_interval_is_that_of_drawing_memes_one_by_one():
    rng = np.random.default_rng(5)
    one_by_one = [VALUES[rng.integers(0, len(VALUES), len(VALUES))].mean() for _ in range(4000)]
    found = bootstrap({"mean": mean_of_values(VALUES)}, len(VALUES), n_resamples=4000)["mean"]
    assert found.value == VALUES.mean()
    assert (found.low, found.high) == pytest.approx(np.percentile(one_by_one, [2.5, 97.5]), abs=0.15)


FIGURES = {
    "accuracy": lambda gold, scores: accuracy_of(gold, scores > 0.5),
    "macro F1": lambda gold, scores: macro_f1_of(gold, scores > 0.5),
    "precision": lambda gold, scores: precision_of(gold, scores > 0.5),
    "area under ROC": auroc_of,
    "average precision": auprc_of,
    "risk and coverage": aurc_of,
    "Brier": brier_of,
    "calibration": classwise_ece_of,
    "kappa": lambda gold, scores: kappa_of(gold, scores > 0.5),
    "repeatability": lambda gold, scores: within_sd_of(np.stack([gold, scores], axis=1).tolist()),
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_a_meme_drawn_twice_counts_twice(figure):
    rng = np.random.default_rng(5)
    counts, gold = rng.integers(0, 4, 60), rng.random(60) < 0.4
    scores = (0.3 * gold + 0.7 * rng.random(60)).round(1)
    repeated = figure(np.repeat(gold, counts), np.repeat(scores, counts)).value(counts.sum())
    assert figure(gold, scores).of(counts[None].astype(float))[0] == pytest.approx(repeated)


def test_a_difference_of_two_figures_is_drawn_together():
    noisy = mean_of_values(VALUES)
    shifted = mean_of_values(VALUES + np.arange(60) % 2)
    apart = bootstrap({"one": noisy, "difference": shifted - noisy}, len(VALUES))
    assert apart["one"].high - apart["one"].low > 2
    difference = apart["difference"]
    assert difference.value == 0.5 and 0.3 < difference.low < 0.5 < difference.high < 0.7


def test_an_average_is_drawn_over_the_same_memes():
    constant = average([mean_of_values(VALUES), mean_of_values(16 - VALUES)])
    found = bootstrap({"mean": constant}, len(VALUES))["mean"]
    assert (found.value, found.low, found.high) == pytest.approx((8, 8, 8))


def test_a_share_of_all_or_none_is_not_certain():
    gold = np.array([True] * 20)
    found = bootstrap({"accuracy": accuracy_of(gold, gold)}, 20)["accuracy"]
    assert (found.low, found.high) == wilson_interval(20, 20)
    assert found.low < 0.9
    # Of memes in four clusters no more than four are known to be independent.
    found = bootstrap({"accuracy": accuracy_of(gold, gold)}, 20, clusters=np.repeat(np.arange(4), 5))[
        "accuracy"
    ]
    assert (found.low, found.high) == wilson_interval(4, 4)
    nothing = share_of(np.zeros(20, dtype=bool))
    assert (nothing.value, nothing.low) == (0.0, 0.0) and nothing.high > 0.1
    assert share_of(np.array([], dtype=bool)) == mean_of(np.array([])) == Estimate()


def test_a_difference_of_shares_that_never_changes_is_not_certain():
    def subtract(first, second, clusters=None):
        shares = [mean_of_values(flags, share=True) for flags in (first, second)]
        return bootstrap({"it": shares[0] - shares[1]}, len(first), clusters=clusters)["it"]

    right, quads = np.arange(40) % 4 < 2, np.repeat(np.arange(10), 4)
    same = subtract(right, right, quads)
    # Newcombe's table of 5 and 5 agreeing pairs: a correlation of (25 - 5) / 25, Wilson's 0.2366 to 0.7634.
    assert same.value == 0 and (same.low, same.high) == pytest.approx((-0.1666, 0.1666), abs=1e-4)
    # All against none of ten pairs: from 1 - sqrt(2) x 0.2775.
    every = np.ones(10, dtype=bool)
    sure = subtract(every, ~every)
    assert (sure.low, sure.high) == pytest.approx((1 - 2**0.5 * 0.27753, 1), abs=1e-4)
    # Two sides of two perfect seeds each.
    perfect = average([accuracy_of(every, every)] * 2)
    alike = bootstrap({"it": perfect - perfect}, 10)["it"]
    assert (alike.value, alike.low, alike.high) == pytest.approx((0, -0.27753, 0.27753), abs=1e-4)


def test_no_interval_is_given_where_nothing_shows_how_a_difference_varies():
    scores, gold = np.linspace(0, 1, 20), np.arange(20) >= 10
    for figure in (auroc_of(gold, scores), macro_f1_of(gold, gold), mean_of_values(scores)):
        assert bootstrap({"it": figure - figure}, 20)["it"] == Estimate(value=0.0)


def test_the_base_of_a_share_counts_the_clusters_it_has_memes_in():
    members = np.array([True] * 6 + [False] * 6)
    found = bootstrap({"recall": share_within(members, members)}, 12, clusters=np.repeat(np.arange(4), 3))[
        "recall"
    ]
    assert (found.low, found.high) == wilson_interval(2, 2)


def test_the_effective_count_is_that_of_independent_memes():
    members = np.ones(40, dtype=bool)
    flagged = np.arange(40) % 4 == 0
    # Each meme its own cluster: all count; four alike: a quarter of them; none flagged: as many as clusters.
    assert effective_count(flagged, members, np.arange(40)) == pytest.approx((10, 40))
    quads = np.repeat(np.arange(10), 4)
    hits, size = effective_count(quads % 2 == 0, members, quads)
    assert (hits / size, size) == (0.5, pytest.approx(40 / (10 / 9 * 0.25 / 10 / (0.25 / 39))))
    assert effective_count(~members, members, quads) == (0.0, 10.0)
    assert effective_count(flagged, ~members, quads) == (0, 0)


def test_the_variance_behind_the_effective_count_is_that_of_the_cluster_bootstrap():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(80), 4)
    flagged = rng.random(320) < np.repeat(rng.beta(1, 1, 80), 4)
    draws = np.concatenate(list(draw_counts(320, 4000, 0, clusters))) @ flagged / 320
    _, size = effective_count(flagged, np.ones(320, dtype=bool), clusters)
    rate = flagged.mean()
    assert rate * (1 - rate) / size == pytest.approx(draws.var(), rel=0.1)


def test_what_cannot_be_had_is_none():
    nowhere = Statistic(lambda counts: np.full(len(counts), np.nan))
    assert bootstrap({"none": nowhere}, 5) == {"none": Estimate()}
    assert bootstrap({"mean": mean_of_values(np.array([]))}, 0) == {"mean": Estimate()}
    # There in the memes themselves, and in no draw.
    once = Statistic(lambda counts: np.where((counts == 1).all(axis=1), 2.0, np.nan))
    assert bootstrap({"once": once}, 50, n_resamples=20)["once"] == Estimate(value=2.0)


def test_the_interval_of_a_gap_that_noise_widens_is_of_the_gap_without_it():
    # The absolute mean of noise around 0: drawn again it lies higher on average than itself.
    values = np.array([-1.0, 1.0] * 50)
    gap = Statistic(lambda counts: np.abs(counts @ values / counts.sum(axis=1)), gap=True)
    found = bootstrap({"gap": gap}, 100, n_resamples=2000)["gap"]
    assert found.value == found.low == 0.0
    plain = bootstrap({"gap": Statistic(gap.of)}, 100, n_resamples=2000)["gap"]
    assert 0 < found.high < plain.high
    # Scores that mean what they say, and a bin each for many of them: the figure is all noise.
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(20):
        deviations = rng.normal(size=(200, 10)) * rng.multinomial(1, [0.1] * 10, 200)
        noisy = Statistic(lambda counts, d=deviations: np.abs(counts @ d).sum(axis=1) / 200, gap=True)
        found = bootstrap({"gap": noisy}, 200, n_resamples=200, seed=seed)["gap"]
        covered += found.low <= 0.05 < found.value < found.high
    assert covered >= 15


def test_memes_drawn_together_are_drawn_together():
    counts = np.concatenate(list(draw_counts(6, 40, 1, np.array([7, 7, 7, 2, 2, -1]))))
    assert (counts[:, 0] == counts[:, 1]).all() and (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 3] == counts[:, 4]).all()
    assert (counts[:, 0] + counts[:, 3] + counts[:, 5] == 3).all()  # three clusters a draw
    assert len(np.unique(counts[:, 5])) > 1


def test_the_mean_of_perfect_detectors_has_the_interval_of_one():
    one = mean_of_values(np.ones(50), share=True)
    for statistic in (one, average([one]), average([one, one])):
        found = bootstrap({"it": statistic}, 50, n_resamples=50)["it"]
        assert found.value == found.high == 1.0 and 0.9 < found.low < 0.95
