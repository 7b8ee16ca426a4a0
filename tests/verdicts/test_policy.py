"""A policy turns scores into decisions: it lies in the card, shows in every verdict, and leaves nothing stale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from mrharm.errors import DataError, InputError
from mrharm.metrics import Estimate
from mrharm.rationales.side_reader import SideReader
from mrharm.recipe import ANSWERS
from mrharm.records import Meme, Verdict, parse_record, read_records, to_line
from mrharm.store import content_key, exclusive_lock
from mrharm.verdicts.batch import judge_all, judge_to_file, read_verdicts
from mrharm.verdicts.calibration import Calibration
from mrharm.verdicts.card import Chosen, DetectorCard, read_card, scorer_of, write_card
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.inputs import JudgeOptions
from tests.probes.written import detector as random_detector

MEMES = [Meme(id=name, text=f"you smell like {name}") for name in ("roses", "old soup", "a wet kettle")]
OPTIONS = JudgeOptions(rationales=False, gather=False)


@pytest.fixture
def detector() -> Detector:
    return random_detector()


def under(detector, threshold: float, band: tuple[float, float] | None = None) -> Detector:
    return detector.with_card(detector.card.with_policy(threshold, band))


def scores(detector) -> list[float]:
    return [verdict.score for verdict in detector.judge(MEMES, OPTIONS)]


def comparable(verdicts: list[Verdict]) -> list[dict[str, object]]:
    return [verdict.model_dump(exclude={"created_at", "score"}) for verdict in verdicts]


def test_allow_review_and_flag_meet_at_the_bounds(detector):
    card = detector.card.with_policy(0.5, (0.3, 0.7))
    assert [card.decide(score, score >= 0.5) for score in (0.0, 0.2999, 0.3, 0.5, 0.6999, 0.7, 1.0)] == [
        "allow", "allow", "review", "review", "review", "flag", "flag",
    ]  # fmt: skip
    alone = detector.card.with_policy(0.5, (0.5, 0.5))
    assert alone.band is None
    assert [alone.decide(score, score >= 0.5) for score in (0.4999, 0.5)] == ["allow", "flag"]


def test_every_verdict_shows_the_threshold_and_the_band(detector):
    low, middle, high = sorted(scores(detector))
    banded = under(detector, middle, ((low + middle) / 2, high))
    for verdict in banded.judge(MEMES, OPTIONS):
        assert (verdict.threshold, verdict.band) == (middle, ((low + middle) / 2, high))
        assert verdict.harmful == (verdict.score >= middle)
        assert verdict.decision == {low: "allow", middle: "review", high: "flag"}[verdict.score]
        assert parse_record(to_line(verdict), Verdict) == verdict
        # A verdict from before there were bands is read.
        values = json.loads(to_line(verdict))
        del values["band"]
        assert parse_record(json.dumps(values), Verdict) == verdict.model_copy(update={"band": None})


@pytest.mark.parametrize(
    ("threshold", "band"),
    [
        (-0.1, None),
        (1.1, None),
        (float("nan"), None),
        (0.5, (0.6, 0.7)),
        (0.5, (0.1, 0.4)),
        (0.5, (0.7, 0.3)),
        (0.5, (0.4, 1.2)),
    ],
)
def test_a_policy_that_cannot_be_is_refused(detector, threshold, band):
    with pytest.raises(InputError, match="expected"):
        detector.card.with_policy(threshold, band)


def test_the_key_changes_with_the_policy_and_its_scorer_does_not(detector):
    card = detector.card
    policies = [
        card.with_policy(0.4),
        card.with_policy(0.5, (0.4, 0.6)),
        card.with_policy(0.5, None, Chosen(criterion="said")),
    ]
    assert len({card.key(), *(policy.key() for policy in policies)}) == 4
    assert {scorer_of(policy.key()) for policy in policies} == {card.scorer()}
    assert card.model_copy(update={"temperature": 2.0}).scorer() != card.scorer()


@pytest.mark.parametrize("answers", ["harmful", "severity"])
def test_no_decision_changes_when_a_detector_is_calibrated_anew(detector, answers):
    """Of two answers and of three, with the temperature of an old card, by the default threshold and by a policy."""
    scores = np.random.default_rng(0).normal(0, 3, (2000, len(ANSWERS[answers])))
    old = detector.card.model_copy(update={"answers": ANSWERS[answers], "temperature": 0.8})
    fits = (Calibration(slope=0.3, bias=-1.2), Calibration(slope=2.5, bias=0.7))
    for card in (old, old.with_policy(0.3, (0.2, 0.45), Chosen(criterion="said"))):
        for again in (
            card.with_calibration(fits[0]),
            card.with_calibration(fits[0]).with_calibration(fits[1]),
        ):
            before, after = card.harm_probability(scores), again.harm_probability(scores)
            assert np.abs(before - after).max() > 0.1
            assert decisions(card, before) == decisions(again, after)
            assert again.chosen == card.chosen and again.key() != card.key()


def decisions(card: DetectorCard, scores: np.ndarray) -> list[str]:
    return [card.decide(score, score >= card.threshold) for score in scores.tolist()]


def test_a_temperature_flips_nothing(detector):
    hot = detector.with_temperature(3.0)
    verdicts = zip(detector.judge(MEMES, OPTIONS), hot.judge(MEMES, OPTIONS), strict=True)
    for cold, warm in verdicts:
        assert logit(warm.score) == pytest.approx(logit(cold.score) / 3)
        assert (warm.harmful, warm.decision) == (cold.harmful, cold.decision)


def test_a_card_from_before_there_was_a_calibration_keeps_its_key(detector):
    card = DetectorCard.from_json({**detector.card.to_json(), "temperature": 0.8})
    assert "calibration" not in card.to_json()
    fields = card.model_dump(mode="json", exclude={"threshold", "band", "chosen", "calibration"})
    assert card.scorer() == content_key({"format": 1, **fields})


def test_storing_a_policy_rewrites_the_card_and_the_readme_alone(detector, tmp_path):
    folder = tmp_path / "run" / "detector"
    detector.save_pretrained(folder)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    inner, card = read_card(tmp_path / "run")
    chosen = Chosen(
        criterion="precision >= 0.9", dataset="clubs", split="validation", memes=40, prevalence=0.02,
        figures={"precision": Estimate(value=0.912, low=0.85, high=0.96), "reviews": Estimate(value=1234.0)},
    )  # fmt: skip
    write_card(inner, card.with_policy(0.61, (0.4, 0.8), chosen))
    after = {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"detector.json", "README.md"}
    readme = (folder / "README.md").read_text()
    assert "threshold: 0.61, chosen by precision >= 0.9 on validation of clubs (40 memes)" in readme
    assert "at a prevalence of 0.02" in readme
    assert "allow below 0.4, review from there up to 0.8, flag from there up" in readme
    assert "precision there: 91.2 % (85.0 to 96.0)" in readme and "reviews there: 1,234 a day" in readme
    read = Detector.from_pretrained(tmp_path / "run", device="cpu")
    assert read.card.chosen == chosen and read.card.band == (0.4, 0.8)
    assert scorer_of(read.key) == card.scorer()


def test_a_card_from_before_there_were_bands_is_read_and_a_broken_policy_is_named(detector, tmp_path):
    values = detector.card.to_json()
    del values["band"], values["chosen"]
    assert DetectorCard.from_json(values) == detector.card
    (tmp_path / "detector.json").write_text(json.dumps({**detector.card.to_json(), "chosen": {"by": "me"}}))
    with pytest.raises(DataError, match=r"detector\.json: not a detector's card"):
        read_card(tmp_path)


def test_after_a_new_policy_a_files_verdicts_are_decided_again_and_none_is_scored_again(
    detector, tmp_path, monkeypatch
):
    out = tmp_path / "verdicts.jsonl"
    low, middle, high = sorted(scores(detector))
    old = under(detector, (low + middle) / 2)
    judge_to_file(old, MEMES, out, OPTIONS, [])
    new = under(detector, (middle + high) / 2, (middle, (middle + high) / 2))
    fresh = new.judge(MEMES, OPTIONS)
    monkeypatch.setattr(new.label_student, "score", None)
    # One meme is asked for; those that are not must not keep an old decision either.
    tally = judge_to_file(new, MEMES[:1], out, OPTIONS, [])
    assert (tally.judged, tally.already_there) == (0, 1)
    verdicts = list(read_records(out, Verdict))
    assert comparable(verdicts) == comparable(fresh)
    assert [verdict.score for verdict in verdicts] == pytest.approx([verdict.score for verdict in fresh])
    assert {verdict.detector for verdict in verdicts} == {new.key} != {old.key}
    before = out.stat()
    judge_to_file(new, MEMES, out, OPTIONS, [])
    assert out.stat() == before  # under the same policy there is nothing to decide, and nothing is written
    assert {path.name for path in tmp_path.iterdir()} == {"verdicts.jsonl", ".verdicts.jsonl.lock"}


def test_a_decision_follows_the_label_that_was_written_whatever_the_threshold(detector, monkeypatch):
    """P(harmful) is beside the point: of three answers, the likeliest may be harmless at a P of 0.55."""
    monkeypatch.setattr(detector.label_student, "write", lambda inputs, _: answers[: len(inputs)])
    answers = ["The answer is: harmful", "The answer is: harmless", "The answer is: perhaps"]
    expected = {True: "flag", False: "allow", None: "review"}
    for threshold in (0.0, 1.0):
        verdicts = under(detector, threshold).judge(MEMES, OPTIONS, greedy=True)
        assert {verdict.harmful for verdict in verdicts} == expected.keys()
        again = [under(detector, 1 - threshold).decide_again(verdict) for verdict in verdicts]
        for verdict in (*verdicts, *again):
            assert verdict.decision == expected[verdict.harmful]
    banded = under(detector, 0.5, (0.0, 1.0))
    assert {verdict.decision for verdict in banded.judge(MEMES, OPTIONS, greedy=True)} == {"review"}


def test_a_label_that_was_written_stays(detector, tmp_path):
    out = tmp_path / "verdicts.jsonl"
    greedy = OPTIONS.change(greedy=True)
    judge_to_file(under(detector, 0.0), MEMES, out, greedy, [])
    judge_to_file(under(detector, 0.0), MEMES, out, OPTIONS, [])
    judge_to_file(under(detector, 1.0), MEMES, out, OPTIONS, [])
    written, scored = list(read_records(out, Verdict))[:3], list(read_records(out, Verdict))[3:]
    # A random student writes no label at all.
    assert [(verdict.harmful, verdict.decision) for verdict in written] == [(None, "review")] * 3
    assert [(verdict.harmful, verdict.decision) for verdict in scored] == [(False, "allow")] * 3


def test_a_kill_while_deciding_again_leaves_the_old_file_whole(detector, tmp_path, monkeypatch):
    out = tmp_path / "verdicts.jsonl"
    judge_to_file(under(detector, 0.0), MEMES, out, OPTIONS, [])
    before = out.read_bytes()
    monkeypatch.setattr(DetectorCard, "decide", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        judge_to_file(under(detector, 1.0), MEMES, out, OPTIONS, [])
    monkeypatch.undo()
    assert out.read_bytes() == before
    judge_to_file(under(detector, 1.0), MEMES, out, OPTIONS, [])
    assert {verdict.decision for verdict in read_records(out, Verdict)} == {"allow"}
    assert {path.name for path in tmp_path.iterdir()} == {"verdicts.jsonl", ".verdicts.jsonl.lock"}


def test_two_processes_do_not_write_one_file(detector, tmp_path):
    out = tmp_path / "verdicts.jsonl"
    with (
        exclusive_lock(out),
        pytest.raises(InputError, match=r"another process is writing .*verdicts\.jsonl"),
    ):
        judge_to_file(under(detector, 0.0), MEMES, out, OPTIONS, [])
    assert not out.exists()


def test_the_verdict_read_back_is_the_one_of_the_meme_as_it_is_now(detector, tmp_path):
    """A meme that changed and changed back has two verdicts; the later line is not the right one."""
    out = tmp_path / "verdicts.jsonl"
    changed = [MEMES[0].model_copy(update={"text": "you smell of rain"}), *MEMES[1:]]
    first = read_verdicts(out, judge_to_file(detector, MEMES, out, OPTIONS, []))
    second = read_verdicts(out, judge_to_file(detector, changed, out, OPTIONS, []))
    tally = judge_to_file(detector, MEMES, out, OPTIONS, [])
    assert tally.judged == 0
    assert read_verdicts(out, tally) == first
    assert second[MEMES[0].id].key != first[MEMES[0].id].key
    assert {verdict.meme_id for verdict in judge_all(detector, MEMES, OPTIONS, [])} == set(first)


def test_a_cut_text_goes_to_review_and_its_label_stays(detector: Detector) -> None:
    short, long = detector.judge([Meme(id="s", text="you"), Meme(id="l", text="you " * 2000)], OPTIONS)
    assert (short.doubts, long.doubts, long.text_cut) == ((), ("text_cut",), True)
    assert long.decision == "review" and long.harmful == (long.score >= long.threshold)
    strict = under(detector, 0.0)
    assert strict.decide_again(long).decision == "review" and strict.decide_again(short).decision == "flag"


def test_an_explanation_that_speaks_for_the_other_side_sends_its_meme_to_review(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label stays; a policy that changes it changes whether they disagree, and so does the folder's reader."""
    detector.side_reader = SideReader(bias=0.0, margin=1.0, weights={"belittles": 2.0, "cheers": -2.0})
    detector.save_pretrained(tmp_path)
    harmless = under(Detector.from_pretrained(tmp_path, device="cpu"), 1.0)
    texts = ["it belittles you", "it cheers you up", "a kettle"]
    monkeypatch.setattr(harmless, "_write_rationales", lambda *_: texts)
    verdicts = harmless.judge(MEMES, OPTIONS)
    assert [verdict.rationale_side for verdict in verdicts] == [True, False, None]
    assert [verdict.doubts for verdict in verdicts] == [("rationale_disagrees",), (), ()]
    assert [verdict.decision for verdict in verdicts] == ["review", "allow", "allow"]
    assert {verdict.harmful for verdict in verdicts} == {False}
    again = [under(harmless, 0.0).decide_again(verdict) for verdict in verdicts]
    assert [verdict.decision for verdict in again] == ["flag", "review", "flag"]
    assert [verdict.doubts for verdict in again] == [(), ("rationale_disagrees",), ()]
    assert [parse_record(to_line(verdict), Verdict) for verdict in again] == again
