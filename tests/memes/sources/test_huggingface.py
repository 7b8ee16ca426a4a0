import json
from pathlib import Path

import pyarrow as pa
import pytest

from mrharm.errors import InputError
from mrharm.memes import pictures
from mrharm.memes.importing import import_memes
from tests.memes.helpers import by_id, draw, failures, write
from tests.memes.sources.huggingface_helpers import (
    FEATURES,
    labels,
    parquet,
    picture,
    png,
    rows,
    schema,
    splits,
    take,
)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A dataset as the hub keeps it: two train shards, a test without labels, a card."""
    folder = tmp_path / "you/club-memes"
    parquet(folder / "data/train-00000-of-00002.parquet", rows(0, 5))
    parquet(folder / "data/train-00001-of-00002.parquet", rows(5, 2))
    parquet(
        folder / "data/test-00000-of-00001-0a1b2c3d4e.parquet", [row | {"label": -1} for row in rows(7, 2)]
    )
    write(folder / "README.md", "---\nlicense: cc-by-4.0\n---\n# Memes of made-up clubs\n")
    write(folder / ".cache/huggingface/train.jsonl", "{")
    return folder


def test_parquet_of_the_hub_comes_in_with_splits_labels_and_pictures(hub: Path) -> None:
    dataset = take(hub)
    assert splits(dataset) == {
        **{f"train-{n}": "train" for n in range(7)},
        "test-0": "test",
        "test-1": "test",
    }
    assert labels(dataset) == {**{f"train-{n}": n % 2 == 1 for n in range(7)}, "test-0": None, "test-1": None}
    assert by_id(dataset)["train-6"].text == "you 6"
    assert by_id(dataset)["train-6"].image == "images/train-6.png"
    assert picture(dataset, "train-6") == rows(6, 1)[0]["image"]["bytes"]
    assert dataset.info.name == "club-memes"
    assert dataset.info.licence == "cc-by-4.0 (says its README.md)"
    assert dataset.info.label_scheme == "as in column 'label' (not_harmful, harmful)"
    assert set(dataset.info.sources) == {
        "README.md",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "data/test-00000-of-00001-0a1b2c3d4e.parquet",
    }
    assert failures(dataset) == []


def test_split_names_that_are_nobody_elses_stay(tmp_path: Path) -> None:
    for split in ("train", "val", "test_unseen", "hard"):
        parquet(tmp_path / f"in/data/{split}-00000-of-00001.parquet", rows(0, 1))
    dataset = take(tmp_path / "in")
    assert splits(dataset) == {
        "hard-0": "hard",
        "test_unseen-0": "test_unseen",
        "train-0": "train",
        "validation-0": "validation",
    }
    assert "split 'val' is called 'validation' here" in dataset.info.notes


def test_splits_named_as_those_of_fhm_play_their_roles(tmp_path: Path) -> None:
    for split in ("train", "dev_seen", "test_seen"):
        parquet(tmp_path / f"in/data/{split}-00000-of-00001.parquet", rows(0, 4))
    dataset = import_memes("huggingface", tmp_path / "in", tmp_path / "out")
    assert dataset.info.splits == {"train": 4, "dev_seen": 4, "test_seen": 4}
    assert dataset.info.roles == {"validation": "dev_seen", "test": "test_seen"}
    parquet(tmp_path / "in/data/validation-00000-of-00001.parquet", rows(0, 4))
    assert import_memes("huggingface", tmp_path / "in", tmp_path / "more").info.roles == {"test": "test_seen"}


def test_one_file_may_be_named(hub: Path) -> None:
    assert len(take(hub / "data/train-00001-of-00002.parquet").memes) == 2
    with pytest.raises(InputError, match=r"expected a folder, or a \.parquet"):
        take(hub / "README.md")


def test_without_a_named_split_all_is_train_and_that_is_said(tmp_path: Path) -> None:
    parquet(tmp_path / "in/memes.parquet", rows(0, 2))
    dataset = take(tmp_path / "in")
    assert splits(dataset) == {"train-0": "train", "train-1": "train"}
    assert any("no split is named" in note for note in dataset.info.notes)


def test_a_split_column_is_taken_where_the_files_name_none(tmp_path: Path) -> None:
    values = [row | {"split": split} for row, split in zip(rows(0, 3), ["train", "val", None], strict=True)]
    parquet(tmp_path / "in/memes.parquet", values, schema(split=pa.string()))
    assert splits(take(tmp_path / "in")) == {"row-0": "train", "row-1": "validation", "row-2": None}


def test_a_split_column_gives_way_to_the_files_unless_told(tmp_path: Path) -> None:
    values = [row | {"split": "easy"} for row in rows(0, 1)]
    parquet(tmp_path / "in/test.parquet", values, schema(split=pa.string()))
    meme = take(tmp_path / "in").memes[0]
    assert (meme.split, meme.extra["split"]) == ("test", "easy")
    assert take(tmp_path / "in", split="split").memes[0].split == "easy"


def test_an_id_column_is_used_and_a_repeated_id_named(tmp_path: Path) -> None:
    values = [row | {"id": n} for row, n in zip(rows(0, 3), [7, 8, 7], strict=True)]
    parquet(tmp_path / "in/test.parquet", values, schema(id=pa.int64()))
    dataset = take(tmp_path / "in")
    assert list(by_id(dataset)) == ["7", "8"]
    assert picture(dataset, "7") == values[0]["image"]["bytes"]
    assert failures(dataset) == [("7", "test.parquet", 3, "id '7' is already in test.parquet, line 1")]
    assert sorted(path.name for path in (dataset.root / "images").iterdir()) == ["7.png", "8.png"]


def test_a_label_that_is_not_a_number_is_none(tmp_path: Path) -> None:
    values = [row | {"label": label} for row, label in zip(rows(0, 3), [0.0, 1.0, float("nan")], strict=True)]
    parquet(tmp_path / "in/test.parquet", values, schema(None, label=pa.float64()))
    assert list(labels(take(tmp_path / "in")).values()) == [False, True, None]


def test_pictures_may_be_paths_to_files_that_came_along(tmp_path: Path) -> None:
    draw(tmp_path / "in/data", "a.png")
    draw(tmp_path / "in/images", "b.png")
    names = ["a.png", "b.png", "none.png", "../../secret.png", "/etc/secret.png"]
    draw(tmp_path, "secret.png")
    memes = [{"img": name, "text": f"you {n}", "label": 0} for n, name in enumerate(names)]
    parquet(
        tmp_path / "in/data/test-00000-of-00001.parquet", memes, schema(None, image=None, img=pa.string())
    )
    dataset = take(tmp_path / "in")
    assert {key: meme.image for key, meme in by_id(dataset).items()} == {
        "test-0": "images/test-0.png",
        "test-1": "images/test-1.png",
    }
    reasons = [reason for *_, reason in failures(dataset)]
    assert [line for _, _, line, _ in failures(dataset)] == [3, 4, 5]
    assert "no picture called 'data/none.png'" in reasons[0]
    assert all("leaves the source folder" in reason for reason in reasons[1:])


def test_paths_whose_pictures_did_not_come_along_leave_texts(tmp_path: Path) -> None:
    memes = [{"image": {"bytes": None, "path": "/home/you/a.png"}, "text": "you", "label": 0}]
    parquet(tmp_path / "in/test.parquet", memes)
    dataset = take(tmp_path / "in")
    assert [(meme.text, meme.image) for meme in dataset.memes] == [("you", None)]
    with pytest.raises(InputError, match=r"test\.parquet has only 'image', 'text', 'label'"):
        take(tmp_path / "in", text="none")
    assert any("none of the pictures it names came with the source" in note for note in dataset.info.notes)


def test_pictures_may_be_bytes_alone_in_a_column_of_any_name(tmp_path: Path) -> None:
    memes = [{"meme": png("red"), "text": "you", "label": 0}]
    parquet(tmp_path / "in/test.parquet", memes, schema(None, image=None, meme=pa.large_binary()))
    assert picture(take(tmp_path / "in", image="meme"), "test-0") == png("red")


def test_broken_and_oversized_pictures_are_failures_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 500)
    memes = rows(0, 4)
    memes[1]["image"]["bytes"] = b"\x89PNG\r\n\x1a\nbroken"
    memes[2]["image"]["bytes"] = b"x" * 501
    memes[3]["image"]["bytes"] = b""
    parquet(tmp_path / "in/test.parquet", memes)
    dataset = take(tmp_path / "in")
    assert list(by_id(dataset)) == ["test-0"]
    assert [reason[:16] for *_, reason in failures(dataset)] == [
        "the picture: bro",
        "501 bytes; at mo",
        "the picture: not",
    ]
    assert [path.name for path in (dataset.root / "images").iterdir()] == ["test-0.png"]


def test_names_of_pictures_are_made_safe_whatever_ids_and_paths_are(tmp_path: Path) -> None:
    ids = ["../../up", "/etc/x", "a\\..\\b", "..", "c:d", "e" * 300]
    memes = [row | {"id": meme_id} for row, meme_id in zip(rows(0, 6), ids, strict=True)]
    for meme in memes:
        meme["image"]["path"] = "../../../escape.png"
    parquet(tmp_path / "in/test.parquet", memes, schema(id=pa.string()))
    before = sorted(tmp_path.rglob("*"))
    dataset = take(tmp_path / "in")
    assert list(by_id(dataset)) == ids
    written = sorted((dataset.root / "images").iterdir())
    assert len(written) == 6
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(dataset.root)) == before


def test_other_columns_are_kept_and_those_of_bytes_noted(tmp_path: Path) -> None:
    memes = [
        row | {"topic": 1, "blob": b"x", "more": {"a": [1.5]}, "score": float("nan")} for row in rows(0, 1)
    ]
    features = FEATURES | {"topic": {"names": ["chess", "tea"], "_type": "ClassLabel"}}
    how = schema(
        features,
        topic=pa.int64(),
        blob=pa.binary(),
        more=pa.struct([("a", pa.list_(pa.float64()))]),
        score=pa.float64(),
        __index_level_0__=pa.int64(),
    )
    parquet(tmp_path / "in/test.parquet", memes, how)
    dataset = take(tmp_path / "in")
    assert dataset.memes[0].extra == {"topic": "tea", "more": {"a": [1.5]}, "score": None}
    assert "columns that hold bytes were left out: 'blob'" in dataset.info.notes


def test_a_source_that_is_nothing_of_the_kind_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(InputError, match="expected a folder with metadata"):
            take(source)


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
