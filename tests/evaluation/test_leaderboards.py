from __future__ import annotations

import csv
import json

import pytest

from mrharm.errors import DataError, InputError
from mrharm.evaluation.leaderboards import (
    SubmissionRequest,
    dry_run,
    parse_request,
    read_types,
    submit,
    write_submission,
)
from mrharm.memes.sources.hateful_memes import ATTACKS, CATEGORIES
from mrharm.memes.sources.mami import KINDS
from mrharm.records import Failure, Meme, Verdict
from tests.audit.helpers import meme, write_dataset
from tests.evaluation.runs import random_detector


def verdict(meme_id: str, harmful: bool | None, score: float) -> Verdict:
    return Verdict(
        meme_id=meme_id, harmful=harmful, score=score, threshold=0.5, decision="allow", detector="d", recipe="r",
        created_at="2025",
    )  # fmt: skip


MEMES = [Meme(id="01235", text="you", split="test_seen"), Meme(id="42953", text="you too", split="test_seen")]
VERDICTS = {"01235": verdict("01235", True, 0.75), "42953": verdict("42953", False, 0.125)}
ALL = (*CATEGORIES, *ATTACKS, *KINDS)
TYPES = {one.id: {name: place / 100 for place, name in enumerate(ALL)} for one in MEMES}


def test_fhm_is_csv_of_number_probability_and_label(tmp_path):
    file = tmp_path / "fhm.csv"
    write_submission(SubmissionRequest("fhm", file, "test_seen"), MEMES, VERDICTS)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert rows == [
        {"id": "1235", "proba": "0.75", "label": "1"},
        {"id": "42953", "proba": "0.125", "label": "0"},
    ]


def test_an_answer_that_is_no_label_is_given_the_side_of_its_score(tmp_path):
    file = tmp_path / "fhm.csv"
    said = {**VERDICTS, "01235": verdict("01235", None, 0.3)}
    write_submission(SubmissionRequest("fhm", file, "test_seen"), MEMES, said)
    assert file.read_text().splitlines()[1] == "1235,0.3,0"


def test_mami_is_tabs_without_a_header_for_one_task_or_both(tmp_path):
    memes = [Meme(id="15236", text="you"), Meme(id="7", text="you")]
    verdicts = {"15236": verdict("15236", True, 0.9), "7": verdict("7", False, 0.1)}
    file = tmp_path / "answer.txt"
    write_submission(SubmissionRequest("mami", file, "test"), memes, verdicts)
    assert file.read_text() == "15236.jpg\t1\n7.jpg\t0\n"
    types = {
        one.id: {"shaming": 0.9, "stereotype": 0.2, "objectification": 0.5, "violence": 0.4} for one in memes
    }
    write_submission(SubmissionRequest("mami", file, "test", types), memes, verdicts)
    # A meme that is not misogynous has no kind of misogyny, whatever its scores.
    assert file.read_text() == "15236.jpg\t1\t1\t0\t1\t0\n7.jpg\t0\t0\t0\t0\t0\n"


def test_fine_grained_is_json_lines_with_every_label_scored(tmp_path):
    file = tmp_path / "fine.json"
    write_submission(SubmissionRequest("fine-grained", file, "dev_unseen", TYPES), MEMES, VERDICTS)
    first = json.loads(file.read_text().splitlines()[0])
    assert (first["id"], first["set_name"]) == (1235, "dev_unseen")
    assert first["pred_hate"] == {"not_hateful": 0.25, "hateful": 0.75}
    assert set(first["pred_pc"]) == {"pc_empty", *CATEGORIES}
    assert set(first["pred_attack"]) == {"attack_empty", *ATTACKS}
    assert first["pred_pc"]["pc_empty"] == 0.25
    assert first["pred_pc"]["religion"] == 0.01


def test_types_that_a_detector_cannot_say_are_an_error_with_the_mend(tmp_path):
    with pytest.raises(InputError, match="--submission-types FILE"):
        parse_request("fine-grained", tmp_path / "f", None)
    with pytest.raises(InputError, match="harmful or harmless, not against whom"):
        write_submission(SubmissionRequest("fine-grained", tmp_path / "f", "dev_seen"), MEMES, VERDICTS)
    lacking = {**TYPES, "42953": {"race": 0.5}}
    with pytest.raises(InputError, match="42953: no score for religion"):
        write_submission(
            SubmissionRequest("fine-grained", tmp_path / "f", "dev_seen", lacking), MEMES, VERDICTS
        )
    with pytest.raises(InputError, match="42953: no scores of types"):
        write_submission(
            SubmissionRequest("fine-grained", tmp_path / "f", "dev_seen", {"01235": TYPES["01235"]}),
            MEMES,
            VERDICTS,
        )
    assert not (tmp_path / "f").exists()


def test_a_meme_without_a_verdict_bars_the_whole_file_and_is_named(tmp_path):
    failures = [Failure(item="42953", stage="predict", reason="its picture is broken")]
    one = {"01235": VERDICTS["01235"]}
    with pytest.raises(InputError, match=r"1 of 2 memes have no verdict \(42953: its picture is broken\)"):
        write_submission(SubmissionRequest("fhm", tmp_path / "f", "test_seen"), MEMES, one, failures)
    assert not (tmp_path / "f").exists()


def test_an_id_that_is_no_number_is_none_of_hateful_memes(tmp_path):
    odd = [Meme(id="club-1", text="you")]
    with pytest.raises(DataError, match="expected the number"):
        write_submission(
            SubmissionRequest("fhm", tmp_path / "f", "test"), odd, {"club-1": verdict("club-1", True, 0.9)}
        )


def test_half_a_request_is_refused(tmp_path):
    assert parse_request(None, None, None) is None
    with pytest.raises(InputError, match="go together"):
        parse_request("fhm", None, None)
    with pytest.raises(InputError, match="go together"):
        parse_request(None, tmp_path / "f", None)
    with pytest.raises(InputError, match="goes with --submission"):
        parse_request(None, None, tmp_path / "types")
    with pytest.raises(InputError, match="fhm asks for no types"):
        parse_request("fhm", tmp_path / "f", tmp_path / "types")


def test_types_are_read_from_json_lines_and_checked(tmp_path):
    file = tmp_path / "types.jsonl"
    file.write_text('{"meme_id": "1", "types": {"race": 0.25}}\n{"meme_id": "1", "types": {"race": 0.5}}\n')
    assert read_types(file) == {"1": {"race": 0.5}}
    file.write_text('{"meme_id": "1", "types": {"race": 1.5}}\n')
    with pytest.raises(
        DataError, match=r"line 1: .*race: Input should be less than or equal to 1; got .1\.5"
    ):
        read_types(file)
    with pytest.raises(DataError, match="no such file"):
        read_types(tmp_path / "none")


def test_memes_without_labels_are_judged_for_a_leaderboard_once(tmp_path):
    rows = [meme("01235", "you and the club", None, "test_seen"), meme("8", "you", None, "test_seen")]
    dataset = write_dataset(tmp_path / "d", rows, roles={"test": "test_seen"})
    detector, folder = random_detector(), tmp_path / "kept"
    request = SubmissionRequest("fhm", tmp_path / "fhm.csv")
    dry_run(request, dataset)
    assert not request.file.exists()
    submit(request, detector, dataset, folder=folder, rationales=False)
    written = (folder / "verdicts.test_seen.jsonl").read_bytes()
    text = request.file.read_text()
    submit(request, detector, dataset, folder=folder, rationales=False)
    assert (folder / "verdicts.test_seen.jsonl").read_bytes() == written
    assert request.file.read_text() == text
    assert [line.split(",")[0] for line in text.splitlines()] == ["id", "1235", "8"]
