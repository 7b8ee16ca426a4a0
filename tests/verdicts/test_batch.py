from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mrharm import Detector
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Failure, Meme, Verdict, read_records
from mrharm.verdicts.batch import drop_mended_rows, judge_to_file
from mrharm.verdicts.inputs import JudgeOptions, find_memes
from tests.probes.written import detector as random_detector


def test_pictures_folders_datasets_and_jsonl_become_memes(squares, tmp_path):
    rows = tmp_path / "memes.jsonl"
    rows.write_bytes(
        b'{"id": 7, "image": "a.png", "text": "you", "caption": "a square"}\n'
        b"not json\n\n"
        b'{"id": "8", "colour": "red"}\n'
        b'{"id": "9", "text": "\\ud800 half a pair"}\n'
        b'{"id": "10", "text": "caf\xe9"}\n' + b"[" * 100_000 + b"\n"
        b'{"id": "7", "text": "again"}\n'
    )
    picture = squares / "images" / "test-0.png"
    inputs = find_memes([picture, squares, rows])
    assert inputs.memes[0] == Meme(id=str(picture), image=str(picture.absolute()))
    assert len(inputs.memes) == 1 + len(Dataset(squares).memes) + 1
    assert inputs.evidence["test-0"].caption == Dataset(squares).evidence["test-0"].caption
    assert inputs.memes[-1].id == "7" and inputs.memes[-1].image == str(tmp_path / "a.png")
    assert inputs.evidence["7"].caption == "a square"
    assert sorted(failure.line or 0 for failure in inputs.failures) == [0, 2, 4, 5, 6, 7]
    reasons = " ".join(failure.reason for failure in inputs.failures)
    for words in ("colour", "surrogate", "not UTF-8", "have the id"):
        assert words in reasons
    assert {failure.stage for failure in inputs.failures} == {"predict"}


def test_equal_names_in_two_folders_are_two_memes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    inputs = find_memes([tmp_path / "a", tmp_path / "b"])
    assert len({meme.id for meme in inputs.memes}) == 2 and not inputs.failures


def test_a_text_goes_with_one_picture(squares, tmp_path):
    picture = squares / "images" / "test-0.png"
    assert find_memes([picture], "you are red").memes[0].text == "you are red"
    with pytest.raises(InputError, match="one picture"):
        find_memes([squares / "images"], "you are red")
    with pytest.raises(InputError, match="no such file"):
        find_memes([tmp_path / "lost.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to judge"):
        find_memes([tmp_path / "empty"])


def test_a_bad_meme_fails_alone_and_the_rest_of_its_batch_is_judged(tmp_path):
    memes = [
        Meme(id="a", text="you are red"),
        Meme(id="b", image="lost.png"),
        Meme(id="c", text="you are blue"),
    ]
    failures: list[Failure] = []
    tally = judge_to_file(random_detector(), memes, tmp_path / "out.jsonl", JudgeOptions(), failures)
    assert [verdict.meme_id for verdict in read_records(tmp_path / "out.jsonl", Verdict)] == ["a", "c"]
    assert (tally.judged, tally.missing) == (2, {"image": 2})
    (failure,) = read_records(tmp_path / "out.failures.jsonl", Failure)
    assert failure.item == "b" and "lost.png" in failure.reason


def test_what_is_there_is_skipped_and_what_changed_is_judged_again(tmp_path):
    detector = random_detector()
    out = tmp_path / "out.jsonl"
    memes = [Meme(id="a", text="you are red"), Meme(id="b", text="you are blue")]
    assert judge_to_file(detector, memes, out, JudgeOptions(), []).judged == 2
    assert judge_to_file(detector, memes, out, JudgeOptions(), []).already_there == 2
    memes[1] = Meme(id="b", text="you are red today")
    tally = judge_to_file(detector, memes, out, JudgeOptions(), [])
    assert (tally.judged, tally.already_there) == (1, 1)
    assert judge_to_file(detector, memes, out, JudgeOptions(greedy=True), []).judged == 2


def test_a_second_call_replaces_the_failures_of_its_own_memes_only(tmp_path):
    out, detector = tmp_path / "out.jsonl", random_detector()

    def judge(path: Path) -> set[str]:
        inputs = find_memes([path])
        judge_to_file(detector, inputs.memes, out, JudgeOptions(evidence=inputs.evidence), inputs.failures)
        drop_mended_rows(out, [path], inputs.failures)
        return {failure.item for failure in read_records(tmp_path / "out.failures.jsonl", Failure)}

    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": "{name}", "image": "lost.png"}}\ncut\n')
    a, b = (tmp_path / f"{name}.jsonl" for name in ("a", "b"))
    assert judge(a) == {"a", f"{a}:2"}
    assert judge(b) == {"a", f"{a}:2", "b", f"{b}:2"}
    a.write_text('{"id": "a", "text": "you are red"}\n{"id": "a2", "text": "you"}\n')
    assert judge(a) == {"b", f"{b}:2"}


def test_each_meme_is_prepared_once_and_none_whose_verdict_is_there(tmp_path, monkeypatch):
    detector = random_detector()
    memes = [Meme(id="a", text="you are red"), Meme(id="b", image="lost.png"), Meme(id="c", text="you")]
    prepared: list[str] = []
    prepare = Detector.prepare
    monkeypatch.setattr(
        Detector,
        "prepare",
        lambda self, meme, options: prepared.append(meme.id) or prepare(self, meme, options),
    )
    judge_to_file(detector, memes, tmp_path / "out.jsonl", JudgeOptions(), [])
    assert prepared == ["a", "b", "c"]
    judge_to_file(detector, memes, tmp_path / "out.jsonl", JudgeOptions(), [])
    assert prepared[3:] == ["b"]


def test_verdicts_of_another_detector_are_not_mixed_in(tmp_path):
    detector = random_detector()
    memes = [Meme(id="a", text="you are red")]
    judge_to_file(detector, memes, tmp_path / "out.jsonl", JudgeOptions(), [])
    before = (tmp_path / "out.jsonl").read_bytes()
    with pytest.raises(InputError, match="another --out"):
        judge_to_file(detector.with_temperature(3.0), memes, tmp_path / "out.jsonl", JudgeOptions(), [])
    assert (tmp_path / "out.jsonl").read_bytes() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from mrharm import Detector
from mrharm.memes.dataset import Dataset
from mrharm.verdicts.batch import judge_to_file
from mrharm.verdicts.inputs import JudgeOptions
data, run, out, after = sys.argv[1:]
def show(done, total):
    if done >= int(after):
        with open(out, "a") as file:
            file.write('{"meme_id": "cut sho')
        os.kill(os.getpid(), signal.SIGKILL)
root = Path(data)
memes = [meme.model_copy(update={"image": str(root / meme.image)}) for meme in Dataset(root).memes]
judge_to_file(Detector.from_pretrained(run, device="cpu"), memes, Path(out), JudgeOptions(batch_size=8), [], show)
"""


@pytest.mark.slow
def test_killed_with_sigkill_it_goes_on_and_judges_nothing_twice(squares, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out.jsonl"
    random_detector().save_pretrained(run)
    for after in (8, 24, 1000):
        code = subprocess.run(
            [sys.executable, "-c", KILLED, str(squares), str(run), str(out), str(after)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
            check=False,
        ).returncode
        assert code == (-signal.SIGKILL if after < 1000 else 0)
    ids = [verdict.meme_id for verdict in read_records(out, Verdict)]
    assert ids == [meme.id for meme in Dataset(squares).memes]
