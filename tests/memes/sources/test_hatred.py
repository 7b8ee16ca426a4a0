import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import InputError
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write, write_lines


def fhm(number: int, label: int) -> dict[str, Any]:
    return {"id": number, "img": f"img/{number:05d}.png", "label": label, "text": f"your club {number}"}


def reason(number: int, target: list[Any], reasonings: list[Any], **more: Any) -> dict[str, Any]:
    return {"id": number, "img": f"{number:05d}.png", "target": target, "reasonings": reasonings, **more}


TRAIN = [
    reason(8, ["the kettles"], ["mocks the kettles for how they sing."]),
    reason(9, [None, "the owls", "the owls"], [" ", "mocks the owls for their hats.", "mocks owls."]),
    reason(777, ["the owls"], ["mocks owls of another file."]),
    reason(10, ["the owls"], ["", None]),
]
TEST = [reason(20, [None], ["mocks you."])]


@pytest.fixture(params=["beside", "below"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """HatReD as its repository has it, and FHM beside or in a subfolder."""
    root = tmp_path / "in"
    place = root if request.param == "beside" else root / "hateful_memes"
    write_lines(place / "train.jsonl", [fhm(8, 1), fhm(9, 1), fhm(10, 1), fhm(11, 0)])
    write_lines(place / "dev_seen.jsonl", [fhm(20, 1), fhm(21, 0)])
    annotations = root / ("." if request.param == "beside" else "datasets/hatred/annotations")
    write_lines(annotations / "fhm_train_reasonings.jsonl", TRAIN)
    write_lines(annotations / "fhm_test_reasonings.jsonl", TEST)
    return root


def test_reasons_are_joined_to_their_memes_by_id(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("hatred", source, tmp_path / "out")
    rationale = dataset.rationales["00008"]
    assert rationale.text == "mocks the kettles for how they sing."
    assert (rationale.teacher, rationale.status) == ("people", "unchecked")
    assert rationale.label_given == Label(harmful=True, targets=("the kettles",))
    memes = by_id(dataset)
    assert memes["00008"].label == rationale.label_given
    assert memes["00008"].extra == {"gold_rationales": ["mocks the kettles for how they sing."]}
    assert set(dataset.rationales) == {"00008", "00009", "00020"}
    assert "1 reasons match no meme in FHM's files here and were skipped" in dataset.info.notes

    # Every reason is kept, and the first that is not blank is the rationale; targets once each.
    assert memes["00009"].label == Label(harmful=True, targets=("the owls",))
    assert memes["00009"].extra == {
        "gold_rationales": [" ", "mocks the owls for their hats.", "mocks owls."],
        "label_as_given": {"label": 1, "target": [None, "the owls", "the owls"]},
    }
    assert dataset.rationales["00009"].text == "mocks the owls for their hats."

    # A meme without a reason stays as it is.
    assert (memes["00011"].label, memes["00011"].extra) == (Label(harmful=False), {})
    assert memes["00011"].text == "your club 11"
    assert dataset.info.splits == {"train": 4, "dev_seen": 2}
    assert dataset.info.options["label_version"] == "phase 2"
    assert {meme.source for meme in dataset.memes} == {"hatred"}


def test_peoples_reasons_go_before_recorded_rationales(source: Path, tmp_path: Path) -> None:
    place = next(source.rglob("train.jsonl")).parent
    write(place / "FHM_rationale.json", json.dumps({"00008": "a teacher's", "00010": "a teacher's"}))
    import_memes("hatred", source, tmp_path / "out")
    written = [json.loads(line) for line in (tmp_path / "out/rationales.jsonl").read_text().splitlines()]
    assert {row["meme_id"]: row["teacher"] for row in written} == {
        "00008": "people",
        "00009": "people",
        "00010": "recorded",
        "00020": "people",
    }
    assert len(written) == 4


def test_empty_broken_and_repeated_reasons_are_failures(source: Path, tmp_path: Path) -> None:
    path = next(source.rglob("fhm_test_reasonings.jsonl"))
    broken = [reason(8, [], ["again"]), reason(21, "owls", ["x"]), reason(11, [], "x"), {"img": "x.png"}]  # type: ignore[arg-type]
    write_lines(path, [*TEST, *broken])
    dataset = import_memes("hatred", source, tmp_path / "out")
    failed = {(item, line): why for item, _, line, why in failures(dataset)}
    assert set(failed) == {
        ("00010", 4), ("00008", 2), ("00021", 3), ("00011", 4), (f"{path.relative_to(source).as_posix()}:5", 5)
    }  # fmt: skip
    assert failed["00010", 4] == "reasonings: empty; every row says why its meme is hateful"
    assert "id '00008' is already in" in failed["00008", 2]
    assert "target: expected a list of strings" in failed["00021", 3]
    assert "reasonings: expected a list of strings" in failed["00011", 4]
    assert set(dataset.rationales) == {"00008", "00009", "00020"}
    assert len(dataset.memes) == 6


def test_a_reason_for_a_meme_labelled_not_hateful_is_kept(source: Path, tmp_path: Path) -> None:
    write_lines(next(source.rglob("fhm_test_reasonings.jsonl")), [reason(21, ["the owls"], ["mocks owls."])])
    dataset = import_memes("hatred", source, tmp_path / "out")
    assert dataset.rationales["00021"].label_given == Label(harmful=False, targets=("the owls",))


def test_columns_of_the_first_release_are_kept(source: Path, tmp_path: Path) -> None:
    row = reason(20, ["the owls"], ["mocks owls."], group=["birds"], entity="hat", race="unk")
    write_lines(next(source.rglob("fhm_test_reasonings.jsonl")), [row])
    extra = by_id(import_memes("hatred", source, tmp_path / "out"))["00020"].extra
    assert extra == {"group": ["birds"], "entity": "hat", "race": "unk", "gold_rationales": ["mocks owls."]}


def test_the_fine_grained_files_serve_as_well(tmp_path: Path) -> None:
    fine = {
        "id": 8, "set_name": "train", "img": "img/00008.png", "text": "your club", "gold_hate": ["hateful"],
        "gold_pc": ["race"], "gold_attack": ["mocking"], "pc": [["race"]], "attack": [["mocking"]],
    }  # fmt: skip
    write_lines(tmp_path / "in/fine_grained_hateful_memes/data/annotations/train.json", [fine])
    write_lines(tmp_path / "in/fhm_train_reasonings.jsonl", TRAIN[:1])
    dataset = import_memes("hatred", tmp_path / "in", tmp_path / "out")
    assert dataset.memes[0].label == Label(
        harmful=True, targets=("the kettles",), protected_categories=("race",), attack_types=("mocking",)
    )
    assert dataset.info.options["label_version"] == "fine-grained"


def test_pictures_come_with_fhm_and_a_missing_one_takes_its_rationale_along(
    source: Path, tmp_path: Path
) -> None:
    place = next(source.rglob("train.jsonl")).parent
    draw(place / "img", "00008.png", "00010.png", "00011.png", "00020.png", "00021.png")
    dataset = import_memes("hatred", source, tmp_path / "out")
    assert by_id(dataset)["00008"].image == "images/00008.png"
    assert "00009" not in dataset.rationales
    assert [item for item, *_ in failures(dataset)] == ["00009", "00010"]


def test_reasons_without_fhm_say_what_to_do(tmp_path: Path) -> None:
    write_lines(tmp_path / "in/fhm_train_reasonings.jsonl", TRAIN)
    with pytest.raises(InputError, match=r"none of FHM's files.*get Hateful Memes from Meta AI"):
        import_memes("hatred", tmp_path / "in", tmp_path / "out")
