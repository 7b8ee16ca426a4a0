import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mrharm.errors import DataError, InputError
from mrharm.memes import arrow, pictures
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write

WHOLE = ImportOptions(validation_share=0)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "image": {"_type": "Image"},
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["not_harmful", "harmful"], "_type": "ClassLabel"},
}


def png(colour: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(out, "PNG")
    return out.getvalue()


def rows(start: int, count: int) -> list[dict[str, Any]]:
    """Memes whose pictures come as bytes, as `datasets` keeps them."""
    return [
        {
            "image": {"bytes": png((n * 20, 9, 9)), "path": f"m{n}.png"},
            "text": f"you {n}",
            "label": n % 2,
        }
        for n in range(start, start + count)
    ]


def schema(features: dict[str, Any] | None = FEATURES, **types: pa.DataType) -> pa.Schema:
    """A schema as `datasets` writes it: its features stand in the metadata."""
    fields = {"image": IMAGE, "text": pa.string(), "label": pa.int64()} | types
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
    return pa.schema([(name, kind) for name, kind in fields.items() if kind], metadata=said)


def parquet(path: Path, values: list[dict[str, Any]], how: pa.Schema | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(values, schema=how or schema()), path, row_group_size=4)
    return path


def stream(path: Path, values: list[dict[str, Any]], how: pa.Schema | None = None) -> Path:
    """An Arrow stream of several batches, as `datasets.ArrowWriter` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(values, schema=how or schema())
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
        for batch in table.to_batches(max_chunksize=2):
            out.write_batch(batch)
    return path


def saved(folder: Path, splits: dict[str, list[list[dict[str, Any]]]]) -> Path:
    """What `DatasetDict.save_to_disk` writes: split -> shards -> rows."""
    write(folder / "dataset_dict.json", json.dumps({"splits": list(splits)}))
    for split, shards in splits.items():
        names = [f"data-{n:05d}-of-{len(shards):05d}.arrow" for n in range(len(shards))]
        for name, shard in zip(names, shards, strict=True):
            stream(folder / split / name, shard)
        state = {"_data_files": [{"filename": name} for name in names], "_split": split, "_fingerprint": "x"}
        write(folder / split / "state.json", json.dumps(state))
        write(folder / split / "dataset_info.json", json.dumps({"features": FEATURES, "splits": {}}))
    return folder


def take(source: Path, **columns: str) -> Dataset:
    options = ImportOptions(validation_share=0, columns=columns)
    return import_memes("huggingface", source, source.parent / "out", options, overwrite=True)


def labels(dataset: Dataset) -> dict[str, bool | None]:
    return {meme.id: meme.label.harmful if meme.label else None for meme in dataset.memes}


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {meme.id: meme.split for meme in dataset.memes}


def picture(dataset: Dataset, meme_id: str) -> bytes:
    path = dataset.image_path(by_id(dataset)[meme_id])
    assert path is not None
    return path.read_bytes()


# Parquet


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


@pytest.mark.parametrize(
    "name", ["default/train/0000.parquet", "train/part.parquet", "my_train.parquet", "training.parquet"]
)
def test_a_split_is_found_in_the_names_of_files_and_folders(tmp_path: Path, name: str) -> None:
    parquet(tmp_path / "in" / name, rows(0, 2))
    assert splits(take(tmp_path / "in")) == {"train-0": "train", "train-1": "train"}


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
    assert failures(dataset) == [("7", "test.parquet", 3, "id '7' stands in test.parquet, line 1, already")]
    assert sorted(path.name for path in (dataset.root / "images").iterdir()) == ["7.png", "8.png"]


def test_a_label_that_is_not_a_number_is_none(tmp_path: Path) -> None:
    values = [row | {"label": label} for row, label in zip(rows(0, 3), [0.0, 1.0, float("nan")], strict=True)]
    parquet(tmp_path / "in/test.parquet", values, schema(None, label=pa.float64()))
    assert list(labels(take(tmp_path / "in")).values()) == [False, True, None]


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
        "---\ndataset_info:\n  features: [5, {name: 3}, {name: label, dtype: {class_label: {names: {a: b}}}}]\n---\n",
    ],
)
def test_an_odd_card_says_nothing(tmp_path: Path, card: str) -> None:
    write(tmp_path / "in/README.md", card)
    write(tmp_path / "in/train.csv", "text,label\nyou,0\n")
    dataset = take(tmp_path / "in")
    assert (dataset.info.licence, labels(dataset)) == ("not stated", {"train-0": False})


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


def test_a_picture_struct_without_bytes_is_its_path(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.png")
    memes = [
        {"image": {"bytes": None, "path": "a.png"}, "text": "you", "label": 0},
        {"image": None, "text": "me", "label": 0},
    ]
    parquet(tmp_path / "in/test.parquet", memes)
    dataset = take(tmp_path / "in")
    assert [meme.image for meme in dataset.memes] == ["images/test-0.png", None]


def test_paths_whose_pictures_did_not_come_along_leave_texts(tmp_path: Path) -> None:
    memes = [{"image": {"bytes": None, "path": "/home/you/a.png"}, "text": "you", "label": 0}]
    parquet(tmp_path / "in/test.parquet", memes)
    dataset = take(tmp_path / "in")
    assert [(meme.text, meme.image) for meme in dataset.memes] == [("you", None)]
    assert any("none of the pictures it names came with the source" in note for note in dataset.info.notes)


def test_pictures_may_be_bytes_alone_in_a_column_of_any_name(tmp_path: Path) -> None:
    memes = [{"meme": png("red"), "text": "you", "label": 0}]
    parquet(tmp_path / "in/test.parquet", memes, schema(None, image=None, meme=pa.large_binary()))
    assert picture(take(tmp_path / "in", image="meme"), "test-0") == png("red")
    parquet(
        tmp_path / "in/test.parquet",
        memes,
        schema({"meme": {"_type": "Image"}}, image=None, meme=pa.binary()),
    )
    assert picture(take(tmp_path / "in"), "test-0") == png("red")


def test_a_meme_of_a_picture_alone_comes_in(tmp_path: Path) -> None:
    parquet(tmp_path / "in/test.parquet", [row | {"text": None} for row in rows(0, 1)])
    assert take(tmp_path / "in").memes[0].text is None


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


def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "ROWS_AT_ONCE", 2)
    read: list[int] = []
    original = pictures.decode

    def decode(data: bytes, name: str) -> Any:
        read.append(pa.total_allocated_bytes())
        return original(data, name)

    monkeypatch.setattr(pictures, "decode", decode)
    big = [row | {"text": "you" * 200_000} for row in rows(0, 12)]
    stream(tmp_path / "in/train.arrow", big)
    parquet(tmp_path / "in/test.parquet", big)
    before = pa.total_allocated_bytes()
    take(tmp_path / "in")
    assert len(read) == 24
    assert max(read) - before < 12 * 600_000


# Broken files


@pytest.mark.parametrize("name", ["test.parquet", "test.arrow"])
def test_a_file_cut_anywhere_is_named_with_its_mend(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name
    (parquet if path.suffix == ".parquet" else stream)(path, rows(0, 6))
    data = path.read_bytes()
    for length in [*range(0, len(data), 211), len(data) - 1, len(data) - 8]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=rf"{name}: .*(cut short|broken).*again"):
            take(tmp_path / "in")
        assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_bytes_that_were_changed_never_crash(tmp_path: Path) -> None:
    for name, make in (("test.parquet", parquet), ("test.arrow", stream)):
        path = make(tmp_path / "in" / name, rows(0, 6))
        data = path.read_bytes()
        for place in range(0, len(data), 97):
            path.write_bytes(
                data[:place]
                + bytes(256 - byte if byte else 255 for byte in data[place : place + 3])
                + data[place + 3 :]
            )
            try:
                take(tmp_path / "in")
            except DataError as error:
                assert name in str(error)
        path.unlink()


def test_a_git_lfs_pointer_is_told_from_the_file(tmp_path: Path) -> None:
    for name in ("train.parquet", "train.arrow", "train.jsonl"):
        path = write(
            tmp_path / "in" / name, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
        )
        with pytest.raises(DataError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
            take(tmp_path / "in")
        path.unlink()


@pytest.fixture
def no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    yield


@pytest.mark.usefixtures("no_pyarrow")
def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    write(tmp_path / "in/train.parquet", "PAR1")
    with pytest.raises(InputError, match=r"needs pyarrow: pip install 'mrharm\[parquet\]'"):
        take(tmp_path / "in")


@pytest.mark.usefixtures("no_pyarrow")
def test_texts_and_pictures_need_no_pyarrow(tmp_path: Path) -> None:
    draw(tmp_path / "in/train", "a.png")
    write(tmp_path / "in/train/metadata.jsonl", '{"file_name": "a.png", "text": "you"}\n')
    assert len(take(tmp_path / "in").memes) == 1


# save_to_disk


def test_what_save_to_disk_wrote_comes_in(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "in",
        {"train": [rows(0, 3), rows(3, 2)], "validation": [rows(5, 1)], "extra": [rows(6, 1)]},
    )
    dataset = take(folder)
    assert splits(dataset) == {
        **{f"train-{n}": "train" for n in range(5)},
        "validation-0": "validation",
        "extra-0": "extra",
    }
    assert labels(dataset) == {
        **{f"train-{n}": n % 2 == 1 for n in range(5)},
        "validation-0": True,
        "extra-0": False,
    }
    assert picture(dataset, "train-4") == rows(4, 1)[0]["image"]["bytes"]


@pytest.mark.parametrize(
    ("said", "split"), [("test", "test"), (None, "train"), ("train[:80%]", "train"), (5, "train")]
)
def test_a_single_saved_split_comes_in(tmp_path: Path, said: Any, split: str) -> None:
    folder = tmp_path / "in"
    stream(folder / "data-00000-of-00001.arrow", rows(0, 2), schema(None))
    write(folder / "dataset_info.json", json.dumps({"features": FEATURES}))
    write(
        folder / "state.json",
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": said}),
    )
    assert labels(take(folder)) == {f"{split}-0": False, f"{split}-1": True}


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("dataset_dict.json", "{", "not JSON"),
        ("dataset_dict.json", "[]", "expected a JSON object"),
        ("dataset_dict.json", '{"splits": "train"}', "splits: expected a list"),
        ("dataset_dict.json", '{"splits": ["../train"]}', "leaves the source folder"),
        ("dataset_dict.json", '{"splits": ["none"]}', r"none/state\.json: cannot be read"),
        ("train/state.json", '{"_data_files": []}', "_data_files: expected a list"),
        ("train/state.json", '{"_data_files": [5]}', r"_data_files\[0\]: expected a file name"),
        ("train/state.json", '{"_data_files": [{"filename": "../../x.arrow"}]}', "leaves the source folder"),
        ("train/state.json", '{"_data_files": [{"filename": "x.arrow"}]}', r"x\.arrow: not there"),
        (
            "train/state.json",
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_data_files": [{}]}',
            "save it again",
        ),
    ],
)
def test_a_saved_folder_that_is_not_whole_is_named(tmp_path: Path, file: str, text: str, why: str) -> None:
    folder = saved(tmp_path / "in", {"train": [rows(0, 2)]})
    write(folder / file, text)
    with pytest.raises(DataError, match=why):
        take(folder)


def test_an_arrow_file_with_a_table_of_contents_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table = pa.Table.from_pylist(rows(0, 5), schema=schema())
    with pa.OSFile(str(tmp_path / "in/test.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
        for batch in table.to_batches(max_chunksize=2):
            out.write_batch(batch)
    assert list(labels(take(tmp_path / "in")).values()) == [False, True, False, True, False]


# Pictures as files


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_metadata_beside_pictures_in_folders_a_split(tmp_path: Path, suffix: str) -> None:
    for split in ("train", "validation", "test"):
        draw(tmp_path / "in" / split, "a.png", "b.png")
        memes = [
            {"file_name": f"{name}.png", "text": f"{split} {name}", "label": n} for n, name in enumerate("ab")
        ]
        path = tmp_path / "in" / split / f"metadata.{suffix}"
        if suffix == "jsonl":
            write(path, "".join(json.dumps(meme) + "\n" for meme in memes))
        elif suffix == "csv":
            write(
                path,
                "".join(
                    ",".join(map(str, line)) + "\n" for line in [memes[0], *(meme.values() for meme in memes)]
                ),
            )
        else:
            parquet(path, memes, schema(None, image=None, file_name=pa.string()))
    dataset = take(tmp_path / "in")
    assert dataset.info.splits == {"test": 2, "train": 2, "validation": 2}
    assert labels(dataset)["validation-1"] is True
    assert picture(dataset, "validation-1") == (tmp_path / "in/validation/b.png").read_bytes()
    assert by_id(dataset)["validation-1"].text == "validation b"
    assert not any("taken as image" in note for note in dataset.info.notes)


def test_metadata_in_the_root_names_pictures_below(tmp_path: Path) -> None:
    draw(tmp_path / "in/pics", "a.png")
    draw(tmp_path, "secret.png")
    names = ["pics/a.png", "pics/none.png", "../secret.png", f"{tmp_path}/secret.png", "C:\\secret.png"]
    write(
        tmp_path / "in/metadata.jsonl",
        "".join(json.dumps({"file_name": name, "text": "you"}) + "\n" for name in names),
    )
    dataset = take(tmp_path / "in")
    assert [meme.image for meme in dataset.memes] == ["images/train-0.png"]
    assert ["leaves the source folder" in reason for *_, reason in failures(dataset)] == [
        False,
        True,
        True,
        True,
    ]


def test_metadata_in_two_formats_is_refused(tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        write(tmp_path / f"in/metadata.{suffix}", "")
    with pytest.raises(InputError, match=r"metadata\.csv and metadata\.jsonl may hold the same rows"):
        take(tmp_path / "in")


def test_folders_of_pictures_are_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("harmful", "not_harmful", "glum"):
            draw(tmp_path / "in" / split / name, "a.png")
    dataset = take(tmp_path / "in")
    assert labels(dataset) == {"test-1": True, "test-2": False, "train-1": True, "train-2": False}
    assert [(item, file) for item, file, _, _ in failures(dataset)] == [
        ("test/glum/a.png:0", "test/glum/a.png"),
        ("train/glum/a.png:0", "train/glum/a.png"),
    ]
    assert "labels are the names of the folders that the pictures lie in" in dataset.info.notes
    assert picture(dataset, "test-1") == (tmp_path / "in/test/harmful/a.png").read_bytes()


def test_pictures_without_classes_have_no_labels(tmp_path: Path) -> None:
    draw(tmp_path / "in/train/images", "a.png")
    draw(tmp_path / "in/test_images", "b.png")
    assert labels(take(tmp_path / "in")) == {"test-0": None, "train-0": None}


# Files a split


def test_the_default_layout_is_a_file_a_split(tmp_path: Path) -> None:
    draw(tmp_path / "in/img", "1.png", "2.png")
    write(
        tmp_path / "in/train.jsonl", '{"id": 1, "img": "img/1.png", "text": "you", "label": 1}\n{"id": "cut'
    )
    write(tmp_path / "in/test.csv", "id,img,text,label\n2,img/2.png,me,0\n3,img/3.png,me,0\n")
    write(tmp_path / "in/dev_seen.json", '[{"id": 4, "img": "img/1.png", "text": "us", "label": 0}]')
    write(tmp_path / "in/notes.txt", "x")
    dataset = take(tmp_path / "in")
    assert splits(dataset) == {"1": "train", "2": "test", "4": "dev_seen"}
    assert labels(dataset) == {"1": True, "2": False, "4": False}
    assert [(file, line) for _, file, line, _ in failures(dataset)] == [("train.jsonl", 2), ("test.csv", 3)]


def test_columns_are_taken_as_told(tmp_path: Path) -> None:
    write(tmp_path / "in/train.csv", "words,bad,whom\nyou,1,club\n")
    dataset = take(tmp_path / "in", text="words", label="bad", targets="whom")
    assert dataset.memes[0].label == Label(harmful=True, targets=("club",))
    with pytest.raises(InputError, match=r"train\.csv has only 'words', 'bad', 'whom'"):
        take(tmp_path / "in", text="none")


def test_texts_beside_parquet_are_left_alone_and_noted(tmp_path: Path) -> None:
    parquet(tmp_path / "in/train.parquet", rows(0, 1))
    write(tmp_path / "in/raw/train.csv", "text\nyou\n")
    assert (
        "raw/train.csv: left alone, since Parquet or Arrow files hold the dataset"
        in take(tmp_path / "in").info.notes
    )


def test_rows_that_may_come_in_twice_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "in/train.csv", "text\nyou\n")
    write(tmp_path / "in/train.jsonl", '{"text": "you"}\n')
    with pytest.raises(InputError, match=r"train\.csv and train\.jsonl may hold the same rows"):
        take(tmp_path / "in")


def test_several_datasets_in_one_folder_must_be_told_apart(tmp_path: Path) -> None:
    for name in ("chess/train.csv", "tea/train.csv"):
        write(tmp_path / "in" / name, "text\nyou\n")
    with pytest.raises(InputError, match=r"holds several datasets \(chess, tea\); import the folder of one"):
        take(tmp_path / "in")
    assert len(take(tmp_path / "in/chess").memes) == 1
    for name in ("chess-train", "tea-train"):
        parquet(tmp_path / f"too/data/{name}-00000-of-00001.parquet", rows(0, 1))
    with pytest.raises(InputError, match=r"holds several datasets \(chess, tea\)"):
        take(tmp_path / "too")


def test_files_that_name_no_split_must_be_told_apart(tmp_path: Path) -> None:
    for name in ("posts.csv", "users.csv"):
        write(tmp_path / "in" / name, "text\nyou\n")
    with pytest.raises(InputError, match=r"none of posts\.csv, users\.csv says which split it is"):
        take(tmp_path / "in")


def test_a_split_folder_alone_is_that_split(tmp_path: Path) -> None:
    draw(tmp_path / "test", "a.png")
    write(tmp_path / "test/metadata.csv", "file_name,text\na.png,you\n")
    assert splits(take(tmp_path / "test")) == {"test-0": "test"}


def test_a_source_that_is_nothing_of_the_kind_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(InputError, match="expected a folder with metadata"):
            take(source)


def test_names_that_are_not_utf_8_are_failures(tmp_path: Path) -> None:
    draw(tmp_path / "in/train", "a.png")
    (tmp_path / "in/train/a.png").rename(tmp_path / "in/train" / "caf\udce9.png")
    draw(tmp_path / "in/train", "b.png")
    dataset = take(tmp_path / "in")
    assert len(dataset.memes) == 1
    assert [(item, reason) for item, _, _, reason in failures(dataset)] == [
        ("'train/caf\\udce9.png'", "name is not UTF-8; rename it")
    ]
