from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mrharm.ablation.arms import ARMS
from mrharm.ablation.run import (
    RUNS,
    Grid,
    Job,
    RunRow,
    estimate_hours,
    make_jobs,
    read_rows,
    run_grid,
    run_job,
)
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Failure, read_records
from mrharm.runs import read_run
from mrharm.store import write_records
from mrharm.verdicts.detector import Detector
from tests.training.helpers import tiny

STEPS = {"stages__rationale__steps": 3, "stages__label__steps": 2}


def jobs_of(
    squares: Path, out: Path, arms: str, *, sizes: list[int] | None = None, seeds: int = 1, **changes: object
) -> list[Job]:
    recipe = tiny(**{**STEPS, **changes})
    keep = bool(out.name == "kept")
    grid = Grid([ARMS[name] for name in arms.split(",")], sizes, seeds)
    return make_jobs(Dataset(squares), recipe, out, grid, keep=keep)


def row_of(job: Job) -> RunRow:
    """The row of a run of two hours."""
    figures = {"test": {"accuracy": 0.5, "macro_f1": 0.5}}
    run = {"arm": job.arm.name, "size": job.size, "seed": job.seed}
    return RunRow(key=job.key, splits=figures, steps=5, seconds=7200.0, **run)


def test_seeds_are_outermost_and_the_same_run_has_the_same_key(squares, tmp_path):
    jobs = jobs_of(squares, tmp_path, "two-stage,shuffled", sizes=[16, 32], seeds=2)
    assert [(job.seed, job.size, job.arm.name) for job in jobs[:5]] == [
        (0, 16, "two-stage"),
        (0, 16, "shuffled"),
        (0, 32, "two-stage"),
        (0, 32, "shuffled"),
        (1, 16, "two-stage"),
    ]
    assert len({job.key for job in jobs}) == 8 == len({job.folder for job in jobs})
    assert jobs_of(squares, tmp_path, "shuffled", sizes=[16])[0].key == jobs[1].key
    assert (
        jobs_of(squares, tmp_path, "two-stage")[0].key
        == jobs_of(squares, tmp_path, "two-stage", sizes=[48])[0].key
    )
    assert jobs_of(squares, tmp_path, "two-stage", sizes=[16], weight_decay=0.5)[0].key != jobs[0].key
    with pytest.raises(InputError, match="64 training memes asked for, 48 there"):
        jobs_of(squares, tmp_path, "two-stage", sizes=[16, 64])


def test_every_arm_takes_as_many_optimiser_steps(squares, tmp_path):
    assert {job.steps for job in jobs_of(squares, tmp_path, ",".join(ARMS))} == {5}
    # By epochs: 3 of 1 and 2 of 1 batch of 16, and with all 48 memes three times as many.
    by_epochs = {"stages__rationale__steps": None, "stages__label__steps": None}
    made = jobs_of(squares, tmp_path, "two-stage,labels-only,one-stage", sizes=[16, 48], **by_epochs)
    assert [job.steps for job in made] == [5, 5, 5, 15, 15, 15]


def test_an_arm_changes_what_it_says_and_nothing_else(squares, tmp_path):
    made = {
        job.arm.name: job.recipe
        for job in jobs_of(squares, tmp_path, "two-stage,no-picture,no-fusion,late-fusion")
    }
    assert made["two-stage"].student.fusion == "every_block" and made["two-stage"].reads == ("text",)
    assert (made["no-picture"].student.vision_tower, made["no-picture"].reads) == ("none", ("text",))
    assert (made["no-fusion"].student.vision_tower, made["no-fusion"].reads) == ("none", ("text", "caption"))
    assert (made["late-fusion"].student.vision_tower, made["late-fusion"].student.fusion) == ("tiny", "last")
    assert (
        len({recipe.model_dump_json(include={"stages", "seed", "picture"}) for recipe in made.values()}) == 1
    )


def test_one_stage_learns_rationale_and_label_as_one_target_and_writes_rationales(squares, tmp_path):
    (job,) = jobs_of(squares, tmp_path / "kept", "one-stage")
    row = run_job(job)
    assert isinstance(row, RunRow) and row.steps == 5 and row.splits["test"]["n"] == 16
    assert "words_wrong_n" in row.splits["test"]
    run = read_run(job.folder)
    assert run["stages"] == "joint"
    log = json.loads((job.folder / "stage2" / "stage.json").read_text())
    assert log["looks"][-1]["step"] == 5 and not (job.folder / "stage1").exists()
    detector = Detector.from_pretrained(job.folder, device="cpu")
    assert detector.card.students == ("joint",)
    assert detector.judge(Dataset(squares).split("test")[0], root=squares).rationale is not None


def test_what_goes_wrong_in_a_run_is_told_and_not_raised(squares, tmp_path):
    (job,) = jobs_of(squares, tmp_path, "two-stage", student__text_tower="tall")
    assert "text tower" in str(run_job(job))


def test_rows_of_another_recipe_are_passed_over(squares, tmp_path):
    (job,) = jobs_of(squares, tmp_path, "two-stage")
    made = row_of(job)
    other = made.model_copy(update={"key": "other"})
    write_records(tmp_path / RUNS, [made, other])
    folder = Dataset(squares)
    assert read_rows(folder, tiny(**STEPS), tmp_path, "test") == {job.key: made}
    assert read_rows(folder, tiny(**STEPS), tmp_path, "validation") == {}
    assert read_rows(folder, tiny(**STEPS, weight_decay=0.5), tmp_path, "test") == {}
    with (tmp_path / RUNS).open("a") as file:
        file.write('{"key": "cut sh')  # by a disk that filled
    assert read_rows(folder, tiny(**STEPS), tmp_path, "test") == {job.key: made}


def test_rows_of_what_an_arm_meant_before_are_passed_over(squares, tmp_path, monkeypatch):
    (job,) = jobs_of(squares, tmp_path, "two-stage")
    write_records(tmp_path / RUNS, [row_of(job)])
    monkeypatch.setitem(ARMS, "two-stage", replace(ARMS["two-stage"], version=2))
    assert read_rows(Dataset(squares), tiny(**STEPS), tmp_path, "test") == {}


def test_hours_are_told_from_the_rows_there_are(squares, tmp_path):
    jobs = jobs_of(squares, tmp_path, "two-stage,shuffled", seeds=2)
    row = row_of(jobs[0])
    guess = estimate_hours(jobs, {row.key: row}, workers=2)
    assert (guess.runs, guess.hours, guess.basis) == (3, 3.0, "by the 1 that are there")
    assert estimate_hours(jobs[:1], {row.key: row}, workers=2).runs == 0


def test_a_grid_stores_a_row_a_run_and_makes_again_only_what_failed(squares, tmp_path, monkeypatch):
    jobs, made, printed = jobs_of(squares, tmp_path, "two-stage,labels-only"), [], []

    def run_here(waiting, workers):
        for job in waiting:
            job.folder.mkdir(parents=True, exist_ok=True)
            made.append(job.arm.name)
            done = job.arm.name == "two-stage" or made.count("labels-only") == 2
            yield job, row_of(job) if done else "no memory"

    monkeypatch.setattr("mrharm.ablation.run._run_in_processes", run_here)
    (failure,) = run_grid(jobs, tmp_path, say=printed.append)
    assert (failure.item, failure.reason) == ("labels-only-48-0", "no memory")
    assert printed == [
        "two-stage-48-0: accuracy 0.500, macro-F1 0.500 (7200 s)",
        "labels-only-48-0: failed: no memory",
    ]
    assert run_grid(jobs, tmp_path) == [] == list(read_records(tmp_path / "failures.jsonl", Failure))
    assert made == ["two-stage", "labels-only", "labels-only"]
    assert read_rows(Dataset(squares), tiny(**STEPS), tmp_path, "test") == {
        job.key: row_of(job) for job in jobs
    }
    assert not any((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_a_killed_process_is_that_runs_failure_and_the_rest_go_on(squares, tmp_path, monkeypatch):
    jobs = jobs_of(squares, tmp_path, "two-stage,labels-only,shuffled")
    monkeypatch.setattr("mrharm.ablation.run._work", die)
    printed: list[str] = []
    failures = run_grid(jobs, tmp_path, workers=2, say=printed.append)
    assert {failure.item for failure in failures} == {job.name for job in jobs}
    assert all("was killed" in line for line in printed) and len(printed) == 3
    assert len(list(read_records(tmp_path / "failures.jsonl", Failure))) == 3
    assert not read_rows(Dataset(squares), tiny(**STEPS), tmp_path, "test")


def die(job: Job, end: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


GRID = """
import sys
from pathlib import Path
from tests.ablation.test_run import jobs_of
from mrharm.ablation.run import run_grid
if __name__ == "__main__":
    out = Path(sys.argv[2])
    jobs = jobs_of(Path(sys.argv[1]), out, "two-stage,labels-only", seeds=2)
    run_grid(jobs, out, workers=1, say=lambda line: print(line, flush=True))
"""


@pytest.mark.slow
def test_a_grid_killed_and_run_again_does_no_run_twice_and_leaves_nobody_behind(squares, tmp_path):
    script = tmp_path / "grid.py"
    script.write_text(GRID)
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(squares), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not (out / RUNS).exists() and process.poll() is None:
        time.sleep(0.1)
    process.kill()
    process.wait()
    first = (out / RUNS).read_text()
    assert 1 <= len(first.splitlines()) < 4
    time.sleep(1)  # the process at work sees at once that its parent is gone
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rows = list(read_records(out / RUNS, RunRow))
    assert (out / RUNS).read_text().startswith(first)
    assert len(printed.splitlines()) == 4 - len(first.splitlines())
    assert len({row.key for row in rows}) == len(rows) == 4
    assert not any((out / "runs").iterdir())
