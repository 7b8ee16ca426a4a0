from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from mrharm import __version__
from mrharm.cli.main import app, main
from mrharm.memes.dataset import Dataset
from mrharm.recipe import dump_recipe
from mrharm.records import Verdict, read_records
from tests.training.helpers import tiny


@pytest.fixture
def cli():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.yaml").write_text(
        dump_recipe(tiny(stages__rationale__epochs=1, stages__label__epochs=1))
    )
    arguments = ["train", squares, "--recipe", folder / "recipe.yaml", "--out", folder / "run", "--json"]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return folder / "run", json.loads(result.stdout)


def test_help_names_every_verb_and_the_exit_codes(cli):
    result = cli("--help")
    assert result.exit_code == 0
    verbs = [command.name for command in app.registered_commands]
    assert len(verbs) >= 13
    listed = [line.split()[1] for line in result.stdout.splitlines() if len(line.split()) > 2]
    for verb in verbs:
        assert verb in listed
        assert cli(verb, "--help").exit_code == 0
    assert "Exit codes" in result.stdout and "70 a bug" in result.stdout


def test_version(cli):
    assert cli("--version").stdout.strip() == f"mrharm {__version__}"


def test_train_prints_one_json_object_and_its_words_go_to_stderr(run):
    _, summary = run
    assert summary["results"]["label"]["eval_accuracy"] >= 0
    assert summary["results"]["rationale_coverage"]["train"]["used"] == 48


def test_train_without_rationales_exits_2_and_names_the_mend(cli, tmp_path):
    from tests.conftest import make_squares

    data = make_squares(tmp_path / "d", rationales=False)
    result = cli("train", data, "--recipe", "tiny", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["exit_code"] == 2
    assert "abduce" in result.stderr and "--stages label" in result.stderr


def test_predict_judges_one_picture_and_warns_of_what_it_lacks(cli, run, squares):
    picture = squares / "images" / "test-0.png"
    result = cli("predict", run[0], picture, "--text", "you are red")
    assert result.exit_code == 0, result.output
    assert "P(harmful)" in result.stdout and "its explanation:" in result.stdout
    silent = cli("predict", run[0], picture, "--no-gather")
    assert silent.exit_code == 0 and "1 of 1 memes have no text" in silent.stderr
    strict = cli("predict", run[0], picture, "--strict", "--no-gather")
    assert strict.exit_code == 1 and "wants text" in strict.stderr


def test_predict_reads_the_words_off_a_picture_nobody_described(cli, run, tmp_path):
    picture = Image.new("RGB", (400, 160), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((20, 50), "you are red", fill="black", font_size=48)
    picture.save(tmp_path / "photo.png")
    result = cli("predict", run[0], tmp_path / "photo.png", "--json")
    assert result.exit_code == 0, result.output
    (verdict,) = json.loads(result.stdout)["verdicts"]
    evidence = Verdict.model_validate(verdict).evidence
    assert evidence.image_sha256
    assert (evidence.text, evidence.text_source) == ("you are red", "ocr")
    assert evidence.boxes[0].words[-1].text == "red"
    assert evidence.made_by["text"].startswith("rapidocr@")
    assert "text" not in verdict["missing"]


def test_predict_writes_a_file_goes_on_with_it_and_lists_failures(cli, run, squares, tmp_path):
    broken = tmp_path / "in" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / "out" / "verdicts.jsonl"
    result = cli("predict", run[0], squares / "images", tmp_path / "in", "--no-rationales", "--out", out)
    assert result.exit_code == 1 and "broken.png" in result.stderr
    expected = sum(meme.image is not None for meme in Dataset(squares).memes)
    decisions = Counter(verdict.decision for verdict in read_records(out, Verdict))
    assert decisions.total() == expected
    shown = ", ".join(f"{decision} {decisions[decision]}" for decision in ("allow", "review", "flag"))
    assert result.stdout.splitlines()[-1] == shown
    again = cli("predict", run[0], squares / "images", "--no-rationales", "--out", out, "--json")
    summary = json.loads(again.stdout)
    assert again.exit_code == 0
    assert (summary["already_there"], summary["judged"]) == (expected, 0)
    assert summary["decisions"] == {name: decisions[name] for name in ("allow", "review", "flag")}
    assert len(list(read_records(out, Verdict))) == expected


Ended = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """What ``main`` ends with: exit code, standard output and standard error; ``raising`` is met within `train`."""

    def run(*arguments: object, raising: Exception | None = None) -> tuple[int, str, str]:
        def fail(*_: object) -> None:
            raise raising or AssertionError

        monkeypatch.setattr("mrharm.cli.train.load_recipe", fail)
        monkeypatch.setattr(sys, "argv", ["mrharm", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("error", [ZeroDivisionError(), ConnectionResetError(104, "reset")])
def test_what_was_not_foreseen_exits_70_with_its_traceback_and_one_json_object(
    ended: Ended, error: Exception
):
    code, out, err = ended("train", "d", "--out", "r", "--json", raising=error)
    assert code == 70 and "Traceback" in err
    assert json.loads(out)["kind"] == type(error).__name__


def test_a_place_that_cannot_be_written_is_one_line_with_the_mend_and_exit_code_2(ended: Ended, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = ended("import", "generated", tmp_path / "file" / "d", "--memes", 8, "--json")
    (line,) = err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}") and "name another place" in line
    answer = json.loads(out)
    assert (code, answer["kind"], answer["exit_code"]) == (2, "FileError", 2)
    assert f"error: {answer['error']}" == line


def test_a_full_disk_is_one_line_with_the_mend_and_no_bug(ended: Ended):
    full = OSError(28, "No space left on device")  # without a file's name
    line = "error: a file: No space left on device; make room, then run the same command again\n"
    assert ended("train", "d", "--out", "r", raising=full) == (2, "", line)
