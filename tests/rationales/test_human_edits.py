"""A sample out to people and their corrections in."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mrharm.errors import DataError, InputError
from mrharm.rationales.human_edits import (
    COLUMNS,
    PEOPLE,
    draw_sample,
    read_csv,
    write_csv,
    write_label_studio,
)
from mrharm.records import Rationale
from tests.rationales.answers import explained
from tests.rationales.conftest import MakeDataset

GOOD = explained("skunk", "Kite Club", 0)


def written(count: int) -> dict[str, Rationale]:
    return {
        f"m{n}": Rationale(meme_id=f"m{n}", text=f"reason {n}", status="ok", teacher="t")
        for n in range(count)
    }


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sample_is_drawn_by_lot_and_the_same_seed_draws_the_same(make_dataset: MakeDataset) -> None:
    made = make_dataset([f"you {n}" for n in range(30)])
    drawn = draw_sample(made.memes, written(20), 5, seed=1)
    assert drawn == draw_sample(made.memes, written(20), 5, seed=1)
    assert drawn != draw_sample(made.memes, written(20), 5, seed=2)
    assert len(drawn) == 5
    assert len(draw_sample(made.memes, written(20), 99)) == 20


def test_what_people_correct_comes_back_as_it_was_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(['=HYPERLINK("x")', "two\nlines, and “quotes”", "'tis you"])
    file = tmp_path / "sample.csv"
    write_csv(file, draw_sample(made.memes, written(3), 3), made.evidence)
    table = cells(file)
    assert tuple(table[0]) == COLUMNS
    assert table[0]["words"] == '\'=HYPERLINK("x")'  # no spreadsheet runs it
    assert table[1]["words"] == "two\nlines, and “quotes”"
    table[0]["corrected"] = GOOD
    table[2]["corrected"] = f"- {GOOD}"  # a spreadsheet would want an apostrophe before it
    with file.open("w", encoding="utf-8", newline="") as out:
        sheet = csv.DictWriter(out, COLUMNS, delimiter=";")  # as spreadsheets of many countries save it
        sheet.writeheader()
        sheet.writerows(table)
    rows = read_csv(file, {meme.id: meme for meme in made.memes})
    assert (rows[0].text, rows[0].teacher) == (GOOD, PEOPLE)
    assert [row.meme_id for row in rows] == ["m0", "m2"]


def test_a_cell_of_any_length_comes_back(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(["you " * 50_000])
    file = tmp_path / "sample.csv"
    write_csv(file, draw_sample(made.memes, written(1), 1), made.evidence)
    assert read_csv(file, {meme.id: meme for meme in made.memes}) == []


def test_a_correction_passes_the_gate_and_keeps_its_words(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(["you smell"])
    file = tmp_path / "c.csv"
    leaky = f"{GOOD} It is very harmful."
    file.write_text(f'meme_id,corrected\nm0,"{leaky}"\n', encoding="utf-8")
    (row,) = read_csv(file, {meme.id: meme for meme in made.memes})
    assert (row.status, row.text) == ("leaks_label", leaky)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,why\n1,2\n", "no column corrected, meme_id"),
        ("meme_id,corrected\nnobody,because\n", "row 2: no meme called 'nobody'"),
        ("meme_id,corrected\nm0,because\nm0,thus\n", "row 3: 'm0' occurs twice"),
        ("meme_id,corrected\nm0,you smell, and so do skunks\n", "row 2: more cells than columns"),
        ("", "no column"),
    ],
)
def test_a_table_that_cannot_be_taken_in_is_refused_by_its_row(
    make_dataset: MakeDataset, tmp_path: Path, text: str, says: str
) -> None:
    made = make_dataset(["you smell"])
    file = tmp_path / "c.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_csv(file, {meme.id: meme for meme in made.memes})
    file.write_bytes(b"meme_id,corrected\nm0,\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_csv(file, {})
    with pytest.raises(InputError, match="cannot be read"):
        read_csv(tmp_path / "nowhere.csv", {})


def test_label_studio_gets_tasks_with_what_to_show_and_a_prediction(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    made = make_dataset(["you smell"])
    file = tmp_path / "tasks.json"
    write_label_studio(file, draw_sample(made.memes, written(1), 1), made.evidence)
    (task,) = json.loads(file.read_text(encoding="utf-8"))
    assert task["data"]["words"] == "you smell"
    (result,) = task["predictions"][0]["result"]
    assert result["type"] == "textarea"
    assert result["value"]["text"] == ["reason 0"]
