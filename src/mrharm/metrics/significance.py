"""Tests of differences, corrections for many questions, and agreement.

McNemar's test and its like count memes as independent; here whole clusters of memes that depend on one another are
permuted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.metrics.estimate import Booleans, Estimate, Floats
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


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Adjust the p values of several questions for their number (Holm 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(values, key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[name]))
        adjusted[name] = highest
    return adjusted


@dataclass(frozen=True)
class SwapOutcomes:
    """What swaps of a word did to verdicts, and their controls. *Shape of all:* (swaps,)

    Attributes:
        flips: whether a swap changes the decision.
        control_flips: whether its control does.
        moves: by how much it moves P(harmful).
        control_moves: by how much its control does.
        meme: a number for the swap's meme.
        clusters: a number for the meme, the same for memes that depend on one another.
    """

    flips: Booleans
    control_flips: Booleans
    moves: Floats
    control_moves: Floats
    meme: Integers
    clusters: Integers


def rates_of(swaps: SwapOutcomes, *, seed: int = 0) -> dict[str, Estimate]:
    """Compute the rates of swaps and of their controls, with intervals by the cluster bootstrap over memes.

    Where no resample differs, as without any flip, the interval of ``more`` follows from those of its two shares
    (Newcombe 1998, method 10), which are Wilson's.

    Returns:
        ``flipped`` and ``control``, shares of swaps; ``more``, their difference; ``moved`` and ``control_moved``, mean
        absolute moves.
    """
    _, first, meme, count = np.unique(swaps.meme, return_index=True, return_inverse=True, return_counts=True)
    every_meme = np.ones(len(first), dtype=bool)

    def mean(values: NDArray[np.generic], base: Booleans | None = None) -> Statistic:
        total = np.bincount(meme, weights=values.astype(np.float64))
        return Statistic(lambda counts: counts @ total / (counts @ count), base)

    flipped, control = mean(swaps.flips, every_meme), mean(swaps.control_flips, every_meme)
    rates = bootstrap(
        {
            "flipped": flipped,
            "control": control,
            "more": flipped - control,
            "moved": mean(np.abs(swaps.moves)),
            "control_moved": mean(np.abs(swaps.control_moves)),
        },
        len(first),
        seed=seed,
        clusters=swaps.clusters[first],
    )
    if rates["more"].low == rates["more"].high:
        rates["more"] = _newcombe_interval(rates["flipped"], rates["control"])
    return rates


def _newcombe_interval(first: Estimate, second: Estimate) -> Estimate:
    ends = (first.value, first.low, first.high, second.value, second.low, second.high)
    a, a_low, a_high, b, b_low, b_high = (end or 0.0 for end in ends)
    return Estimate(
        value=a - b,
        low=a - b - float(np.hypot(a - a_low, b_high - b)),
        high=a - b + float(np.hypot(a_high - a, b - b_low)),
    )


def leads_of(scores: Floats, blocks: Integers) -> Floats:
    """Return each score minus the mean of the rest of its block; not a number in a block of one. *Shape:* (swaps,)"""
    count = np.bincount(blocks, minlength=1)[blocks]
    rest = np.bincount(blocks, weights=scores, minlength=1)[blocks] - scores
    with np.errstate(invalid="ignore"):
        return np.asarray(scores - rest / np.where(count > 1, count - 1, np.nan), dtype=np.float64)


def spread_of(scores: Floats) -> float:
    """Compute the standard deviation between terms beyond what their sentences explain; 0 where they explain it all.

    The variance component of a two-way table, (MS of terms - MS of residuals) / sentences, whose mean is the same
    however many terms there are (Searle, Casella and McCulloch 1992). *Shape:* (terms, sentences)
    """
    terms, sentences = scores.shape
    of_terms, of_sentences = scores.mean(1, keepdims=True), scores.mean(0, keepdims=True)
    residuals = scores - of_terms - of_sentences + scores.mean()
    between = sentences * ((of_terms - scores.mean()) ** 2).sum() / (terms - 1)
    within = (residuals**2).sum() / ((terms - 1) * (sentences - 1))
    return float(np.sqrt(max(0.0, (between - within) / sentences)))


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
    answers, _, squares = _moments(repeats)
    freedom = np.maximum(answers - 1, 0)
    return Statistic(lambda counts: np.sqrt((counts @ squares) / (counts @ freedom)))


def intraclass_of(repeats: Repeats) -> Statistic:
    """Return the intraclass correlation ICC(1) of one-way random effects (Shrout and Fleiss 1979).

    The share of all variance that is between questions: 1 where every question gets the same answer each time, below 0
    where repeats of a question differ more than questions do. (B - W) / (B + (k0 - 1) W), of the mean squares between
    and within, where k0 = (N - sum(k_i^2) / N) / (questions - 1) is the number of answers where that differs (N: all
    answers). Undefined where no question was answered twice, with fewer than two questions, or where all values are
    the same. *Length:* questions
    """
    answers, means, squares = _moments(repeats)
    answered = answers > 0
    # Centred, so that the difference of squares below loses no digits.
    means = means - (answers @ means) / max(1.0, answers.sum())

    def of(counts: Floats) -> Floats:
        total, freedom = counts @ answers, counts @ answered - 1
        # Deviations from the mean of all resampled answers, squared: sum k m^2 - N M^2, without a loop over resamples.
        overall = (counts @ (answers * means)) / total
        between = (counts @ (answers * means**2) - total * overall**2) / freedom
        within = (counts @ squares) / (counts @ np.maximum(answers - 1, 0))
        size = (total - (counts @ answers**2) / total) / freedom
        spread = between + (size - 1) * within
        return np.where((freedom > 0) & (spread > 1e-12), (between - within) / spread, np.nan)

    return Statistic(of)


def _moments(repeats: Repeats) -> tuple[Floats, Floats, Floats]:
    """Return each question's number of answers, their mean, and their squared deviations from it, summed."""
    arrays = [np.asarray(values, dtype=np.float64) for values in repeats]
    answers = np.array([len(values) for values in arrays], dtype=np.float64)
    means = np.array([values.mean() if len(values) else 0.0 for values in arrays], dtype=np.float64)
    squares = [float(((values - mean) ** 2).sum()) for values, mean in zip(arrays, means, strict=True)]
    return answers, means, np.array(squares, dtype=np.float64)
