from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mrharm.evaluation.diff import Change
from mrharm.records import read_records
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import club, meme, write_dataset
from tests.cli.verbs import run_verb
from tests.probes.written import detector as random_detector


def run(*arguments: object) -> tuple[int, str, str]:
    return run_verb("diff", *arguments, "--device", "cpu")


def save(detector: Detector, folder: Path, quantile: float, band: tuple[float, float] | None = None) -> Path:
    """A run whose threshold, and band, lie so high among the scores of 20 memes."""
    memes = [meme(f"m{n}", f"you and the {club(n)} club", None, None) for n in range(20)]
    scores = sorted(one.score for one in detector.judge(memes, rationales=False, gather=False))

    def at(share: float) -> float:
        return sum(scores[int(share * 20) - 1 :][:2]) / 2

    card = detector.card.with_policy(at(quantile), (at(band[0]), at(band[1])) if band else None)
    detector.with_card(card).save_pretrained(folder / "detector")
    return folder


def cells(out: str, row: str) -> list[str]:
    """The words of a table's row after its name."""
    (line,) = [
        line.strip() for line in out.splitlines() if re.match(rf"{re.escape(row)}  +[\d-]", line.strip())
    ]
    return line.removeprefix(row).split()


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
    assert "memes a day, of 1,000" in out
    assert cells(out, "flag")[0] == "500" and "-250" in cells(out, "flag")
    assert (cells(out, "A: allow"), cells(out, "A: flag")) == (["10", "0"], ["5", "5"])
    assert out.count(": flag 0.") == 5 and "labelled" not in out and "review" not in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_beside_a_band_like_is_held_with_like(runs: tuple[Path, Path], tmp_path: Path, rows: Path) -> None:
    banded = save(random_detector(), tmp_path / "c", 0.5, (0.4, 0.6))
    code, out, _ = run(runs[0], banded, rows, "--per-day", 1_000_000, "--no-rationales")
    assert code == 0
    assert [cells(out, f"A: {way}") for way in ("allow", "review", "flag")] == [
        ["8", "2", "0"],
        ["0", "0", "0"],
        ["0", "2", "8"],
    ]
    now_then = {what: cells(out, what) for what in ("allow", "review", "flag", "review or flag")}
    assert now_then["review"][:2] == ["0", "200,000"] and "+200,000" in now_then["review"]
    for what, now, then, change in (
        ("allow", "500,000", "400,000", "-100,000"),
        ("flag", "500,000", "400,000", "-100,000"),
        ("review or flag", "500,000", "600,000", "+100,000"),
    ):
        assert now_then[what][0] == now and then in now_then[what] and change in now_then[what]
    assert "people look at what is sent to review" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_beside_a_band_labels_are_held_against_what_is_decided_without_a_person(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    banded = save(random_detector(), tmp_path / "c", 0.5, (0.4, 0.6))
    memes = [meme(f"m{n}", f"you and the {club(n)} club", False, "test") for n in range(20)]
    data = write_dataset(tmp_path / "data", memes)
    code, out, _ = run(runs[0], banded, data.root, "--no-rationales")
    assert code == 0
    decided = cells(out, "decided without a person, %")
    assert decided[:2] == ["100.0", "80.0"]  # of A it is no estimate
    assert cells(out, "of these correct, %")[::2] == ["50.0", "50.0"]
    assert cells(out, "harmless, flagged") == ["10", "8"]
    assert cells(out, "harmless, to review") == ["0", "4"]
    assert "At the threshold, B differs from A by +0.0 points" in out and "paired test p = 1" in " ".join(
        out.split()
    )
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
    assert all(one.text for one in changes)
    assert json.loads(run(*runs, rows, "--json")[1])["changes"][0]["id"] == changes[0].id


def test_two_detectors_share_a_folder_for_what_they_say(
    runs: tuple[Path, Path], rows: Path, tmp_path: Path
) -> None:
    hot = random_detector().with_card(random_detector().card.model_copy(update={"temperature": 3.0}))
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
    assert "20 labelled items" in out and cells(out, "correct, %")[::2] == ["50.0", "75.0"]
    assert cells(out, "harmless, flagged") == ["10", "5"]
    assert "B differs from A by +25.0 points (" in out
    assert "only A is correct on 0, only B on 5; paired test p = 0.0625" in " ".join(out.split())


def test_one_detector_on_both_sides_is_said(runs: tuple[Path, Path], rows: Path) -> None:
    code, out, err = run(runs[0], runs[0], rows, "--no-rationales")
    assert code == 0 and "0 of 20 decisions change" in out
    assert err.startswith("warning: A and B are the same detector (")


def test_a_row_that_cannot_be_judged_is_exit_code_1(runs: tuple[Path, Path], rows: Path) -> None:
    with rows.open("a") as file:
        file.write('{"id": "lost", "text": "you", "image": "lost.png"}\nnot json\n')
    code, out, err = run(*runs, rows, "--no-rationales")
    assert code == 1
    assert "5 of 20 decisions change" in out
    assert err.count("failed: ") == 2  # not once for every side
    assert "failed: lost (for A and B): " in err and "not JSON" in err
    assert err.count(f"{rows}") == 1  # the place of the broken line, once
    code, out, _ = run(*runs, rows, "--no-rationales", "--json")
    assert [(one["item"], one["by"]) for one in json.loads(out)["failures"]][1:] == [("lost", "both")]


def test_wrong_usage_is_exit_code_2(runs: tuple[Path, Path], rows: Path, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,text\n1,you\n")
    for arguments, says in (
        ((*runs, tmp_path / "posts.csv"), "expected a picture"),
        ((*runs, rows, "--split", "test"), "goes with a dataset folder"),
        ((tmp_path, runs[1], rows), "no detector there"),
        ((*runs, tmp_path / "lost.png"), "no such file"),
        ((*runs, rows, "--per-day", -1), "more than 0"),
        ((*runs, rows, "--out", tmp_path), "name a file in it"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert says in err
