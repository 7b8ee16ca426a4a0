import json
from functools import partial
from pathlib import Path

import pytest

from mrharm.cli import terminal
from mrharm.memes import importing
from mrharm.memes.dataset import Dataset, Imported, ImporterInfo, ImportOptions
from mrharm.plugins import Table
from mrharm.progress import counting
from mrharm.records import Meme
from tests.cli.verbs import run_verb

run = partial(run_verb, "import")


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.csv"
    rows = "".join(f"you {number},{number % 2}\n" for number in range(20))
    path.write_text("words,label\n" + rows)
    return path


def test_an_import_says_what_came_in(posts: Path, tmp_path: Path) -> None:
    code, out, _ = run("folder", posts, tmp_path / "[out]", "--column", "text=words")
    assert code == 0
    assert f"20 memes in {tmp_path}/[out]: train 18, validation 2\n" in out
    assert "20 labelled, 10 of them harmful" in out
    assert len(Dataset(tmp_path / "[out]").memes) == 20


def test_failed_rows_are_listed_and_exit_1(posts: Path, tmp_path: Path) -> None:
    with posts.open("a") as file:
        file.write("you,dunno\n" * 22)
    code, out, err = run("folder", posts, tmp_path / "out", "--column", "text=words")
    assert code == 1
    assert "22 rows failed and were left out; " in out
    assert "failed: posts.csv:22: label: expected 0 or 1" in err
    assert f"and 2 more failures; {tmp_path / 'out' / 'failures.jsonl'} lists them all" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["harm-c", "DATASET"], "1 paths given; expected `mrharm import KIND SOURCE DATASET`"),
        (["folder", "a", "b", "c"], "3 paths given"),
        (["folder", "no-such-folder", "b"], "nothing there"),
        (["folder", "a", "b", "--column", "text"], "expected PART=NAME"),
    ],
)
def test_wrong_input_is_said_on_stderr_and_exits_2(arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_link_share_and_overwrite_reach_the_import(posts: Path, tmp_path: Path) -> None:
    options = ["--column", "text=words", "--link", "--validation-share", 0.2, "--seed", 3]
    arguments = ["folder", posts, tmp_path / "out", *options]
    assert run(*arguments)[0] == 0
    info = Dataset(tmp_path / "out").info
    assert (info.options["images"], info.options["seed"]) == ("link", 3)
    assert info.splits == {"train": 16, "validation": 4}
    assert run(*arguments)[0] == 2
    assert run(*arguments, "--overwrite")[0] == 0


def sourceless(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    if options.seed == 99:
        raise KeyboardInterrupt
    memes = [Meme(id=str(number), text=f"you {number}") for number in range(options.memes)]
    return Imported("toy", "free", "none", memes)


ABOUT = ImporterInfo("Toy memes", "free", "made here", "nothing", needs_source=False)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"toy": f"{__name__}:sourceless", "folder": "mrharm.memes.sources.folder:import_folder"}
    table = Table("memes", rows)
    monkeypatch.setattr(importing, "IMPORTERS", table)
    monkeypatch.setattr("mrharm.cli.import_.IMPORTERS", table)


@pytest.mark.usefixtures("toy")
def test_a_kind_that_draws_its_own_memes_takes_no_source(tmp_path: Path) -> None:
    assert run("toy", tmp_path / "out", "--memes", 7)[0] == 0
    assert len(Dataset(tmp_path / "out").memes) == 7
    code, _, err = run("toy", tmp_path, tmp_path / "other")
    assert code == 2 and "toy reads no source" in err


@pytest.mark.usefixtures("toy")
def test_ctrl_c_exits_3_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    assert run("toy", tmp_path / "out", "--seed", 99)[0] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("toy")
def test_the_list_shows_licence_source_and_layout() -> None:
    code, out, _ = run("--list")
    assert code == 0
    for line in ("toy  Toy memes", "licence  free", "obtain   made here", "expects  nothing"):
        assert line in out
    assert json.loads(run("--list", "--json")[1])["folder"]["licence"] == "not stated"


@pytest.mark.parametrize("kind", importing.IMPORTERS.names())
def test_every_importer_says_its_licence_how_to_obtain_it_and_its_layout(kind: str) -> None:
    info = importing.about(kind)
    assert info is not None
    assert all([info.title, info.licence, info.obtain, info.layout])
    assert info.needs_source == (kind != "generated")


def test_progress_off_a_terminal_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.0)
    with terminal.Bars() as bars, counting(bars.show, "counting", 2) as advance:
        advance()
        advance()
    captured = capsys.readouterr()
    counts = [line.partition(",")[0] for line in captured.err.splitlines()]  # and then how fast they are
    assert counts == ["counting: 0 of 2", "counting: 1 of 2", "counting: 2 of 2"]
    assert captured.out == ""
