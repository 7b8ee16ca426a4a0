from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.evaluation.diff import Diff, compare_decisions
from mrharm.evaluation.diff_items import (
    DiffItems,
    JudgedItems,
    diff_verdicts_file,
    find_items,
    judge_items,
    merge_failures,
)
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.records import Decision, Evidence, Failure, Meme, Verdict
from mrharm.store import write_json
from mrharm.verdicts.card import Chosen
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.inputs import InputMemes
from tests.audit.helpers import meme, sound, write_dataset
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


def diff_items(memes: Sequence[Meme], failures: Sequence[Failure] = ()) -> DiffItems:
    inputs = InputMemes()
    for one in memes:
        inputs.add(one)
    inputs.failures += failures
    return DiffItems(inputs)


def compare(
    memes: Sequence[Meme],
    a: dict[str, Verdict],
    b: dict[str, Verdict],
    per_day: float | None = None,
    **policy: object,
) -> Diff:
    plain = random_detector()
    banded = plain.with_card(plain.card.with_policy(0.5, (0.4, 0.6)))
    detector = banded if policy.get("banded") else plain
    return compare_decisions(
        JudgedItems(plain, a), JudgedItems(detector, b), diff_items(memes), per_day=per_day, n_resamples=200
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
    lost = [Failure(item=f"m{n}\nx", stage="predict", reason="torn") for n in range(5)]
    side = JudgedItems(random_detector(), {})
    with pytest.raises(InputError) as raised:
        compare_decisions(side, side, diff_items([], lost))
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("none of the 5 items")
    assert lines[1:] == ["  m0 x: torn", "  m1 x: torn", "  m2 x: torn", "  and 2 more"]


def test_a_failure_of_both_sides_is_listed_once_and_others_say_whose_they_are() -> None:
    lost, odd, slow, row = (
        Failure(item=name, stage="predict", reason="no") for name in ("m1", "m2", "m3", "4")
    )
    failures = merge_failures([row], [lost, odd], [slow, lost])
    assert [(one.item, one.by) for one in failures] == [
        ("4", "both"),
        ("m1", "both"),
        ("m2", "a"),
        ("m3", "b"),
    ]
    other = lost.model_copy(update={"reason": "another"})
    assert [one.by for one in merge_failures([], [lost], [other])] == ["a", "b"]
    plain, verdicts = random_detector(), side(["flag"])
    a, b = JudgedItems(plain, verdicts, [lost, odd]), JudgedItems(plain, verdicts, [slow, lost])
    assert compare_decisions(a, b, diff_items(items([None]), [row]), n_resamples=5).failures == failures


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
    inputs = diff_items(items([None] * 3)).inputs
    first = judge_items(detector, inputs, diff_verdicts_file(run, detector), rationales=False)
    assert {verdict.decision for verdict in first.verdicts.values()} == {"flag"} and not first.failures
    assert [path.name for path in run.glob("*.jsonl")] == [f"verdicts.diff.{detector.card.scorer()}.jsonl"]
    monkeypatch.setattr("mrharm.verdicts.detector.score_answers", None)
    stricter = detector.with_card(detector.card.with_policy(1.0))
    file = diff_verdicts_file(run / "detector", stricter)
    again = judge_items(stricter, inputs, file, rationales=False).verdicts
    assert {verdict.decision for verdict in again.values()} == {"allow"}
    assert [one.score for one in again.values()] == [one.score for one in first.verdicts.values()]


def test_an_item_that_cannot_be_judged_fails_alone(tmp_path: Path) -> None:
    run, detector = saved(tmp_path / "run")
    memes = [meme("whole", "you", None, None), meme("lost", "you", None, None, image="lost.png")]
    file = diff_verdicts_file(run, detector, tmp_path / "kept")
    judged = judge_items(detector, diff_items(memes).inputs, file, rationales=False)
    assert list(judged.verdicts) == ["whole"]
    assert [type(failure) for failure in judged.failures] == [Failure]
    assert judged.failures[0].item == "lost"
    assert list((tmp_path / "kept").glob("verdicts.diff.*.jsonl"))


def make_run(folder: Path, dataset: str | None, threshold: float = 0.5, chosen: Chosen | None = None) -> Path:
    """A detector, and where ``dataset`` is named the note of what it was trained on."""
    plain = random_detector()
    plain.with_card(plain.card.with_policy(threshold, chosen=chosen)).save_pretrained(folder / "detector")
    if dataset:
        write_json(folder / "run.json", {"dataset": dataset, "dataset_sha256": "0"})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A was trained on ``clubs``, B elsewhere."""
    folder = tmp_path_factory.mktemp("runs")
    return make_run(folder / "a", "clubs"), make_run(folder / "b", "creatures", 0.6)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "data", sound())


def test_of_a_dataset_folder_its_test_split_is_taken(runs: tuple[Path, Path], data: Dataset) -> None:
    items = find_items([data.root], *runs)
    assert [one.id for one in items.inputs.memes] == [one.id for one in data.split("test")]
    (taken,) = items.datasets
    assert (taken.dataset, taken.split, taken.memes, taken.there) == ("clubs", "test", 4, 16)
    assert items.warnings == ()


def test_a_split_is_named_by_name_or_role_and_all_are_all(runs: tuple[Path, Path], tmp_path: Path) -> None:
    memes = [meme("x", "you", None, "dev_seen"), meme("y", "you too", None, "train")]
    data = write_dataset(tmp_path / "data", memes, roles={"test": "dev_seen"})
    taken = {
        split: [one.id for one in find_items([data.root], *runs, split=split).inputs.memes]
        for split in (None, "test", "dev_seen", "train", "all")
    }
    assert taken == {None: ["x"], "test": ["x"], "dev_seen": ["x"], "train": ["y"], "all": ["x", "y"]}
    bare = write_dataset(tmp_path / "bare", [meme("x", "you", None, None)])
    (found,) = find_items([bare.root], *runs).datasets
    assert (found.split, found.memes) == (None, 1)


def test_memes_that_a_run_learned_from_are_said(runs: tuple[Path, Path], data: Dataset) -> None:
    (warning,) = find_items([data.root], *runs, split="train").warnings
    assert warning.startswith("A learned from 8 of these 8 memes of clubs")
    (warning,) = find_items([data.root], runs[0] / "detector", runs[1], split="all").warnings
    assert warning.startswith("A learned from 8, was chosen and calibrated on 4 of these 16 memes")


def test_a_threshold_chosen_on_these_memes_is_said(
    runs: tuple[Path, Path], data: Dataset, tmp_path: Path
) -> None:
    chosen = Chosen(criterion="macro-F1", dataset="clubs", split="test", memes=4)
    alone = make_run(tmp_path / "alone", None, chosen=chosen)
    (warning,) = find_items([data.root], alone, runs[1]).warnings
    assert warning.startswith("A has a threshold chosen on 4 of these 4 memes of clubs")


def test_one_detector_on_both_sides_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "1", "text": "you"}) + "\n")
    (warning,) = find_items([rows], runs[0], runs[0] / "detector").warnings
    assert "A and B are the same detector" in warning
    assert find_items([rows], *runs).warnings == ()


def test_a_split_that_cannot_be_is_refused(runs: tuple[Path, Path], data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split called 'moon'"):
        find_items([data.root], *runs, split="moon")
    (tmp_path / "rows.jsonl").write_text('{"id": "1", "text": "you"}\n')
    with pytest.raises(InputError, match="goes with a dataset folder"):
        find_items([tmp_path / "rows.jsonl"], *runs, split="test")


def test_a_file_of_another_kind_is_refused_at_once_with_the_mend(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("id,text\n1,you\n")
    with pytest.raises(InputError, match=r"posts\.csv: expected a picture .*\.jsonl .*`mrharm import folder"):
        find_items([table], *runs)
    # A picture's name is not trusted, neither for it nor against it.
    (tmp_path / "3f2a").write_bytes(b"\x89PNG\r\n\x1a\n...")
    (tmp_path / "torn.png").write_bytes(b"")
    assert len(find_items([tmp_path / "3f2a", tmp_path / "torn.png"], *runs).inputs.memes) == 2


def test_a_row_that_is_no_meme_says_its_place_once(runs: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "bad.jsonl"
    rows.write_text('{"id": "1", "text": "you"}\n{"text": "you"}\n{"id": "8", "colour": "red"}\n')
    nameless, odd = find_items([rows], *runs).inputs.failures
    assert (nameless.item, nameless.line) == (f"{rows}:2", 2)
    assert nameless.reason.startswith("Meme.id: ")
    assert (odd.item, odd.reason.partition(";")[0]) == ("8", "Meme.colour: unknown key")
