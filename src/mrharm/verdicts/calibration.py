"""Calibrate P(harmful) by temperature scaling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from mrharm.recipe import Answer
from mrharm.verdicts.scoring import Floats, harm_probability

_LOWEST, _HIGHEST = 0.05, 20.0  # beyond these a validation split does not determine the temperature


def fit_temperature(scores: Floats, answers: Sequence[Answer], harmful: Sequence[bool]) -> float:
    """Fit the temperature that minimises the negative log-likelihood of gold labels (Guo et al., ICML 2017).

    *Shapes:* scores of a validation split (memes, answers); harmful (memes,)

    Returns:
        A temperature between 0.05 and 20; 1 without memes.
    """
    if len(harmful) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        probabilities = harm_probability(scores, answers, math.exp(log_temperature))
        return negative_log_likelihood(probabilities, harmful)

    fit = minimize_scalar(loss, bounds=(math.log(_LOWEST), math.log(_HIGHEST)), method="bounded")
    return float(math.exp(fit.x))


def negative_log_likelihood(probabilities: Floats, harmful: Sequence[bool] | np.ndarray) -> float:
    """Compute the mean negative log-likelihood of gold labels. *Shapes:* (memes,), (memes,)"""
    gold = np.asarray(harmful, dtype=bool)
    likelihood = np.where(gold, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(likelihood, 1e-12, 1.0)).mean())
