import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, failures, write


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
    assert memes["00003"].text == "your club sings like a kettle 3"
    assert failures(dataset) == []


def test_splits_keep_their_names_and_share_memes(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert dataset.info.splits == {"train": 3, "dev_seen": 2, "dev_unseen": 2}
    assert dataset.info.roles == {"validation": "dev_seen"}
    assert by_id(dataset)["00005"].extra["also_in"] == ["dev_unseen"]
    assert dataset.info.options["label_version"] == "fine-grained"


def test_a_set_name_that_is_not_its_files_is_kept(source: Path, tmp_path: Path) -> None:
    write_split(source, "test_seen", [row(7, "dev_seen")])
    dataset = import_memes("fhm-fine-grained", source, tmp_path / "out")
    assert dataset.split("test_seen")[0].extra["set_name"] == "dev_seen"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(9, "train", gold_hate=[]), "gold_hate: expected a label in train, got none"),
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
