from __future__ import annotations

import numpy as np
import pytest

from mrharm.metrics.significance import (
    holm,
    leads_of,
    permutation_p,
    rates_of,
    sign_flip_p,
    spread_of,
)


def test_rates_count_single_swaps_and_their_intervals_draw_memes() -> None:
    owner = np.array([7, 7, 7, 9])
    flips, control = np.array([True, True, True, False]), np.array([False, False, True, False])
    moves = np.array([0.1, -0.2, 0.3, 0.0])
    found = rates_of(flips, control, moves, moves / 2, owner, owner)
    assert found["flipped"].value == 0.75 and found["control"].value == 0.25 and found["more"].value == 0.5
    assert found["moved"].value == pytest.approx(0.15)
    assert found["control_moved"].value == pytest.approx(0.075)
    # Drawn are both, the first meme twice (3 of 3; 1 of 3) or the second twice (none).
    assert (found["flipped"].low, found["flipped"].high) == (0, 1)
    assert (found["more"].low, found["more"].high) == pytest.approx((0, 2 / 3))


def test_memes_that_belong_together_are_one_draw() -> None:
    owner, clusters = np.arange(40), np.repeat([0, 1], 20)
    flips, none = clusters == 0, np.zeros(40, dtype=bool)
    moves = np.zeros(40)
    apart = rates_of(flips, none, moves, moves, owner, owner)["flipped"]
    drawn = rates_of(flips, none, moves, moves, owner, clusters)["flipped"]
    assert apart.low is not None and apart.low > 0.3
    assert (drawn.low, drawn.high) == (0, 1)


def test_a_lead_is_over_the_others_of_the_block() -> None:
    scores, blocks = np.array([0.1, 0.4, 0.7, 0.9, 0.2, 0.6]), np.array([0, 0, 0, 1, 2, 2])
    expected = [0.1 - 0.55, 0.4 - 0.4, 0.7 - 0.25, np.nan, -0.4, 0.4]
    assert leads_of(scores, blocks) == pytest.approx(expected, nan_ok=True)


def test_a_permutation_p_is_the_share_of_deals_as_far_apart() -> None:
    # Three blocks of two, always the same term higher by as much: 2 of 2^3 deals are as far apart.
    leads = np.array([1.0, -1.0] * 3)
    terms, blocks = np.array([0, 1] * 3), np.repeat([0, 1, 2], 2)
    assert permutation_p(leads, terms, blocks) == pytest.approx(0.25, abs=0.03)
    # Leads of one block are never dealt to another: blocks of one term each say nothing.
    assert (
        permutation_p(np.array([1.0, 1.0, -1.0, -1.0]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])) == 1
    )


def test_a_sign_flip_p_is_the_share_of_changes_about_that_differ_as_much() -> None:
    # Four memes, each with one more flip than its control: 2 of 2^4 sums are as far from 0.
    assert sign_flip_p(np.ones(4), np.arange(4)) == pytest.approx(1 / 8, abs=0.03)
    # Of which two belong together and change at once: 2 of 2^3.
    assert sign_flip_p(np.ones(4), np.array([0, 0, 1, 2])) == pytest.approx(1 / 4, abs=0.03)
    assert sign_flip_p(np.zeros(4), np.arange(4)) == 1


def test_p_values_of_several_questions_count_for_less() -> None:
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"b": 0.03, "c": 0.06, "a": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_the_spread_is_between_terms_beyond_what_sentences_explain() -> None:
    # Each term with a mean of its own and no residual: 0.2, 0.6, 0.4.
    assert spread_of(np.array([[0.1, 0.3], [0.5, 0.7], [0.3, 0.5]])) == pytest.approx(0.2)
    # Terms alike, sentences not: nothing between terms.
    assert spread_of(np.array([[0.1, 0.5], [0.1, 0.5]])) == 0
    # Means 0.3 and 0.5: MS of terms 2 (0.1^2 + 0.1^2) = 0.04; residuals all 0.1: MS 0.04. Nothing is left.
    assert spread_of(np.array([[0.2, 0.4], [0.6, 0.4]])) == pytest.approx(0, abs=1e-8)
    # Means 0.3 and 0.7: MS of terms 0.16; the same residuals. (0.16 - 0.04) / 2 sentences.
    assert spread_of(np.array([[0.2, 0.4], [0.8, 0.6]])) == pytest.approx(0.06**0.5)
