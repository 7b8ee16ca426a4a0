"""Calibrate P(harmful): a slope and a bias on its log-odds (Platt scaling)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit

from mrharm.metrics.estimate import Floats
from mrharm.records import Record

# Beyond these a validation split does not determine the fit.
_SLOPES, _BIASES = (0.05, 20.0), (-10.0, 10.0)


class Calibration(Record):
    """Calibrated P(harmful) = sigmoid(slope * log-odds + bias) (Platt, "Probabilistic outputs for SVMs", 1999).

    The slope corrects how sure the student is, the bias how many memes are harmful; the order of scores stays.
    """

    slope: float = Field(1.0, gt=0)
    bias: float = 0.0

    @property
    def at_bound(self) -> bool:
        """Whether the fit ended at a bound, so that its memes do not determine it."""
        values = ((self.slope, _SLOPES), (self.bias, _BIASES))
        return any(np.isclose(value, bounds, rtol=1e-6).any() for value, bounds in values)

    def probability(self, log_odds: Floats | float) -> Floats:
        """Compute calibrated P(harmful) of uncalibrated log-odds. *Shape:* any"""
        return np.asarray(expit(self.slope * log_odds + self.bias))

    def log_odds(self, probability: Floats | float) -> Floats:
        """Compute the uncalibrated log-odds of calibrated P(harmful): the inverse of `probability`. *Shape:* any"""
        return np.asarray((logit(probability) - self.bias) / self.slope)


def fit_calibration(log_odds: Floats, harmful: Sequence[bool]) -> Calibration:
    """Fit slope and bias by maximum likelihood of gold labels, within bounds.

    *Shapes:* uncalibrated log-odds of a validation split (memes,); harmful (memes,)

    Returns:
        The calibration; slope 1 and bias 0 without memes.
    """
    if len(harmful) == 0:
        return Calibration()
    gold = np.asarray(harmful, dtype=bool)
    signs = np.where(gold, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logits = signs * (parameters[0] * log_odds + parameters[1])
        slopes = -signs * expit(-logits) / len(signs)
        return float(np.logaddexp(0, -logits).mean()), np.array([slopes @ log_odds, slopes.sum()])

    fit = minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=(_SLOPES, _BIASES), tol=1e-12)
    slope, bias = fit.x.tolist()
    return Calibration(slope=slope, bias=bias)


def negative_log_likelihood(probabilities: Floats, harmful: Sequence[bool] | np.ndarray) -> float:
    """Compute the mean negative log-likelihood of gold labels. *Shapes:* (memes,), (memes,)"""
    gold = np.asarray(harmful, dtype=bool)
    likelihood = np.where(gold, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(likelihood, 1e-12, 1.0)).mean())
