from pathlib import Path

import pytest

from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write

HEADER = "image_name,sentence,label\n"
TRAIN = (
    '2d5AxL6.png,"your club, it sings\nlike a kettle",offensive\n'
    "88B7ag2.png,your hat,Non-offensiv\n"
    "CkbzAqA.jpg,your other hat,Non-offensive\n"
)


@pytest.fixture(params=[".", "Split Dataset"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The three files side by side, or in their own folder as the drive has them."""
    folder = tmp_path / "in" / request.param
    write(folder / "Training_meme_dataset.csv", HEADER + TRAIN)
    write(folder / "Validation_meme_dataset.csv", HEADER + "Svfe8vm.png,a val hat,Non-offensiv\n")
    write(folder / "Testing_meme_dataset.csv", HEADER + "mrjFNGX.png,a test hat,offensive\n")
    return tmp_path / "in"


def test_offensive_is_harmful_and_spellings_come_back_as_they_were(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("multioff", source, tmp_path / "out")
    memes = by_id(dataset)
    assert memes["2d5AxL6"].label == Label(harmful=True)
    assert memes["88B7ag2"].label == memes["CkbzAqA"].label == Label(harmful=False)
    assert memes["88B7ag2"].extra == {}
    assert memes["CkbzAqA"].extra == {"label_as_given": {"label": "Non-offensive"}}
    assert memes["2d5AxL6"].text == "your club, it sings\nlike a kettle"
    assert dataset.info.splits == {"train": 3, "validation": 1, "test": 1}
    assert failures(dataset) == []


def test_pictures_come_from_labelled_images_and_a_missing_one_is_named(source: Path, tmp_path: Path) -> None:
    draw(source / "Labelled Images", "2d5AxL6.png", "88B7ag2.png", "CkbzAqA.jpg", "Svfe8vm.png")
    dataset = import_memes("multioff", source, tmp_path / "out")
    assert by_id(dataset)["88B7ag2"].image == "images/88B7ag2.png"
    ((item, file, line, why),) = failures(dataset)
    assert (item, line) == ("mrjFNGX", 2)
    assert file is not None
    assert file.endswith("Testing_meme_dataset.csv")
    assert "no picture called 'mrjFNGX.png'" in why
