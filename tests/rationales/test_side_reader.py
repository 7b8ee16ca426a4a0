"""Which side a rationale speaks for is learned from its teacher's words, where they tell."""

from __future__ import annotations

import random

import pytest

from mrharm.rationales.side_reader import SideReader, fit_side_reader

THINGS = ("kettle", "spoon", "otter", "lamp", "boot", "cake", "rose", "snail")


def write(harmful: bool | None, rng: random.Random) -> str:
    """A rationale that states no label; None for one that only describes."""
    tells = {True: "which belittles your club", False: "which cheers your club up", None: "beside your club"}
    return f"the words praise a {rng.choice(THINGS)} where a {rng.choice(THINGS)} is shown, {tells[harmful]}"


@pytest.fixture(scope="module")
def reader() -> SideReader:
    """Learned from rationales of which a third only describes."""
    rng = random.Random(0)
    sides = [rng.choice((True, False, None)) for _ in range(600)]
    texts = [write(side, rng) for side in sides]
    fitted = fit_side_reader(texts, [rng.random() < 0.5 if side is None else side for side in sides])
    assert fitted is not None
    return fitted


@pytest.mark.parametrize("side", [True, False, None])
def test_the_side_is_read_off_words_that_tell_and_off_no_others(
    reader: SideReader, side: bool | None
) -> None:
    rng = random.Random(1)
    assert {reader.read_side(write(side, rng)) for _ in range(100)} == {side}


def test_a_side_that_is_stated_counts_before_the_words(reader: SideReader) -> None:
    assert reader.read_side("it belittles your club. still it is harmless.") is False
    assert reader.read_side("") is None


@pytest.mark.parametrize("memes", [20, 400])
def test_there_is_no_reader_where_rationales_are_few_or_do_not_tell(memes: int) -> None:
    rng = random.Random(2)
    texts = [write(None, rng) for _ in range(memes)]
    assert fit_side_reader(texts, [rng.random() < 0.5 for _ in texts]) is None
