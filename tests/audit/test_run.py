from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.audit.findings import SHOWN, AuditReport, Example, Finding, Purpose, make_finding
from mrharm.audit.run import audit, judge_fitness
from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe
from mrharm.records import Evidence, Rationale
from tests.audit.helpers import bytes_of, club, codes, draw, meme, sound, write_dataset

RECIPE = load_recipe("mr-harm")


def error(code: str, *bars: Purpose, mend: str | None = None) -> Finding:
    return Finding(
        code=code, level="error", message=f"{code} is so (2 by text); and more", bars=bars, mend=mend
    )


def test_a_dataset_and_a_recipe_are_named_by_texts(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "d", sound())
    assert audit(str(data.root), "mr-harm").report == audit(data, RECIPE).report


def test_without_an_error_data_is_fit_for_both() -> None:
    verdict = judge_fitness([Finding(code="a", level="warning", message="m", mend="not said")])
    assert (verdict.fit_to_train, verdict.fit_to_publish) == (True, True)
    assert verdict.words == ("Fit to train on.", "Fit to publish numbers on.")


def test_an_error_bars_what_it_names_and_nothing_else() -> None:
    verdict = judge_fitness(
        [error("overlap", "publishing", mend="--fix"), error("leak", "training", mend="--fix")]
    )
    assert (verdict.fit_to_train, verdict.fit_to_publish) == (False, False)
    assert verdict.words == (
        "Not fit to train on: leak is so.",
        "Not fit to publish numbers on: overlap is so.",
        "To mend: --fix.",
    )
    verdict = judge_fitness([error(f"e{number}", "training") for number in range(5)])
    assert verdict.words[0] == "Not fit to train on: e0 is so; e1 is so; e2 is so; and 2 more."
    assert verdict.fit_to_publish


def test_errors_stand_first_and_the_report_reads_back_equal(tmp_path: Path) -> None:
    rows = [*sound(), meme("twin", sound()[-1].text, True), meme("long", "y" * 2000, True)]
    report = audit(write_dataset(tmp_path, rows, options={"label_version": "unknown"}), RECIPE).report
    levels = [finding.level for finding in report.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert set(levels) == {"error", "warning", "note"}
    assert codes(report.errors) == ["overlap"]
    assert AuditReport.model_validate_json(report.model_dump_json()) == report
    assert (report.memes, report.recipe, report.splits["train"]) == (18, "mr-harm", 10)
    assert report.fingerprint == Dataset(tmp_path).fingerprint()


def test_a_finding_shows_ten_examples_cut_to_a_line() -> None:
    examples = [Example(memes=(str(n),), text="you \n" * 99) for n in range(30)]
    shown = make_finding("label-errors", count=30, of=99, examples=examples).examples
    assert len(shown) == SHOWN
    assert len(shown[0].text) <= 160
    assert "\n" not in shown[0].text


def test_no_dataset_or_one_that_does_not_say_what_it_is_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset"):
        audit(tmp_path, RECIPE)
    (tmp_path / "dataset.json").write_text('{"name": "clubs"}')
    with pytest.raises(DataError, match=r"dataset\.json"):
        audit(tmp_path, RECIPE)


def everything(folder: Path) -> Dataset:
    """Pictures, captions, rationales and splits, some faults, and train memes enough to try signals on."""
    rows, seen, why = [], [], []
    for number in range(70):
        image = f"images/{number}.png"
        draw(folder / image, number, (32, 32))
        split = "train" if number < 54 else "validation" if number < 60 else "test"
        rows.append(meme(f"m{number}", f"you and {club(number)}", number % 2 == 0, split, image=image))
        seen.append(Evidence(meme_id=f"m{number}", caption=f"a kettle and {club(number % 9)}"))
        why.append(Rationale(meme_id=f"m{number}", text=f"{club(number)} means you", teacher="t"))
    (folder / "images/7.png").write_bytes(b"broken")
    (folder / "images/69.png").write_bytes((folder / "images/0.png").read_bytes())
    return write_dataset(folder, rows, seen, why)


def test_an_audit_says_the_same_twice_and_changes_nothing_but_its_memory(tmp_path: Path) -> None:
    dataset = everything(tmp_path)
    before = bytes_of(tmp_path)
    first = audit(dataset, RECIPE, workers=1).report
    assert audit(tmp_path, RECIPE, workers=1).report == first
    assert bytes_of(tmp_path) == before
