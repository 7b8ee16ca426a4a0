"""The figures of a split, each with its interval, and the curves behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.calibration import ReliabilityBin, brier_of, classwise_ece_of, ece_by_chance, reliability
from mrharm.metrics.classification import (
    false_alarms_of,
    flags_of,
    headline,
    precision_of,
    recall_of,
    settle,
)
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Decisions, Floats
from mrharm.metrics.ranking import (
    Points,
    auprc_of,
    aurc_of,
    confidence_of,
    pr_points,
    risk_coverage_points,
    roc_points,
)
from mrharm.records import Record

HEADLINE = ("accuracy", "macro_f1", "auroc")


class Scores(Record):
    """The figures of memes with a gold label.

    Counts: ``memes``, ``harmful`` (by gold), ``flagged`` (decided harmful), ``unanswered`` (no label was answered:
    wrong in ``accuracy`` and ``macro_f1``, missed in ``recall``, and no flag). Of decisions: ``accuracy``,
    ``macro_f1``, ``precision`` and ``recall`` of harmful, ``false_alarms`` (share of harmless memes decided harmful).
    Of scores: ``auroc``, ``auprc``, ``brier``, ``ece`` (class-wise, 15 bins; ``ece_by_chance`` is what calibrated
    scores stay below). Of decisions and scores: ``aurc``, the area under the risk-coverage curve.
    """

    memes: int
    harmful: int
    flagged: int
    unanswered: int
    accuracy: Estimate
    macro_f1: Estimate
    precision: Estimate
    recall: Estimate
    false_alarms: Estimate
    auroc: Estimate
    auprc: Estimate
    brier: Estimate
    ece: Estimate
    ece_by_chance: float
    aurc: Estimate


class Curves(Record):
    """Points of (across, up) for plots, thinned; empty where a class is missing.

    ``roc``: (false alarms, recall); ``pr``: (recall, precision); ``risk_coverage``: (share decided, share wrong).
    """

    reliability: tuple[ReliabilityBin, ...]
    roc: Points
    pr: Points
    risk_coverage: Points


def score(
    gold: Booleans,
    predicted: Decisions,
    scores: Floats,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> Scores:
    """Compute every figure of decisions and scores on the same memes, with intervals from the same resamples.

    Args:
        gold: people's labels. *Shape of all arrays:* (memes,)
        predicted: True, False or None.
        scores: calibrated P(harmful).
        n_resamples: of the bootstrap.
        seed: of the resamples.
        clusters: memes that depend on one another, as `bootstrap`.
    """
    right = settle(gold, predicted) == gold
    statistics: dict[str, Statistic] = {
        **headline(gold, predicted, scores),
        "precision": precision_of(gold, predicted),
        "recall": recall_of(gold, predicted),
        "false_alarms": false_alarms_of(gold, predicted),
        "auprc": auprc_of(gold, scores),
        "brier": brier_of(gold, scores),
        "ece": classwise_ece_of(gold, scores),
        "aurc": aurc_of(right, confidence_of(predicted, scores)),
    }
    chance = ece_by_chance(scores, n_resamples=max(1, n_resamples // 2), seed=seed)
    figures = bootstrap(statistics, len(gold), n_resamples=n_resamples, seed=seed, clusters=clusters)
    if (figures["ece"].value or 0.0) <= chance:
        # An error that calibrated scores reach by chance does not speak against calibration.
        figures["ece"] = figures["ece"].model_copy(update={"low": 0.0})
    return Scores(
        memes=len(gold),
        harmful=int(gold.sum()),
        flagged=int(flags_of(predicted).sum()),
        unanswered=sum(decision is None for decision in predicted),
        ece_by_chance=chance,
        **figures,
    )


def headline_row(
    gold: Sequence[bool],
    predicted: Sequence[bool | None],
    scores: Sequence[float],
    clusters: NDArray[np.int64],
) -> dict[str, Any]:
    """Compute accuracy with its interval, macro-F1 and AUROC as rows of ablations and of the demo store them.

    ``macro_f1`` and ``auroc`` are None where all memes have one label. Arguments as `score`.
    """
    statistics = headline(
        np.asarray(gold, dtype=bool),
        np.asarray(predicted, dtype=object),
        np.asarray(scores, dtype=np.float64),
    )
    figures = bootstrap(statistics, len(gold), clusters=clusters)
    return {
        "accuracy": figures["accuracy"].value,
        "accuracy_ci": [figures["accuracy"].low, figures["accuracy"].high],
        "macro_f1": figures["macro_f1"].value,
        "auroc": figures["auroc"].value,
        "n": len(gold),
    }


def curves(gold: Booleans, predicted: Decisions, scores: Floats) -> Curves:
    """Compute the curves behind the figures."""
    right = settle(gold, predicted) == gold
    return Curves(
        reliability=reliability(gold, scores),
        roc=roc_points(gold, scores),
        pr=pr_points(gold, scores),
        risk_coverage=risk_coverage_points(right, confidence_of(predicted, scores)),
    )
