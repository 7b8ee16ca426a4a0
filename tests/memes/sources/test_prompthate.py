import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import InputError
from mrharm.memes.importing import import_memes
from mrharm.records import Evidence, Label
from tests.memes.helpers import by_id, draw, failures, write


def row(name: str, label: Any = 0, **more: Any) -> dict[str, Any]:
    cells = {
        "clean_sent": "your club sings",
        "org_sent": "YOUR CLUB\nSINGS!",
        "bert_tokens": [101, 11697, 102],
        "label": label,
        "img": name,
        "race": "unk",
        "entity": "Kettle Choir",
        "ent_tokens": [101, 6319, 102],
        "race_tokens": [101, 4895, 2243, 102],
    }
    return cells | more


TRAIN = [row("covid_memes_5425.png"), row("08795.png", 1, race="Owl Female Owl Male", attack=[0, 0, 1, 0, 0])]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "in/train.json", json.dumps(TRAIN))
    write(tmp_path / "in/test.json", json.dumps([row("27384.png", 1, entity="unk")]))
    return tmp_path / "in"


def test_entities_and_demographics_become_evidence(source: Path, tmp_path: Path) -> None:
    evidence = import_memes("prompthate", source, tmp_path / "out").evidence
    assert evidence["covid_memes_5425"] == Evidence(
        meme_id="covid_memes_5425", entities="Kettle Choir", made_by={"entities": "PromptHate"}
    )
    assert evidence["08795"] == Evidence(
        meme_id="08795",
        entities="Kettle Choir",
        demographics="Owl Female Owl Male",
        made_by={"entities": "PromptHate", "demographics": "PromptHate"},
    )
    assert "27384" not in evidence


def test_labels_texts_and_all_other_keys_are_kept(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("prompthate", source, tmp_path / "out")
    memes = by_id(dataset)
    assert [meme.label for meme in memes.values()] == [
        Label(harmful=harmful) for harmful in (False, True, True)
    ]
    assert memes["08795"].text == "YOUR CLUB\nSINGS!"
    assert memes["08795"].extra == {
        "clean_sent": "your club sings",
        "bert_tokens": [101, 11697, 102],
        "ent_tokens": [101, 6319, 102],
        "race_tokens": [101, 4895, 2243, 102],
        "attack": [0, 0, 1, 0, 0],
    }
    assert memes["27384"].extra["entity"] == memes["27384"].extra["race"] == "unk"
    assert dataset.info.splits["test"] == 1
    assert failures(dataset) == []


@pytest.mark.parametrize("validation", ["dev", "val"])
@pytest.mark.parametrize("folder", [".", "Data", "domain_splits"])
def test_files_named_after_their_dataset_are_found(tmp_path: Path, folder: str, validation: str) -> None:
    for split, name in (("train", "1.png"), (validation, "2.png"), ("test", "3.png")):
        write(tmp_path / "in" / folder / f"harm_{split}.json", json.dumps([row(name)]))
    dataset = import_memes("prompthate", tmp_path / "in", tmp_path / "out")
    assert dataset.info.splits == {"train": 1, "validation": 1, "test": 1}
    assert {meme.id: meme.split for meme in dataset.memes}["2"] == "validation"


def test_files_of_several_datasets_are_not_mixed(source: Path, tmp_path: Path) -> None:
    write(source / "mem_test.json", "[]")
    with pytest.raises(
        InputError, match=r"several datasets \(\(no name\), mem\); name a file of one, such as mem_test\.json"
    ):
        import_memes("prompthate", source, tmp_path / "out")


def test_a_file_stands_for_all_of_its_dataset(source: Path, tmp_path: Path) -> None:
    write(source / "mem_train.json", json.dumps([row("1.png"), row("2.png")]))
    write(source / "mem_test.json", json.dumps([row("3.png")]))
    for file, ids in (
        ("mem_test.json", {"1", "2", "3"}),
        ("train.json", {"covid_memes_5425", "08795", "27384"}),
    ):
        dataset = import_memes("prompthate", source / file, tmp_path / file / "out")
        assert set(by_id(dataset)) == ids


def test_what_is_known_of_a_picture_must_be_text(source: Path, tmp_path: Path) -> None:
    write(source / "test.json", json.dumps([row("27384.png"), "you", row("2.png", entity=5)]))
    assert failures(import_memes("prompthate", source, tmp_path / "out")) == [
        ("test.json:2", "test.json", 2, "expected a JSON object, got str"),
        ("2", "test.json", 3, "entity: expected a string, got '5'"),
    ]


def test_pictures_come_from_img_with_their_evidence(source: Path, tmp_path: Path) -> None:
    draw(source / "img", "covid_memes_5425.png", "08795.png")
    dataset = import_memes("prompthate", source, tmp_path / "out")
    assert by_id(dataset)["08795"].image == "images/08795.png"
    assert dataset.evidence["08795"].entities == "Kettle Choir"
    assert dataset.evidence["08795"].image_sha256
    assert [item for item, *_ in failures(dataset)] == ["27384"]
