from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mrharm.probes.changed_memes import Case, compare_verdicts, score_decisions
from mrharm.records import Evidence, Meme, Verdict


def verdicts(decisions: list[bool | None], scores: list[float]) -> list[Verdict]:
    return [
        Verdict(
            meme_id=f"{number}",
            harmful=case,
            score=score,
            threshold=0.5,
            decision="allow",
            detector="test",
            recipe="test",
            created_at="2025-01-01T00:00:00+00:00",
        )
        for number, (case, score) in enumerate(zip(decisions, scores, strict=True))
    ]


def split(gold: list[bool]) -> Any:
    """What the comparison reads of `Predictions`."""
    return SimpleNamespace(gold=np.array(gold), clusters=np.arange(len(gold)))


def cases(count: int) -> list[Case]:
    return [Case(place, Meme(id=f"{place}"), Evidence(meme_id=f"{place}")) for place in range(count)]


def test_a_comparison_is_what_it_is_by_hand() -> None:
    predictions = split([True, True, False, False])
    before = verdicts([True, True, False, False], [0.9, 0.6, 0.2, 0.4])
    after = verdicts([True, False, False, None], [0.7, 0.3, 0.2, 0.8])
    change = compare_verdicts(predictions, cases(4), before, after)
    assert change.memes == 4
    assert change.moved.value == pytest.approx((0.2 + 0.3 + 0 + 0.4) / 4)
    assert change.drift.value == pytest.approx((-0.2 - 0.3 + 0 + 0.4) / 4)
    assert change.flipped.value == 0.5  # no label answered is another decision
    assert change.accuracy.value == 0.5  # and a wrong one
    # harmful: 1 hit, 1 miss, 1 false alarm; harmless the same: F1 of both is 2 / 4
    assert change.macro_f1.value == pytest.approx(0.5)
    assert change.macro_f1_change.value == pytest.approx(0.5 - 1.0)
    assert change.macro_f1_change.low <= -0.5 <= change.macro_f1_change.high


def test_nothing_changed_is_0_with_an_interval_that_admits_more() -> None:
    predictions = split([True, False] * 10)
    same = verdicts([True, True] * 10, [0.7] * 20)
    change = compare_verdicts(predictions, cases(20), same, same)
    assert (change.moved.value, change.drift.value, change.macro_f1_change.value) == (0, 0, 0)
    assert change.flipped.value == 0 and change.flipped.high > 0.1
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
    case = Case(
        0,
        Meme(id="a", image="a.png", text="A"),
        Evidence(meme_id="a", text="A", caption="roses", clean_image="a2.png"),
    )
    donor = Case(
        1,
        Meme(id="b", image="b.png", text="B"),
        Evidence(meme_id="b", text="B", caption="skunk", clean_image="b2.png"),
    )
    swapped = case.with_picture_of(donor)
    assert (swapped.meme.id, swapped.text, swapped.meme.image) == ("a", "A", "b.png")
    assert (swapped.evidence.meme_id, swapped.evidence.caption, swapped.evidence.clean_image) == (
        "a",
        "skunk",
        "b2.png",
    )
    blind = case.with_picture_of(None)
    assert (blind.text, blind.meme.image, blind.evidence.caption, blind.evidence.clean_image) == (
        "A",
        None,
        None,
        None,
    )
