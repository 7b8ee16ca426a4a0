from __future__ import annotations

import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.evaluation.predictions import judge_memes, judge_split
from mrharm.memes.dataset import Dataset
from mrharm.records import Evidence, Verdict, read_records
from mrharm.store import write_records
from tests.audit.helpers import meme, write_dataset
from tests.evaluation.runs import clubs, random_detector


@pytest.fixture(scope="module")
def detector():
    return random_detector()


def test_a_split_is_judged_in_file_order_without_a_file(detector, tmp_path):
    dataset = clubs(tmp_path / "d", test=6)
    found = judge_split(detector, dataset, "test", rationales=False)
    assert [verdict.meme_id for verdict in found.verdicts] == [one.id for one in dataset.split("test")]
    assert found.gold.tolist() == [False, True, False, True, False, True]
    assert found.scores.tolist() == [verdict.score for verdict in found.verdicts]
    assert list(tmp_path.iterdir()) == [tmp_path / "d"]


def test_verdicts_in_the_file_are_not_made_again(detector, tmp_path):
    dataset, out = clubs(tmp_path / "d", test=6), tmp_path / "verdicts.jsonl"
    first = judge_split(detector, dataset, "test", out=out, rationales=False)
    written = out.read_bytes()
    assert judge_split(detector, dataset, "test", out=out, rationales=False).verdicts == first.verdicts
    assert out.read_bytes() == written


def test_options_asked_for_before_are_found_again_behind_later_lines(detector, tmp_path):
    dataset, out = clubs(tmp_path / "d", test=4), tmp_path / "verdicts.jsonl"
    with_rationales = judge_split(detector, dataset, "test", out=out)
    judge_split(detector, dataset, "test", out=out, rationales=False)
    again = judge_split(detector, dataset, "test", out=out)
    assert len(list(read_records(out, Verdict))) == 8
    assert again.verdicts == with_rationales.verdicts
    assert all(verdict.rationale is not None for verdict in again.verdicts)


def test_another_text_is_judged_again_and_the_first_is_there_when_it_comes_back(detector, tmp_path):
    rows = [meme("1", "you and the club", True, "test")]
    dataset, out = write_dataset(tmp_path / "d", rows), tmp_path / "verdicts.jsonl"
    first = judge_split(detector, dataset, "test", out=out, rationales=False).verdicts[0]
    write_records(
        dataset.root / "evidence.jsonl", [Evidence(meme_id="1", text="a kettle", text_source="ocr")]
    )
    other = judge_split(detector, Dataset(dataset.root), "test", out=out, rationales=False).verdicts[0]
    (dataset.root / "evidence.jsonl").unlink()
    back = judge_split(detector, Dataset(dataset.root), "test", out=out, rationales=False).verdicts[0]
    assert first == back
    assert first.score != other.score


def test_a_posted_text_that_is_edited_is_judged_again_though_its_evidence_stays(detector, tmp_path):
    rows, out = [meme("1", "you and the club", True, "test")], tmp_path / "verdicts.jsonl"
    gathered = [Evidence(meme_id="1", text="you and the club", text_source="given", caption="a kettle")]
    first = judge_split(
        detector, write_dataset(tmp_path / "d", rows, gathered), "test", out=out, rationales=False
    )
    rows = [meme("1", "you are a kettle", True, "test")]
    again = judge_split(
        detector, write_dataset(tmp_path / "e", rows, gathered), "test", out=out, rationales=False
    )
    assert (
        again.verdicts[0].key != first.verdicts[0].key and again.verdicts[0].score != first.verdicts[0].score
    )


def test_a_meme_that_fails_now_is_a_failure_though_it_was_judged_before(detector, tmp_path):
    rows = [meme("1", None, True, "test", image="images/1.png"), meme("2", "you", False, "test")]
    dataset, out = write_dataset(tmp_path / "d", rows), tmp_path / "verdicts.jsonl"
    picture = dataset.root / "images/1.png"
    picture.parent.mkdir()
    known = Evidence(meme_id="1", text="you and the club", text_source="ocr")
    write_records(dataset.root / "evidence.jsonl", [known])
    Image.new("RGB", (8, 8)).save(picture)
    assert len(judge_split(detector, dataset, "test", out=out, rationales=False).verdicts) == 2
    picture.unlink()
    (dataset.root / "evidence.jsonl").unlink()
    found = judge_split(detector, Dataset(dataset.root), "test", out=out, rationales=False)
    assert [one.meme_id for one in found.verdicts] == ["2"]
    assert [one.item for one in found.failures] == ["1"]


def test_a_split_without_labels_or_without_a_readable_meme_says_so(detector, tmp_path):
    bare = write_dataset(tmp_path / "bare", [meme("1", "you", None, "test")])
    with pytest.raises(InputError, match="no meme of test has a label"):
        judge_split(detector, bare, "test")
    empty = write_dataset(tmp_path / "empty", [meme("1", "", True, "test")])
    with pytest.raises(InputError, match=r"could be judged: 1: .*nothing to judge"):
        judge_split(detector, empty, "test", out=tmp_path / "verdicts.jsonl")


def test_memes_without_labels_can_be_judged(detector, tmp_path):
    rows = [meme("1", "you", None, "test"), meme("2", "", None, "test")]
    dataset = write_dataset(tmp_path / "d", rows)
    verdicts, failures = judge_memes(detector, dataset, rows, rationales=False)
    assert list(verdicts) == ["1"]
    assert [one.item for one in failures] == ["2"]


def test_some_memes_are_drawn_in_file_order_and_keep_their_verdicts(detector, tmp_path):
    whole = judge_split(detector, clubs(tmp_path / "d", test=12), "test", rationales=False)
    some = whole.sample(5, seed=1)
    assert [one.id for one in some.memes] == [one.meme_id for one in some.verdicts]
    places = [whole.memes.index(one) for one in some.memes]
    assert places == sorted(places) and len(places) == 5
    assert whole.sample(12) is whole
    assert some.memes != whole.sample(5, seed=2).memes
