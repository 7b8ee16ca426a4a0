from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mrharm import baselines
from mrharm.demo import run_demo
from mrharm.errors import InputError
from mrharm.records import Verdict, read_records

ROWS = {"majority", "text_only", "image_only", "labels_only", "two_stage"}
DEMO = [sys.executable, "-m", "mrharm", "demo", "--quick", "--json", "--out"]


def test_the_majority_is_the_training_splits_and_harmless_on_a_tie():
    assert baselines.majority([True, True, False], 2) == ([True, True], pytest.approx([2 / 3] * 2))
    assert baselines.majority([True, False], 1)[0] == [False]


def test_words_alone_learn_what_words_alone_tell():
    texts = ["you are grand", "you are poor"] * 20
    scores = baselines.text_only(texts, [False, True] * 20, ["poor you", "grand you"])
    assert scores[0] > 0.5 > scores[1]


def test_pixels_alone_learn_what_pixels_alone_tell(tmp_path):
    from PIL import Image

    paths = []
    for number in range(80):
        paths.append(tmp_path / f"{number}.png")
        noise = Image.effect_noise((20, 20), 60)
        noise.point(lambda value, shade=60 * (number % 2): value + shade).convert("RGB").save(paths[-1])
    scores = baselines.image_only(paths[:60], [bool(number % 2) for number in range(60)], paths[60:])
    right = [
        (score > 0.5) == bool(number % 2)
        for number, score in zip(range(60, 80), scores["forest"], strict=True)
    ]
    assert sum(right) >= 16


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
    assert set(report["rationale_truth"]) == {"scene", "tone", "relation", "all"}
    assert report["seconds"] > 0 and report["peak_memory_mb"] > 100
    assert len(list(read_records(out / "verdicts.test.jsonl", Verdict))) == report["test"]["two_stage"]["n"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 12
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", page)
    with pytest.raises(InputError, match="another demo"):
        run_demo(out, quick=False)
