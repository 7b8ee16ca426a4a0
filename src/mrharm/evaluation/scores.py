"""How good: the figures of a split, each with its interval, and the curves behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.calibration import ReliabilityBin, brier_of, classwise_ece_of, ece_by_chance, reliability
from mrharm.metrics.classification import (
    estimate_headline,
    false_alarms_of,
    headline,
    precision_of,
    recall_of,
    settle,
)
from mrharm.metrics.estimate import Booleans, Decisions, Floats
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

N_RESAMPLES = 2000
HEADLINE = ("accuracy", "macro_f1", "auroc")


class Scores(Record):
    """The figures of memes with a gold label.

    Counts: ``memes``, ``harmful`` (by gold), ``flagged`` (said to be harmful), ``unanswered`` (no label was answered:
    wrong in ``accuracy`` and ``macro_f1``, missed in ``recall``, and no flag). Figures of decisions: ``accuracy``,
    ``macro_f1``, ``precision`` and ``recall`` of harmful, ``false_alarms`` (share of harmless memes said to be
    harmful). Of scores: ``auroc``, ``auprc``, ``brier``, ``ece`` (class-wise, 15 bins; ``ece_by_chance`` is what scores
    that mean what they say stay below). Of both: ``aurc``, the area under the risk-coverage curve.
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
    said: Decisions,
    scores: Floats,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> Scores:
    """Every figure of decisions and scores on the same memes, intervals from the same draws.

    Args:
        gold: what people said. *Shape:* (memes,)
        said: True, False or None. *Shape:* (memes,)
        scores: calibrated P(harmful). *Shape:* (memes,)
        draws: of the bootstrap.
        seed: of the draws.
        together: memes that are no independent ones, as `mrharm.metrics.estimate`.
    """
    right = settle(gold, said) == gold
    statistics: dict[str, Statistic] = {
        **headline(gold, said, scores),
        "precision": precision_of(gold, said),
        "recall": recall_of(gold, said),
        "false_alarms": false_alarms_of(gold, said),
        "auprc": auprc_of(gold, scores),
        "brier": brier_of(gold, scores),
        "ece": classwise_ece_of(gold, scores),
        "aurc": aurc_of(right, confidence_of(said, scores)),
    }
    chance = ece_by_chance(scores, n_resamples=max(1, n_resamples // 2), seed=seed)
    found = bootstrap(statistics, len(gold), n_resamples=n_resamples, seed=seed, clusters=clusters)
    if (found["ece"].value or 0.0) <= chance:
        # What scores without any error could have given does not speak against there being none.
        found["ece"] = found["ece"].model_copy(update={"low": 0.0})
    return Scores(
        memes=len(gold),
        harmful=int(gold.sum()),
        flagged=sum(one is not None and bool(one) for one in said),
        unanswered=sum(one is None for one in said),
        ece_by_chance=chance,
        **found,
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
    figures = estimate_headline(
        np.asarray(gold, dtype=bool),
        np.asarray(predicted, dtype=object),
        np.asarray(scores, dtype=np.float64),
        clusters=clusters,
    )
    return {
        "accuracy": figures["accuracy"].value,
        "accuracy_ci": [figures["accuracy"].low, figures["accuracy"].high],
        "macro_f1": figures["macro_f1"].value,
        "auroc": figures["auroc"].value,
        "n": len(gold),
    }


def curves(gold: Booleans, said: Decisions, scores: Floats) -> Curves:
    """The curves of the same memes."""
    right = settle(gold, said) == gold
    return Curves(
        reliability=reliability(gold, scores),
        roc=roc_points(gold, scores),
        pr=pr_points(gold, scores),
        risk_coverage=risk_coverage_points(right, confidence_of(said, scores)),
    )
