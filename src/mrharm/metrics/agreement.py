"""How far answers to the same questions agree: two ways to decide, or repeats of one that gives numbers.

Each item of ``repeats`` holds the values one question got.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Repeats = Sequence[Sequence[float]]


def kappa(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Agreement of two ways to say harmful or harmless beyond chance (Cohen, "A coefficient of agreement for nominal
    scales", 1960); not a number where both always say the same one thing. *Shape of both:* (memes,)
    """
    chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else float("nan")


def within_sd(repeats: Repeats) -> float:
    """The within-question standard deviation, the repeatability of Bland and Altman ("Measurement error", 1996).

    The root of the squared deviations from each question's own mean, summed over all and divided by
    sum(answers - 1). Not a number where no question was answered twice.
    """
    squares, freedom = _within(repeats)
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def intraclass(repeats: Repeats) -> float:
    """The intraclass correlation ICC(1) of one-way random effects (Shrout and Fleiss 1979): the share of all variance
    that is between questions, 1 where every question gets the same answer each time; below 0 where repeats of one
    differ more than questions do.

    (B - W) / (B + (k0 - 1) W), of the mean squares between and within, where k0 = (N - sum(k_i^2) / N) /
    (questions - 1) stands for the number of answers where that differs (N: all answers). Not a number where no question
    was answered twice, with fewer than two questions, or where all values are the same.
    """
    kept = [np.asarray(values, dtype=np.float64) for values in repeats if len(values)]
    squares, freedom = _within(repeats)
    if len(kept) < 2 or not freedom:
        return float("nan")
    counts = np.array([len(values) for values in kept])
    means = np.array([values.mean() for values in kept])
    total = counts.sum()
    overall = float(counts @ means) / total
    between = float(counts @ (means - overall) ** 2) / (len(kept) - 1)
    within = squares / freedom
    size = (total - float((counts**2).sum()) / total) / (len(kept) - 1)
    spread = between + (size - 1) * within
    return float((between - within) / spread) if spread > 1e-12 else float("nan")


def _within(repeats: Repeats) -> tuple[float, int]:
    arrays = [np.asarray(values, dtype=np.float64) for values in repeats if len(values)]
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in arrays)
    return squares, sum(len(values) - 1 for values in arrays)
