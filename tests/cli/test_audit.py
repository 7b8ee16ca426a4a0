import json
import re
from functools import partial
from pathlib import Path

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.records import Rationale
from tests.audit.helpers import club, meme, sound, write_dataset
from tests.cli.verbs import run_verb

run = partial(run_verb, "audit")


@pytest.fixture
def ill(tmp_path: Path) -> Dataset:
    """Sound, but for a train meme that stands in test, too."""
    return write_dataset(tmp_path / "ill", [*sound(), meme("twin", sound()[-1].text, True)])


def test_a_sound_dataset_is_exit_code_0_and_fit(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", sound()).root
    code, out, _ = run(folder)
    assert code == 0
    assert out.rstrip().endswith("Fit to train on.\nFit to publish numbers on.")
    found = json.loads(run(folder, "--json")[1])
    assert (found["fixed"], found["html"]) == (None, None)  # nothing was written
    assert found["verdict"]["words"] == ["Fit to train on.", "Fit to publish numbers on."]


def test_an_error_is_exit_code_4_and_the_verdict_stands_last(ill: Dataset) -> None:
    code, out, _ = run(ill.root)
    assert code == 4
    last = out.rstrip().splitlines()[-3:]
    assert last[0] == "Fit to train on."
    assert last[1].startswith("Not fit to publish numbers on: 1 of 4 test memes are in train too")
    assert last[2] == "To mend: remove them from train: --fix."


def test_json_is_one_object_with_verdict_findings_and_what_was_fixed(ill: Dataset, tmp_path: Path) -> None:
    code, out, _ = run(ill.root, "--json", "--fix", tmp_path / "fixed", "--html", tmp_path / "a.html")
    found = json.loads(out)
    assert code == 4
    assert found["verdict"]["fit_to_publish"] is False
    assert {"overlap"} <= {finding["code"] for finding in found["findings"]}
    assert found["fixed"]["dropped"] == {"in test too: removed from train": 1}
    assert "Not fit to publish" in (tmp_path / "a.html").read_text()
    assert run(tmp_path / "fixed")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--html", "."], "name a file in it"),
        (["--html", "memes.jsonl/page.html"], "is a file, not a folder"),
        (["--fix", "inside"], "is inside the dataset itself"),
        (["--fix", "memes.jsonl"], "is inside the dataset itself"),
        (["--fix", ".."], "the source is inside it"),
        (["--set", "lengths.rationale"], "expected KEY=VALUE"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    ill: Dataset, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(ill.root)
    monkeypatch.setattr("mrharm.audit.run.audit", None)
    code, out, err = run(".", *arguments)
    assert code == 2
    assert says in err
    assert out == ""


def test_a_copy_written_before_is_replaced_only_when_told(ill: Dataset, tmp_path: Path) -> None:
    assert run(ill.root, "--fix", tmp_path / "fixed")[0] == 4
    code, out, err = run(ill.root, "--fix", tmp_path / "fixed")
    assert (code, out) == (2, "")
    assert "--overwrite" in err
    assert run(ill.root, "--fix", tmp_path / "fixed", "--overwrite")[0] == 4


def test_the_verdict_stands_before_what_was_fixed(ill: Dataset, tmp_path: Path) -> None:
    _, out, _ = run(ill.root, "--fix", tmp_path / "fixed")
    _, _, after = out.partition("To mend: remove them from train: --fix.\n")
    assert after.split("\n") == [
        "",
        f"cleaned copy of 16 memes in {tmp_path / 'fixed'}",
        "  left out: 1 in test too: removed from train",
        f"audit the copy: mrharm audit {tmp_path / 'fixed'}",
        "",
    ]


def test_the_table_of_signals_fits_80_columns(tmp_path: Path) -> None:
    rows = [meme(str(n), f"you {club(n)}", n % 2 == 0, "train" if n < 60 else "test") for n in range(80)]
    rows.append(meme("twin", rows[-1].text, False))
    _, out, _ = run(write_dataset(tmp_path / "d", rows).root)
    table = out.partition("surface signals alone")[2].partition("Fit to")[0].splitlines()
    assert sum(bool(re.search(r"\d", line)) for line in table) >= 4
    assert max(map(len, table)) <= 80
    columns = ("overlap removed", "train -> held out", "train, 5 folds")  # the one that decides stands first
    places = [out.index(column, out.index("surface signals alone")) for column in columns]
    assert places == sorted(places)


def test_the_recipe_says_what_would_be_cut(tmp_path: Path) -> None:
    why = Rationale(meme_id="train-0", text="kettle " * 50, teacher="made up")
    folder = write_dataset(tmp_path / "d", sound(), rationales=[why]).root
    assert "recipe 'paper' cuts at least 100.0 %" in run(folder, "--recipe", "paper")[1]
    assert "cuts at least" not in run(folder, "--recipe", "paper", "--set", "lengths.rationale=64")[1]
