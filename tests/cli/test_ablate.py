from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.cli.verbs import run_verb
from tests.training.helpers import TINY

run = partial(run_verb, "ablate")
SMALL = {"rationale": {"steps": 3, "batch_size": 8}, "label": {"steps": 2, "batch_size": 8}}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**TINY, "stages": SMALL}))
    return path


def test_a_dry_run_says_the_arms_the_hours_and_what_is_left_out_and_writes_nothing(squares, recipe, tmp_path):
    out = tmp_path / "out"
    code, said, told = run(
        squares, "--recipe", recipe, "--sizes", "16,48", "--seeds", 2, "--out", out, "--dry-run"
    )
    assert code == 0 and not out.exists()
    assert "one-stage: rationale and label joined in one target\n" in said
    assert "memes: 16, 48; seeds: 2" in said
    assert "52 runs to make, about 1 minutes (by timing 8 steps" in told  # 13 arms, 2 sizes, 2 seeds
    assert "left out: unconditioned: no rationales.unconditioned.v1.jsonl" in told


@pytest.mark.slow
def test_a_small_ablation_runs_reports_and_is_not_run_twice(squares, recipe, tmp_path):
    out = tmp_path / "out"
    arguments = [
        squares,
        "--recipe",
        recipe,
        "--seeds",
        1,
        "--arms",
        "two-stage",
        "--out",
        out,
        "--workers",
        1,
    ]
    code, said, told = run(*arguments)
    assert code == 0 and "two-stage-48-0: accuracy 0." in told
    assert "two-stage" in said and "reference" in said and "ablation.md" in said
    assert max(len(line) for line in said.splitlines() if "two-stage" in line) <= 80
    assert "…" not in said  # no figure is cut
    files = {"runs.jsonl", "ablation.json", "ablation.md", "ablation.svg"}
    assert {path.name for path in out.iterdir()} >= files
    assert not any((out / "runs").iterdir())
    before = (out / "runs.jsonl").read_bytes()
    code, said, told = run(*arguments, "--json")
    found = json.loads(said)
    assert code == 0 and "0 runs to make" in told and (out / "runs.jsonl").read_bytes() == before
    assert (found["runs"], found["tables"]["test"][0]["arm"]) == (1, "two-stage")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sizes", "many"], "--sizes many: expected numbers of training memes"),
        (["--sizes", "16,4000"], "4,000 training memes asked for, 48 there"),
        (["--split", "practice"], "no split called 'practice'"),
    ],
)
def test_wrong_usage_is_exit_code_2_before_anything_is_run(squares, recipe, tmp_path, arguments, says):
    code, _, told = run(squares, "--recipe", recipe, "--out", tmp_path / "out", *arguments)
    assert code == 2 and says in told
    assert not (tmp_path / "out").exists()
