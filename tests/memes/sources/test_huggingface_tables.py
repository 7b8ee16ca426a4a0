import contextlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes import pictures
from mrharm.memes.sources import huggingface_tables
from tests.memes.helpers import by_id, draw, failures, write
from tests.memes.sources.huggingface_helpers import (
    labels,
    parquet,
    picture,
    rows,
    saved,
    schema,
    splits,
    take,
)


@pytest.mark.parametrize(
    "name", ["default/train/0000.parquet", "train/part.parquet", "my_train.parquet", "training.parquet"]
)
def test_a_split_is_found_in_the_names_of_files_and_folders(tmp_path: Path, name: str) -> None:
    parquet(tmp_path / "in" / name, rows(0, 2))
    assert splits(take(tmp_path / "in")) == {"train-0": "train", "train-1": "train"}


def test_what_save_to_disk_wrote_comes_in(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "in", {"train": rows(0, 5), "validation": rows(5, 2), "extra": rows(6, 2)}, shards=2
    )
    dataset = take(folder)
    assert dataset.info.splits == {"train": 5, "validation": 2, "extra": 2}
    assert [labels(dataset)[f"train-{n}"] for n in range(5)] == [n % 2 == 1 for n in range(5)]
    assert picture(dataset, "train-4") == rows(4, 1)[0]["image"]["bytes"]
    assert len([name for name in dataset.info.sources if name.endswith(".arrow")]) == 6


@pytest.mark.parametrize(("name", "split"), [("test", "test"), (None, "train"), ("train[:80%]", "train")])
def test_a_single_saved_split_comes_in(tmp_path: Path, name: str | None, split: str) -> None:
    folder = saved(tmp_path / "all", {"train": rows(0, 2)}) / "train"
    folder.rename(tmp_path / "in")
    state = json.loads((tmp_path / "in/state.json").read_text())
    write(tmp_path / "in/state.json", json.dumps(state | {"_split": name}))
    assert labels(take(tmp_path / "in")) == {f"{split}-0": False, f"{split}-1": True}


def test_rows_chosen_from_a_saved_dataset_come_in_as_chosen(tmp_path: Path) -> None:
    everything = datasets.load_from_disk(str(saved(tmp_path / "all", {"test": rows(0, 4)})))["test"]
    everything.select([3, 1]).save_to_disk(tmp_path / "in")
    assert [meme.text for meme in take(tmp_path / "in").memes] == ["you 3", "you 1"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dataset_dict.json", "{"),
        ("dataset_dict.json", "[]"),
        ("dataset_dict.json", '{"splits": ["none"]}'),
        ("train/state.json", '{"_data_files": [5]}'),
        ("train/state.json", '{"_data_files": [{"filename": "x.arrow"}]}'),
    ],
)
def test_a_saved_folder_that_is_broken_is_named_with_its_mend(tmp_path: Path, file: str, text: str) -> None:
    folder = saved(tmp_path / "in", {"train": rows(0, 2)})
    write(folder / file, text)
    with pytest.raises(DataError, match=rf"{folder}: broken or cut short .*; download or save it again"):
        take(folder)


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


def test_metadata_in_the_root_takes_splits_from_the_folders_of_pictures(tmp_path: Path) -> None:
    names = ["train/a.png", "train/b.png", "test/a.png"]
    for name in names:
        draw(tmp_path / "in" / Path(name).parent, Path(name).name)
    write(
        tmp_path / "in/metadata.jsonl",
        "".join(json.dumps({"file_name": name, "text": name}) + "\n" for name in names),
    )
    assert {meme.text: meme.split for meme in take(tmp_path / "in").memes} == {
        "train/a.png": "train",
        "train/b.png": "train",
        "test/a.png": "test",
    }


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
    assert "labels are the names of the pictures' folders" in dataset.info.notes
    assert picture(dataset, "test-1") == (tmp_path / "in/test/harmful/a.png").read_bytes()


def test_pictures_in_folders_that_are_no_classes_have_no_labels(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.png", "train/b.png", "test/images/c.png")
    dataset = take(tmp_path / "in")
    assert [(meme.split, meme.label) for meme in dataset.memes] == [
        ("train", None),
        ("test", None),
        ("train", None),
    ]


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


def test_texts_beside_parquet_are_left_alone_and_noted(tmp_path: Path) -> None:
    parquet(tmp_path / "in/train.parquet", rows(0, 1))
    write(tmp_path / "in/raw/train.csv", "text\nyou\n")
    assert "raw/train.csv: skipped, since Parquet files hold the dataset" in take(tmp_path / "in").info.notes


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
    with pytest.raises(InputError, match=r"holds several datasets \(posts\.csv, users\.csv\)"):
        take(tmp_path / "in")


def test_a_split_folder_alone_is_that_split(tmp_path: Path) -> None:
    draw(tmp_path / "test", "a.png")
    write(tmp_path / "test/metadata.csv", "file_name,text\na.png,you\n")
    assert splits(take(tmp_path / "test")) == {"test-0": "test"}


def test_names_that_are_not_utf_8_are_failures(tmp_path: Path) -> None:
    draw(tmp_path / "in/train", "a.png")
    (tmp_path / "in/train/a.png").rename(tmp_path / "in/train" / "caf\udce9.png")
    draw(tmp_path / "in/train", "b.png")
    dataset = take(tmp_path / "in")
    assert len(dataset.memes) == 1
    assert [(item, reason) for item, _, _, reason in failures(dataset)] == [
        ("'train/caf\\udce9.png'", "name is not UTF-8; rename it")
    ]


def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_tables, "ROWS_AT_ONCE", 2)
    read: list[int] = []
    original = pictures.decode

    def decode(data: bytes, name: str) -> Any:
        read.append(pa.total_allocated_bytes())
        return original(data, name)

    monkeypatch.setattr(pictures, "decode", decode)
    big = [row | {"text": "you" * 200_000} for row in rows(0, 12)]
    parquet(tmp_path / "in/test.parquet", big)
    before = pa.total_allocated_bytes()
    take(tmp_path / "in")
    assert len(read) == 12
    assert max(read) - before < 12 * 600_000


def test_a_file_cut_anywhere_is_named_with_its_mend(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in/test.parquet", rows(0, 6))
    data = path.read_bytes()
    for length in [*range(0, len(data), 211), len(data) - 1, len(data) - 8]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"test\.parquet: .*(cut short|broken).*again"):
            take(tmp_path / "in")
        assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_bytes_that_were_changed_never_crash(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in/test.parquet", rows(0, 6))
    data = path.read_bytes()
    for place in range(0, len(data), 97):
        changed = bytes(256 - byte if byte else 255 for byte in data[place : place + 3])
        path.write_bytes(data[:place] + changed + data[place + 3 :])
        with contextlib.suppress(DataError):
            take(tmp_path / "in")


def test_a_git_lfs_pointer_is_told_from_the_file(tmp_path: Path) -> None:
    for name in ("train.parquet", "train.jsonl"):
        path = write(
            tmp_path / "in" / name, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
        )
        with pytest.raises(DataError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
            take(tmp_path / "in")
        path.unlink()


@pytest.fixture
def no_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)


@pytest.mark.usefixtures("no_datasets")
@pytest.mark.parametrize("name", ["train.parquet", "dataset_dict.json", "dataset_infos.json"])
def test_without_the_library_the_extra_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "in/test.csv", "text\nyou\n")
    write(tmp_path / "in" / name, "ARROW1")
    with pytest.raises(InputError, match=r"needs the datasets library: pip install 'mrharm\[huggingface\]'"):
        take(tmp_path / "in")


@pytest.mark.usefixtures("no_datasets")
def test_texts_and_pictures_need_no_library(tmp_path: Path) -> None:
    draw(tmp_path / "in/train", "a.png")
    write(tmp_path / "in/train/metadata.jsonl", '{"file_name": "a.png", "text": "you"}\n')
    write(tmp_path / "in/README.md", "---\nlicense: mit\n---\n")
    assert len(take(tmp_path / "in").memes) == 1


def test_nothing_is_asked_of_a_network_or_run_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*asked: object) -> None:
        raise AssertionError(f"asked the network: {asked}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    script = f"open({str(tmp_path / 'executed')!r}, 'w')"
    for name in ("parquet", "saved"):
        folder = tmp_path / name
        if name == "saved":
            saved(folder, {"train": rows(0, 2)})
        else:
            parquet(folder / "train.parquet", rows(0, 2))
        write(folder / f"{name}.py", script)
        write(
            folder / "README.md", "---\nconfigs: [{data_files: 'https://example.invalid/a.parquet'}]\n---\n"
        )
        assert len(take(folder).memes) == 2
    assert not (tmp_path / "executed").exists()
