import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import failures, write_lines


@pytest.fixture
def harm_c(tmp_path: Path) -> Path:
    """Three memes; the picture of the last is called something else."""
    folder = tmp_path / "harm-c"
    rows = [
        {"id": "c_1", "image": "c_1.png", "labels": ["not harmful"], "text": "you and the chess club"},
        {"id": "c_2", "image": "c_2.png", "labels": ["somewhat harmful"], "text": "you lose"},
        {"id": "c_3", "image": "chess.png", "labels": ["very harmful"], "text": "you always lose"},
    ]
    write_lines(folder / "train.jsonl", rows)
    return folder


def save(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(value))
    else:
        path.write_bytes(pickle.dumps(value))


def captions(dataset: Dataset) -> dict[str, str | None]:
    return {key: row.caption for key, row in dataset.evidence.items()}


def rationales(dataset: Dataset) -> dict[str, str]:
    return {key: row.text for key, row in dataset.rationales.items()}


def test_the_files_of_the_mr_harm_package_are_taken_in(harm_c: Path, tmp_path: Path) -> None:
    save(harm_c / "harmc_rationale.json", {"c_1": "a club meets", "c_2": " you are mocked ", "c_3": ""})
    save(harm_c / "captions.pkl", {"c_1": "a chess board.\n", "c_2": "a king", "c_3": ""})
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert rationales(dataset) == {"c_1": "a club meets", "c_2": "you are mocked", "c_3": ""}
    assert captions(dataset) == {"c_1": "a chess board.", "c_2": "a king"}
    assert dataset.evidence["c_1"].made_by == {"caption": "ClipCap"}
    assert dataset.rationales["c_2"].label_given == Label(harmful=True, severity="somewhat")
    assert {row.teacher for row in dataset.rationales.values()} == {"recorded"}
    assert [row.status for row in dataset.rationales.values()] == ["unchecked", "unchecked", "empty"]
    assert set(dataset.info.sources) == {"train.jsonl", "harmc_rationale.json", "captions.pkl"}


@pytest.mark.parametrize(
    "name",
    [
        "rationales.json",
        "rationale.json",
        "Harmc_Rationale.json",
        "clipcap_x_rationale_.pkl",
        "x-rationales.pickle",
    ],
)
def test_the_name_says_what_a_file_holds(harm_c: Path, tmp_path: Path, name: str) -> None:
    save(harm_c / "Annotations" / name, {"c_1": "why"})
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert rationales(dataset) == {"c_1": "why"}
    assert f"Annotations/{name}" in dataset.info.sources


def test_a_pickle_of_another_name_is_left_alone_and_noted(harm_c: Path, tmp_path: Path) -> None:
    (harm_c / "features.pkl").write_bytes(b"anything")
    (harm_c / "rational.json").write_text("anything")
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert [note for note in dataset.info.notes if "skipped" in note] == [
        "features.pkl: its name says neither captions nor rationales; it was skipped"
    ]
    assert not dataset.evidence


def test_memes_are_found_by_id_or_picture_name_with_or_without_extension(
    harm_c: Path, tmp_path: Path
) -> None:
    save(harm_c / "captions.pkl", {"c_1.png": "a", "images/c_2.JPG": "b", "chess": "c", "c_9.png": "d"})
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert captions(dataset) == {"c_1": "a", "c_2": "b", "c_3": "c"}
    assert "captions.pkl: 1 entries match no meme here and were skipped" in dataset.info.notes


def test_what_is_no_text_is_a_failure(harm_c: Path, tmp_path: Path) -> None:
    save(harm_c / "captions.pkl", {"c_1": 5, "c_2": ["a", 1], "c_3": "c", "c_3.png": "c"})
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert captions(dataset) == {"c_3": "c"}
    assert failures(dataset) == [
        ("c_1", "captions.pkl", None, "expected a text, got 5"),
        ("c_2", "captions.pkl", None, "expected a text, got ['a', 1]"),
    ]


def test_files_of_one_kind_are_merged_where_they_agree(harm_c: Path, tmp_path: Path) -> None:
    save(harm_c / "captions.json", {"c_1": "a board", "c_2": ""})
    save(harm_c / "captions.pkl", {"c_1": "a board", "c_2": "a king", "c_3": "a pawn"})
    dataset = import_memes("harm-c", harm_c, tmp_path / "out")
    assert captions(dataset) == {"c_1": "a board", "c_2": "a king", "c_3": "a pawn"}


def test_files_of_one_kind_that_disagree_are_both_named(harm_c: Path, tmp_path: Path) -> None:
    save(harm_c / "a_rationale.json", {"c_1": "one"})
    save(harm_c / "b_rationale.pkl", {"c_1.png": "two"})
    with pytest.raises(
        InputError, match=r"a_rationale\.json and b_rationale\.pkl give 'c_1' different rationales; keep one"
    ):
        import_memes("harm-c", harm_c, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", [b"{", b'{"a": "\xe9"}'])
def test_a_file_that_is_no_json_is_named_with_its_mend(harm_c: Path, tmp_path: Path, text: bytes) -> None:
    (harm_c / "captions.json").write_bytes(text)
    with pytest.raises(DataError, match=r"captions\.json: not JSON in UTF-8 .*mend it, or move it away"):
        import_memes("harm-c", harm_c, tmp_path / "out")


@pytest.mark.parametrize("value", ["a text", 5, ["a", "b"], None])
def test_a_file_of_another_shape_is_named(harm_c: Path, tmp_path: Path, value: Any) -> None:
    for name in ("captions.json", "captions.pkl"):
        save(harm_c / name, value)
        with pytest.raises(DataError, match=rf"{name}: expected \{{id: text\}}, got a"):
            import_memes("harm-c", harm_c, tmp_path / "out")
        (harm_c / name).unlink()
