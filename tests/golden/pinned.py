"""The command lines whose outputs are pinned, how they are run, and how what they say is held against the goldens.

Sentences, times, versions and the hashes of detectors are not compared; every key is.
``python -m tests.golden.pinned`` writes the goldens anew, ``... NAME`` those of one line.
"""

from __future__ import annotations

import contextlib
import csv
import inspect
import io
import json
import math
import os
import re
import runpy
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

import mrharm as package
from mrharm.cli.main import app

HERE = Path(__file__).parent
STORED, GOLDENS = HERE / "stored", HERE / "goldens"
KEY = "sk-not-a-real-key-0123456789abcdef"
TEACHER = "openai:stub-model"
NOWHERE = "http://127.0.0.1:9/v1"
VARIED = frozenset(("doubts", "rationale_side"))  # of a detector just trained: another processor, other ones
WHOLE = 1e-4  # how far a number may be from its golden
EXACT = 1e-6  # where no model has a say in it
# fmt: off
SENTENCES = frozenset((
    "words", "message", "reason", "first_failure", "notes", "note", "why", "why_not", "mend", "what", "title", "error",
    "criterion", "band_criterion", "licence", "obtain", "layout", "source", "warnings", "label_scheme",
))
# fmt: on
OF_THE_MACHINE = frozenset(("created_at", "seconds", "peak_memory_mb", "versions", "mrharm", "made_by"))
DETECTOR = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
DRAWN = frozenset(["image_sha256", "boxes", "evidence.jsonl"])
KEYED = frozenset(["key"])  # the keys of verdicts on a whole dataset hold where its pictures lie


@dataclass(frozen=True)
class Line:
    """One command line: its exit code, the files it writes that are pinned, too, and what of it is compared.

    ``shape``: keys and types alone, as the figures depend on the processor; ``differs``: names of
    what is another thing in another folder or by another version of Pillow.
    """

    name: str
    arguments: str
    code: int = 0
    files: tuple[str, ...] = ()
    shape: bool = False
    differs: frozenset[str] = frozenset()
    tolerance: float = WHOLE


TWO, JOINT = "runs/two-stage", "runs/joint"
STEPS = "--set stages.rationale.steps=1 --set stages.label.steps=1 --set student.vocabulary=300"
LINES = (
    Line("import-list", "import --list --json"),
    Line(
        "import-generated",
        "import generated drawn --memes 12 --json",
        files=tuple(
            f"drawn/{name}" for name in ("dataset.json", "memes.jsonl", "evidence.jsonl", "rationales.jsonl")
        ),
        differs=DRAWN,
    ),
    Line(
        "import-folder",
        "import folder posts.csv posts --column text=words --column label=bad --json",
        code=1,
        files=("posts/dataset.json", "posts/memes.jsonl", "posts/failures.jsonl"),
    ),
    Line(
        "audit",
        "audit data --recipe tiny --fix fixed --html audit.html --workers 1 --json",
        code=4,
        files=("fixed/memes.jsonl",),
    ),
    Line(
        "gather-again",
        "gather data --workers 1 --json",
        code=1,
        files=("data/evidence.jsonl", "data/failures.jsonl"),
    ),
    Line("gather-show", "gather data --show test-00001 --out sheet.png --json", shape=True),
    Line("abduce-stats", "abduce data --stats --json", tolerance=EXACT),
    Line("abduce-stats-hosted", "abduce data --stats --out hosted.jsonl --json", tolerance=EXACT),
    Line("abduce-regate", "abduce data --regate --out hosted.jsonl --json", files=("hosted.jsonl",)),
    Line("abduce-generated", "abduce data --teacher generated --out why.jsonl --json", files=("why.jsonl",)),
    Line(
        "abduce-recorded",
        "abduce data --teacher recorded:data/rationales.jsonl --split train --out why.jsonl --json",
        files=("why.jsonl",),
    ),
    Line("abduce-dry-run", f"abduce data --teacher {TEACHER} --dry-run --json", tolerance=EXACT),
    Line("abduce-preview", f"abduce data --teacher {TEACHER} --evidence both --preview 2 --json"),
    Line("abduce-export", "abduce data --export sample.json --sample 4 --json", files=("sample.json",)),
    Line("abduce-export-sheet", "abduce data --export sample.csv --sample 4 --json", files=("sample.csv",)),
    Line("predict", f"predict {TWO} data --no-rationales --json --device cpu", code=1, differs=KEYED),
    Line("predict-joint", f"predict {JOINT} rows.jsonl --json --device cpu", code=1),
    Line("predict-greedy", f"predict {TWO} rows.jsonl --greedy --no-rationales --json --device cpu", code=1),
    Line(
        "predict-to-a-file",
        f"predict {TWO} rows.jsonl --saliency gradient --draw look.png --out verdicts.jsonl --json --device cpu",
        code=1,
        files=("verdicts.jsonl",),
    ),
    Line(
        "evaluate",
        f"evaluate {TWO} data --split composition --probes none --json --device cpu",
        files=(
            f"{TWO}/evaluations/generated-48.composition/report.json",
            f"{TWO}/evaluations/generated-48.composition/verdicts.composition.jsonl",
            f"{TWO}/evaluations/generated-48.composition/judged.composition.json",
        ),
    ),
    Line("threshold-menu", f"threshold {TWO} data --split test --dry-run --json --device cpu"),
    Line(
        "threshold",
        f"threshold {JOINT} data --recall 0.8 --prevalence 0.1 --per-day 1000 --band 200 --split test "
        "--check-split composition --force --json --device cpu",
        files=(f"{JOINT}/detector/detector.json",),
    ),
    Line(
        "threshold-set",
        f"threshold {TWO} --set-threshold 0.503 --set-band 0.5 0.505 --json --device cpu",
        files=(f"{TWO}/detector/detector.json",),
    ),
    Line("compare", f"compare {TWO} {JOINT} --json", tolerance=EXACT),
    Line("diff", f"diff {TWO} {JOINT} data --split composition --per-day 1000 --json --device cpu"),
    Line(
        "transfer",
        f"transfer {TWO} {JOINT} --on data --split composition --out matrix.md --json --device cpu",
        files=("matrix.json",),
    ),
    Line("wrong-usage", "predict nowhere data --json", code=2),
)
STORED_VERDICTS = Line(
    "evaluate-stored",
    f"evaluate {TWO} data --probes none --json --device cpu",
    files=(f"{TWO}/report.json",),
    tolerance=EXACT,
)
SLOW = (
    Line(
        "diff-to-a-file",
        f"diff {TWO} {JOINT} rows.jsonl --out changes.jsonl --json --device cpu",
        code=1,
        files=("changes.jsonl",),
    ),
    Line(
        "train",
        f"train data --recipe tiny --out runs/new {STEPS} --json --device cpu",
        files=("runs/new/run.json", "runs/new/detector/detector.json"),
        shape=True,
    ),
    Line("ablate-dry-run", "ablate data --recipe tiny --dry-run --json", shape=True),
    Line("predict-with-rationales", f"predict {TWO} data --json --device cpu", code=1, differs=KEYED),
    Line(
        "evaluate-probes",
        f"evaluate {JOINT} data --probe-memes 10 --json --device cpu",
        files=(f"{JOINT}/report.json",),
        shape=True,
    ),
    Line("demo", "demo --quick --json", files=("demo/report.json", "demo/verdicts.test.jsonl"), shape=True),
)
# Rows as people write them, one of which cannot be read.
ROWS = [
    {"id": "a", "image": "data/images/test-00000.png", "text": "you smell wonderful"},
    {
        "id": "b",
        "image": "data/images/test-00001.png",
        "text": "nobody sings like you",
        "caption": "a songbird",
    },
    {"id": "c", "text": "what a driver you are"},
    {"id": "d", "image": "nowhere.png", "text": "you dance"},
]
POSTS = [
    {"id": "1", "words": "you smell wonderful", "bad": "1"},
    {"id": "2", "words": "nobody sings like you", "bad": "0"},
    {"id": "3", "words": "", "bad": "1"},
    {"id": "4", "words": "what a driver you are", "bad": "perhaps"},
    *(
        {"id": str(number), "words": f"you and number {number}", "bad": str(number % 2)}
        for number in range(5, 25)
    ),
]


def mrharm(*arguments: object) -> tuple[int, str, str]:
    """``python -m mrharm ARGUMENTS`` in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["mrharm", *map(str, arguments)]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("mrharm", run_name="__main__")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def lay_out(folder: Path) -> Path:
    """Copy what is stored into a folder, and write the rows that commands read there."""
    shutil.copytree(STORED, folder, dirs_exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    with (folder / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, list(POSTS[0]))
        sheet.writeheader()
        sheet.writerows(POSTS)
    return folder


def surroundings() -> dict[str, str]:
    """What the commands find in the environment; paths are relative to the folder laid out."""
    return {
        "MRHARM_LEDGER": "ledger.sqlite",
        "MRHARM_PRICES": "prices.yaml",
        "OPENAI_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "200",
    }


def outcome(line: Line) -> dict[str, Any]:
    """Run a line in the folder at hand; its exit code, its JSON and the files, as goldens hold them."""
    code, out, err = mrharm(*line.arguments.split())
    try:
        printed = json.loads(out)
    except ValueError:
        raise AssertionError(f"expected one JSON object, got {out!r}; standard error: {err}") from None
    whole = {"code": code, "json": printed, "files": {name: _read(Path(name)) for name in line.files}}
    plain = _plain(whole, line.differs)
    return shape_of(plain) if line.shape else plain


def golden(line: Line) -> dict[str, Any]:
    """What is committed for a line."""
    value: dict[str, Any] = json.loads(_file(line).read_text(encoding="utf-8"))
    return value


def differences(expected: Any, got: Any, tolerance: float = WHOLE, at: str = "") -> list[str]:
    """Where two values differ, a line each: the key path, what was expected, what came."""
    if isinstance(expected, dict) and isinstance(got, dict):
        names = [*expected, *(name for name in got if name not in expected)]
        return [
            line
            for name in names
            for line in differences(
                expected.get(name, "(no such key)"), got.get(name, "(no such key)"), tolerance, f"{at}.{name}"
            )
        ]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        return [line for place, pair in pairs for line in differences(*pair, tolerance, f"{at}[{place}]")]
    return (
        []
        if _same(expected, got, tolerance)
        else [f"{at[1:]}: expected {_short(expected)}, got {_short(got)}"]
    )


def shape_of(value: Any) -> Any:
    """Keys and types of a value; a list is the different shapes in it."""
    if isinstance(value, dict):
        return {name: "varies" if name in VARIED else shape_of(item) for name, item in value.items()}
    if isinstance(value, list):
        shapes = {json.dumps(shape_of(item), sort_keys=True) for item in value}
        return [json.loads(shape) for shape in sorted(shapes)]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def command_line() -> dict[str, list[str]]:
    """Verb -> its options in order of the alphabet, hidden ones too; "" holds those of no verb."""
    group: Any = typer.main.get_command(app)
    return {"": _options(group), **{name: _options(verb) for name, verb in group.commands.items()}}


def public_names() -> dict[str, list[str]]:
    """Public name -> the parameters or the fields it has."""
    return {name: _parts(getattr(package, name)) for name in sorted(package.__all__)}


def _options(verb: Any) -> list[str]:
    names = {name for param in verb.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    return sorted(name for name in names if name.startswith("--"))


def _parts(thing: Any) -> list[str]:
    if hasattr(thing, "model_fields"):
        return sorted(thing.model_fields)
    if isinstance(thing, type) and issubclass(thing, Exception):
        return []
    if isinstance(thing, type):
        return sorted(name for name in dir(thing) if not name.startswith("_"))
    return sorted(inspect.signature(thing).parameters) if callable(thing) else []


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def _plain(value: Any, differs: frozenset[str]) -> Any:
    """A value without what may change: sentences, and what another machine or version says otherwise."""
    if isinstance(value, list):
        return [_plain(item, differs) for item in value]
    if isinstance(value, dict):
        return {_plain_name(name): _plain_item(name, item, differs) for name, item in value.items()}
    return _plain_text(value) if isinstance(value, str) else value


def _plain_text(text: str) -> str:
    """A text without the hash that names a detector, and without the folder at hand."""
    return "(a detector)" if DETECTOR.fullmatch(text) else text.replace(f"{Path.cwd()}/", "")


def _plain_name(name: str) -> str:
    """A name, unless it is a sentence that something is counted by."""
    return "(a sentence)" if name.count(" ") > 3 else name


def _plain_item(name: str, item: Any, differs: frozenset[str]) -> Any:
    if name in SENTENCES and (isinstance(item, str) or (item and isinstance(item, list))):
        return "(sentences)"
    if item is not None and (name in OF_THE_MACHINE or name in differs):
        return "(differs by machine)"
    return _plain(item, differs)


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
    return bool(expected == got)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 120 else f"{text[:120]} ..."


def _file(line: Line) -> Path:
    return GOLDENS / f"{line.name}.json"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write(names: list[str]) -> None:
    """Write goldens anew, all of them or those named."""
    GOLDENS.mkdir(exist_ok=True)
    os.environ |= surroundings()
    for line in (*LINES, STORED_VERDICTS, *SLOW):
        if names and line.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(lay_out(Path(folder))):
            _write_json(_file(line), outcome(line))
    _write_json(GOLDENS / "command-line.json", command_line())
    _write_json(GOLDENS / "public-names.json", public_names())


if __name__ == "__main__":
    write(sys.argv[1:])
