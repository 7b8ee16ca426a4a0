"""Bad input ends as a failure or an error that names it; the disk, and a dataset that was there, stay as they were."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mrharm.errors import DataError
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.records import Failure, read_records

KINDS = ("folder", "huggingface", "harm-c")
Snapshot = dict[str, bytes | None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three memes that every kind of `KINDS` takes, with a picture each; a picture outside that must stay there."""
    folder = tmp_path / "work/source"
    (folder / "images").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (9, 9), (number * 90, 9, 9)).save(folder / f"images/m{number}.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "work/secret.png")
    lines(folder, "m0.png", "m1.png", "m2.png")
    return folder


def lines(folder: Path, *images: str) -> None:
    rows = [
        {"id": f"m{n}", "image": image, "text": f"you {n}", "labels": ["not harmful"], "label": n % 2}
        for n, image in enumerate(images)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def everything(folder: Path) -> Snapshot:
    """Every file and folder below, hidden ones too -> what it holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def take(kind: str, source: Path, target: Path) -> list[Failure]:
    options = ImportOptions(validation_share=0, columns={"label": "label"} if kind != "harm-c" else {})
    path = import_memes(kind, source, target, options, overwrite=True).root / "failures.jsonl"
    return list(read_records(path, Failure)) if path.exists() else []


def pack(source: Path, suffix: str) -> Path:
    """The source as an archive beside it."""
    return Path(shutil.make_archive(str(source.parent / "source"), suffix.strip("."), source))


def written(top: Path, before: Snapshot) -> set[str]:
    """The top-most files and folders that were not there before."""
    return {"/".join(Path(name).parts[:2]) for name in everything(top).keys() - before.keys()}


class Touch:
    """Unpickled the usual way, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path, str]]:
        return Path.write_text, (self.marker, "executed")


@pytest.mark.parametrize("name", ["captions.pkl", "harmc_rationale.pickle"])
def test_a_pickle_with_code_is_named_and_nothing_is_run_or_imported(
    source: Path, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "executed"
    data = pickle.dumps({"m0": "a chess board", "m1": Touch(marker)})
    (source / name).write_bytes(data)
    # Over a dataset that is there and into a folder that is not there yet; the disk stays as it was.
    import_memes("folder", source, tmp_path / "work/dataset")
    before = everything(tmp_path)
    for target in ("work/dataset", "work/new"):
        with pytest.raises(
            DataError, match=rf"{name}: not a pickle of plain values \(it wants to load '.*'\)"
        ):
            take("harm-c", source, tmp_path / target)
        assert everything(tmp_path) == before
    pickle.loads(data)  # it is a live one
    assert marker.exists()


CLIMBING = [
    "../secret.png",
    "images/../../secret.png",
    "..\\secret.png",
    "{outside}",
    "C:\\secret.png",
    "m1.png\0..",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLIMBING)
def test_a_row_whose_picture_lies_outside_fails_and_the_others_stay(
    source: Path, tmp_path: Path, kind: str, name: str
) -> None:
    lines(source, "m0.png", name.format(outside=source.parent / "secret.png"), "m2.png")
    before = everything(tmp_path)
    failures = take(kind, source, tmp_path / "work/new")
    assert [(row.item, row.line) for row in failures] == [("m1", 2)]
    assert "leaves the source folder" in failures[0].reason
    assert written(tmp_path, before) == {"work/new"}
    pictures = sorted(path.name for path in (tmp_path / "work/new/images").iterdir())
    assert pictures == ["m0.png", "m2.png"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_row_in_an_archive_that_reaches_out_fails_as_in_a_folder(
    source: Path, tmp_path: Path, suffix: str
) -> None:
    lines(source, "m0.png", "../secret.png", "../../secret.png")
    archive = pack(source, suffix)
    before = everything(tmp_path)
    failures = take("folder", archive, tmp_path / "work/new")
    assert [(row.item, row.line) for row in failures] == [("m1", 2), ("m2", 3)]
    assert all("leaves the source folder" in row.reason for row in failures)
    assert written(tmp_path, before) == {"work/new"}
