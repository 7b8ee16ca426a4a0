from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from mrharm.metrics import Estimate
from mrharm.metrics.estimate import Floats
from mrharm.metrics.thresholds import (
    FlagCounts,
    LabelledScores,
    Traffic,
    interval_at_prevalence,
    memes_needed,
    metrics_at_threshold,
)


def ends(figure: Estimate) -> list[float]:
    assert figure.low is not None and figure.high is not None
    return [figure.low, figure.high]


@pytest.mark.parametrize(("hits", "of"), [(0, 100), (100, 100), (3, 20), (1, 1)])
def test_one_rate_alone_has_the_interval_of_clopper_and_pearson(hits: int, of: int) -> None:
    low = beta.ppf(0.025, hits, of - hits + 1) if hits else 0
    high = beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1
    recall = interval_at_prevalence("recall", FlagCounts(hits, of, 0, 9), 0.5)
    alarms = interval_at_prevalence("alarms", FlagCounts(0, 9, hits, of), 0.5)
    assert recall.value == alarms.value == hits / of
    assert ends(recall) == pytest.approx([low, high], abs=0.01)
    assert ends(alarms) == pytest.approx([low, high], abs=0.01)


def test_a_rate_of_no_memes_has_no_figure() -> None:
    assert interval_at_prevalence("flagged", FlagCounts(0, 0, 3, 9), 0.5) == Estimate()


@pytest.mark.parametrize(("most", "memes"), [(0.5, 6), (0.01, 368), (0.001, 3688), (1.5, 1), (0, None)])
def test_so_many_memes_without_a_mistake_are_needed(most: float, memes: int | None) -> None:
    assert memes_needed(most) == memes
    if memes and memes > 1:
        assert beta.ppf(0.975, 1, memes) <= most < beta.ppf(0.975, 1, memes - 1)


@pytest.mark.parametrize("memes", [200, 2000])
@pytest.mark.parametrize("chosen", [True, False])
def test_the_interval_holds_the_truth_19_times_in_20_also_at_a_threshold_chosen_on_the_same_memes(
    memes: int, chosen: bool
) -> None:
    """Harmful memes N(3, 1), harmless ones N(0, 1): what any threshold really does is known. The chosen one lies right
    above the highest harmless meme, where a precision at a prevalence of 1 in 1,000 puts it.
    """

    def precision(recall: Floats, alarms: Floats) -> Floats:
        return 0.001 * recall / (0.001 * recall + 0.999 * alarms)

    half, held = memes // 2, []
    for seed in range(200):
        harmless, harmful = np.random.default_rng(seed).normal([[0.0], [3.0]], 1.0, (2, half))
        at = harmless.max() + 1e-9 if chosen else 2.6
        counted = FlagCounts(int((harmful > at).sum()), half, int((harmless > at).sum()), half)
        low, high = ends(interval_at_prevalence("precision", counted, 0.001, n_draws=1000))
        held.append(low <= precision(norm.sf(at - 3), norm.sf(at)) <= high)
    assert np.mean(held) >= 0.92  # 0.95 less two standard errors of 200


def test_memes_in_clusters_make_the_interval_at_a_prevalence_wider() -> None:
    rng = np.random.default_rng(0)
    gold, quads = np.arange(400) < 200, np.repeat(np.arange(100), 4)
    scores = norm.cdf(rng.normal(2.0 * gold, 1.0) + np.repeat(rng.normal(0, 1, 100), 4) - 1)
    width = []
    for clusters in (None, np.arange(400), quads):
        memes = LabelledScores(gold, scores, clusters)
        low, high = ends(metrics_at_threshold(memes, 0.5, Traffic(0.1))["recall"])
        width.append(high - low)
    assert width[0] == pytest.approx(width[1], rel=0.01)
    assert width[2] > 1.3 * width[0]
