"""Options of ``mrharm evaluate``: judge, budget, encoder, page, ablation, precision; and refusals."""

from __future__ import annotations

import html
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from mrharm.evaluation.evaluate import read_report
from mrharm.memes.dataset import Dataset
from mrharm.records import Label, Meme, Verdict, read_records
from mrharm.reports.ablation_page import NOTE, summarise
from mrharm.reports.evaluation import render_model_card
from mrharm.store import write_json, write_records
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import meme, write_dataset
from tests.cli.test_evaluate import dataset, run, run_verb
from tests.evaluation.runs import clubs
from tests.llm.conftest import MODEL, surroundings
from tests.probes.test_llm_judge import marks
from tests.probes.test_reference_overlap import encoder
from tests.rationales.tiny_models import make_reader
from tests.stub_server import Reply, StubServer

__all__ = ["dataset", "encoder", "run", "surroundings"]  # fixtures are found where they are named

QUICK = ("--probes", "none")
HOSTED = ("--judge", f"openai:{MODEL}", "--judge-memes", 3, "--judge-repeats", 2)


@pytest.fixture
def talker(tmp_path: Path) -> Path:
    """A random chat model that reads long questions."""
    folder = make_reader(tmp_path / "talker")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8192}))
    return folder


def command_on(page: Path) -> list[str]:
    """The command at the foot of a page, as a shell splits it."""
    return shlex.split(html.unescape(page.read_text().rsplit("<code>", 1)[1].split("</code>")[0]))


def assert_of_one_evaluation(folder: Path, run: Path, seed: int, *, predictions: bool) -> None:
    """Report, card and page are there and tell of the same figures."""
    found = read_report(folder / "report.json")
    card: DetectorCard = Detector.from_pretrained(run, device="cpu").card
    assert found.draws_seed == seed and ("judge" in found.probes) is predictions
    assert (folder / "model-card.md").read_text() == render_model_card(found, card)
    command = command_on(folder / "report.html")
    assert not seed or command[command.index("--seed") + 1] == str(seed)
    assert ("Marks from 1 to 5" in (folder / "report.html").read_text()) is predictions


# the judge


def test_a_local_judge_is_asked_again_for_its_variance_and_says_the_same_tomorrow(
    run: Path, dataset: Dataset, talker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrharm.probes.llm_judge.MAX_TOKENS", 16)

    def judge() -> dict[str, Any]:
        asked = ("--judge", f"hf:{talker}", "--judge-memes", 2, "--judge-repeats", 2)
        code, out, err = run_verb(run, dataset.root, *QUICK, *asked, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)["probes"]["judge"]
        return found

    found = judge()
    assert (found["memes"], found["asked"], len(found["answers"])) == (2, 4, 4)
    assert len({answer["raw"] for answer in found["answers"]}) == 4
    assert judge() == found


def test_a_hosted_judges_marks_stand_in_report_card_and_page(
    run: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StubServer([Reply(marks(4))]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, err = run_verb(run, dataset.root, *QUICK, *HOSTED, "--budget", 1)
    assert code == 0, err
    assert server.calls.total() == 6 and "Marks from 1 to 5: grounded 4.00" in out
    assert_of_one_evaluation(run, run, 0, predictions=True)
    again = command_on(run / "report.html")
    assert again[again.index("--budget") :][:2] == ["--budget", "1"] and f"openai:{MODEL}" in again


def test_a_judge_stops_asking_where_its_budget_ends(
    run: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StubServer([Reply(marks(4))]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, _ = run_verb(run, dataset.root, *QUICK, *HOSTED, "--budget", 0.0001, "--json")
    assert (code, server.calls.total()) == (0, 0)
    assert json.loads(out)["probes"]["judge"]["statuses"] == {"unanswered": 6}


def test_a_judge_that_fails_midway_loses_nothing_that_was_found_before(
    run: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_verb(run, dataset.root, *QUICK)[0] == 0
    closed = Reply(status=401, error={"message": "no such key"})
    with StubServer([Reply(marks(4)), closed]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, err = run_verb(run, dataset.root, *QUICK, *HOSTED, "--seed", 7, "--json")
    assert (code, json.loads(out)["kind"]) == (2, "AuthorizationError")
    assert "the evaluation itself is stored" in err
    assert_of_one_evaluation(run, run, 7, predictions=False)


def test_a_submission_that_fails_loses_nothing_that_was_found_before(run: Path, tmp_path: Path) -> None:
    rows = [meme(f"0{n}", f"you and club {n}", n % 2 == 0, "test") for n in range(10, 22)]
    rows.append(Meme(id="033", text="", label=Label(harmful=True), split="test"))
    data = write_dataset(tmp_path / "fhm", rows, name="hateful-memes")
    file = tmp_path / "fhm.csv"
    code, _, err = run_verb(
        run, data.root, *QUICK, "--submission", "fhm", "--submission-file", file, "--no-rationales"
    )
    assert code == 2 and "1 of 13 memes have no verdict (033" in err and not file.exists()
    assert_of_one_evaluation(run / "evaluations" / "hateful-memes.test", run, 0, predictions=False)


# BERTScore


@pytest.fixture
def explained(tmp_path: Path) -> Dataset:
    """Memes with what people wrote of them."""
    rows = [
        meme(
            f"{n}", f"you and club {n}", n % 2 == 0, "test", extra={"gold_rationales": [f"you smell of {n}"]}
        )
        for n in range(12)
    ]
    return write_dataset(tmp_path / "explained", rows)


def test_an_encoder_gives_bertscore_against_peoples_rationales(
    run: Path, explained: Dataset, encoder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "bert"
    shutil.copytree(encoder, own)
    where = ("--probes", "rationale", "--out", tmp_path / "out")

    def gold(*options: object) -> dict[str, Any]:
        code, out, err = run_verb(run, explained.root, *where, *options, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)["probes"]["rationale"]["gold"]
        return found

    assert gold()["bertscore"] is None
    found = gold("--encoder", own)
    assert found["encoder"] == "bert" and 0 < found["bertscore"]["own"]["value"] < 1
    page = tmp_path / "out" / "report.html"
    assert "BERTScore by bert with human-written rationales" in page.read_text()
    command = command_on(page)
    assert command[command.index("--encoder") + 1] == str(own)
    assert gold("--encoder", own) == found
    assert len((tmp_path / "out" / "probes.jsonl").read_text().splitlines()) == 2
    (own / "config.json").write_text((own / "config.json").read_text().replace('"gelu"', '"relu"'))
    other = gold("--encoder", own)["bertscore"]["own"]["value"]  # another encoder in the same place
    assert other != found["bertscore"]["own"]["value"]


# the page


def test_the_page_goes_where_it_is_told_and_shows_an_ablation(
    run: Path, dataset: Dataset, tmp_path: Path
) -> None:
    left = summarise([], dataset="clubs", recipe="tiny", split="test", skipped={"no-picture": "no kettle"})
    write_json(tmp_path / "ablation.json", left.model_dump(mode="json"))
    page = tmp_path / "pages" / "of clubs.html"
    code, out, _ = run_verb(
        run, dataset.root, *QUICK, "--no-rationales", "--html", page, "--ablation", tmp_path
    )
    assert code == 0 and f"page: {page}; figures" in out
    assert NOTE in html.unescape(page.read_text()) and not (run / "report.html").exists()
    command = command_on(page)
    assert command[command.index("--html") + 1] == str(page)
    assert command[command.index("--ablation") + 1] == str(tmp_path)


def test_a_precision_that_is_not_the_usual_one_gives_other_scores_and_is_named_on_the_page(
    run: Path, tmp_path: Path
) -> None:
    few = clubs(tmp_path / "few", test=12)
    out = tmp_path / "bf16"
    code, _, err = run_verb(run, few.root, *QUICK, "--no-rationales", "--precision", "bf16", "--out", out)
    assert code == 0, err
    again = command_on(out / "report.html")
    assert again[again.index("--precision") + 1] == "bf16"
    narrow = [verdict.score for verdict in read_records(out / "verdicts.test.jsonl", Verdict)]
    detector = Detector.from_pretrained(run, device="cpu")
    assert narrow != [verdict.score for verdict in detector.judge(list(few.split("test")), rationales=False)]


# what cannot be


def refusals() -> dict[str, tuple[list[object], str]]:
    """Name -> options, with {} for a folder of the test's own, and what is said."""
    return {
        "no such teacher": (["--judge", "nosuch:1"], "no teachers called 'nosuch'"),
        "one that reads nothing": (["--judge", "generated"], "reads no questions and cannot judge"),
        "no such model": (["--judge", "hf:{}/nowhere"], "name a local folder"),
        "no key": (["--judge", f"openai:{MODEL}"], "set OPENAI_API_KEY"),
        "page in a folder's place": (["--html", "{}"], "name a file in it"),
        "page in a file": (
            ["--html", "{}/file/page.html"],
            "file is a file, not a folder; name another place",
        ),
        "no whole ablation": (
            ["--ablation", "{}"],
            "expected the results of an ablation, which `mrharm ablate",
        ),
        "folder of a file": (["--out", "{}/file"], "--out"),
        "submission in a folder's place": (["--submission", "fhm", "--submission-file", "{}"], "name a file"),
        "submission in a file": (
            ["--submission", "fhm", "--submission-file", "{}/file/a/b.csv"],
            "file is a file, not a folder; name another place",
        ),
        "ids of another kind": (
            ["--submission", "fhm", "--submission-file", "{}/f.csv"],
            "test-0: expected the number of a Hateful Memes meme",
        ),
        "no encoder": (["--encoder", "{}"], "expected config.json, tokenizer and safetensors"),
        "no probe to use it": (["--encoder", "{}", "--probes", "pairs"], "goes with the probe `rationale`"),
    }


@pytest.mark.parametrize("name", refusals())
def test_what_cannot_be_is_said_before_anything_is_judged(
    run: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    options, says = refusals()[name]
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").write_text("")
    (own / "ablation.json").write_text("{}")
    before = sorted(run.rglob("*")), sorted(own.rglob("*"))
    arguments = [one.replace("{}", str(own)) if isinstance(one, str) else one for one in options]
    code, out, err = run_verb(run, dataset.root, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert (sorted(run.rglob("*")), sorted(own.rglob("*"))) == before


def test_a_budget_without_a_price_and_a_meme_without_types_are_said_before_anything_is_judged(
    run: Path, dataset: Dataset, tmp_path: Path
) -> None:
    before = sorted(run.rglob("*"))
    code, _, err = run_verb(run, dataset.root, "--judge", "openai:unheard-of", "--budget", 1)
    assert code == 2 and "a budget needs the price of unheard-of" in err
    rows = [meme(f"{n}", "you", True, "test", image=None) for n in range(2)]
    data = write_dataset(tmp_path / "mami", rows, name="mami")
    (tmp_path / "types.jsonl").write_text('{"meme_id": "0", "types": {}}\n')
    order = ["--submission", "mami", "--submission-file", tmp_path / "a", "--submission-types"]
    code, _, err = run_verb(run, data.root, *order, tmp_path / "types.jsonl")
    assert code == 2 and "0: no score for " in err
    assert sorted(run.rglob("*")) == before


def test_a_detector_that_writes_no_rationales_is_not_taken_to_a_judge(dataset: Dataset, run: Path) -> None:
    whole = Detector.from_pretrained(run, device="cpu")
    silent = Detector(
        whole.card.model_copy(update={"students": ("label",)}), whole.label_student, None, whole.dtype
    )
    shutil.rmtree(run / "detector")
    silent.save_pretrained(run / "detector")
    code, _, err = run_verb(run, dataset.root, *QUICK, *HOSTED)
    assert code == 2 and "as this detector writes none" in err
    assert not list(run.glob("verdicts.*"))


def test_a_split_without_labels_is_not_taken_to_a_judge(run: Path, dataset: Dataset, tmp_path: Path) -> None:
    write_records(dataset.root / "memes.jsonl", [meme("1", "you", None, "test")])
    order = ("--submission", "fhm", "--submission-file", tmp_path / "f.csv")
    code, _, err = run_verb(run, dataset.root, *HOSTED, *order)
    assert code == 2 and "no meme of test has a label" in err
    assert not (tmp_path / "f.csv").exists()
