from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mrharm.demo import run_demo
from mrharm.errors import InputError
from mrharm.records import Verdict, read_records

ROWS = {"majority", "text_only", "image_only", "labels_only", "two_stage"}
DEMO = [sys.executable, "-m", "mrharm", "demo", "--quick", "--json", "--out"]


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "taxes.txt").write_text("dear")
    with pytest.raises(InputError, match="not a demo"):
        run_demo(tmp_path, quick=True)
    assert [path.name for path in tmp_path.iterdir()] == ["taxes.txt"]


@pytest.mark.slow
def test_the_quick_demo_killed_and_run_again_reports_everything_it_promises(tmp_path):
    out = tmp_path / "demo"
    process = subprocess.Popen([*DEMO, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.glob("two-stage/stage1/checkpoint-*")) and process.poll() is None:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run([*DEMO, str(out)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report == json.loads((out / "report.json").read_text())
    for split in ("test", "composition", "lexical"):
        assert set(report[split]) == ROWS
        for row in report[split].values():
            assert set(row) == {"accuracy", "accuracy_ci", "macro_f1", "auroc", "n"}
            assert row["accuracy_ci"][0] <= row["accuracy"] <= row["accuracy_ci"][1]
    assert set(report["rationale_truth"]) == {"scene", "tone", "relation", "all", "names_relation"}
    kinds = report["by_kind"]
    assert {name for kind in kinds.values() for name in kind} == {
        "labels_only",
        "two_stage",
        "rationale_truth",
    }
    assert (
        kinds["named"]["two_stage"]["n"] + kinds["inferred"]["two_stage"]["n"]
        == report["test"]["two_stage"]["n"]
    )
    assert report["seconds"] > 0 and report["peak_memory_mb"] > 100
    assert len(list(read_records(out / "verdicts.test.jsonl", Verdict))) == report["test"]["two_stage"]["n"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 12
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", page)
    with pytest.raises(InputError, match="another demo"):
        run_demo(out, quick=False)
