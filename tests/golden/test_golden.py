"""What mrharm wrote and printed before it was rebuilt, it writes and prints still.

`stored/` holds a dataset, two runs and a ledger of commit d80c1f8; `goldens/` what command lines made of them there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import mrharm as package
from tests.golden.pinned import (
    GOLDENS,
    LINES,
    NOWHERE,
    SLOW,
    STORED,
    STORED_VERDICTS,
    TEACHER,
    Line,
    command_line,
    differences,
    golden,
    lay_out,
    mrharm,
    outcome,
    public_names,
    surroundings,
)
from tests.stub_server import Reply, StubServer

IN_BATCH = ("--split", "composition", "--limit", 2)
ASKED = ("--split", "validation", "--concurrency", 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of what is stored, which is the folder at hand; commands name their files from there."""
    for name, value in surroundings().items():
        monkeypatch.setenv(name, value)
    with contextlib.chdir(lay_out(tmp_path)):
        yield tmp_path


def name_of(line: Line) -> str:
    return line.name


def check(line: Line) -> None:
    """Hold what a line says now against its golden."""
    lines = differences(golden(line), outcome(line), line.tolerance)
    assert not lines, "\n".join([f"mrharm {line.arguments}", *lines[:40]])


def test_a_difference_names_its_place_what_was_expected_and_what_came() -> None:
    expected = {"a": [1.0, {"b": 0.5}], "c": "x", "d": True}
    got = {"a": [1.00001, {"b": 0.6}], "c": "x", "e": 1}
    assert differences(expected, got) == [
        "a[1].b: expected 0.5, got 0.6",
        'd: expected true, got "(no such key)"',
        'e: expected "(no such key)", got 1',
    ]


@pytest.mark.parametrize("line", LINES, ids=name_of)
def test_a_command_line_says_and_writes_what_it_did(folder: Path, line: Line) -> None:
    check(line)


@pytest.mark.slow
@pytest.mark.parametrize("line", SLOW, ids=name_of)
def test_a_long_command_line_says_and_writes_what_it_did(folder: Path, line: Line) -> None:
    check(line)


def test_every_public_name_is_there_with_its_parts() -> None:
    now = public_names()
    for name, parts in json.loads((GOLDENS / "public-names.json").read_text("utf-8")).items():
        assert set(parts) <= set(now.get(name, ["(no such name)"])), name


def test_every_verb_and_option_is_there(folder: Path) -> None:
    now = command_line()
    for verb, options in json.loads((GOLDENS / "command-line.json").read_text("utf-8")).items():
        assert set(options) <= set(now.get(verb, ["(no such verb)"])), verb


def test_a_stored_dataset_loads() -> None:
    data = package.Dataset(STORED / "data")
    assert len(data.memes) == len(data.evidence) == 60
    assert {meme.id for meme in data.split("train")} <= data.rationales.keys()


@pytest.mark.parametrize("run", ["two-stage", "joint"])
def test_a_stored_run_loads_and_judges(run: str) -> None:
    detector = package.Detector.from_pretrained(STORED / "runs" / run, device="cpu")
    data = package.Dataset(STORED / "data")
    verdict = detector.judge(data.split("test")[0], root=data.root)
    assert 0 <= verdict.score <= 1 and verdict.rationale


def test_verdicts_that_are_stored_are_not_judged_again(folder: Path) -> None:
    """Nor are their figures others than they were."""
    verdicts = folder / "runs/two-stage/verdicts.test.jsonl"
    before = verdicts.read_bytes()
    check(STORED_VERDICTS)
    assert verdicts.read_bytes() == before


def test_a_stored_run_counts_as_trained_by_the_same_command(folder: Path) -> None:
    """Its recipe, its dataset and their hashes are what they were: training ends before it begins."""
    recipe = folder / "recipe.yaml"
    shutil.copy("runs/joint/recipe.yaml", recipe)
    line = ("train", "data", "--recipe", recipe, "--stages", "joint", "--out", "runs/joint", "--json")
    code, out, err = mrharm(*line, "--device", "cpu")
    stored = json.loads((STORED / "runs/joint/run.json").read_text("utf-8"))
    assert code == 0, err
    assert json.loads(out) == {"run": "runs/joint", **stored}


def test_answers_of_a_stored_ledger_are_served_without_a_call(folder: Path) -> None:
    base = ("abduce", "data", "--teacher", TEACHER, "--base-url", NOWHERE, "--json", "--out", "again.jsonl")
    code, out, err = mrharm(*base, *IN_BATCH)
    assert code == 0, err
    assert (json.loads(out)["statuses"], json.loads(out)["usd"]) == ({"ok": 2}, 0)
    stored = (folder / "hosted.jsonl").read_text("utf-8").splitlines()
    assert sorted((folder / "again.jsonl").read_text("utf-8").splitlines()) == sorted(stored[-2:])


def test_of_a_stored_ledger_only_what_failed_is_asked_again(folder: Path) -> None:
    with StubServer([Reply("the picture shows a cake. the words mock how you bake.")]) as server:
        base = ("abduce", "data", "--teacher", TEACHER, "--base-url", server.url, "--json")
        code, out, err = mrharm(*base, *ASKED, "--out", "again.jsonl")
    assert code == 0, err
    assert server.calls.total() == 1
    assert json.loads(out)["statuses"] == {"ok": 3, "refused": 1}
