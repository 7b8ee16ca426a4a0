from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mrharm.probes.cases import Case, compare_verdicts, score_decisions
from mrharm.records import Evidence, Meme, Verdict


def verdicts(said: list[bool | None], scores: list[float]) -> list[Verdict]:
    return [
        Verdict(
            meme_id=f"{number}",
            harmful=one,
            score=score,
            threshold=0.5,
            decision="allow",
            detector="test",
            recipe="test",
            created_at="2025-01-01T00:00:00+00:00",
        )
        for number, (one, score) in enumerate(zip(said, scores, strict=True))
    ]


def split(gold: list[bool]) -> Any:
    """What the comparison reads of `Predictions`."""
    return SimpleNamespace(gold=np.array(gold), clusters=np.arange(len(gold)))


def test_a_comparison_is_what_it_is_by_hand() -> None:
    predictions = split([True, True, False, False])
    before = verdicts([True, True, False, False], [0.9, 0.6, 0.2, 0.4])
    after = verdicts([True, False, False, None], [0.7, 0.3, 0.2, 0.8])
    found = compare_verdicts(predictions, range(4), before, after)
    assert found.memes == 4
    assert found.moved.value == pytest.approx((0.2 + 0.3 + 0 + 0.4) / 4)
    assert found.drift.value == pytest.approx((-0.2 - 0.3 + 0 + 0.4) / 4)
    assert found.flipped.value == 0.5  # no label answered is another decision
    assert found.accuracy.value == 0.5  # and a wrong one
    # harmful: 1 hit, 1 miss, 1 false alarm; harmless the same: F1 of both is 2 / 4
    assert found.macro_f1.value == pytest.approx(0.5)
    assert found.macro_f1_change.value == pytest.approx(0.5 - 1.0)
    assert found.macro_f1_change.low <= -0.5 <= found.macro_f1_change.high


def test_nothing_changed_is_0_with_an_interval_that_admits_more() -> None:
    predictions = split([True, False] * 10)
    same = verdicts([True, True] * 10, [0.7] * 20)
    found = compare_verdicts(predictions, range(20), same, same)
    assert (found.moved.value, found.drift.value, found.macro_f1_change.value) == (0, 0, 0)
    assert found.flipped.value == 0 and found.flipped.high > 0.1
    assert score_decisions(predictions, same).accuracy.value == 0.5


def test_changed_words_are_what_the_detector_reads_and_the_rest_stays() -> None:
    case = Case(
        0,
        Meme(id="a", image="a.png", text=None),
        Evidence(meme_id="a", text="you smell", text_source="ocr", caption="roses", clean_image="c.png"),
    )
    changed = case.with_text("you shine")
    assert (case.text, changed.text, case.with_text("").text) == ("you smell", "you shine", "")
    assert changed.evidence.caption == "roses" and changed.meme.image == "a.png"


def test_seeing_anothers_picture_takes_all_that_is_seen_and_no_words() -> None:
    one = Case(
        0,
        Meme(id="a", image="a.png", text="A"),
        Evidence(meme_id="a", text="A", caption="roses", clean_image="a2.png"),
    )
    other = Case(
        1,
        Meme(id="b", image="b.png", text="B"),
        Evidence(meme_id="b", text="B", caption="skunk", clean_image="b2.png"),
    )
    seen = one.with_picture_of(other)
    assert (seen.meme.id, seen.text, seen.meme.image) == ("a", "A", "b.png")
    assert (seen.evidence.meme_id, seen.evidence.caption, seen.evidence.clean_image) == (
        "a",
        "skunk",
        "b2.png",
    )
    blind = one.with_picture_of(None)
    assert (blind.text, blind.meme.image, blind.evidence.caption, blind.evidence.clean_image) == (
        "A",
        None,
        None,
        None,
    )
