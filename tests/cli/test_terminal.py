"""What memes, teachers and files say is shown as text, by every verb: it moves no cursor and is no markup."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mrharm import console
from mrharm.cli import terminal
from mrharm.cli.terminal import Bars
from mrharm.records import Failure
from tests.audit.helpers import meme, write_dataset
from tests.cli.verbs import run_verb
from tests.probes.written import detector as random_detector

ODD = "\x1b[2J[bold]you[/] \x1b]0;title\x07\u202e\nfailed: nobody"
SHOWN = "[2J[bold]you[/] ]0;title failed: nobody"


def predict(folder: Path) -> list[object]:
    """A meme to judge, and one whose picture is lost, both oddly named."""
    random_detector().save_pretrained(folder / "run" / "detector")
    odd = [{"id": ODD, "text": f"you {ODD}"}, {"id": f"lost {ODD}", "text": "you", "image": f"{ODD}.png"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd))
    return ["predict", folder / "run", folder / "rows.jsonl", "--device", "cpu"]


def gather(folder: Path) -> list[object]:
    data = write_dataset(folder / "d", [meme(ODD, "you", True, "train", image="images/lost.png")], name=ODD)
    return ["gather", data.root, "--ocr", "never", "--workers", 1]


def import_(folder: Path) -> list[object]:
    with (folder / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), ("1", "you", 1), (ODD, "you", ODD)])
    return ["import", "folder", folder / "posts.csv", folder / "d"]


@pytest.mark.parametrize("line", [predict, gather, import_])
def test_what_fails_is_named_without_moving_the_cursor(
    line: Callable[[Path], list[object]], tmp_path: Path
) -> None:
    code, out, err = run_verb(*line(tmp_path))  # type: ignore[arg-type]
    assert code == 1, out + err
    assert not set("\x1b\x07\u202e") & set(out + err)
    (failed,) = [row for row in err.splitlines() if row.startswith("failed: ")]
    assert SHOWN in failed
    assert not any(row.startswith("failed: nobody") for row in (out + err).splitlines())


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
            Failure(item=ODD, stage="s", reason="no text"),
        ]
    )
    places = ("7 (a.csv, line 3)", "a.csv:4", SHOWN)
    assert capsys.readouterr().err == "".join(f"failed: {place}: no text\n" for place in places)


def show_work(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> str:
    """Show two parts of made-up work of a second an item, the first of which was half done before; what is printed."""
    seconds = iter(range(10_000))
    printed = io.StringIO()
    to = Console(file=printed, force_terminal=is_terminal, width=80, soft_wrap=True, markup=False)
    monkeypatch.setattr(terminal, "err", to)
    monkeypatch.setattr(terminal, "monotonic", lambda: 100 * next(seconds))
    bars = Bars()
    monkeypatch.setattr(bars._bars, "get_time", lambda: next(seconds))
    bars.note = lambda: "0.0123 USD spent"
    for what in ("explaining, a name that is much too long for a line", "judging"):
        for done in range(600, 621):
            bars.show(what, done, 1200)
    to.print(bars._bars.get_renderable())
    return printed.getvalue()


def test_progress_on_a_terminal_is_one_line_with_its_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (line,) = re.sub(r"\x1b\[[0-9;]*m", "", show_work(monkeypatch, is_terminal=True)).splitlines()
    assert line.startswith("judging, 0.0123 USD spent") and len(line) <= 80
    pace = re.search(r" 620/1200 (\S+) s each, (\d+):(\d+):(\d+) left$", line)
    assert pace is not None
    rate, hours, minutes, left = map(float, pace.groups())
    assert 580 * rate == pytest.approx(3600 * hours + 60 * minutes + left, rel=0.05)


def test_progress_elsewhere_is_a_line_now_and_then_with_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = show_work(monkeypatch, is_terminal=False).splitlines()
    assert any(
        re.fullmatch(r"judging: 620 of 1,200, \S+ s each, \d+:\d+:\d+ left, 0.0123 USD spent", line)
        for line in lines
    )
