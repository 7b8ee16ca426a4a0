import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import InputError
from mrharm.memes.importing import import_memes
from tests.memes.helpers import draw, failures, write_lines


def row(number: int | str, label: int | None = 0, **more: Any) -> dict[str, Any]:
    cells = {"id": number, "img": f"img/{int(number):05d}.png", "text": f"your club {number}"}
    return cells | ({} if label is None else {"label": label}) | more


@pytest.fixture
def phase_1(tmp_path: Path) -> Path:
    folder = tmp_path / "fhm"
    write_lines(folder / "train.jsonl", [row(1235), row("01236", 1), row("37", 1), row(42953)])
    write_lines(folder / "dev.jsonl", [row(2), row(3, 1)])
    write_lines(folder / "test.jsonl", [row(16395, None), row(37405, None)])
    return folder


@pytest.fixture
def phase_2(tmp_path: Path) -> Path:
    folder = tmp_path / "fhm"
    write_lines(folder / "train.jsonl", [row(1235), row(1236, 1)])
    write_lines(folder / "dev_seen.jsonl", [row(2), row(3, 1)])
    write_lines(folder / "dev_unseen.jsonl", [row(3, 1), row(4, 1), row(5)])
    write_lines(folder / "test_seen.jsonl", [row(6), row(7, 1)])
    write_lines(folder / "test_unseen.jsonl", [row(8), row(9, 1), row(10)])
    return folder


def test_phase_1_keeps_its_names_and_validates_on_dev(phase_1: Path, tmp_path: Path) -> None:
    dataset = import_memes("hateful-memes", phase_1, tmp_path / "out")
    assert dataset.info.splits == {"train": 4, "dev": 2, "test": 2}
    assert dataset.info.roles == {"validation": "dev"}
    assert dataset.info.options["label_version"] == "phase 1"
    assert dataset.split("validation") == dataset.split("dev")
    assert [meme.id for meme in dataset.split("train")] == ["01235", "01236", "00037", "42953"]
    assert dataset.memes[0].text == "your club 1235"
    assert [meme.label and meme.label.harmful for meme in dataset.split("train")] == [
        False,
        True,
        True,
        False,
    ]
    assert {meme.label for meme in dataset.split("test")} == {None}
    assert failures(dataset) == []


def test_phase_2_keeps_every_split_whole_under_its_own_name(phase_2: Path, tmp_path: Path) -> None:
    dataset = import_memes("hateful-memes", phase_2, tmp_path / "out")
    assert dataset.info.splits == {
        "train": 2,
        "dev_seen": 2,
        "dev_unseen": 3,
        "test_seen": 2,
        "test_unseen": 3,
    }
    assert dataset.info.roles == {"validation": "dev_seen", "test": "test_seen"}
    assert dataset.info.options["label_version"] == "phase 2"
    assert [meme.id for meme in dataset.split("test")] == ["00006", "00007"]


def test_a_meme_of_both_devs_is_one_record_in_two_splits(phase_2: Path, tmp_path: Path) -> None:
    dataset = import_memes("hateful-memes", phase_2, tmp_path / "out")
    assert [meme.id for meme in dataset.memes].count("00003") == 1
    assert [meme.id for meme in dataset.split("dev_unseen")] == ["00003", "00004", "00005"]
    assert dataset.split("dev_seen")[1].extra["also_in"] == ["dev_unseen"]
    assert failures(dataset) == []


def test_a_label_given_in_one_file_serves_the_meme_in_both(phase_2: Path, tmp_path: Path) -> None:
    write_lines(phase_2 / "test.jsonl", [row(6, None), row(7, None)])
    dataset = import_memes("hateful-memes", phase_2, tmp_path / "out")
    assert [meme.label and meme.label.harmful for meme in dataset.split("test_seen")] == [False, True]
    assert dataset.info.options["label_version"] == "phase 1 and phase 2 files together"


def test_a_meme_of_two_files_keeps_what_both_say_and_its_label_as_the_labelled_one_wrote_it(
    phase_2: Path, tmp_path: Path
) -> None:
    write_lines(phase_2 / "test_seen.jsonl", [row(6, None, a=1), row(7, "1", a=1)])  # type: ignore[arg-type]
    write_lines(phase_2 / "test.jsonl", [row(6, "0", a=2, b=2), row(7, "1", b=2)])  # type: ignore[arg-type]
    six, seven = import_memes("hateful-memes", phase_2, tmp_path / "out").split("test_seen")
    assert six.extra == {"a": 1, "b": 2, "also_in": ["test"], "label_as_given": {"label": "0"}}
    assert seven.extra == {"a": 1, "b": 2, "also_in": ["test"], "label_as_given": {"label": "1"}}
    write_lines(phase_2 / "test_seen.jsonl", [row(6, 0)])
    six = import_memes("hateful-memes", phase_2, tmp_path / "again").split("test_seen")[0]
    assert "label_as_given" not in six.extra


def test_an_unlabelled_test_seen_leaves_the_role_to_a_labelled_split(phase_2: Path, tmp_path: Path) -> None:
    write_lines(phase_2 / "test_seen.jsonl", [row(6, None), row(7, None)])
    assert import_memes("hateful-memes", phase_2, tmp_path / "out").info.roles["test"] == "test_unseen"


def test_two_labels_for_one_meme_are_a_failure_that_names_both_lines(phase_2: Path, tmp_path: Path) -> None:
    write_lines(phase_2 / "dev_unseen.jsonl", [row(4), row(3, 0)])
    reason = "id '00003' has another label here than in dev_seen.jsonl, line 2"
    failed = failures(import_memes("hateful-memes", phase_2, tmp_path / "out"))
    assert failed == [("00003", "dev_unseen.jsonl", 2, reason)]


@pytest.mark.parametrize("other", ["train", "dev_unseen", "test_seen"])
def test_a_meme_that_repeats_or_crosses_from_train_to_test_is_a_failure(
    phase_2: Path, tmp_path: Path, other: str
) -> None:
    twin = {"train": 1235, "dev_unseen": 5, "test_seen": 2}[other]
    with (phase_2 / f"{other}.jsonl").open("a") as file:
        file.write(json.dumps(row(twin)) + "\n")
    failed = failures(import_memes("hateful-memes", phase_2, tmp_path / "out"))
    assert [(item, file) for item, file, _, _ in failed] == [(f"{twin:05d}", f"{other}.jsonl")]
    assert "already" in failed[0][3]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(20) | {"id": "a20"}, "id: expected a number"),
        (row(20) | {"id": True}, "id: expected a number"),
        (row(20, None), "label: expected a label in train, got none"),
        (row(20) | {"text": ["you"]}, "text: expected a string"),
        (row(20) | {"text": " "}, "neither a text nor a picture"),
    ],
)
def test_a_bad_row_fails_with_its_reason(
    phase_1: Path, tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    with (phase_1 / "train.jsonl").open("a") as file:
        file.write(json.dumps(bad) + "\n")
    dataset = import_memes("hateful-memes", phase_1, tmp_path / "out")
    _, _, line, why = failures(dataset)[0]
    assert reason in why
    assert line == 5
    assert len(dataset.split("train")) == 4


def test_pictures_come_from_img_and_a_missing_one_is_named(phase_1: Path, tmp_path: Path) -> None:
    draw(phase_1 / "IMG", *(f"{number:05d}.PNG" for number in (1235, 1236, 37, 2, 3, 16395, 37405)))
    dataset = import_memes("hateful-memes", phase_1, tmp_path / "out")
    assert dataset.split("train")[0].image == "images/01235.png"
    assert [item for item, *_ in failures(dataset)] == ["42953"]


def test_train_alone_gets_a_validation_split(tmp_path: Path) -> None:
    write_lines(tmp_path / "fhm/train.jsonl", [row(number, number % 2) for number in range(1, 41)])
    dataset = import_memes("hateful-memes", tmp_path / "fhm", tmp_path / "out")
    assert dataset.info.splits == {"train": 36, "validation": 4}
    assert dataset.info.roles == {}
    assert dataset.info.options["label_version"] == "unknown"


def test_a_folder_without_any_of_the_files_lists_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of train\.jsonl, dev_seen\.jsonl"):
        import_memes("hateful-memes", tmp_path, tmp_path / "out")
