import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.memes import importing
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.pictures import find_file
from mrharm.memes.rows import Row
from mrharm.memes.sources import mami, memotion, multioff
from mrharm.records import Meme, parse_record, to_line
from tests.memes.helpers import draw, write


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["Train.CSV"], "Train.CSV"),
        (["train.csv", "Train.csv"], "train.csv"),
        (["data/train.csv", "train.csv"], "train.csv"),
        (["DATA/Annotations/Train.csv"], "DATA/Annotations/Train.csv"),
        (["other/train.csv", "train.csv/x"], None),
    ],
)
def test_a_file_is_found_in_any_case_the_exact_name_first(
    tmp_path: Path, files: list[str], expected: str | None
) -> None:
    for name in files:
        write(tmp_path / name, "")
    path = find_file(tmp_path, "train.csv", ("data", "data/annotations"))
    assert (path and path.relative_to(tmp_path).as_posix()) == expected


@pytest.mark.parametrize(
    ("name", "stem"),
    [("img/01.png", "01"), ("a\\b\\x.JPEG", "x"), ("v1.2", "v1.2"), (" x.png ", "x"), ("", None), (5, None)],
)
def test_a_pictures_name_without_folder_and_extension_is_the_id(name: object, stem: str | None) -> None:
    assert multioff.MULTIOFF.name_row(Row("f.csv", 1, {"image_name": name})) == stem


# Kind -> its file, and columns with the values that a row may well have; any cell may hold anything.
TABLES: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "harm-c": ("train.jsonl", {"id": ["c_1"], "image": ["1.png"], "labels": [["not harmful"]], "text": ["you"]}),
    "hateful-memes": ("train.jsonl", {"id": [1, "2"], "img": ["img/1.png"], "label": [0, 1], "text": ["you"]}),
    "fhm-fine-grained": (
        "train.json",
        {
            "id": [1, "2"],
            "img": ["img/1.png"],
            "text": ["you"],
            "set_name": ["train"],
            "gold_hate": [["hateful"]],
            "gold_pc": [["race", "sex"]],
            "gold_attack": [["mocking"]],
            "pc": ["None"],
        },
    ),
    "prompthate": (
        "train.json",
        {"img": ["1.png", "2.png"], "label": [0, 1], "org_sent": ["you"], "race": ["unk"], "entity": ["hat"]},
    ),
    "mami": (
        "training.csv",
        {"file_name": ["1.jpg", "2.jpg"], **{key: ["0", "1"] for key in mami.SCHEME.columns}, mami.TEXT: ["you"]},
    ),
    "pridemm": (
        "PrideMM.csv",
        {
            "name": ["1.png", "2.png"],
            "text": ["you"],
            "split": ["train", "val"],
            "hate": ["0", "1"],
            "target": ["", "2"],
            "stance": ["0"],
            "humour": ["1"],
        },
    ),
    "multioff": (
        "Training_meme_dataset.csv",
        {"image_name": ["1.png", "2.png"], "sentence": ["you"], "label": ["offensive"]},
    ),
    "memotion": (
        "labels.csv",
        {
            "": ["0"],
            "image_name": ["1.png", "2.png"],
            memotion.OCR: ["you"],
            memotion.CORRECTED: ["you", ""],
            "offensive": ["slight"],
            **{key: ["x"] for key in memotion.SCALES},
        },
    ),
}  # fmt: skip
CELLS = st.text(st.sampled_from('a1.\\/"\t\n;,é\0') | st.characters(codec="utf-8"), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | CELLS, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)


def written(file: str, columns: list[str], rows: list[dict[str, Any]]) -> str:
    if file == "train.json" and "org_sent" in columns:
        return json.dumps(rows)
    if ".json" in file:
        return "".join(json.dumps(row) + "\n" for row in rows)
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter="\t" if file == "training.csv" else ",")
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)
    return table.getvalue()


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("pictures", [False, True])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_whatever_rows_hold_each_ends_as_a_meme_or_as_a_failure(
    kind: str, pictures: bool, data: st.DataObject
) -> None:
    file, columns = TABLES[kind]
    odd = JSON if ".json" in file else CELLS
    if (
        kind == "mami"
    ):  # a tab-separated file whose quotes mean little has no line breaks but in its last column
        odd = odd.filter(lambda cell: len(f"{cell}.".splitlines()) == 1)
    row = st.fixed_dictionaries({key: st.sampled_from(values) | odd for key, values in columns.items()})
    rows = data.draw(st.lists(row, max_size=6))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root / file, written(file, list(columns), rows))
        if pictures:
            draw(root, "1.png", "2.jpg")
        imported = importing.IMPORTERS.load(kind)(root, root / "out", ImportOptions())
    blank = [row for row in rows if not any(str(value).strip() for value in row.values())]
    assert len(imported.memes) + len(imported.failures) == len(rows) - (len(blank) if ".csv" in file else 0)
    assert len({meme.id for meme in imported.memes}) == len(imported.memes)
    assert all(parse_record(to_line(meme), Meme) == meme for meme in imported.memes)
    assert set(imported.pictures) == ({meme.id for meme in imported.memes} if pictures else set())
