from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrharm.probes.text_changes import BENIGN_SENTENCES, BENIGN_WORDS, TEXT_CHANGES, change_text
from mrharm.texts import plain

TEXT = "you smell wonderful, exactly like the roses in the garden of our Club"
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
STRENGTHS = (1, 2, 3)


def differing(text: str, changed: str) -> int:
    """Letters that differ, place by place, and how much longer one of them is."""
    return sum(a != b for a, b in zip(text, changed, strict=False)) + abs(len(text) - len(changed))


@pytest.mark.parametrize("name", [name for name in TEXT_CHANGES if name != "typos"])
@pytest.mark.parametrize("seed", range(5))
def test_a_greater_strength_changes_more(name: str, seed: int) -> None:
    shifts = name in ("spacing", "zero_width", "benign_words")  # what is put in moves the rest along
    texts = [change_text(TEXT, name, strength, seed) for strength in STRENGTHS]
    changed = [len(text) - len(TEXT) if shifts else differing(TEXT, text) for text in texts]
    assert 0 < changed[0] < changed[1] < changed[2]


def test_typos_are_in_the_share_of_words_named_and_stay_as_more_are_made() -> None:
    words = TEXT.split()  # 13: 0.1, 0.3 and 0.6 of them, rounded up
    light, more, heavy = (change_text(TEXT, "typos", strength, 1).split() for strength in STRENGTHS)
    assert [sum(a != b for a, b in zip(words, text, strict=True)) for text in (light, more, heavy)] == [
        2,
        4,
        8,
    ]
    assert all(c == a for word, a, c in zip(words, light, heavy, strict=True) if a != word)


@pytest.mark.parametrize("name", TEXT_CHANGES)
def test_the_seed_alone_decides(name: str) -> None:
    assert change_text(TEXT, name, 2, 3) == change_text(TEXT, name, 2, 3)
    if name != "benign_suffix":
        assert len({change_text(TEXT, name, 2, seed) for seed in range(8)}) > 1


@pytest.mark.parametrize("name", TEXT_CHANGES)
@pytest.mark.parametrize("text", ["", " ", "?!"])
def test_a_text_without_words_stays(name: str, text: str) -> None:
    assert change_text(text, name, 3) == text


@pytest.mark.parametrize("name", ["homoglyph", "zero_width"])
@given(text=ASCII, strength=st.sampled_from(STRENGTHS), seed=st.integers(0, 2**32))
def test_what_only_looks_other_is_read_as_before(name: str, text: str, strength: int, seed: int) -> None:
    assert plain(change_text(text, name, strength, seed)) == plain(text)


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("leet", "Toast is late", "70457 15 l473"),
        # One letter of a word stays Latin, or it would be of another language: the c of "cop"; of "smell" m and l have
        # no twins.
        ("homoglyph", "you smell cop", "\u0443\u043eu \u0455m\u0435ll c\u043e\u0440"),
        ("zero_width", "ab cd", "a\u200bb c\u200cd"),  # within words alone
        ("spacing", "you smell.", "y o u s m e l l."),
        ("benign_suffix", "you smell.", ". ".join(["you smell", *BENIGN_SENTENCES])),
    ],
)
def test_at_full_strength_every_place_is_changed_and_nothing_else(name: str, text: str, changed: str) -> None:
    assert change_text(text, name, 3, 1) == changed


def test_a_typo_is_one_slip_of_one_word() -> None:
    for seed in range(40):
        changed = change_text("wonderful", "typos", 1, seed)
        assert changed != "wonderful"
        kept = sorted(changed)
        assert abs(len(changed) - 9) <= 1
        # swapped: the same letters; left out or doubled: one less or more; the key beside: one other
        assert len(set(kept) ^ set("wonderful")) <= 2
    kinds = {len(change_text("wonderful", "typos", 1, seed)) for seed in range(40)}
    assert kinds == {8, 9, 10}


def test_benign_words_stand_between_words_that_keep_their_order() -> None:
    for strength, count in ((1, 1), (2, 3), (3, 8)):
        words = change_text("you smell like roses", "benign_words", strength, 5).split()
        assert len(words) == 4 + count
        rest = iter(words)
        assert all(any(word == changed for changed in rest) for word in ("you", "smell", "like", "roses"))
        assert sum(word in BENIGN_WORDS for word in words) == count
