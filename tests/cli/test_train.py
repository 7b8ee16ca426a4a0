from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.cli.verbs import run_verb
from tests.conftest import make_squares
from tests.training.helpers import TINY


def test_pictures_that_cannot_be_read_are_named_and_are_exit_code_1(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "d")
    (data / "images" / "train-0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump({**TINY, "stages": {"label": {"steps": 2, "batch_size": 8}}}))
    command = [
        "train",
        data,
        "--recipe",
        recipe,
        "--out",
        tmp_path / "run",
        "--stages",
        "label",
        "--device",
        "cpu",
    ]
    code, _, err = run_verb(*command)
    assert code == 1
    assert err.count("failed: ") == 1 and "failed: train-0.png: " in err
    code, out, _ = run_verb(*command, "--json")
    assert code == 1 and json.loads(out)["failed_pictures"] == 1
