from __future__ import annotations

import html
import json
import shlex
import sys
from pathlib import Path

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.plugins import Table
from mrharm.records import Label, Meme
from mrharm.store import write_records
from tests.audit.helpers import meme, write_dataset
from tests.cli import verbs
from tests.evaluation.runs import clubs, make_run


def run_verb(*arguments: object) -> tuple[int, str, str]:
    line = [*map(str, arguments), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mrharm", "evaluate", *line])  # the page shows the command line
        return verbs.run_verb("evaluate", *line)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return clubs(tmp_path / "clubs", test=72)


@pytest.fixture
def run(tmp_path: Path, dataset: Dataset) -> Path:
    return make_run(tmp_path / "run", dataset)


def test_the_verdict_in_plain_words_stands_first_and_tables_fit_80_columns(
    run: Path, dataset: Dataset
) -> None:
    code, out, _ = run_verb(run, dataset.root, "--probes", "none")
    lines = out.splitlines()
    assert code == 0
    assert " correct on 72 memes of clubs (test); macro-F1 " in " ".join(lines[:2])
    tables = out[out.index("figures in %") :].splitlines()
    assert (
        max(map(len, tables[: next(n for n, line in enumerate(tables) if line.startswith("page: "))])) <= 80
    )
    for part in ("macro-F1", "AURC (risk-coverage)", "baselines, in %", "words alone", "by group", "severity", "target",
                 "text length", "AUROC by group of people", "worst mistakes"):  # fmt: skip
        assert part in out


def test_probes_speak_and_those_skipped_say_why(
    run: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: f"tests.probes.made_probes:{name}" for name in ("finds", "does_not_apply")}
    monkeypatch.setattr("mrharm.probes.run.PROBES", Table("probes", rows))
    _, out, _ = run_verb(run, dataset.root, "--probe-memes", 12, "--no-rationales")
    assert "probe: finds\n12 memes were probed.\n" in out
    assert "probe: does_not_apply: skipped: no meme has a picture" in out


def test_memes_that_could_not_be_judged_are_exit_code_1_and_listed(run: Path, dataset: Dataset) -> None:
    bare = Meme(id="bare", text="", label=Label(harmful=True), split="test")
    write_records(dataset.root / "memes.jsonl", [*dataset.memes, bare])
    code, out, err = run_verb(run, dataset.root, "--probes", "none", "--no-rationales")
    assert code == 1
    assert "failed: bare: " in err
    assert "1 meme could not be predicted" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--probes", "charm"], "no probe called 'charm'"),
        (["--submission", "fine-grained", "--submission-file", "f"], "--submission-types FILE"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    run: Path, dataset: Dataset, arguments: list[str], says: str
) -> None:
    before = sorted(run.iterdir())
    code, out, err = run_verb(run, dataset.root, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert sorted(run.iterdir()) == before


def test_a_submission_is_written_beside_the_evaluation(run: Path, tmp_path: Path) -> None:
    rows = [
        meme(f"0{number}", f"you and club {number}", number % 2 == 0, "test") for number in range(1000, 1012)
    ]
    rows.append(meme("02000", "you", None, "test"))
    data = write_dataset(tmp_path / "fhm", rows, name="hateful-memes")
    file = tmp_path / "fhm.csv"
    options = ("--probes", "none", "--no-rationales", "--submission", "fhm", "--submission-file", file)
    code, out, _ = run_verb(run, data.root, *options)
    assert code == 0
    assert f"fhm submission: {file}" in out
    assert len(file.read_text().splitlines()) == 14  # the unlabelled one, too
    assert "correct on 12 memes of hateful-memes (test)" in " ".join(out.split())
    assert (run / "evaluations" / "hateful-memes.test" / "report.json").exists()
    assert "not comparable: measured on test_seen (1,000 memes), this is test" in out


def test_a_split_without_labels_can_be_submitted_and_not_evaluated(run: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "fhm", [meme("01235", "you", None, "test")], name="hateful-memes")
    file = tmp_path / "fhm.csv"
    code, out, _ = run_verb(
        run, data.root, "--submission", "fhm", "--submission-file", file, "--no-rationales", "--json"
    )
    assert (code, json.loads(out)["submission"]) == (0, str(file))
    assert file.read_text().startswith("id,proba,label\n1235,")
    code, _, err = run_verb(run, data.root)
    assert code == 2
    assert "no meme of test has a label" in err


def test_the_command_on_the_page_makes_the_same_figures_again(run: Path, dataset: Dataset) -> None:
    odd = run.parent / "my clubs"
    dataset.root.rename(odd)
    code, _, _ = run_verb(run, odd, "--probes", "none", "--no-rationales", "--seed", 3)
    assert code == 0
    shown = html.unescape((run / "report.html").read_text().rsplit("<code>", 1)[1].split("</code>")[0])
    again = shlex.split(shown)
    assert again[:4] == ["mrharm", "evaluate", str(run), str(odd)] and "--no-rationales" in again
    before = json.loads((run / "report.json").read_text())
    assert run_verb(*again[2:-2])[0] == 0
    assert json.loads((run / "report.json").read_text()) == before


def test_a_group_without_harmful_memes_is_asked_whether_it_is_flagged_too_easily(
    run: Path, dataset: Dataset, tmp_path: Path
) -> None:
    """BPSN alone can be had of it, and is the area that matters."""
    kinds = [Label(harmful=bool(n % 2), protected_categories=() if n % 2 else ("age",)) for n in range(40)]
    rows = [Meme(id=str(n), text=f"you and club {n}", label=one, split="test") for n, one in enumerate(kinds)]
    _, out, _ = run_verb(run, write_dataset(tmp_path / "d", rows).root, "--probes", "none", "--no-rationales")
    row = next(
        line
        for line in out[out.index("AUROC by group of people") :].splitlines()
        if line.startswith("   age")
    )
    assert row.split()[1] == row.split()[-1] == "-" and len(row.split()) > 3
