import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import draw, failures, write_lines

HARM_C = Path(__file__).parents[3] / "shared/data/harm-c"

# Made-up rows in the exact layout, with every oddity the real files have.
TRAIN = [
    {"id": "c_1", "image": "c_1.png", "labels": ["not harmful"], "text": "You and the chess club\n"},
    {"id": "c_2", "image": "c_2.png", "labels": ["somewhat harmful", "individual"], "text": "You lose"},
    {"id": "c_3", "image": "c_3.png", "labels": ["very harmful", "organization", "society"], "text": "Bad club"},
    {"id": "c_4", "image": "c_4.png", "labels": ["not harmful", "community"], "text": "Nice club"},
    {"id": "c_5", "image": "c_5.png", "labels": ["very harmful"], "text": "Very bad club"},
    {"id": "c_6", "image": "c_6.png", "labels": ["", "individual"], "text": "Hm"},
    {"id": "c_7", "image": "c_7.png", "labels": ["quite harmful"], "text": "Hm"},
    {"id": "c_8", "image": "c_8.png", "labels": [], "text": "Hm"},
    {"image": "c_9.png", "labels": ["not harmful"], "text": "No id"},
    {"id": "c_1", "image": "c_1.png", "labels": ["not harmful"], "text": "Twice"},
]  # fmt: skip
VAL = [{"id": "c_20", "image": "c_20.png", "labels": ["not harmful"], "text": "A val club"}]
TEST = [
    {
        "id": "c_30",
        "image": "c_30.png",
        "labels": ["very harmful", "society"],
        "text": "A test",
    }
]


@pytest.fixture
def harm_c(tmp_path: Path) -> Path:
    folder = tmp_path / "harm-c"
    for name, rows in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        write_lines(folder / f"{name}.jsonl", rows)
    return folder


def test_severities_and_targets_are_kept_as_they_came(harm_c: Path, tmp_path: Path) -> None:
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    labels = {meme.id: meme.label for meme in dataset.memes}
    assert labels["c_1"] == Label(harmful=False, severity="none")
    assert labels["c_2"] == Label(harmful=True, severity="somewhat", targets=("individual",))
    assert labels["c_3"] == Label(harmful=True, severity="very", targets=("organization", "society"))
    assert labels["c_4"] == Label(harmful=False, severity="none", targets=("community",))
    assert labels["c_5"] == Label(harmful=True, severity="very")
    assert "c_9" in labels  # without an id, it is called as its picture
    assert dataset.memes[1].text == "You lose"
    assert dataset.info.splits == {"train": 8, "validation": 1, "test": 1}


def test_a_meme_without_a_severity_is_unlabelled_and_keeps_what_stood_there(
    harm_c: Path, tmp_path: Path
) -> None:
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    unlabelled = {meme.id: meme.extra for meme in dataset.memes if meme.label is None}
    assert unlabelled == {
        "c_6": {"label_as_given": {"labels": ["", "individual"]}},
        "c_8": {"label_as_given": {"labels": []}},
    }


def test_an_unknown_severity_and_a_repeated_id_fail_by_line(harm_c: Path, tmp_path: Path) -> None:
    severity, repeat = failures(import_memes("harm-c", harm_c, tmp_path / "out"))
    assert severity[:3] == ("c_7", "train.jsonl", 7)
    assert "got 'quite harmful'" in severity[3]
    assert repeat == ("c_1", "train.jsonl", 10, "id 'c_1' is already in train.jsonl, line 1")


def test_without_pictures_all_memes_are_texts_and_that_is_said_once(harm_c: Path, tmp_path: Path) -> None:
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert {meme.image for meme in dataset.memes} == {None}
    assert len([note for note in dataset.info.notes if "no pictures came" in note]) == 1
    assert not (dataset.root / "images").exists()


@pytest.mark.parametrize("place", ["images", "."])
def test_with_pictures_a_missing_one_leaves_its_meme_out(harm_c: Path, tmp_path: Path, place: str) -> None:
    draw(harm_c / place, *(str(row["image"]) for row in [*TRAIN[:8], *VAL]))
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert all(meme.image for meme in dataset.memes)
    reasons = {(item, file, line): reason for item, file, line, reason in failures(dataset)}
    assert "no picture called 'c_30.png'" in reasons["c_30", "test.jsonl", 1]
    assert dataset.info.splits == {"train": 7, "validation": 1}


def test_annotations_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    write_lines(tmp_path / "in/Annotations/train.jsonl", TRAIN[:5])
    write_lines(tmp_path / "in/Annotations/test.jsonl", TEST)
    dataset = import_memes("harm-c", tmp_path / "in", tmp_path / "out")
    assert dataset.info.splits["test"] == 1
    assert "Annotations/train.jsonl" in dataset.info.sources
    assert {meme.split for meme in dataset.memes} == {"train", "validation", "test"}


def test_a_source_that_is_no_such_folder_says_what_is_expected(harm_c: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (None, harm_c / "train.jsonl", tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(InputError, match=r"train\.jsonl, val\.jsonl and test\.jsonl"):
            import_memes("harm-c", source, tmp_path / "out")


@pytest.fixture
def harm_p_v0(tmp_path: Path) -> Path:
    """Six train rows that hold four memes; one of two test rows is in train too."""
    folder = tmp_path / "harm-p"

    def row(number: int) -> dict[str, Any]:
        severity = "somewhat harmful" if number % 2 else "not harmful"
        return {
            "id": f"memes_{number}",
            "image": f"memes_{number}.png",
            "labels": [severity],
            "text": f"party {number}",
        }

    write_lines(folder / "train.jsonl", [row(number) for number in (1, 2, 3, 4, 1, 2)])
    write_lines(folder / "val.jsonl", [row(5)])
    write_lines(folder / "test.jsonl", [row(4), row(6)])
    (folder / "captions.json").write_text(json.dumps({"memes_4": "a stage"}))
    return folder


def test_harm_p_v0_is_refused_with_what_was_found(harm_p_v0: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"V0.*6 train rows hold 4 memes, and 1 of 2 test rows are also in train.*--allow-v0"
    ):
        import_memes("harm-p", harm_p_v0, tmp_path / "out")


def test_harm_p_v0_let_in_keeps_every_row_and_tells_copies_apart(harm_p_v0: Path, tmp_path: Path) -> None:
    dataset = import_memes("harm-p", harm_p_v0, tmp_path / "out", ImportOptions(allow_v0=True))
    train = [meme.id for meme in dataset.split("train")]
    assert train == ["memes_1", "memes_2", "memes_3", "memes_4#2", "memes_1#2", "memes_2#2"]
    assert [meme.id for meme in dataset.split("test")] == ["memes_4", "memes_6"]
    assert {meme.extra.get("copy_of") for meme in dataset.split("train")} == {
        None,
        "memes_1",
        "memes_2",
        "memes_4",
    }
    assert {key: row.caption for key, row in dataset.evidence.items()} == {
        "memes_4": "a stage",
        "memes_4#2": "a stage",
    }
    assert any("V0 let in: 3 rows" in note for note in dataset.info.notes)


def test_harm_p_v1_needs_no_permission(harm_p_v0: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (harm_p_v0 / "train.jsonl").read_text().splitlines()]
    write_lines(harm_p_v0 / "train.jsonl", rows[:3])
    assert import_memes("harm-p", harm_p_v0, tmp_path / "out").info.splits == {
        "train": 3,
        "validation": 1,
        "test": 2,
    }


@pytest.mark.parametrize("place", [".", "Annotations", "annotations/Harm-P", "HarMeme_V1/Annotations/Harm-P"])
def test_harm_p_v1_is_found_by_its_own_names_and_goes_before_v0(
    harm_p_v0: Path, tmp_path: Path, place: str
) -> None:
    for split, rows in (("train", TRAIN[:5]), ("val", VAL), ("test", TEST)):
        write_lines(harm_p_v0 / place / f"{split}_v1.jsonl", rows)
    (harm_p_v0 / place / "harmp_rationale.json").write_text('{"c_1": "why"}')
    dataset = import_memes("harm-p", harm_p_v0, tmp_path / "out")
    assert dataset.info.splits == {"train": 5, "validation": 1, "test": 1}
    assert dataset.rationales["c_1"].text == "why"
    assert not any(name.endswith("train.jsonl") for name in dataset.info.sources)


@pytest.mark.skipif(not HARM_C.is_dir(), reason="../shared/data/harm-c is not here")
def test_the_real_harm_c_comes_in_whole(tmp_path: Path) -> None:
    dataset = import_memes("harm-c", HARM_C, tmp_path / "out")
    assert dataset.info.splits == {"train": 3013, "validation": 177, "test": 354}
    assert len(dataset.evidence) == 3544
    assert len(dataset.rationales) == 3190
    assert failures(dataset) == []
    severities = Counter(meme.label.severity for meme in dataset.split("test") if meme.label)
    assert severities == {"none": 230, "somewhat": 103, "very": 21}
