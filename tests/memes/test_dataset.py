from pathlib import Path

import pytest

from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import Dataset, DatasetInfo
from mrharm.records import Evidence, Meme, Rationale
from mrharm.store import write_json, write_records

INFO = DatasetInfo(
    name="toy",
    kind="folder",
    source="toy.csv",
    licence="not stated",
    label_scheme="none",
    splits={"train": 1, "dev_seen": 1},
    roles={"validation": "dev_seen"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "dataset.json", INFO.model_dump(mode="json"))
    memes = [
        Meme(id="a", image="images/a.png", split="train"),
        Meme(id="b", text="you", split="dev_seen", extra={"also_in": ["dev_unseen"]}),
        Meme(id="c", text="you too", extra={"also_in": "dev"}),
    ]
    write_records(tmp_path / "memes.jsonl", memes)
    return tmp_path


def test_a_dataset_has_a_length_an_order_and_says_what_it_is(folder: Path) -> None:
    dataset = Dataset(str(folder))
    assert (len(dataset), [meme.id for meme in dataset]) == (3, ["a", "b", "c"])
    assert repr(dataset) == f"Dataset({str(folder)!r}): toy, train 1, dev_seen 1"


def test_a_split_is_found_by_its_name_and_by_its_role(folder: Path) -> None:
    dataset = Dataset(folder)
    assert [meme.id for meme in dataset.split("dev_seen")] == ["b"]
    assert [meme.id for meme in dataset.split("validation")] == ["b"]
    assert dataset.split_name("validation") == "dev_seen"
    assert dataset.split_name("train") == "train"


def test_a_meme_of_two_splits_is_in_both(folder: Path) -> None:
    assert [meme.id for meme in Dataset(folder).split("dev_unseen")] == ["b"]


def test_an_unknown_split_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no split called 'test'; there are: \(none\), dev_seen, train"):
        Dataset(folder).split("test")


def test_a_folder_without_dataset_json_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mrharm import KIND SOURCE"):
        Dataset(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"name": "toy"}', '{"colour": 1}'])
def test_a_broken_dataset_json_is_a_data_error(folder: Path, text: str) -> None:
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json: [^\n]*; mend it, or import the dataset again$"):
        Dataset(folder)


def test_ids_that_repeat_are_refused(folder: Path) -> None:
    write_records(folder / "memes.jsonl", [Meme(id="a"), Meme(id="a")])
    with pytest.raises(DataError, match="ids must be unique; these are not: a"):
        _ = Dataset(folder).memes


def test_evidence_and_rationales_are_optional_and_the_later_line_wins(folder: Path) -> None:
    assert Dataset(folder).evidence == {}
    write_records(folder / "evidence.jsonl", [Evidence(meme_id="a", caption="a cat")])
    rows = [Rationale(meme_id="a", text=text, teacher="t") for text in ("first", "second")]
    write_records(folder / "rationales.jsonl", rows)
    dataset = Dataset(folder)
    assert dataset.evidence["a"].caption == "a cat"
    assert dataset.rationales["a"].text == "second"


def test_the_picture_path_is_inside_the_folder(folder: Path) -> None:
    dataset = Dataset(folder)
    assert [dataset.image_path(meme) for meme in dataset.memes] == [folder / "images/a.png", None, None]


def test_the_fingerprint_changes_with_any_record_file(folder: Path) -> None:
    before = Dataset(folder).fingerprint()
    assert before == Dataset(folder).fingerprint()
    write_records(folder / "evidence.jsonl", [Evidence(meme_id="a")])
    assert before != Dataset(folder).fingerprint()


@pytest.mark.parametrize("place", ["../secret.png", "/etc/hostname", "images/../../secret.png", "a\0b.png"])
def test_a_picture_outside_the_folder_is_refused_at_the_one_door(folder: Path, place: str) -> None:
    dataset = Dataset(folder)
    with pytest.raises(ImageError):
        dataset.image_path(Meme(id="x", image=place))
    with pytest.raises(ImageError):
        dataset.clean_path(Evidence(meme_id="x", clean_image=place))
