from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.cli.verbs import run_verb
from tests.evaluation.runs import clubs, make_run
from tests.evaluation.test_compare import judged_run

run = partial(run_verb, "compare")


def test_the_words_stand_first_and_the_table_fits_80_columns(tmp_path: Path) -> None:
    one, two = judged_run(tmp_path / "a", set(range(20))), judged_run(tmp_path / "b", {1})
    code, out, _ = run(one, two)
    assert code == 0
    assert " ".join(out.split()).startswith(f"{two} is better than {one}: macro-F1 differs by +")
    assert "paired test p = " in out
    table = out[out.index("clubs (test)") : out.index("first: ")].splitlines()
    assert max(map(len, table)) <= 80


def test_a_pattern_is_a_side_of_several_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        judged_run(tmp_path / f"plain-{seed}", {seed, 30, 31}, seed=seed)
        judged_run(tmp_path / f"distilled-{seed}", {seed}, seed=seed)
    monkeypatch.chdir(tmp_path)
    for pattern in (Path(), tmp_path):
        code, out, _ = run(pattern / "plain-*", pattern / "distilled-*", "--json")
        (found,) = json.loads(out)["comparisons"]
        assert code == 0
        assert found["first"]["seeds"] == found["second"]["seeds"] == [0, 1, 2]
        assert found["over_seeds"]["accuracy"]["value"] == pytest.approx(2 / 60)
    out = run("plain-*", "distilled-*")[1]
    assert "over seeds: mean ± standard deviation" in out
    assert "first: plain-0 and 2 more" in out


def test_a_dataset_is_judged_with_runs_that_have_not_yet(tmp_path: Path) -> None:
    dataset = clubs(tmp_path / "clubs", train=4, test=8)
    runs = [make_run(tmp_path / f"run-{seed}", dataset, seed) for seed in range(2)]
    code, _, err = run(*runs)
    assert code == 2
    assert "--dataset DATASET" in err
    code, out, _ = run(*runs, "--dataset", dataset.root, "--device", "cpu")
    assert code == 0
    assert "clubs (test), 8 memes" in out


def test_a_pattern_that_no_folder_matches_is_exit_code_2(tmp_path: Path) -> None:
    code, out, err = run(judged_run(tmp_path / "a", set()), tmp_path / "none-*")
    assert (code, out) == (2, "") and "no folder matches" in err
