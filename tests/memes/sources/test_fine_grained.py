import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write


def row(number: int, split: str, hate: str = "not_hateful", **more: Any) -> dict[str, Any]:
    cells = {
        "id": number,
        "set_name": split,
        "img": f"img/{number:05d}.png",
        "text": f"your club sings like a kettle {number}",
        "gold_hate": [hate],
        "gold_pc": ["pc_empty"],
        "gold_attack": ["attack_empty"],
        "pc": "None",
        "attack": "None",
    }
    return cells | more


ODDS = {
    "gold_pc": ["disability", "sex"],
    "gold_attack": ["mocking", "dehumanizing"],
    "pc": [["disability", "sex"], [], ["sex"]],
    "attack": [["mocking"], ["dehumanizing", "mocking"], []],
}
SPLITS = {
    "train": [row(8416, "train"), row(2, "train", "hateful", **ODDS), row(3, "train", "hateful")],
    "dev_seen": [row(4, "dev_seen"), row(5, "dev_seen", "hateful", gold_pc=["religion"])],
    "dev_unseen": [row(5, "dev_unseen", "hateful", gold_pc=["religion"]), row(6, "dev_unseen")],
}


def write_split(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    write(
        folder / f"{split}.json", "".join(json.dumps(cells, separators=(",", ":")) + "\n" for cells in rows)
    )


@pytest.fixture(params=[".", "data/annotations"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The three files, in a folder as people copy them or as the repository has them."""
    for split, rows in SPLITS.items():
        write_split(tmp_path / "in" / request.param, split, rows)
    return tmp_path / "in"


def test_gold_lists_become_categories_and_attack_types(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    memes = by_id(dataset)
    assert memes["08416"].label == Label(harmful=False)
    assert memes["00002"].label == Label(
        harmful=True, protected_categories=("disability", "sex"), attack_types=("mocking", "dehumanizing")
    )
    assert memes["00003"].label == Label(harmful=True)
    assert memes["00002"].extra == {"pc": ODDS["pc"], "attack": ODDS["attack"]}
    assert memes["00003"].extra == {"pc": "None", "attack": "None"}
    assert failures(dataset) == []


def test_splits_keep_their_names_and_share_memes(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert dataset.info.splits == {"train": 3, "dev_seen": 2, "dev_unseen": 2}
    assert dataset.info.roles == {"validation": "dev_seen"}
    assert by_id(dataset)["00005"].extra["also_in"] == ["dev_unseen"]
    assert dataset.info.options["label_version"] == "fine-grained"


def test_a_test_without_gold_labels_comes_in_unlabelled(source: Path, tmp_path: Path) -> None:
    bare = {
        key: value for key, value in row(7, "test_seen").items() if key in ("id", "set_name", "img", "text")
    }
    write_split(source, "test_seen", [bare])
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert [(meme.id, meme.label) for meme in dataset.split("test")] == [("00007", None)]


def test_a_set_name_that_is_not_its_files_is_kept(source: Path, tmp_path: Path) -> None:
    write_split(source, "test_seen", [row(7, "dev_seen")])
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert dataset.split("test_seen")[0].extra["set_name"] == "dev_seen"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(9, "train", gold_hate=[]), "gold_hate: expected a label in train, got none"),
        (row(9, "train", gold_hate=["odd"]), "gold_hate: expected a list of hateful, not_hateful; got \"['odd']\""),
        (row(9, "train", gold_pc=["hats"]), "gold_pc: expected a list of race, religion"),
        (row(9, "train", gold_attack="mocking"), "gold_attack: expected a list of contempt"),
        (row(8416, "train"), "id '08416' is already in"),
    ],
)  # fmt: skip
def test_a_bad_row_fails_with_its_reason(
    source: Path, tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    write_split(source, "train", [*SPLITS["train"], bad])
    ((item, file, line, why),) = failures(import_memes("fhm-fine-grained", source, tmp_path / "out"))
    assert (item, line) == (f"{bad['id']:05d}", 4)
    assert file is not None
    assert file.endswith("train.json")
    assert reason in why


def test_two_gold_labels_for_one_meme_are_a_failure(source: Path, tmp_path: Path) -> None:
    write_split(source, "dev_seen", [row(4, "dev_seen")])
    write_split(source, "dev_unseen", [row(4, "dev_unseen", gold_pc=["race"])])
    ((item, _, _, why),) = failures(import_memes("fhm-fine-grained", source, tmp_path / "out"))
    assert item == "00004"
    assert "has another label here than in dev_seen.json, line 1" in why


def test_pictures_come_from_img(source: Path, tmp_path: Path) -> None:
    draw(source / "img", "08416.png", "00002.png", "00003.png", "00004.png", "00005.png")
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert by_id(dataset)["08416"].image == "images/08416.png"
    assert [item for item, *_ in failures(dataset)] == ["00006"]


def test_a_json_array_in_place_of_json_lines_is_said(tmp_path: Path) -> None:
    write(tmp_path / "in/train.json", json.dumps(SPLITS["train"]))
    with pytest.raises(DataError, match=r"train\.json: one JSON array; expected one JSON object a line"):
        import_memes("fhm-fine-grained", tmp_path / "in", tmp_path / "out")


def test_a_folder_without_any_of_the_files_lists_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of train\.json, dev_seen\.json, dev_unseen\.json"):
        import_memes("fhm-fine-grained", tmp_path, tmp_path / "out")
