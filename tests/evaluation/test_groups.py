from __future__ import annotations

import numpy as np
import pytest

from mrharm.evaluation.groups import length_groups, score_groups, subgroup_areas
from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import LabelledScores
from mrharm.records import Evidence, Label, Meme
from tests.evaluation.runs import predictions


def made(number: int, harmful: bool, **label: object) -> Meme:
    text = " ".join(["you"] * (1 + number % 8))
    return Meme(id=str(number), text=text, label=Label(harmful=harmful, **label), split="test")


def group(groups, kind: str, name: str):
    (found,) = [one for one in groups if (one.kind, one.name) == (kind, name)]
    return found


def test_every_kind_of_label_makes_groups_and_two_targets_stand_in_both(tmp_path):
    memes = [
        made(
            number,
            number % 2 == 1,
            severity=("none", "very")[number % 2],
            targets=("community", "society") if number < 12 else ("individual",),
            protected_categories=("religion",) if number % 2 else (),
            attack_types=("mocking",) if number % 2 else (),
        )
        for number in range(24)
    ]
    said = [number % 2 == 1 or number < 3 for number in range(24)]
    groups = score_groups(predictions(tmp_path / "d", memes, said), n_resamples=50)
    kinds = {one.kind for one in groups}
    assert kinds == {"severity", "target", "protected category", "attack type", "text length"}
    assert group(groups, "target", "community").memes == group(groups, "target", "society").memes == 12
    none = group(groups, "severity", "none")
    assert (none.memes, none.harmful) == (12, 0)
    assert none.accuracy.value == pytest.approx(10 / 12)
    assert none.flagged.value == pytest.approx(2 / 12)
    assert none.recall == none.auroc == none.macro_f1 == Estimate()
    individual = group(groups, "target", "individual")
    assert individual.accuracy.value == individual.macro_f1.value == individual.recall.value == 1.0
    assert individual.mean_score.value == pytest.approx(0.5)
    assert individual.accuracy.low < 0.8  # twelve of twelve are not certain
    assert individual.areas.subgroup == Estimate()  # too few on either side to be ranked


def test_fewer_than_ten_memes_are_too_few(tmp_path):
    memes = [made(number, True, targets=("crowd",) if number < 9 else ("club",)) for number in range(19)]
    groups = score_groups(predictions(tmp_path / "d", memes, [True] * 19), n_resamples=10)
    few, enough = group(groups, "target", "crowd"), group(groups, "target", "club")
    assert (few.too_few, few.memes, few.accuracy, few.areas) == (True, 9, Estimate(), None)
    assert (enough.too_few, enough.memes) == (False, 10)


def test_a_kind_that_tells_no_memes_apart_makes_no_group(tmp_path):
    memes = [
        Meme(id=str(number), text="you and you", label=Label(harmful=True, targets=("club",)), split="test")
        for number in range(12)
    ]
    assert score_groups(predictions(tmp_path / "d", memes, [True] * 12), n_resamples=5) == ()


def test_lengths_are_quarters_with_their_bounds_named_and_equal_lengths_together():
    texts = ["you " * number for number in range(1, 9)]
    assert length_groups(texts) == ["1 to 2 words"] * 2 + ["3 to 4 words"] * 2 + [
        "5 to 6 words",
        "5 to 6 words",
        "7 to 8 words",
        "7 to 8 words",
    ]
    assert length_groups(["", "you", "you", "you you you"]) == ["0 words", "1 word", "1 word", "3 words"]
    assert set(length_groups(["you"] * 5)) == {"1 word"}


def test_groups_of_length_stand_from_the_shortest(tmp_path):
    memes = [made(number, number % 2 == 1) for number in range(48)]
    groups = score_groups(predictions(tmp_path / "d", memes, [True] * 48), n_resamples=5)
    assert [one.name for one in groups] == ["1 to 2 words", "3 to 4 words", "5 to 6 words", "7 to 8 words"]


def test_a_meme_is_counted_by_the_parts_it_was_judged_by(tmp_path):
    memes = [
        Meme(id="1", text="you", label=Label(harmful=True), split="test"),
        Meme(id="2", text="you", image="2.png", label=Label(harmful=True), split="test"),
        Meme(id="3", image="3.png", label=Label(harmful=True), split="test"),
        Meme(id="4", image="4.png", label=Label(harmful=True), split="test"),
    ]
    seen = [None, None, Evidence(meme_id="3", text="you", text_source="ocr"), None]
    groups = score_groups(predictions(tmp_path / "d", memes, [True] * 4, evidence=seen), n_resamples=5)
    parts = {one.name: one.memes for one in groups if one.kind == "parts"}
    assert parts == {"picture and text": 2, "text alone": 1, "picture alone": 1}


def test_the_areas_of_a_group_by_hand():
    #               in the group        background
    gold = np.tile([True, False, False, True, True, False], 10)
    scores = np.tile([0.4, 0.5, 0.3, 0.45, 0.9, 0.35], 10)
    inside = np.tile([True, True, True, False, False, False], 10)
    found = subgroup_areas(LabelledScores(gold, scores), inside, n_resamples=5)
    assert found.subgroup.value == pytest.approx(1 / 2)  # 0.4 against 0.5 and 0.3
    assert found.bpsn.value == pytest.approx(3 / 4)  # 0.45 and 0.9 against 0.5 and 0.3
    assert found.bnsp.value == pytest.approx(1)  # 0.4 against 0.35


def test_an_area_with_fewer_than_ten_memes_on_a_side_cannot_be_had():
    gold = np.array([True] * 20 + [False] * 9 + [False] * 12)
    inside = np.array([True] * 10 + [False] * 10 + [True] * 9 + [False] * 12)
    found = subgroup_areas(LabelledScores(gold, np.linspace(1, 0, 41)), inside, n_resamples=5)
    assert found.subgroup == found.bpsn == Estimate()
    assert found.bnsp.value == 1.0
