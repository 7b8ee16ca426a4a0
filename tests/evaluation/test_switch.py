from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.evaluation.own_items import NotJudged, judge_items, not_judged
from mrharm.evaluation.switch import Diff, compare_decisions
from mrharm.metrics import Estimate
from mrharm.records import Decision, Evidence, Failure, Meme, Verdict
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.inputs import InputMemes
from tests.audit.helpers import meme
from tests.probes.written import detector as random_detector


def side(
    decisions: Sequence[Decision | None],
    scores: Sequence[float] | None = None,
    silent: Sequence[int] = (),
    evidence: Evidence | None = None,
    band: tuple[float, float] | None = None,
) -> dict[str, Verdict]:
    """Verdicts on memes m0, m1 ...; None where there is none; ``silent`` ones wrote no label."""
    return {
        f"m{n}": Verdict(
            meme_id=f"m{n}",
            harmful=None if n in silent else decision == "flag",
            score=scores[n] if scores else {"allow": 0.1, "review": 0.5, "flag": 0.9}[decision],
            threshold=0.5,
            band=band,
            decision=decision,
            rationale=f"because {n}",
            evidence=evidence,
            detector="test",
            recipe="test",
            created_at="2025-01-01T00:00:00+00:00",
        )
        for n, decision in enumerate(decisions)
        if decision
    }


def items(labels: Sequence[bool | None]) -> list[Meme]:
    return [meme(f"m{n}", f"you and kettle {n}", harmful, None) for n, harmful in enumerate(labels)]


def compare(
    memes: Sequence[Meme],
    a: dict[str, Verdict],
    b: dict[str, Verdict],
    per_day: float | None = None,
    **policy: object,
) -> Diff:
    plain = random_detector()
    banded = plain.with_card(plain.card.with_policy(0.5, (0.4, 0.6)))
    return compare_decisions(
        plain, banded if policy.get("banded") else plain, memes, a, b, per_day=per_day, n_resamples=200
    )


def test_every_way_is_counted_and_the_largest_move_comes_first() -> None:
    a = side(["allow", "allow", "flag", "flag"], [0.4, 0.1, 0.9, 0.8])
    b = side(["flag", "allow", "allow", "flag"], [0.6, 0.2, 0.1, 0.9])
    found = compare(items([None] * 4), a, b)
    assert {way: count for way, count in found.counts.items() if count} == {
        "allow->allow": 1, "allow->flag": 1, "flag->allow": 1, "flag->flag": 1,
    }  # fmt: skip
    assert [(change.id, round(change.moved, 6)) for change in found.changes] == [("m2", -0.8), ("m0", 0.2)]
    first = found.changes[0]
    assert (first.text, first.a.rationale, first.a.decision, first.b.decision) == (
        "you and kettle 2", "because 2", "flag", "allow",
    )  # fmt: skip
    assert found.changed.value == 0.5 and found.labelled is None
    assert (first.gold, first.a.right, first.b.right) == (None, None, None)


BAND = (0.4, 0.6)


def test_what_both_allow_review_and_flag_is_held_like_with_like() -> None:
    a = side(["flag", "flag", "flag", "allow", "allow"])
    b = side(["flag", "review", "allow", "allow", "allow"], band=BAND)
    found = compare(items([None] * 5), a, b, per_day=1000, banded=True)
    rows = {what: (one.a.value, one.b.value) for what, one in found.amounts.items()}
    assert rows == {"allow": (400, 600), "review": (0, 200), "flag": (600, 200), "review or flag": (600, 400)}
    # Not -400, which would hold what A flags against B's band.
    change = found.amounts["review or flag"].change
    assert change.value == pytest.approx(-200) and change.low is not None and change.low < -200
    assert found.amounts["review"].change.value == pytest.approx(200)
    # A has no band: that it sends nothing to review is no estimate.
    assert found.amounts["review"].a == Estimate(value=0)
    assert (found.policy_a.band, found.policy_b.band, found.banded) == (None, BAND, True)
    shares = compare(items([None] * 5), a, b)
    assert (shares.amounts["flag"].a.value, shares.per_day) == (pytest.approx(0.6), None)


def test_a_detector_that_asks_people_is_not_wrong_where_it_asks() -> None:
    gold = [True, True, False, False, True, False]
    a = side(["flag", "allow", "flag", "allow", "flag", "allow"])
    # Of the two that A decides wrongly B asks a person; at its threshold it would have one of them right.
    b = side(
        ["flag", "review", "review", "allow", "flag", "allow"], [0.9, 0.55, 0.5, 0.1, 0.9, 0.1], band=BAND
    )
    known = compare(items(gold), a, b, banded=True).labelled
    assert known is not None
    assert (known.a.decided, known.a.right.value) == (Estimate(value=1), pytest.approx(4 / 6))
    assert (known.b.decided.value, known.b.right.value) == (pytest.approx(4 / 6), 1.0)
    assert known.b.right.low is not None and known.b.right.low < 0.7  # four memes say little
    assert known.a.harmful == {"allow": 1, "review": 0, "flag": 2}
    assert known.b.harmful == {"allow": 0, "review": 1, "flag": 2}
    assert known.b.harmless == {"allow": 2, "review": 1, "flag": 0}
    # Like with like: every meme decided at the threshold.
    assert (known.a.at_threshold.value, known.b.at_threshold.value) == (
        pytest.approx(4 / 6),
        pytest.approx(5 / 6),
    )
    assert known.difference.value == pytest.approx(1 / 6)
    assert (known.test.only_first, known.test.only_second, known.test.p) == (0, 1, 1.0)


def test_a_side_that_asks_a_person_about_everything_has_no_share_of_right_decisions() -> None:
    asks = side(["review", "review"], band=BAND)
    known = compare(items([True, False]), side(["flag", "allow"]), asks, banded=True).labelled
    assert known is not None and (known.b.decided.value, known.b.right) == (0, Estimate())


def test_people_say_who_is_right_and_no_label_never_is() -> None:
    gold = [True, True, False, False, True, None]
    a = side(["allow", "flag", "allow", "flag", "allow", "allow"], silent=[2])
    b = side(["flag", "review", "flag", "flag", "allow", "flag"])
    found = compare(items(gold), a, b)
    assert {change.id: (change.a.right, change.b.right) for change in found.changes} == {
        "m0": (False, True), "m1": (True, None), "m2": (False, False), "m5": (None, None),
    }  # fmt: skip
    known = found.labelled
    assert known is not None and known.items == 5
    assert known.a.right.value == known.a.at_threshold.value == pytest.approx(0.2)
    assert (known.test.p, known.test.exact) == (1.0, True)


def test_nothing_changed_is_a_diff_too_and_says_how_sure_that_is() -> None:
    same = side(["flag", "allow", "allow"])
    found = compare(items([None] * 3), same, same, per_day=100)
    assert found.changes == () and found.changed.value == 0
    assert found.changed.high is not None and found.changed.high > 0.3  # three memes say little
    assert {amount.change.value for amount in found.amounts.values()} == {0}


def test_items_that_one_side_could_not_judge_are_left_out() -> None:
    found = compare(items([None] * 3), side(["flag", None, "allow"]), side(["flag", "flag", "flag"]))
    assert (found.items, len(found.changes)) == (2, 1)
    with pytest.raises(InputError, match="none of the 1 items could be judged by both"):
        compare(items([None]), side([None]), side(["flag"]))
    with pytest.raises(InputError, match="more than 0"):
        compare(items([None]), side(["flag"]), side(["flag"]), per_day=0)


def test_where_nothing_could_be_judged_the_first_reasons_are_said() -> None:
    lost = [NotJudged(item=f"m{n}\nx", stage="predict", reason="torn", by="both") for n in range(5)]
    plain = random_detector()
    with pytest.raises(InputError) as raised:
        compare_decisions(plain, plain, [], {}, {}, failures=lost)
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("none of the 5 items")
    assert lines[1:] == ["  m0 x: torn", "  m1 x: torn", "  m2 x: torn", "  and 2 more"]


def test_a_failure_of_both_sides_is_listed_once_and_others_say_whose_they_are() -> None:
    lost, odd, slow, row = (
        Failure(item=name, stage="predict", reason="no") for name in ("m1", "m2", "m3", "4")
    )
    failures = not_judged([row], [lost, odd], [slow, lost])
    assert [(one.item, one.by) for one in failures] == [
        ("4", "both"),
        ("m1", "both"),
        ("m2", "a"),
        ("m3", "b"),
    ]
    other = lost.model_copy(update={"reason": "another"})
    assert [one.by for one in not_judged([], [lost], [other])] == ["a", "b"]
    one = side(["flag"])
    plain = random_detector()
    found = compare_decisions(plain, plain, items([None]), one, one, failures=failures, n_resamples=5)
    assert found.failures == failures


def test_words_read_off_a_picture_are_shown_where_none_were_given() -> None:
    read = Evidence(meme_id="m0", text="read off", text_source="ocr")
    (change,) = compare(
        [meme("m0", None, None, None)], side(["flag"], evidence=read), side(["allow"])
    ).changes
    assert change.text == "read off"


def saved(folder: Path, threshold: float = 0.5) -> tuple[Path, Detector]:
    plain = random_detector()
    plain.with_card(plain.card.with_policy(threshold)).save_pretrained(folder / "detector")
    return folder, Detector.from_pretrained(folder, device="cpu")


def test_verdicts_are_kept_and_follow_a_new_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, detector = saved(tmp_path / "run", 0.0)
    found = InputMemes()
    for one in items([None] * 3):
        found.add(one)
    first, failures = judge_items(run, detector, found, rationales=False)
    assert {verdict.decision for verdict in first.values()} == {"flag"} and not failures
    assert [path.name for path in run.glob("*.jsonl")] == [f"verdicts.diff.{detector.card.scorer()}.jsonl"]
    monkeypatch.setattr("mrharm.verdicts.detector.score_answers", None)
    stricter = detector.with_card(detector.card.with_policy(1.0))
    again, _ = judge_items(run / "detector", stricter, found, rationales=False)
    assert {verdict.decision for verdict in again.values()} == {"allow"}
    assert [one.score for one in again.values()] == [one.score for one in first.values()]


def test_an_item_that_cannot_be_judged_fails_alone(tmp_path: Path) -> None:
    run, detector = saved(tmp_path / "run")
    found = InputMemes()
    for one in (meme("whole", "you", None, None), meme("lost", "you", None, None, image="lost.png")):
        found.add(one)
    verdicts, failures = judge_items(run, detector, found, keep=tmp_path / "kept", rationales=False)
    assert list(verdicts) == ["whole"]
    assert [type(failure) for failure in failures] == [Failure] and failures[0].item == "lost"
    assert list((tmp_path / "kept").glob("verdicts.diff.*.jsonl"))
