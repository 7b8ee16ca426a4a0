from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.verdicts.detector import Detector

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_processes_under_torchrun_train_one_detector(squares, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "tests.training.killed", str(squares), str(tmp_path / "run")),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "KILL": "", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    dataset = Dataset(squares)
    verdicts = Detector.from_pretrained(tmp_path / "run").judge(dataset.split("test"), root=squares)
    assert len(verdicts) == len(dataset.split("test"))
    assert done.stdout.count("stage label, train:") == 1  # the first process speaks for both
    ends = [line for line in done.stdout.splitlines() if line.startswith("weights")]
    assert len(ends) == 2 and ends[0] == ends[1]
