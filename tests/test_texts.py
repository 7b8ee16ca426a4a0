import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrharm.texts import LONGEST, plain


@pytest.mark.parametrize(
    ("posted", "read"),
    [
        ("you smell wonderful", "you smell wonderful"),
        ("you smеll wоnderful", "you smell wonderful"),  # Cyrillic e and o
        ("ｙｏｕ 𝓼𝓶𝓮𝓵𝓵 ⓕⓘⓝⓔ", "you smell fine"),
        ("yo\u200bu sm\u00adell\u202e fine\ufeff", "you smell fine"),
        ("z̸̢͔̅a̴̧̭͌l̵̰̏g̶o̷", "zalgo"),
        ("\U000e0059\U000e006fyou", "you"),  # tag characters
        ("café naïve", "café naïve"),
        ("привет мир", "привет мир"),
        ("नमस्ते", "नमस्ते"),
        ("日本語", "日本語"),
    ],
)
def test_odd_text_is_read_as_what_it_looks_like(posted: str, read: str) -> None:
    assert plain(posted) == read


def test_emoji_become_their_names() -> None:
    assert plain("you 💀 👩‍🍳 ❤️ 👍🏽").split() == [
        "you", "skull", "woman", "cooking", "heavy", "black", "heart", "thumbs", "up", "sign",
    ]  # fmt: skip


def test_a_megabyte_is_cut() -> None:
    assert len(plain("a" * 1_000_000)) == LONGEST
    assert len(plain("é" * 1_000_000)) == LONGEST
    assert len(plain("ﷺ" * 1_000_000)) <= LONGEST  # one character that folds to eighteen


@pytest.mark.parametrize("unseen", ["\u200b", "\u200d", "\ufe0f", "\u0301", "\U000e0061"])
def test_letters_that_nobody_sees_push_no_words_beyond_the_bound(unseen: str) -> None:
    assert plain(unseen * 30_000 + "you smell") == "you smell"


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_plain_english_comes_out_as_it_went_in(text: str) -> None:
    assert plain(text) == text[:LONGEST]


@given(st.text())
def test_whatever_is_posted_can_be_read_and_written(text: str) -> None:
    plain(text).encode("utf-8")
