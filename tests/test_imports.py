"""A wrong command is refused before the heavy libraries are loaded: what each command imports, run as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import mrharm
from mrharm.errors import InputError
from mrharm.recipe import load_recipe
from tests.conftest import make_squares

# Names of `sys.modules` that take a second or more to import, and of the rooms that import PyTorch.
HEAVY = ("torch", "transformers", "sklearn", "accelerate", "matplotlib", "onnxruntime", "cv2")
TORCH_ROOMS = ("mrharm.student.model", "mrharm.training.trainer", "mrharm.verdicts.detector")
# Answers each line of arguments from a process of its own, forked once the command line is imported.
FORKING = """
import contextlib, io, json, os, sys
import scipy.cluster.hierarchy, scipy.stats  # a second each time; no refusal waits for more
from mrharm.cli.main import main
for line in sys.stdin:
    if os.fork():
        os.wait()
        continue
    sys.argv = ["mrharm", *json.loads(line)]
    code, output, errors = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as exit:
            code = exit.code
    print(json.dumps([code or 0, sorted(sys.modules), errors.getvalue()]), flush=True)
    os._exit(0)
"""


@cache
def start_forking() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def run_command(*arguments: object) -> tuple[int, set[str], str]:
    """Run ``mrharm`` in a process of its own; returns its exit code, the modules loaded and its standard error."""
    forking = start_forking()
    assert forking.stdin and forking.stdout
    print(json.dumps([str(argument) for argument in arguments]), file=forking.stdin, flush=True)
    code, modules, errors = json.loads(forking.stdout.readline())
    return code, set(modules), errors


@pytest.fixture(scope="module", autouse=True)
def stop_forking() -> Iterator[None]:
    yield
    with start_forking() as forking:
        forking.terminate()
    start_forking.cache_clear()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder that is there, as far as a command checks it before PyTorch is loaded."""
    (tmp_path / "run" / "detector").mkdir(parents=True)
    for file in ("detector/detector.json", "run.json"):
        (tmp_path / "run" / file).write_text("{}")
    return tmp_path / "run"


def test_help_and_a_usage_error_load_no_heavy_library():
    verbs = ("train", "audit", "evaluate", "compare")
    helps = [([verb, "--help"], 0) for verb in verbs]
    for arguments, expected in [(["--help"], 0), *helps, (["train", "d", "--colour"], 2)]:
        code, modules, _ = run_command(*arguments)
        assert code == expected
        assert not modules & {*HEAVY, *TORCH_ROOMS}
        assert {"typer", "mrharm.recipe", "mrharm.memes.dataset"} <= modules


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "LOST", "photo.png"],
        ["predict", "RUN", "LOST"],
        ["evaluate", "LOST", "DATA"],
        ["evaluate", "RUN", "LOST"],
        ["threshold", "LOST", "DATA"],
        ["threshold", "RUN", "LOST"],
        ["compare", "LOST", "RUN"],
        ["diff", "LOST", "RUN", "photo.png"],
        ["ablate", "LOST", "--out", "OUT"],
        ["ablate", "DATA", "--recipe", "tiny", "--arms", "lost", "--out", "OUT"],
        ["evaluate", "RUN", "DATA", "--split", "lost"],
        ["evaluate", "RUN", "DATA", "--ablation", "LOST"],
        ["evaluate", "RUN", "DATA", "--encoder", "LOST"],
        ["compare", "RUN", "RUN", "--dataset", "LOST"],
        ["transfer", "RUN", "--on", "LOST"],
        ["gather", "LOST"],
        ["gather", "DATA", "--show", "lost"],
        ["import", "lost", "DATA", "OUT"],
        ["import", "hateful-memes", "LOST", "OUT"],
        ["audit", "LOST"],
        ["audit", "DATA", "--recipe", "LOST"],
        ["abduce", "LOST", "--teacher", "recorded:x"],
        ["abduce", "DATA", "--teacher", "lost"],
        ["abduce", "DATA", "--teacher", "openai:x", "--prompt", "lost"],
        ["rationales", "check", "LOST"],
        ["rationales", "stats", "DATA", "--file", "LOST"],
        ["train", "LOST", "--recipe", "tiny", "--out", "OUT"],
        ["train", "DATA", "--recipe", "LOST", "--out", "OUT"],
        ["train", "DATA", "--recipe", "tiny", "--set", "stages.lost=1", "--out", "OUT"],
    ],
    ids=" ".join,
)
def test_a_wrong_path_or_recipe_is_refused_before_heavy_libraries_are_loaded(
    squares: Path, run: Path, tmp_path: Path, arguments: list[str]
):
    places = {"LOST": tmp_path / "lost", "DATA": squares, "RUN": run, "OUT": tmp_path / "out"}
    code, modules, error = run_command(*(places.get(word, word) for word in arguments))
    assert code == 2 and error.startswith("error: ") and "lost" in error
    assert not modules & {*HEAVY, *TORCH_ROOMS} - {"sklearn"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "DATA", "--submission", "fhm"], "go together"),
        (["evaluate", "RUN", "DATA", "--submission-types", "OUT"], "goes with --submission"),
        (["evaluate", "RUN", "DATA", "--probes", "none", "--budget", "1"], "--budget goes with --judge"),
        (["evaluate", "RUN", "DATA", "--no-rationales", "--judge", "hf:x"], "leave --no-rationales out"),
        (["threshold", "RUN", "DATA", "--per-day", "9"], "--per-day needs --prevalence"),
        (["threshold", "RUN", "DATA", "--recall", "0.9", "--macro-f1"], "name only one of them"),
        (["compare", "RUN"], "expected two runs or more"),
        (["gather", "DATA", "--augment", "hf:x"], "expected openai:MODEL"),
        (["import"], "nothing to import"),
        (["abduce", "DATA"], "expected --teacher T"),
        (["abduce", "DATA", "--teacher", "recorded:x", "--batch"], "go with openai:MODEL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_refused_before_heavy_libraries_are_loaded(
    squares: Path, run: Path, tmp_path: Path, arguments: list[str], message: str
):
    places = {"DATA": squares, "RUN": run, "OUT": tmp_path / "out"}
    code, modules, error = run_command(*(places.get(word, word) for word in arguments))
    assert code == 2 and error.startswith("error: ") and message in error
    assert not modules & {*HEAVY, *TORCH_ROOMS}


@pytest.mark.parametrize(
    ("rationales", "options", "message"),
    [
        (False, [], "no rationales to distil"),
        (True, ["--set", "templates.label='{label}'", "--stages", "joint"], "does not begin with words"),
        (True, ["--seed", "1"], "another dataset, dataset_sha256"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_heavy_libraries_are_loaded(
    run: Path, tmp_path: Path, rationales: bool, options: list[str], message: str
):
    dataset = make_squares(tmp_path / "data", pictures=False, rationales=rationales)
    out = run if "--seed" in options else tmp_path / "out"
    code, modules, error = run_command("train", dataset, "--recipe", "tiny", *options, "--out", out)
    assert code == 2 and error.startswith("error: ") and message in error
    assert not modules & {*HEAVY, *TORCH_ROOMS} and not (tmp_path / "out").exists()


def test_an_audit_loads_scikit_learn_and_no_torch(squares: Path):
    code, modules, _ = run_command("audit", squares, "--json")
    assert code in (0, 4)
    assert not modules & {"torch", "transformers", *TORCH_ROOMS}
    assert "sklearn" in modules


def test_the_public_audit_can_be_called_also_after_its_package_was_imported(tmp_path: Path):
    import_module("mrharm.audit.run")
    with pytest.raises(InputError, match="not a dataset"):
        mrharm.audit(tmp_path, load_recipe("tiny"))
