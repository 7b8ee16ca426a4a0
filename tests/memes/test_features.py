import json
from pathlib import Path

import pytest

from tests.memes.helpers import failures, write
from tests.memes.sources.huggingface_helpers import labels, parquet, rows, schema, take


@pytest.mark.parametrize(
    ("names", "values", "expected"),
    [
        (["not_harmful", "harmful"], [0, 1, -1], [False, True, None]),
        (["Hateful", "Not-Hateful"], [0, 1, None], [True, False, None]),
        (["0", "1"], [0, 1], [False, True]),
        (["no", "somewhat harmful", "very harmful"], [0, 1, 2], [False, True, True]),
        (None, [0, 1, None], [False, True, None]),
    ],
)
def test_class_numbers_mean_what_the_schema_says(
    tmp_path: Path, names: list[str] | None, values: list[int], expected: list[bool]
) -> None:
    features = {"label": {"names": names, "_type": "ClassLabel"}} if names else None
    memes = [row | {"label": value} for row, value in zip(rows(0, len(values)), values, strict=True)]
    parquet(tmp_path / "in/test.parquet", memes, schema(features))
    assert list(labels(take(tmp_path / "in")).values()) == expected


def test_an_unknown_class_or_word_is_a_failure_by_row(tmp_path: Path) -> None:
    features = {"label": {"names": ["not_harmful", "glum"], "_type": "ClassLabel"}}
    memes = [row | {"label": value} for row, value in zip(rows(0, 4), [0, 1, 2, -2], strict=True)]
    parquet(tmp_path / "in/test.parquet", memes, schema(features))
    dataset = take(tmp_path / "in")
    assert labels(dataset) == {"test-0": False}
    reasons = [(file, line, reason[:30]) for _, file, line, reason in failures(dataset)]
    assert reasons == [
        ("test.parquet", 2, "label: expected 0 or 1, true o"),
        ("test.parquet", 3, "label: no class 2; there are 0"),
        ("test.parquet", 4, "label: no class -2; there are "),
    ]
    assert [path.name for path in (dataset.root / "images").iterdir()] == ["test-0.png"]


NAMES = {"label": {"names": ["harmful", "harmless"], "_type": "ClassLabel"}}
LISTED = """---
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names: [harmful, harmless]
---
"""
NUMBERED = """---
dataset_info:
- config_name: default
  features:
  - name: label
    dtype:
      class_label:
        names:
          '1': harmless
          '0': harmful
---
"""
CARDS = {
    "listed": ("README.md", LISTED),
    "numbered": ("README.md", NUMBERED.replace("\n", "\r\n")),
    "infos": ("dataset_infos.json", json.dumps({"other": {}, "default": {"features": NAMES}})),
    "info": ("dataset_info.json", json.dumps({"features": NAMES})),
}


@pytest.mark.parametrize("name", CARDS)
def test_class_names_may_stand_beside_the_data(tmp_path: Path, name: str) -> None:
    file, text = CARDS[name]
    write(tmp_path / "in" / file, text)
    write(tmp_path / "in/train.csv", "text,label\nyou,0\nme,1\nus,harmful\nthem,\n")
    dataset = take(tmp_path / "in")
    assert list(labels(dataset).values()) == [True, False, True, None]
    assert file in dataset.info.sources


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", "---\n: [\n---\n"),
        ("README.md", "---\na: \xff"),
        ("dataset_info.json", "{"),
        ("dataset_infos.json", "[" * 9999),
        ("README.md", "---\ndataset_info:\n  features: [5, {name: 3}]\n---\n"),
    ],
)
def test_a_card_that_cannot_be_read_is_noted(tmp_path: Path, file: str, text: str) -> None:
    parquet(tmp_path / "in/test.parquet", rows(0, 1))
    write(tmp_path / "in" / file, "").write_bytes(text.encode("latin-1"))
    assert any(note.startswith(f"{file}: cannot be read") for note in take(tmp_path / "in").info.notes)


@pytest.mark.parametrize(
    "card",
    [
        "no front matter",
        "---\n- a list\n---\n",
        "---\ndataset_info: 5\nlicense: [a]\n---\n",
    ],
)
def test_an_odd_card_says_nothing(tmp_path: Path, card: str) -> None:
    write(tmp_path / "in/README.md", card)
    write(tmp_path / "in/train.csv", "text,label\nyou,0\n")
    dataset = take(tmp_path / "in")
    assert (dataset.info.licence, labels(dataset)) == ("not stated", {"train-0": False})
