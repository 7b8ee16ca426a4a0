from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from mrharm.evaluation.scores import HEADLINE, curves, headline_row, score
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import share_of
from mrharm.metrics.thresholds import LabelledScores, Traffic, metrics_at_threshold

GOLD = np.array([True] * 12 + [False] * 18)
SAID = np.array([True] * 9 + [False] * 2 + [None] + [True] * 4 + [False] * 13 + [None], dtype=object)
SCORES = np.where([bool(one) for one in SAID], 0.8, 0.2) - np.arange(30) / 1000


def test_every_figure_stands_with_its_interval_around_it():
    found = score(GOLD, SAID, SCORES, n_resamples=200)
    figures = [value for _, value in found if isinstance(value, Estimate)]
    assert len(figures) == 10
    for figure in figures:
        assert figure.low <= figure.value <= figure.high


def test_no_label_is_wrong_and_flags_nothing():
    found = score(GOLD, SAID, SCORES, n_resamples=2)
    assert (found.memes, found.harmful, found.flagged, found.unanswered) == (30, 12, 13, 2)
    assert found.accuracy.value == pytest.approx(22 / 30)
    assert found.recall.value == pytest.approx(9 / 12)
    assert found.false_alarms.value == pytest.approx(4 / 18)
    assert found.precision.value == pytest.approx(9 / 13)
    decided = [not gold if said is None else said for gold, said in zip(GOLD, SAID, strict=True)]
    assert found.macro_f1.value == pytest.approx(f1_score(GOLD, decided, average="macro"))


def test_figures_of_scores_are_scikit_learns():
    found = score(GOLD, SAID, SCORES, n_resamples=2)
    assert found.auroc.value == pytest.approx(roc_auc_score(GOLD, SCORES))
    assert found.auprc.value == pytest.approx(average_precision_score(GOLD, SCORES))
    assert found.brier.value == pytest.approx(np.mean((SCORES - GOLD) ** 2))


def test_the_same_verdicts_have_one_interval_in_every_table():
    """In `evaluate`'s figures, the demo's and the ablation's rows, a group's row, and what a threshold does."""
    rng = np.random.default_rng(1)
    scores = rng.random(307)
    gold, said, clusters = rng.random(307) < scores, scores >= 0.5, np.arange(307) // 2
    figures = score(gold, said, scores, clusters=clusters)
    row = headline_row(gold, said, scores, clusters)
    assert row["accuracy_ci"] == [figures.accuracy.low, figures.accuracy.high]
    at_threshold = metrics_at_threshold(LabelledScores(gold, scores, clusters), 0.5, Traffic())
    for name in ("macro_f1", "precision", "recall"):
        assert at_threshold[name] == getattr(figures, name)
    assert share_of(said == gold, clusters=clusters) == figures.accuracy


def test_the_same_seed_gives_the_same_figures():
    assert score(GOLD, SAID, SCORES, n_resamples=50, seed=3) == score(
        GOLD, SAID, SCORES, n_resamples=50, seed=3
    )
    assert score(GOLD, SAID, SCORES, n_resamples=50, seed=3) != score(
        GOLD, SAID, SCORES, n_resamples=50, seed=4
    )


def test_one_class_alone_has_no_ranking_and_no_roc():
    some = slice(0, 12)
    found = score(GOLD[some], SAID[some], SCORES[some], n_resamples=20)
    assert found.auroc == found.macro_f1 == Estimate() == found.false_alarms
    assert found.accuracy.value == pytest.approx(9 / 12)
    assert curves(GOLD[some], SAID[some], SCORES[some]).roc == ()


def test_curves_span_their_squares():
    found = curves(GOLD, SAID, SCORES)
    assert found.roc[0] == (0, 0) and found.roc[-1] == (1, 1)
    assert found.pr[-1] == (1, pytest.approx(12 / 30))
    assert found.risk_coverage[-1] == (1, pytest.approx(8 / 30))
    assert sum(one.memes for one in found.reliability) == 30


def test_the_calibration_errors_interval_reaches_0_where_chance_explains_it():
    rng = np.random.default_rng(0)
    scores = rng.random(300)
    honest, boastful = rng.random(300) < scores, rng.random(300) < 0.5
    found = score(honest, scores > 0.5, scores, n_resamples=200)
    assert found.ece.value < found.ece_by_chance and found.ece.low == 0
    wrong = score(boastful, scores > 0.5, scores, n_resamples=200)
    assert wrong.ece.value > wrong.ece_by_chance and wrong.ece.low > 0.1


def test_memes_that_are_drawn_together_make_intervals_wider():
    once = score(GOLD, SAID, SCORES, n_resamples=400)
    four_times = (np.tile(part, 4) for part in (GOLD, SAID, SCORES))
    gold, said, scores = four_times
    copies = score(gold, said, scores, n_resamples=400, clusters=np.tile(np.arange(30), 4))
    naive = score(gold, said, scores, n_resamples=400)
    for name in HEADLINE:
        wide, one, narrow = (getattr(found, name) for found in (copies, once, naive))
        assert wide.value == pytest.approx(one.value) == pytest.approx(narrow.value)
        assert wide.high - wide.low == pytest.approx(one.high - one.low, rel=0.2)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
