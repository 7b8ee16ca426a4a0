from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mrharm.memes.dataset import Dataset
from tests.cli.verbs import run_verb
from tests.evidence.test_gather import BLACK, dataset

run = partial(run_verb, "gather")

STAND_IN = ["--ocr-engine", "stand-in", "--inpaint", "stand-in", "--workers", "1"]


def test_it_says_what_was_looked_at_and_what_is_known_already(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0), "b": (20, 0, 0)}, {"b": "me and you"})
    code, out, _ = run(made.root, *STAND_IN)
    assert code == 0
    assert "2 memes" in out
    assert "2 pictures processed, 0 done before" in out
    assert "on 1 of 1 meme;" in out
    assert "0 pictures processed, 2 done before" in run(made.root, *STAND_IN)[1]


def test_a_split_and_a_limit_choose_how_much(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {name: (number + 1, 0, 0) for number, name in enumerate("abcd")})
    assert run(made.root, *STAND_IN, "--split", "train", "--limit", "2")[0] == 0
    assert set(Dataset(made.root).evidence) == {"a", "b"}
    assert run(made.root, *STAND_IN, "--split", "test")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ocr-engine", "teleprompter"], "no ocr called 'teleprompter'; there are: rapidocr"),
        (["--inpaint", "brush"], "no inpainters called 'brush'"),
        (["--captions", "poet:ada"], "no captioners called 'poet'"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_there_is(
    stand_ins: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    made = dataset(tmp_path / "d", {"a": BLACK})
    code, _, err = run(made.root, *arguments)
    assert code == 2
    assert says in err


def test_show_draws_a_sheet_and_writes_nothing_else(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    before = sorted(made.root.rglob("*"))
    code, out, _ = run(made.root, *STAND_IN, "--show", "a", "--out", tmp_path / "sheet.png")
    assert code == 0
    assert "1. you 10 (0.90)" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 2 * 8
    assert sorted(made.root.rglob("*")) == before
