from pathlib import Path

import pytest

from mrharm.memes.dataset import Dataset
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write

HEADER = "file_name\tmisogynous\tshaming\tstereotype\tobjectification\tviolence\tText Transcription\n"
TRAIN = (
    "1.jpg\t0\t0\t0\t0\t0\tyour club sings like a kettle imgflip.com\n"
    "10.jpg\t1\t0\t1\t0\t1\tyou, why the owl\n"
    "20.jpg\t1\t0\t0\t0\t0\t\"YOUR CLUB\nSINGS \"\"WELL\"\"\"\n"
    "30.jpg\t0\t1\t0\t0\t0\tyour hat\n"
    "40.jpg\t1\t1\t0\t0\t0\t\"your kettle\n"
    "50.jpg\t0\t0\t0\t0\t0\tyour other kettle\n"
)  # fmt: skip
TEST = "file_name\tText Transcription\n15236.jpg\tyou and your club\n15237.jpg\tyou alone\n"
LABELS = "15236.jpg\t1\t1\t0\t0\t1\n15237.jpg\t0\t0\t0\t0\t0\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As the archives unpack: each split with its file, the test's labels apart."""
    folder = tmp_path / "in"
    write(folder / "TRAINING/training.csv", HEADER + TRAIN)
    write(folder / "test/Test.csv", TEST)
    write(folder / "test_labels.txt", LABELS)
    return folder


def load(source: Path, tmp_path: Path) -> Dataset:
    return import_memes("mami", source, tmp_path / "out")


def test_misogynous_is_harmful_and_its_kinds_are_attack_types(source: Path, tmp_path: Path) -> None:
    memes = by_id(load(source, tmp_path))
    assert memes["1"].label == Label(harmful=False)
    assert memes["10"].label == Label(harmful=True, attack_types=("stereotype", "violence"))
    assert memes["20"].label == Label(harmful=True)
    assert memes["30"].label == Label(harmful=False, attack_types=("shaming",))  # kept as it came
    assert memes["10"].extra == {}


def test_test_rows_get_their_labels_by_name(source: Path, tmp_path: Path) -> None:
    dataset = load(source, tmp_path)
    assert [(meme.id, meme.text, meme.label) for meme in dataset.split("test")] == [
        ("15236", "you and your club", Label(harmful=True, attack_types=("shaming", "violence"))),
        ("15237", "you alone", Label(harmful=False)),
    ]
    assert set(dataset.info.sources) == {"TRAINING/training.csv", "test/Test.csv", "test_labels.txt"}
    assert failures(dataset) == []


def test_without_its_labels_the_test_comes_in_unlabelled(source: Path, tmp_path: Path) -> None:
    (source / "test_labels.txt").unlink()
    dataset = load(source, tmp_path)
    assert [meme.label for meme in dataset.split("test")] == [None, None]
    assert "no test_labels.txt: no test meme has a label" in dataset.info.notes


def test_labels_of_no_test_row_wrong_and_repeated_ones_are_failures(source: Path, tmp_path: Path) -> None:
    more = "99999.jpg\t1\t0\t0\t0\t0\n15236.jpg\t0\t0\t0\t0\t0\n15237.jpg\t1\n"
    write(source / "test_labels.txt", LABELS.replace("15237.jpg\t0", "15237.jpg\tx") + more)
    dataset = load(source, tmp_path)
    assert failures(dataset) == [
        ("test_labels.txt:5", "test_labels.txt", 5, "2 cells, but the header has 6"),
        ("15237", "test_labels.txt", 2, "misogynous: expected 0 or 1, got 'x'"),
        ("99999", "test_labels.txt", 3, "'99999.jpg' is not in Test.csv"),
        ("15236", "test_labels.txt", 4, "'15236.jpg' is labelled in line 1, already"),
    ]
    assert [meme.label is None for meme in dataset.split("test")] == [False, True]
    assert "test_labels.txt: no label for 1 test memes" in dataset.info.notes


def test_labels_without_their_test_are_left_alone(source: Path, tmp_path: Path) -> None:
    (source / "test/Test.csv").unlink()
    dataset = load(source, tmp_path)
    assert "no Test.csv: no test meme has a label" in dataset.info.notes
    assert failures(dataset) == []


def test_a_repeated_test_row_fails_and_the_first_has_the_label(source: Path, tmp_path: Path) -> None:
    write(source / "test/Test.csv", TEST + "15237.jpg\tyou again\n")
    dataset = load(source, tmp_path)
    assert [(item, line) for item, _, line, _ in failures(dataset)] == [("15237", 4)]
    assert by_id(dataset)["15237"].label == Label(harmful=False)


@pytest.mark.parametrize("places", [("TRAINING", "test"), ("images", "images"), (".", ".")])
def test_pictures_lie_beside_their_file_or_in_a_folder(
    source: Path, tmp_path: Path, places: tuple[str, str]
) -> None:
    draw(source / places[0], "1.jpg", "10.JPG", "20.png", "30.jpg", "50.jpg")
    draw(source / places[1], "15236.jpg", "15237.jpg")
    dataset = load(source, tmp_path)
    assert all(meme.image for meme in dataset.memes)
    ((item, file, line, why),) = failures(dataset)
    assert (item, file, line) == ("40", "TRAINING/training.csv", 7)
    assert "no picture called 'TRAINING/40.jpg'" in why
