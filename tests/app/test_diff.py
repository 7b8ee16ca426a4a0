from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mrharm.app.cli.diff import diff_command
from mrharm.evaluation.diff import Change
from mrharm.records import read_records
from mrharm.verdicts.detector import Detector
from tests.evaluation.audit.helpers import club, meme, write_dataset
from tests.evaluation.probes.written import detector as random_detector


def run(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(diff_command)
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"], env={"COLUMNS": "80"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def save(detector: Detector, folder: Path, quantile: float) -> Path:
    """A run whose threshold lies so high among the scores of 20 memes."""
    memes = [meme(f"m{n}", f"you and the {club(n)} club", None, None) for n in range(20)]
    scores = sorted(one.score for one in detector.judge(memes, rationales=False, gather=False))
    place = int(quantile * 20)
    threshold = (scores[place - 1] + scores[place]) / 2
    detector.with_card(detector.card.with_policy(threshold)).save_pretrained(folder / "detector")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same scorer at two thresholds: A flags 10 of the 20 memes, B 5."""
    folder = tmp_path_factory.mktemp("diff")
    return save(random_detector(), folder / "a", 0.5), save(random_detector(), folder / "b", 0.75)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "items.jsonl"
    lines = [{"id": f"m{n}", "text": f"you and the {club(n)} club"} for n in range(20)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_what_would_be_decided_otherwise_is_counted_and_listed(runs: tuple[Path, Path], rows: Path) -> None:
    code, out, _ = run(*runs, rows, "--per-day", 1000, "--no-rationales")
    assert code == 0
    assert "5 of 20 decisions change: 25.0 % (" in out
    assert "flag -> allow" in out and "allow -> flag" not in out
    assert "reviews a day, of 1,000 memes: 500 (" in out and "a change of -250 (" in out
    assert out.count("flag 0.") == 5 and "labelled" not in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_list_goes_to_a_file_and_the_summary_to_json(
    runs: tuple[Path, Path], rows: Path, tmp_path: Path
) -> None:
    code, out, _ = run(*runs, rows, "--out", tmp_path / "changes.jsonl", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["items"], found["counts"]["flag->allow"]) == (20, 5)
    assert found["a"] != found["b"] and found["a"].split("-")[0] == found["b"].split("-")[0]
    assert "changes" not in found and found["out"] == str(tmp_path / "changes.jsonl")
    changes = list(read_records(tmp_path / "changes.jsonl", Change))
    assert len(changes) == 5
    assert {(one.a.decision, one.b.decision, one.moved) for one in changes} == {("flag", "allow", 0.0)}
    assert all(one.text and one.a.rationale is not None for one in changes)
    assert json.loads(run(*runs, rows, "--json")[1])["changes"][0]["id"] == changes[0].id


def test_the_same_command_again_judges_nothing_again(
    runs: tuple[Path, Path], rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(*runs, rows, "--no-rationales", "--json")[1]
    monkeypatch.setattr("mrharm.verdicts.detector.score_answers", None)
    assert run(*runs, rows, "--no-rationales", "--json")[1] == first


def test_two_detectors_share_a_folder_for_what_they_say(
    runs: tuple[Path, Path], rows: Path, tmp_path: Path
) -> None:
    hot = random_detector().with_card(replace(random_detector().card, temperature=3.0))
    other = save(hot, tmp_path / "c", 0.5)
    for second, files in ((other, 2), (runs[1], 2)):
        code, out, _ = run(runs[0], second, rows, "--no-rationales", "--keep", tmp_path / "kept", "--json")
        assert code == 0
        assert json.loads(out)["counts"]["flag->allow"] == (0 if second == other else 5)
        assert len(list((tmp_path / "kept").glob("verdicts.diff.*.jsonl"))) == files
    assert not list(other.glob("*.jsonl"))


def test_labels_of_a_dataset_say_who_is_right(runs: tuple[Path, Path], tmp_path: Path) -> None:
    memes = [meme(f"m{n}", f"you and the {club(n)} club", False, "test") for n in range(20)]
    data = write_dataset(tmp_path / "data", memes)
    code, out, _ = run(*runs, data.root, "--no-rationales")
    assert code == 0
    assert "of 20 labelled items A decides 50.0 % (" in out and "B 75.0 % (" in out
    assert "A alone is right on 0, B alone on 5; McNemar p 0.0625" in out


def test_a_row_that_cannot_be_judged_is_exit_code_1(runs: tuple[Path, Path], rows: Path) -> None:
    with rows.open("a") as file:
        file.write('{"id": "lost", "text": "you", "image": "lost.png"}\nnot json\n')
    code, out, err = run(*runs, rows, "--no-rationales")
    assert code == 1
    assert "5 of 20 decisions change" in out
    assert err.count("failed: ") == 2  # not once for every side
    assert "failed: lost (for A and B): " in err and "not JSON" in err
    code, out, _ = run(*runs, rows, "--no-rationales", "--json")
    assert [(one["item"], one["by"]) for one in json.loads(out)["failures"]][1:] == [("lost", "both")]


def test_wrong_usage_is_exit_code_2(runs: tuple[Path, Path], rows: Path, tmp_path: Path) -> None:
    for arguments, says in (
        ((tmp_path, runs[1], rows), "no detector there"),
        ((*runs, tmp_path / "lost.png"), "no such file"),
        ((*runs, rows, "--per-day", -1), "more than 0"),
        ((*runs, rows, "--out", tmp_path), "expected the JSONL file"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert says in err
