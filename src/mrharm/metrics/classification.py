"""Figures of decisions, as statistics to resample; all follow from the cells of the confusion table.

A decision that is None (no label answered) is a wrong one, and flags nothing. *Shapes:* (memes,); True is harmful.
"""

from __future__ import annotations

import numpy as np

from mrharm.metrics.bootstrap import Statistic, share_within
from mrharm.metrics.estimate import Booleans, Decisions, Floats
from mrharm.metrics.ranking import auroc_of

UNDEFINED = Statistic(lambda counts: np.full(len(counts), np.nan))


def settle(gold: Booleans, predicted: Decisions) -> Booleans:
    """Return decisions with every None replaced by the wrong answer. *Shape:* (memes,)"""
    decided = [
        (not harmful) if decision is None else bool(decision)
        for decision, harmful in zip(predicted, gold, strict=True)
    ]
    return np.array(decided, dtype=bool)


def flags_of(predicted: Decisions) -> Booleans:
    """Return which decisions are harmful; a None is not. *Shape:* (memes,)"""
    return np.array([decision is not None and bool(decision) for decision in predicted], dtype=bool)


def f1_of_cells(hit: Floats, false_alarm: Floats, miss: Floats, correct_pass: Floats) -> Floats:
    """Compute macro-F1, the mean of the F1 of harmful and of harmless, from the cells of confusion tables.

    A class that occurs neither in the labels nor in the decisions has an F1 of 0. *Shape of all:* any, all alike.
    """
    errors = false_alarm + miss
    with np.errstate(invalid="ignore"):
        harmful = np.nan_to_num(2 * hit / (2 * hit + errors))
        harmless = np.nan_to_num(2 * correct_pass / (2 * correct_pass + errors))
    return np.asarray((harmful + harmless) / 2)


def accuracy_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Return the share of decisions that are right."""
    right = settle(gold, predicted) == np.asarray(gold, dtype=bool)
    return share_within(right, np.ones(len(right), dtype=bool))


def macro_f1_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Return macro-F1 (`f1_of_cells`); a None is the wrong one of the two classes."""
    truth, decided = np.asarray(gold, dtype=bool), settle(gold, predicted)
    cells = np.stack([truth & decided, ~truth & decided, truth & ~decided, ~truth & ~decided], 1).astype(
        float
    )
    return Statistic(lambda counts: f1_of_cells(*(counts @ cells).T))


def precision_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Return the share of harmful memes among those flagged."""
    return share_within(np.asarray(gold, dtype=bool), flags_of(predicted))


def recall_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Return the share of the harmful memes that is flagged."""
    return share_within(flags_of(predicted), np.asarray(gold, dtype=bool))


def false_alarms_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Return the share of the harmless memes that is flagged."""
    return share_within(flags_of(predicted), ~np.asarray(gold, dtype=bool))


def headline(gold: Booleans, predicted: Decisions, scores: Floats) -> dict[str, Statistic]:
    """Return the figures that tables and comparisons rest on: accuracy, macro-F1 and AUROC.

    Macro-F1 and AUROC are undefined where all memes have one label: half of macro-F1 would be of no meme.
    """
    return {
        "accuracy": accuracy_of(gold, predicted),
        "macro_f1": macro_f1_of(gold, predicted) if 0 < np.sum(gold) < len(gold) else UNDEFINED,
        "auroc": auroc_of(gold, scores),
    }
