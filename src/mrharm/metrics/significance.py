"""Tests of differences, and agreement.

McNemar's test and its like count memes as independent; here whole clusters of memes that depend on one another are
permuted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.bootstrap import Statistic, mean_of_values
from mrharm.metrics.estimate import Booleans, Floats
from mrharm.records import Record

PERMUTATIONS = 1999

Integers = NDArray[np.int64]
Repeats = Sequence[Sequence[float]]  # the values that each question got


class McNemar(Record):
    """A paired test of two detectors: memes that only the first decides rightly, only the second; the two-sided p;
    whether it is exact (False in records of the chi-squared test that older versions made for many memes).
    """

    only_first: int
    only_second: int
    p: float
    exact: bool


def mcnemar(first_right: Booleans, second_right: Booleans, *, clusters: Integers | None = None) -> McNemar:
    """Test whether two detectors decide equally many of the same memes rightly, permuting clusters (`sign_flip_p`).

    Where each meme is its own cluster this is McNemar's exact test ("Note on the sampling error of the difference
    between correlated proportions", 1947). *Shape of all:* (memes,)
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    differences = first.astype(np.int64) - second
    cluster = np.arange(len(first)) if clusters is None else clusters
    return McNemar(
        only_first=int(np.sum(first & ~second)),
        only_second=int(np.sum(second & ~first)),
        p=sign_flip_p(differences, cluster),
        exact=True,
    )


def sign_flip_p(differences: Integers, clusters: Integers) -> float:
    """Compute the two-sided p of paired whole numbers that differ in sum by chance alone.

    Fisher's permutation test of pairs ("The Design of Experiments", 1935), the pairs of a cluster exchanged all at
    once: where exchanging changes nothing, each cluster's sum is as likely positive as negative. The distribution of
    the total over all 2^clusters exchanges is computed exactly, by convolution.

    Args:
        differences: first minus second. *Shape of both:* (pairs,)
        clusters: a number for each pair, the same for pairs that depend on one another.
    """
    if not len(differences):
        return 1.0
    numbers = np.unique(clusters, return_inverse=True)[1]
    sums = np.abs(np.bincount(numbers, weights=differences)).astype(np.int64)
    sums, observed = sums[sums > 0], abs(int(np.sum(differences)))
    # Place k holds the probability that the sums of the exchanged clusters add up to k: total = all - 2 k.
    chances = np.ones(1)
    for size in sums:
        longer = np.zeros(len(chances) + size)
        longer[: len(chances)] += chances / 2
        longer[size:] += chances / 2
        chances = longer
    totals = sums.sum() - 2 * np.arange(len(chances))
    return float(min(1.0, chances[np.abs(totals) >= observed].sum()))


def permutation_p(
    leads: Floats, terms: Integers, blocks: Integers, *, seed: int = 0, permutations: int = PERMUTATIONS
) -> float:
    """Compute the p of terms that differ in their mean lead by chance alone, permuting terms within each block.

    p = (1 + permutations whose means vary as much) / (1 + permutations) (Phipson and Smyth 2010). *Shape:* (swaps,)
    each
    """
    order = np.argsort(blocks, kind="stable")
    leads, terms, blocks = leads[order], terms[order], blocks[order]
    times = np.bincount(terms)
    member = (terms[:, None] == np.arange(len(times))).astype(np.float64)

    def variance(permuted: Floats) -> Floats:
        return np.asarray(((permuted @ member) ** 2 / np.maximum(times, 1)).sum(-1) / len(leads))

    # Ties are ties whatever the rounding.
    observed = float(variance(leads)) * (1 - 1e-9) - 1e-15
    rng = np.random.default_rng(seed)
    part = max(1, 1_000_000 // len(leads))
    exceeding = 0
    for start in range(0, permutations, part):
        rows = min(part, permutations - start)
        permuted = leads[np.argsort(blocks + rng.random((rows, len(leads))), axis=1)]
        exceeding += int((variance(permuted) >= observed).sum())
    return (1 + exceeding) / (1 + permutations)


def leads_of(scores: Floats, blocks: Integers) -> Floats:
    """Return each score minus the mean of the rest of its block; not a number in a block of one. *Shape:* (swaps,)"""
    count = np.bincount(blocks, minlength=1)[blocks]
    rest = np.bincount(blocks, weights=scores, minlength=1)[blocks] - scores
    with np.errstate(invalid="ignore"):
        return np.asarray(scores - rest / np.where(count > 1, count - 1, np.nan), dtype=np.float64)


def kappa_of(first: Booleans, second: Booleans) -> Statistic:
    """Return agreement beyond chance (Cohen, "A coefficient of agreement for nominal scales", 1960).

    Undefined where both always decide the same. *Shape of both:* (memes,)
    """
    agree = mean_of_values(first == second)
    rate_first, rate_second = mean_of_values(first), mean_of_values(second)

    def of(counts: Floats) -> Floats:
        a, b = rate_first.of(counts), rate_second.of(counts)
        chance = a * b + (1 - a) * (1 - b)
        return np.where(chance < 1, (agree.of(counts) - chance) / (1 - chance), np.nan)

    return Statistic(of)


def within_sd_of(repeats: Repeats) -> Statistic:
    """Return the within-question standard deviation, the repeatability of Bland and Altman (1996).

    The root of the squared deviations from each question's mean, summed over all and divided by sum(answers - 1).
    Undefined where no question was answered twice. *Length:* questions
    """
    squares = np.array([np.var(values) * len(values) if values else 0.0 for values in repeats])
    freedom = np.array([max(len(values) - 1, 0) for values in repeats])
    return Statistic(lambda counts: np.sqrt((counts @ squares) / (counts @ freedom)))
