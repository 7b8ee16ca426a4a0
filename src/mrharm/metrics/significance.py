"""Shares of single swaps with their intervals, and p values of what swaps differ by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics import Estimate, Statistic, bootstrap

PERMUTATIONS = 1999


def rates_of(
    flips: NDArray[np.bool_],
    control_flips: NDArray[np.bool_],
    moves: NDArray[np.float64],
    control_moves: NDArray[np.float64],
    owner: NDArray[np.int64],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The figures of `Swapped`: shares and means over swaps, their intervals by the cluster bootstrap over memes.

    Where no draw differs, as with no flip at all, the interval of ``more`` is made of those of its two shares
    (Newcombe 1998, method 10), which are Wilson's for as many memes.

    Args:
        flips: whether a swap changes the decision. *Shape of all:* (swaps,)
        control_flips: whether its control does.
        moves: by how much it moves P(harmful).
        control_moves: by how much its control does.
        owner: a number for the swap's meme.
        together: a number for the meme, the same for memes that are drawn together.
        seed: of the draws.
    """
    _, first, which, count = np.unique(owner, return_index=True, return_inverse=True, return_counts=True)
    n_clusters = len(np.unique(clusters))

    def rate(values: NDArray[np.generic], *, share: bool = False) -> Statistic:
        total = np.bincount(which, weights=values.astype(np.float64))
        return Statistic(lambda counts: counts @ total / (counts @ count), base=n_clusters if share else None)

    flipped, control = rate(flips, share=True), rate(control_flips, share=True)
    found = bootstrap(
        {
            "flipped": flipped,
            "control": control,
            "more": flipped - control,
            "moved": rate(np.abs(moves)),
            "control_moved": rate(np.abs(control_moves)),
        },
        len(first),
        seed=seed,
        clusters=clusters[first],
    )
    if found["more"].low == found["more"].high:
        found["more"] = _newcombe(found["flipped"], found["control"])
    return found


def _newcombe(one: Estimate, other: Estimate) -> Estimate:
    ends = (one.value, one.low, one.high, other.value, other.low, other.high)
    a, a_low, a_high, b, b_low, b_high = (end or 0.0 for end in ends)
    return Estimate(
        value=a - b,
        low=a - b - float(np.hypot(a - a_low, b_high - b)),
        high=a - b + float(np.hypot(a_high - a, b - b_low)),
    )


def leads_of(scores: NDArray[np.float64], blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each score minus the mean of the others of its block; not a number where there is no other. *Shape:* (swaps,)"""
    count = np.bincount(blocks, minlength=1)[blocks]
    others = np.bincount(blocks, weights=scores, minlength=1)[blocks] - scores
    with np.errstate(invalid="ignore"):
        return np.asarray(scores - others / np.where(count > 1, count - 1, np.nan), dtype=np.float64)


def permutation_p(
    leads: NDArray[np.float64],
    terms: NDArray[np.int64],
    blocks: NDArray[np.int64],
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> float:
    """How often terms dealt out anew within each block differ as much as these do, by the variance of their means.

    p = (1 + permutations as far apart) / (1 + permutations) (Phipson and Smyth 2010). *Shape:* (swaps,) each
    """
    order = np.argsort(blocks, kind="stable")
    leads, terms, blocks = leads[order], terms[order], blocks[order]
    times = np.bincount(terms)
    member = (terms[:, None] == np.arange(len(times))).astype(np.float64)

    def variance(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(((drawn @ member) ** 2 / np.maximum(times, 1)).sum(-1) / len(leads))

    rng, there, far, left = np.random.default_rng(seed), float(variance(leads)), 0, permutations
    while left:
        rows = min(left, max(1, 1_000_000 // len(leads)))
        drawn = leads[np.argsort(blocks + rng.random((rows, len(leads))), axis=1)]
        far += int(
            (variance(drawn) >= there * (1 - 1e-9) - 1e-15).sum()
        )  # ties are ties whatever the rounding
        left -= rows
    return (1 + far) / (1 + permutations)


def sign_flip_p(
    differences: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> float:
    """How often swaps and controls, changed about in memes drawn by lot, differ in sum as much as these do.

    Fisher's paired test, all swaps of memes that belong together changed about at once; p as `permutation_p`.

    Args:
        differences: a swap's flip minus its control's. *Shape of both:* (swaps,)
        together: a number for the swap's meme, the same for memes that belong together.
        seed: of the draws.
        permutations: how many.
    """
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=differences)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (permutations, len(sums)))
    far = int((np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).sum())
    return (1 + far) / (1 + permutations)


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """p values of several questions -> what each counts for, all of them having been asked (Holm 1979)."""
    adjusted: dict[str, float] = {}
    most = 0.0
    for rank, name in enumerate(sorted(values, key=values.__getitem__)):
        most = max(most, min(1.0, (len(values) - rank) * values[name]))
        adjusted[name] = most
    return adjusted


def spread_of(scores: NDArray[np.float64]) -> float:
    """Standard deviation between terms beyond what their sentences explain; 0 where they explain it all.

    The variance component of a two-way table, (MS of terms - MS of residuals) / sentences, whose mean is the same
    however many terms there are (Searle, Casella and McCulloch 1992). *Shape:* (terms, sentences)
    """
    terms, sentences = scores.shape
    of_terms, of_sentences = scores.mean(1, keepdims=True), scores.mean(0, keepdims=True)
    rest = scores - of_terms - of_sentences + scores.mean()
    between = sentences * ((of_terms - scores.mean()) ** 2).sum() / (terms - 1)
    within = (rest**2).sum() / ((terms - 1) * (sentences - 1))
    return float(np.sqrt(max(0.0, (between - within) / sentences)))
