"""Figures of decisions, as statistics to draw: all depend on the cells of the confusion table alone.

A decision that is None (no label answered) is a wrong one, and flags nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.bootstrap import Statistic
from mrharm.metrics.decisions import Booleans, Floats

Decisions = NDArray[Any]  # True, False or None


def settle(gold: Booleans, predicted: Decisions) -> Booleans:
    """Decisions with every None replaced by the wrong answer. *Shape:* (memes,)"""
    return np.array(
        [(not truth) if one is None else bool(one) for one, truth in zip(predicted, gold, strict=True)], bool
    )


def cells_of(gold: Booleans, predicted: Decisions) -> Floats:
    """1 in the cell each meme falls into: hit, false alarm, miss, rest. *Shape:* (memes, 4)"""
    truth, decided = np.asarray(gold, dtype=bool), settle(gold, predicted)
    return np.stack([truth & decided, ~truth & decided, truth & ~decided, ~truth & ~decided], axis=1).astype(
        float
    )


def accuracy_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Share of decisions that are right."""
    cells = cells_of(gold, predicted)
    right = cells[:, 0] + cells[:, 3]
    return Statistic(lambda counts: counts @ right / counts.sum(axis=1), base=len(cells))


def macro_f1_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """F1 averaged over harmful and harmless, 0 for a side that neither people nor decisions ever took; a None is the
    wrong one of the two.
    """
    cells = cells_of(gold, predicted)

    def of(counts: Floats) -> Floats:
        hit, false_alarm, miss, rest = (counts @ cells).T
        harmful = np.nan_to_num(2 * hit / (2 * hit + false_alarm + miss))
        harmless = np.nan_to_num(2 * rest / (2 * rest + false_alarm + miss))
        return np.asarray((harmful + harmless) / 2)

    return Statistic(of)


def precision_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Share of harmful memes among those said to be harmful."""
    flagged = _flagged(predicted)
    return _share(flagged & np.asarray(gold, dtype=bool), flagged)


def recall_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Share of the harmful memes that are said to be harmful."""
    truth = np.asarray(gold, dtype=bool)
    return _share(_flagged(predicted) & truth, truth)


def false_alarms_of(gold: Booleans, predicted: Decisions) -> Statistic:
    """Share of the harmless memes that are said to be harmful."""
    harmless = ~np.asarray(gold, dtype=bool)
    return _share(_flagged(predicted) & harmless, harmless)


def _flagged(predicted: Decisions) -> Booleans:
    return np.array([one is not None and bool(one) for one in predicted], dtype=bool)


def _share(held: Booleans, of: Booleans) -> Statistic:
    """How many of ``of`` are ``held``."""
    return Statistic(lambda counts: np.asarray((counts @ held) / (counts @ of)), base=int(of.sum()))
