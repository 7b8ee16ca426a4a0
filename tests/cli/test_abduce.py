"""`mrharm abduce` as people and machines use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.records import Label, Meme, Rationale
from mrharm.store import write_records
from tests.cli.verbs import run_verb
from tests.llm.conftest import COST, HALF, KEY, MODEL, serve
from tests.rationales.answers import explained
from tests.rationales.conftest import MakeDataset, make_dataset, surroundings
from tests.stub_batches import Plan
from tests.stub_server import Reply, StubServer

__all__ = ["make_dataset", "surroundings"]  # fixtures are found where they are named

GOOD = explained("skunk", "Kite Club", 0)
LEAKY = f"{GOOD} This meme is very harmful."
TEACHER = f"openai:{MODEL}"


def run(*arguments: object, verb: str = "abduce") -> tuple[int, str, str]:
    return run_verb(verb, *arguments)


def test_it_says_what_was_answered_and_the_same_command_asks_nothing(make_dataset: MakeDataset) -> None:
    made = make_dataset([f"you smell {n}" for n in range(4)])
    with StubServer(lambda question: Reply(GOOD)) as server:
        arguments = (made.root, "--teacher", TEACHER, "--base-url", server.url)
        code, out, _ = run(*arguments)
        assert code == 0
        assert "4 memes: 4 answered (ok 4)" in out
        assert "this run cost 0.0010 USD" in out
        _, out, _ = run(*arguments)
        assert "0 answered" in out and "4 already written" in out
        assert server.paid.total() == 4
    assert all(len(line) <= 80 for line in out.splitlines() if str(made.root) not in line)


def test_json_is_one_object_and_failures_make_exit_code_1(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell", "you sing"])
    replies = lambda question: Reply(GOOD) if "smell" in question else Reply(status=400, error={})  # noqa: E731
    with StubServer(replies) as server:
        code, out, _ = run(made.root, "--teacher", TEACHER, "--base-url", server.url, "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["statuses"], found["memes"]) == ({"ok": 1}, 2)
    assert [failure["item"] for failure in found["failures"]] == ["m1"]


def test_a_preview_prints_what_would_be_sent_and_sends_nothing(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell", "you sing", "you dance"], pictures=True)
    with StubServer() as server:
        asked = ("--teacher", TEACHER, "--base-url", server.url, "--evidence", "both")
        arguments = (made.root, *asked, "--preview", 2)
        code, out, _ = run(*arguments)
        shown = json.loads(run(*arguments, "--json")[1])
        assert server.calls.total() == 0
    assert code == 0
    assert "<words>you smell</words>" in out and "you dance" not in out
    assert "[picture " in out and "base64" not in out
    assert [one["meme"] for one in shown["shown"]] == ["m0", "m1"]
    assert shown["prompt"].startswith("abductive.v1@")


def test_a_dry_run_says_calls_tokens_and_usd_and_sends_nothing(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell", "you sing"])
    with StubServer(lambda question: Reply(GOOD)) as server:
        run(made.root, "--teacher", TEACHER, "--base-url", server.url, "--limit", 1)
        code, out, _ = run(made.root, "--teacher", TEACHER, "--base-url", server.url, "--dry-run")
        assert server.calls.total() == 1
        found = json.loads(run(made.root, "--teacher", TEACHER, "--dry-run", "--json")[1])
    assert code == 0
    assert "2 memes: 1 to ask, 1 already written, 0 that cannot be asked" in out
    assert "1 calls (0 in the cache" in out
    assert "USD, at most" in out
    assert found["estimate"]["calls"] == 1
    assert found["estimate"]["usd_at_most"] > found["estimate"]["usd_likely"] > 0


def test_a_line_that_a_kill_cut_short_is_asked_about_anew_by_the_same_command(
    make_dataset: MakeDataset,
) -> None:
    made = make_dataset(["you smell", "you sing"])
    path = made.root / "rationales.jsonl"
    with StubServer(lambda question: Reply(GOOD)) as server:
        arguments = (made.root, "--teacher", TEACHER, "--base-url", server.url, "--concurrency", 1)
        run(*arguments)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) - len(whole) // 4])
        assert "1 of 2 labelled memes have a rationale" in run(made.root, "--stats")[1]
        code, out, _ = run(*arguments)
        assert (code, server.paid.total()) == (0, 2)
    assert "1 answered" in out and "1 already written" in out
    assert path.read_bytes() == whole
    path.write_bytes(whole.removesuffix(b"\n"))  # as an editor may leave it: nothing is cut
    assert "2 already written" in run(*arguments)[1]
    assert path.read_bytes() == whole
    path.write_bytes(b'{"meme_id": "m0\n' + whole)
    code, _, err = run(*arguments)
    assert code == 2 and "line 1: not JSON" in err


def test_what_failed_stays_listed_when_another_part_is_asked_about(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you sing", "you smell"])
    broken = lambda question: Reply(GOOD) if "sing" in question else Reply(status=400, error={})  # noqa: E731
    with StubServer(broken) as server:
        arguments = (made.root, "--teacher", TEACHER, "--base-url", server.url)
        run(*arguments)
        assert run(*arguments, "--limit", 1)[0] == 0
    assert '"item": "m1"' in (made.root / "failures.jsonl").read_text(encoding="utf-8")


def test_nothing_a_dataset_says_moves_the_cursor(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    hostile = Meme(id="m\x1b[2J", text="you", label=Label(harmful=True, targets=("x\x1b[2J",)))
    write_records(made.root / "memes.jsonl", [hostile])
    write_records(made.root / "rationales.jsonl", [Rationale(meme_id=hostile.id, text=GOOD, teacher="t")])
    for arguments in (
        ["--stats"],
        ["--teacher", "generated"],
        ["--teacher", TEACHER, "--preview", "1"],
        ["--teacher", TEACHER, "--dry-run"],
    ):
        said = "".join(map(str, run(made.root, *arguments)))
        assert "[2J" in said and "\x1b" not in said


def test_what_a_refusal_cost_is_counted_as_spent(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    with StubServer(lambda question: Reply("", finish="content_filter")) as server:
        found = json.loads(run(made.root, "--teacher", TEACHER, "--base-url", server.url, "--json")[1])
    assert found["statuses"] == {"refused": 1}
    assert found["usd"] == pytest.approx(COST)


def test_a_sheet_that_people_may_have_filled_in_is_not_written_over(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    made = make_dataset(["you smell"])
    write_records(made.root / "rationales.jsonl", [Rationale(meme_id="m0", text=GOOD, teacher="t")])
    sheet = tmp_path / "sample.csv"
    sheet.write_text("hours of work", encoding="utf-8")
    code, _, err = run(made.root, "--export", sheet)
    assert (code, sheet.read_text(encoding="utf-8")) == (2, "hours of work")
    assert "name another file" in err


def test_a_local_teacher_costs_nothing_and_takes_no_budget(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    assert "costs nothing" in run(made.root, "--teacher", "generated", "--dry-run")[1]
    for option in (("--budget", 1), ("--prices", "prices.yaml"), ("--concurrency", 8)):
        code, _, err = run(made.root, "--teacher", "generated", *option)
        assert code == 2
        assert "go with openai:MODEL, not with generated" in err
    code, _, err = run(made.root, "--teacher", "generated", "--max-tokens", 400, "--evidence", "caption")
    assert code == 2
    assert "reads no prompt; leave --evidence, --max-tokens out" in err


def test_prompts_that_do_not_teach_have_a_file_of_their_own(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    with StubServer(lambda question: Reply(GOOD)) as server:
        run(made.root, "--teacher", TEACHER, "--base-url", server.url, "--prompt", "unconditioned.v1")
    assert (made.root / "rationales.unconditioned.v1.jsonl").exists()
    assert Dataset(made.root).rationales == {}


def test_stats_tell_rates_before_and_after_by_label_and_target(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"] * 4)
    rows = [
        Rationale(meme_id="m0", text=GOOD, status="deleaked", raw=LEAKY, teacher="t"),
        Rationale(meme_id="m1", text=GOOD, status="ok", teacher="t"),
        Rationale(meme_id="m2", text="I'm sorry, but I can't help.", status="refused", teacher="t"),
    ]
    write_records(made.root / "rationales.jsonl", rows)
    code, out, _ = run(made.root, "--stats")
    assert code == 0
    assert "3 of 4 labelled memes have a rationale; 2 pass the gate" in out
    assert "target: individual" in out
    assert "refusals account for -16.7 points" in out
    found = json.loads(run(made.root, "--stats", "--json")[1])
    assert found["before"]["leaks_label"]["count"] == 1
    assert found["rationale_only_classifier"] == {"before": None, "after": None}  # too few to tell


def test_check_export_and_import_go_round(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(["you smell", "you sing"])
    rows = [Rationale(meme_id=f"m{n}", text=LEAKY, teacher="published") for n in range(2)]
    write_records(made.root / "rationales.jsonl", rows)
    assert "unchecked -> deleaked: 2" in run(made.root, verb="rationales check")[1]
    sheet = tmp_path / "sample.csv"
    assert "2 rationales" in run(made.root, sheet, verb="rationales export")[1]
    text = sheet.read_text(encoding="utf-8-sig")
    lines = text.splitlines()
    lines[1] = lines[1].removesuffix(",,") + f',"{GOOD}",'
    sheet.write_text("\n".join(lines), encoding="utf-8")
    assert "1 corrections added, 0 already there" in run(made.root, sheet, verb="rationales import")[1]
    assert "0 corrections added, 1 already there" in run(made.root, sheet, verb="rationales import")[1]
    assert Dataset(made.root).rationales["m0"].teacher == "people"
    tasks = tmp_path / "tasks.json"
    assert run(made.root, tasks, "--sample", 1, verb="rationales export")[0] == 0
    assert len(json.loads(tasks.read_text(encoding="utf-8"))) == 1


def test_old_flags_of_abduce_do_what_the_sub_commands_do_and_say_so(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    made = make_dataset(["you smell", "you sing"])
    rows = [Rationale(meme_id=f"m{n}", text=GOOD, status="ok", teacher="t") for n in range(2)]
    file = made.root / "rationales.two-sided.v1.jsonl"
    write_records(file, rows)
    sheets = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for old, new, name in (
        (["--stats", "--split", "train"], ["--split", "train"], "stats"),
        (["--regate"], [], "check"),
        (
            ["--export", sheets[0], "--sample", 1, "--seed", 3],
            [sheets[1], "--sample", 1, "--seed", 3],
            "export",
        ),
        (["--import", sheets[0]], [sheets[1]], "import"),
    ):
        code, before, err = run(made.root, *old, "--prompt", "two-sided.v1", "--json")
        assert code == 0 and f"use `mrharm rationales {name}`" in err
        after = run(made.root, *new, "--file", file, "--json", verb=f"rationales {name}")[1]
        assert json.loads(before) == json.loads(after.replace("new.csv", "old.csv"))
    assert sheets[0].read_text(encoding="utf-8") == sheets[1].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--teacher", TEACHER, "--stats"], "expected --teacher T; "),
        (["--teacher", "openai"], "openai:MODEL"),
        (["--teacher", TEACHER, "--prompt", "riddle.v1"], "no prompt called 'riddle.v1'"),
        (["--teacher", TEACHER, "--split", "nowhere"], "no split called 'nowhere'"),
        (["--regate", "--dry-run"], "--preview, --dry-run and --limit go with --teacher"),
        (["--regate", "--split", "train"], "leave --split out"),
        (["--teacher", "generated", "--prompt", "two-sided.v1"], "reads no prompt; leave --prompt out"),
        (["--stats"], "no such file; `mrharm abduce DATASET --teacher T` writes"),
        (["--export", "sample.txt"], "expected a name that ends in .csv"),
        (["--import", "nowhere.csv"], "cannot be read"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_the_mend(
    make_dataset: MakeDataset, arguments: list[str], says: str
) -> None:
    made = make_dataset(["you smell"])
    code, out, err = run(made.root, *arguments, "--json")
    assert code == 2
    assert says in err
    assert json.loads(out)["exit_code"] == 2


def test_captions_that_nobody_wrote_are_said_at_once(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    (made.root / "evidence.jsonl").unlink()
    code, _, err = run(made.root, "--teacher", TEACHER, "--base-url", "http://127.0.0.1:1/v1")
    assert code == 2
    assert "--evidence pixels" in err and "gather" in err


def test_the_key_is_in_no_record_and_no_message(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(["you smell", "you sing"])

    def tell(question: str) -> Reply:
        return (
            Reply(status=400, error={"message": f"your key {KEY} is fine"})
            if "sing" in question
            else Reply(GOOD)
        )

    with StubServer(tell) as server:
        said: Any = run(made.root, "--teacher", TEACHER, "--base-url", server.url)
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in str(said)
    for path in made.root.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_a_batch_costs_half_and_what_leaks_is_asked_again_in_the_next(make_dataset: MakeDataset) -> None:
    made = make_dataset([f"you smell {n}" for n in range(3)])

    def answer(question: str) -> Reply:
        return Reply(GOOD if "cannot be kept" in question else LEAKY)

    with serve(Plan(), Plan(), script=answer) as server:
        arguments = (made.root, "--teacher", TEACHER, "--base-url", server.url, "--batch")
        dry = json.loads(run(*arguments, "--dry-run", "--json")[1])
        alone = json.loads(run(*arguments[:-1], "--dry-run", "--json")[1])
        code, out, _ = run(*arguments)
        assert "0 answered" in run(*arguments)[1]
    assert dry["estimate"]["usd_likely"] == pytest.approx(alone["estimate"]["usd_likely"] / 2)
    assert code == 0
    assert "3 memes: 3 answered (ok 3)" in out and "3 asked again" in out
    assert f"this run cost {6 * HALF:.4f} USD" in out
    assert [len(lines) for lines in server.desk.sent] == [3, 3]
