from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from sklearn.metrics import f1_score, roc_auc_score
from typer.testing import CliRunner

from mrharm import Detector
from mrharm.cli.transfer import transfer_command
from mrharm.errors import InputError
from mrharm.evaluation.evaluate import predict_split
from mrharm.evaluation.transfer import Cell, Transfer, transfer
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.records import Verdict, read_records
from mrharm.reports.comparison import describe_transfer, write_transfer
from mrharm.training.run import train
from tests.conftest import make_squares
from tests.training.helpers import tiny

Places = tuple[Path, Path, Path, Path]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Two datasets and a run trained on each."""
    folder = tmp_path_factory.mktemp("transfer")
    datasets, runs = [], []
    for number, name in enumerate(("squares", "boxes")):
        dataset = make_squares(folder / name, seed=number)
        info = json.loads((dataset / "dataset.json").read_text())
        (dataset / "dataset.json").write_text(json.dumps({**info, "name": name}))
        train(
            dataset,
            tiny(stages__label__epochs=1, seed=number),
            folder / f"run-{name}",
            stages="label",
            device="cpu",
        )
        datasets.append(dataset)
        runs.append(folder / f"run-{name}")
    return *datasets, *runs


@pytest.fixture(scope="module")
def found(places: Places) -> Transfer:
    return transfer(places[2:], places[:2], device="cpu")


def cells(places: Places) -> list[Path]:
    """Where each cell's verdicts are kept."""
    squares, boxes = places[2:]
    return [
        squares / "verdicts.test.jsonl",
        squares / "evaluations" / "boxes.test" / "verdicts.test.jsonl",
        boxes / "evaluations" / "squares.test" / "verdicts.test.jsonl",
        boxes / "verdicts.test.jsonl",
    ]


def test_every_run_is_asked_of_every_dataset_and_its_own_is_marked(places: Places, found: Transfer) -> None:
    assert found.runs == tuple(str(run) for run in places[2:]) and found.datasets == ("squares", "boxes")
    assert [(one.run, one.dataset, one.own) for one in found.cells] == [
        (found.runs[0], "squares", True),
        (found.runs[0], "boxes", False),
        (found.runs[1], "squares", False),
        (found.runs[1], "boxes", True),
    ]
    assert found.trained_on == {found.runs[0]: "squares", found.runs[1]: "boxes"}
    words = describe_transfer(found).words
    assert len(words) == 3 and "On the dataset a run was trained on" in words[0]


def test_figures_are_those_of_the_verdicts_kept_in_the_run(places: Places, found: Transfer) -> None:
    squares, boxes, run, _ = places
    for cell, dataset, file in zip(found.cells[:2], (squares, boxes), cells(places)[:2], strict=True):
        kept = {one.meme_id: one for one in read_records(file, Verdict)}
        memes = Dataset(dataset).split("test")
        direct = Detector.from_pretrained(run, device="cpu").judge(
            memes, evidence=Dataset(dataset).evidence, root=dataset, rationales=False
        )
        gold = np.array([one.label.harmful for one in memes])
        assert [kept[one.id].score for one in memes] == pytest.approx([one.score for one in direct], abs=1e-5)
        assert cell.memes == 16 and cell.failures == 0
        assert cell.macro_f1.value == pytest.approx(
            f1_score(gold, [one.harmful for one in direct], average="macro")
        )
        assert cell.auroc.value == pytest.approx(roc_auc_score(gold, [one.score for one in direct]))
        assert cell.auroc.low <= cell.auroc.value <= cell.auroc.high


def test_what_is_kept_is_not_judged_again(
    places: Places, found: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [file.read_bytes() for file in cells(places)]
    monkeypatch.setattr(Detector, "judge_prepared", None)  # scoring a meme fails
    assert transfer(places[2:], places[:2], device="cpu") == found
    assert [file.read_bytes() for file in cells(places)] == before


def test_rationales_an_evaluation_has_written_stand(places: Places, tmp_path: Path) -> None:
    squares = places[0]
    train(squares, tiny(stages__label__epochs=1, stages__rationale__epochs=1), tmp_path / "run", device="cpu")
    run = tmp_path / "run"
    predict_split(Detector.from_pretrained(run, device="cpu"), Dataset(squares), folder=run)
    file = tmp_path / "run" / "verdicts.test.jsonl"
    before = file.read_bytes()
    transfer([tmp_path / "run"], [squares], device="cpu")
    assert file.read_bytes() == before and b'"rationale"' in before


def test_the_matrix_is_written_as_markdown_and_json(found: Transfer, tmp_path: Path) -> None:
    page, data = write_transfer(found, tmp_path / "out" / "matrix.md")
    assert Transfer.model_validate_json(data.read_text()) == found
    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith(f"| {found.runs[0]} | squares |")]
    assert len(rows) == 2  # macro-F1, AUROC
    assert all(
        row.split(" | ")[2].startswith("**") and not row.split(" | ")[3].startswith("**") for row in rows
    )


def test_a_cell_that_cannot_be_had_is_a_dash_and_failures_are_named(tmp_path: Path) -> None:
    cell = Cell(
        run="r|1", dataset="d", own=False, memes=3, failures=2, first_failure="7: a broken picture",
        accuracy=Estimate(), macro_f1=Estimate(value=0.5, low=0.25, high=0.75), auroc=Estimate(),
    )  # fmt: skip
    matrix = Transfer(split="test", runs=("r|1",), datasets=("d",), trained_on={"r|1": "e"}, cells=(cell,))
    text = write_transfer(matrix, tmp_path / "matrix.md")[0].read_text()
    assert r"| r\|1 | e | 50.0 (25.0-75.0) |" in text and r"| r\|1 | e | - |" in text
    assert r"- r\|1 on d: 2; the first: 7: a broken picture" in text


def test_a_dataset_none_of_whose_memes_can_be_judged_is_a_row_without_figures_and_the_others_go_on(
    places: Places, tmp_path: Path
) -> None:
    broken = make_squares(tmp_path / "broken")
    for picture in (broken / "images").iterdir():
        picture.write_bytes(b"no picture")
    info = json.loads((broken / "dataset.json").read_text())
    (broken / "dataset.json").write_text(json.dumps({**info, "name": "broken"}))
    code, out, _ = run(places[2], "--on", broken, places[0], "--device", "cpu", "--json")
    first, second = json.loads(out)["cells"]
    assert code == 1
    assert (first["dataset"], first["memes"], first["failures"]) == ("broken", 0, 16)
    assert first["macro_f1"]["value"] is None and second["macro_f1"]["value"] is not None
    assert "images/" in first["first_failure"] and second["first_failure"] is None


@pytest.mark.parametrize(
    ("runs", "datasets", "split", "says"),
    [
        ([2], [0, 0], "test", "squares is the name of two datasets"),
        ([2, 2], [0], "test", "a run is named twice"),
        ([2], [0], "none-such", "no split called 'none-such'"),
        ([0], [0], "test", "no run there"),
        ([2], [2], "test", "not a dataset"),
        ([], [0], "test", "expected at least one of each"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_judged(
    places: Places,
    runs: list[int],
    datasets: list[int],
    split: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Detector, "from_pretrained", None)
    with pytest.raises(InputError, match=says):
        transfer([places[one] for one in runs], [places[one] for one in datasets], split=split)


def run(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(transfer_command)
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_verb_takes_datasets_after_one_on_and_prints_one_object(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "matrix.md"
    code, out, _ = run(*places[2:], "--on", *places[:2], "--device", "cpu", "--out", file, "--json")
    value = json.loads(out)
    assert code == 0 and value["datasets"] == ["squares", "boxes"] and len(value["cells"]) == 4
    assert value["out"] == [str(file), str(file.with_suffix(".json"))]
    assert file.exists() and file.with_suffix(".json").exists()


def test_the_verb_says_every_cell_within_80_columns(places: Places) -> None:
    code, out, _ = run(*places[2:], "--on", places[0], "--on", places[1], "--device", "cpu")
    assert code == 0 and "squares *" in out and "boxes *" in out
    assert "column of the matrix: every run on the same memes" in " ".join(out.split())
    table = out[: out.index("On the dataset")]
    assert max(map(len, table.splitlines())) <= 80


def test_the_verb_ends_with_exit_code_2_where_there_is_no_run(places: Places, tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "--on", places[0], "--json")
    assert code == 2 and "no detector there" in err and json.loads(out)["exit_code"] == 2
