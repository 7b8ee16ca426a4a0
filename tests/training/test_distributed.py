from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.verdicts.detector import Detector

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_processes(squares, tmp_path_factory):
    """A run of two processes, and what they printed."""
    run = tmp_path_factory.mktemp("two") / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "tests.training.killed", str(squares), str(run)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "KILL": "", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return run, done.stdout


def test_two_processes_under_torchrun_train_one_detector(squares, two_processes):
    run, printed = two_processes
    dataset = Dataset(squares)
    verdicts = Detector.from_pretrained(run).judge(dataset.split("test"), root=squares)
    assert len(verdicts) == len(dataset.split("test"))
    assert printed.count("stage label, train:") == 1  # the first process speaks for both
    ends = [line for line in printed.splitlines() if line.startswith("weights")]
    assert len(ends) == 2 and ends[0] == ends[1]


def test_two_processes_divide_the_batch_and_take_the_steps_of_one(two_processes):
    run, _ = two_processes
    values = json.loads((run / "run.json").read_text())
    assert values["processes"] == 2 and values["effective_batch"] == {"rationale": 16, "label": 16}
    # 48 memes in batches of 16: three steps an epoch.
    for stage, steps in (("stage1", 9), ("stage2", 6)):
        assert json.loads((run / stage / "stage.json").read_text())["looks"][-1]["step"] == steps
