"""What memes, teachers and files say is shown as text, by every verb: it moves no cursor and is no markup."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mrharm import console
from mrharm.cli.abduce import abduce_command
from mrharm.cli.ablate import ablate_command
from mrharm.cli.diff import diff_command
from mrharm.cli.gather import gather_command
from mrharm.cli.import_ import import_command
from mrharm.cli.predict import predict_command
from mrharm.cli.threshold import threshold_command
from mrharm.records import Failure
from tests.audit.helpers import meme, write_dataset
from tests.probes.written import detector as random_detector

ODD = "\x1b[2J[bold]you[/] \x1b]0;title\x07\u202e\nfailed: nobody"
SHOWN = "[2J[bold]you[/] ]0;title failed: nobody"
CPU = ("--device", "cpu")
Arguments = tuple[Callable[..., None], list[object]]


def trained(folder: Path, threshold: float) -> Path:
    plain = random_detector()
    plain.with_card(plain.card.with_policy(threshold)).save_pretrained(folder / "detector")
    return folder


def rows(folder: Path) -> Path:
    """A meme to judge, and one whose picture is lost, both oddly named."""
    odd = [{"id": ODD, "text": f"you {ODD}"}, {"id": f"lost {ODD}", "text": "you", "image": f"{ODD}.png"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd))
    return folder / "rows.jsonl"


def predict(folder: Path) -> Arguments:
    return predict_command, [trained(folder / "run", 0.5), rows(folder), *CPU]


def diff(folder: Path) -> Arguments:
    return diff_command, [trained(folder / "a", 0.0), trained(folder / "b", 1.0), rows(folder), *CPU]


def threshold(folder: Path) -> Arguments:
    memes = [meme(f"{n}{ODD}", f"you {n}", n % 2 == 0, "validation") for n in range(8)]
    memes.append(meme(ODD, "you", True, "validation", image="images/lost.png"))
    data = write_dataset(folder / "d", memes, name=ODD)
    return threshold_command, [trained(folder / "run", 0.5), data.root, *CPU]


def gather(folder: Path) -> Arguments:
    data = write_dataset(folder / "d", [meme(ODD, "you", True, "train", image="images/lost.png")], name=ODD)
    return gather_command, [data.root, "--ocr", "never", "--inpaint", "telea", "--workers", 1]


def abduce(folder: Path) -> Arguments:
    data = write_dataset(folder / "d", [meme(ODD, "you", True, "train")], name=ODD)
    return abduce_command, [data.root, "--teacher", "generated"]


def import_(folder: Path) -> Arguments:
    with (folder / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), ("1", "you", 1), (ODD, "you", ODD)])
    return import_command, ["folder", folder / "posts.csv", folder / "d"]


def ablate(folder: Path) -> Arguments:
    from tests.conftest import make_squares

    return ablate_command, [
        make_squares(folder / "d"),
        "--recipe",
        "tiny",
        "--arms",
        "two-stage",
        "--out",
        folder / "out",
    ]


@pytest.mark.parametrize("verb", [predict, diff, threshold, gather, abduce, import_, ablate])
def test_what_fails_is_named_without_moving_the_cursor(
    verb: Callable[[Path], Arguments], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = [Failure(item=ODD, stage="ablate", reason=ODD)]
    monkeypatch.setattr("mrharm.ablation.run.run_grid", lambda *_, **__: failed)
    app = typer.Typer()
    command, arguments = verb(tmp_path)
    app.command()(command)
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "80"})
    assert result.exit_code == 1, result.output
    assert not set("\x1b\x07\u202e") & set(result.output)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert SHOWN in line
    assert not any(line.startswith("failed: nobody") for line in result.output.splitlines())


@pytest.mark.parametrize("say", [console.out.print, console.err.print])
def test_not_even_a_text_that_a_verb_forgot_moves_the_cursor(
    say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.table import Table

    table = Table(title=ODD)
    table.add_column(ODD)
    table.add_row(ODD)
    say(ODD)
    say(table)  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert "[bold]you[/]" in captured.out + captured.err
    assert not set("\x1b\x07\u202e") & set(captured.out + captured.err)


@pytest.mark.parametrize(
    ("count", "end"), [(20, ""), (21, "and 1 more failure; "), (1520, "and 1,500 more failures; ")]
)
def test_of_many_failures_20_are_named_and_the_place_of_the_rest(
    count: int, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console.print_failures(
        [Failure(item=str(n), stage="s", reason="lost") for n in range(count)], Path("d/failures.jsonl")
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[:20] == [f"failed: {n}: lost" for n in range(20)]
    assert lines[20:] == ([f"{end}d/failures.jsonl lists them all"] if end else [])


def test_a_failure_says_its_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_failures(
        [
            Failure(item="7", stage="s", reason="no text", file="a.csv", line=3),
            Failure(item="a.csv:4", stage="s", reason="no text", file="a.csv", line=4),
        ]
    )
    assert capsys.readouterr().err == "failed: 7 (a.csv, line 3): no text\nfailed: a.csv:4: no text\n"
