from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrharm.recipe import Recipe, load_recipe
from mrharm.training.run import train
from mrharm.training.trainer import MANIFEST, list_checkpoints
from tests.training.helpers import tiny, weights

ROOT = Path(__file__).parents[2]


class Stopped(Exception):
    """Stands for Ctrl-C: raised from the progress callback at a chosen step."""


def run(
    squares: Path, out: Path, stop: tuple[str, int] | None = None, recipe: Recipe | None = None
) -> list[str]:
    """Train and return what was said; with a ``stop``, be stopped at that step of that stage."""
    lines: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        if (what, done) == stop:
            raise Stopped

    with pytest.raises(Stopped) if stop else contextlib.nullcontext():
        train(squares, recipe or tiny(), out, device="cpu", say=lines.append, progress=progress)
    return lines


@pytest.fixture(scope="module")
def unbroken(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    run(squares, out)
    return out


def test_stopped_anywhere_also_with_a_checkpoint_that_lost_a_file_it_goes_on_to_the_same_weights(
    squares, unbroken, tmp_path
):
    out = tmp_path / "run"
    run(squares, out, ("stage rationale", 7))
    newest = list_checkpoints(out / "stage1")[-1]
    (newest / "optimizer.pt").unlink()
    lines = run(squares, out, ("stage label", 5))
    assert any(newest.name in line and "incomplete checkpoint" in line for line in lines)
    assert "stage rationale: going on from checkpoint-4" in lines
    assert "stage label: going on from checkpoint-4" in run(squares, out)
    assert weights(out) == weights(unbroken)
    for stage in ("stage1", "stage2"):
        looks, expected = (
            json.loads((folder / stage / "stage.json").read_text())["looks"] for folder in (out, unbroken)
        )
        assert looks == expected


def test_the_papers_recipe_over_small_towers_goes_on_to_the_same_weights(squares, tmp_path, monkeypatch):
    monkeypatch.setenv("MRHARM_CACHE", str(tmp_path / "cache"))
    small = {"student.text_tower": "tiny", "student.vision_tower": "tiny", "student.vocabulary": 300}
    for stage in ("rationale", "label"):
        changes = {"epochs": 1, "batch_size": 16, "checkpoint_every": 2, "learning_rate": 1e-3}
        small |= {f"stages.{stage}.{key}": value for key, value in changes.items()}
    recipe = load_recipe("paper", small)
    run(squares, tmp_path / "whole", recipe=recipe)
    run(squares, tmp_path / "run", ("stage label", 3), recipe)
    run(squares, tmp_path / "run", recipe=recipe)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    chosen = json.loads((tmp_path / "run" / "stage2" / "stage.json").read_text())["chosen"]
    assert 0 <= chosen["eval_match"] <= chosen["eval_accuracy"]


def test_what_is_done_is_not_done_again(squares, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    assert run(squares, tmp_path / "run") == [f"{tmp_path / 'run'}: already trained"]
    # Killed between the last stage and the detector: both stages are read back, and the detector is made.
    values = json.loads((tmp_path / "run" / "run.json").read_text())
    del values["done"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(values))
    shutil.rmtree(tmp_path / "run" / "detector")
    lines = run(squares, tmp_path / "run")
    assert [line for line in lines if "already done" in line] == [
        "stage rationale: already done",
        "stage label: already done",
    ]
    assert weights(tmp_path / "run") == weights(unbroken)


def test_a_finished_run_keeps_no_checkpoints_and_no_pickles(unbroken):
    names = [path.name for path in unbroken.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".pt", ".pth", ".bin", ".pkl"))]
    assert not list(unbroken.glob("stage*/checkpoint-*"))


def launch(squares: Path, out: Path, kill: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KILL": kill, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tests.training.killed", str(squares), str(out)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        ["step stage rationale:5", "step stage label:3"],
        ["half-saved:2", "files-written:2", "manifest:1"],
        ["best:2", "best:1"],
        [f"step stage rationale:{step}" for step in (1, 3, 6)],
    ],
)
def test_killed_with_sigkill_at_any_point_it_goes_on_to_the_same_weights(squares, tmp_path, kills):
    unbroken_run = launch(squares, tmp_path / "whole")
    assert unbroken_run.returncode == 0, unbroken_run.stderr
    for kill in kills:
        dead = launch(squares, tmp_path / "run", kill)
        assert dead.returncode == -9, f"{kill}: {dead.stdout} {dead.stderr}"
    last = launch(squares, tmp_path / "run")
    assert last.returncode == 0, last.stderr
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_a_checkpoint_cut_while_it_was_written_is_skipped_aloud(squares, tmp_path):
    assert launch(squares, tmp_path / "run", "half-saved:2").returncode == -9
    newest = list_checkpoints(tmp_path / "run" / "stage1")[-1]
    assert newest.name == "checkpoint-4" and not (newest / MANIFEST).exists()
    again = launch(squares, tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert f"{newest}: incomplete checkpoint (files are missing or cut short); skipped" in again.stdout
    assert "going on from checkpoint-2" in again.stdout
