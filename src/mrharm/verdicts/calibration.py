"""Temperature scaling: one number that makes scores mean what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from mrharm.recipe import Answer
from mrharm.verdicts.scoring import Floats, harm_probability

_LOWEST, _HIGHEST = 0.05, 20.0  # past these a validation split says nothing about the scale


def fit_temperature(scores: Floats, answers: Sequence[Answer], harmful: Sequence[bool]) -> float:
    """The temperature that minimises the negative log-likelihood of the gold decisions (Guo et al., ICML 2017).

    Args:
        scores: summed log-probabilities of a validation split. *Shape:* (memes, answers)
        answers: what each column says.
        harmful: the gold decisions. *Shape:* (memes,)

    Returns:
        A temperature between 0.05 and 20; 1 where there is nothing to fit on.
    """
    if len(harmful) == 0:
        return 1.0
    gold = np.asarray(harmful, dtype=bool)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(harm_probability(scores, answers, math.exp(log_temperature)), gold)

    found = minimize_scalar(loss, bounds=(math.log(_LOWEST), math.log(_HIGHEST)), method="bounded")
    return float(math.exp(found.x))


def negative_log_likelihood(probabilities: Floats, harmful: Sequence[bool] | np.ndarray) -> float:
    """Mean negative log-likelihood of gold decisions. *Shapes:* (memes,), (memes,)"""
    gold = np.asarray(harmful, dtype=bool)
    likelihood = np.where(gold, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(likelihood, 1e-12, 1.0)).mean())
