"""Are two detectors' decisions on the same memes different by more than chance?"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, chi2

from mrharm.metrics.decisions import Booleans
from mrharm.records import Record

FEW = 25  # discordant memes below which the chi-squared approximation is poor


class McNemar(Record):
    """McNemar's test: memes only the first gets right, only the second; the two-sided p; whether it is exact."""

    only_first: int
    only_second: int
    p: float
    exact: bool


def mcnemar(first_right: Booleans, second_right: Booleans) -> McNemar:
    """McNemar's test ("Note on the sampling error of the difference between correlated proportions", 1947).

    Exact, by the binomial distribution, for fewer than 25 memes that only one of the two gets right; else chi-squared
    with the continuity correction of Edwards (1948). *Shape of both:* (memes,)
    """
    one, two = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    only_first, only_second = int(np.sum(one & ~two)), int(np.sum(two & ~one))
    discordant = only_first + only_second
    if discordant < FEW:
        p = (
            min(1.0, 2 * float(binom.cdf(min(only_first, only_second), discordant, 0.5)))
            if discordant
            else 1.0
        )
        return McNemar(only_first=only_first, only_second=only_second, p=p, exact=True)
    # At a difference of 0 the correction would make chi-squared 1 / n rather than 0.
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
    return McNemar(
        only_first=only_first, only_second=only_second, p=float(chi2.sf(statistic, 1)), exact=False
    )
