import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrharm.app.cli.main import app
from mrharm.memes.dataset import Dataset
from tests.evaluation.audit.helpers import meme, sound, write_dataset


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "80"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def ill(tmp_path: Path) -> Dataset:
    """Sound, but for a train meme that stands in test, too."""
    return write_dataset(tmp_path / "ill", [*sound(), meme("twin", sound()[-1].text, True)])


def test_a_sound_dataset_is_exit_code_0_and_fit(tmp_path: Path) -> None:
    code, out, _ = run(write_dataset(tmp_path / "d", sound()).root)
    assert code == 0
    assert out.rstrip().endswith("Fit to train on.\nFit to publish numbers on.")


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
        (["--recipe", "none-such"], "no recipe 'none-such'"),
        (["--html", "."], "expected the HTML file"),
        (["--fix", "inside"], "lies in the dataset itself"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    ill: Dataset, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(ill.root)
    monkeypatch.setattr("mrharm.evaluation.audit.run.audit", None)
    code, out, err = run(".", *arguments)
    assert code == 2
    assert says in err
    assert out == ""


def test_no_dataset_is_exit_code_2(tmp_path: Path) -> None:
    code, _, err = run(tmp_path)
    assert code == 2
    assert "not a dataset" in err


def test_an_audit_loads_no_torch(ill: Dataset) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from mrharm.app.cli.main import app;"
        "assert CliRunner().invoke(app, ['audit', sys.argv[1]]).exit_code == 4;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(ill.root)], check=False).returncode == 0
