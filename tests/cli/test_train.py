from __future__ import annotations

import json
from pathlib import Path

import typer
import yaml
from typer.testing import CliRunner

from mrharm.cli.train import train_command
from tests.conftest import make_squares
from tests.training.helpers import TINY

app = typer.Typer()
app.command()(train_command)


def test_pictures_that_cannot_be_read_are_named_and_are_exit_code_1(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "d")
    (data / "images" / "train-0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump({**TINY, "stages": {"label": {"steps": 2, "batch_size": 8}}}))
    arguments = [data, "--recipe", recipe, "--out", tmp_path / "run", "--stages", "label", "--device", "cpu"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 1, result.output
    assert result.stderr.count("failed: ") == 1 and "failed: train-0.png: " in result.stderr
    again = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert again.exit_code == 1 and json.loads(again.stdout)["failed_pictures"] == 1
