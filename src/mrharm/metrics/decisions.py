"""Figures of decisions and rankings. Shapes are (memes,) throughout; True is harmful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]


def accuracy(gold: Booleans, predicted: NDArray[Any]) -> float:
    """Share of decisions that are right; a decision that is None (no label answered) is wrong."""
    return float(
        np.mean(
            [one is not None and bool(one) == bool(truth) for one, truth in zip(predicted, gold, strict=True)]
        )
    )


def macro_f1(gold: Booleans, predicted: NDArray[Any]) -> float:
    """F1 averaged over harmful and harmless; a decision that is None counts as the wrong one of the two."""
    decided = [(not truth) if one is None else bool(one) for one, truth in zip(predicted, gold, strict=True)]
    return float(f1_score(gold, decided, labels=[False, True], average="macro", zero_division=0))


def auroc(gold: Booleans, scores: Floats) -> float:
    """Area under the ROC curve; not a number where only one class is there."""
    if len(set(np.asarray(gold).tolist())) < 2:
        return float("nan")
    return float(roc_auc_score(gold, scores))


def wilson_interval(right: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927): sound also near 0 and 1."""
    if of == 0:
        return 0.0, 1.0
    share = right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    # Rounding must not put the bound of a share of 0 or 1 a hair beside it.
    return 0.0 if right == 0 else max(0.0, middle - half), 1.0 if right == of else min(1.0, middle + half)


def macro_f1_interval(
    gold: Booleans, predicted: NDArray[Any], *, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of macro-F1 over memes.

    Macro-F1 depends on the four cells of the confusion table alone, so memes drawn with replacement are cells drawn
    from a multinomial distribution: the same bootstrap, without drawing memes one by one.
    """
    decided = np.array(
        [(not truth) if one is None else bool(one) for one, truth in zip(predicted, gold, strict=True)]
    )
    if not len(decided):
        return 0.0, 1.0
    truth = np.asarray(gold, dtype=bool)
    cells = np.array(
        [
            np.sum(truth & decided),
            np.sum(~truth & decided),
            np.sum(truth & ~decided),
            np.sum(~truth & ~decided),
        ]
    )
    hit, false_alarm, miss, rest = (
        np.random.default_rng(seed).multinomial(len(decided), cells / len(decided), n_resamples).T
    )
    with np.errstate(invalid="ignore"):
        harmful = np.nan_to_num(2 * hit / (2 * hit + false_alarm + miss))
        harmless = np.nan_to_num(2 * rest / (2 * rest + false_alarm + miss))
    low, high = np.percentile((harmful + harmless) / 2, [2.5, 97.5])
    return float(low), float(high)


def auroc_interval(area: float, harmful: int, harmless: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of an AUROC by its standard error (Hanley and McNeil 1982, formula 1)."""
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    variance = (
        area * (1 - area) + (harmful - 1) * (one - area * area) + (harmless - 1) * (two - area * area)
    ) / (harmful * harmless)
    half = z * float(np.sqrt(max(variance, 0.0)))
    return max(0.0, area - half), min(1.0, area + half)


def score_summary(
    gold: Sequence[bool], predicted: Sequence[bool | None], scores: Sequence[float] | None
) -> dict[str, Any]:
    """The figures every table prints: accuracy with its 95 % Wilson interval, macro-F1, AUROC, and how many memes.

    ``auroc`` is None where there are no scores, or only one class.
    """
    truth = np.asarray(gold, dtype=bool)
    decisions = np.asarray(predicted, dtype=object)
    right = accuracy(truth, decisions)
    low, high = wilson_interval(round(right * len(truth)), len(truth))
    area = auroc(truth, np.asarray(scores, dtype=np.float64)) if scores is not None else float("nan")
    return {
        "accuracy": right,
        "accuracy_ci": [low, high],
        "macro_f1": macro_f1(truth, decisions),
        "auroc": None if np.isnan(area) else area,
        "n": len(truth),
    }
