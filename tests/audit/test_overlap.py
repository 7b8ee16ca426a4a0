from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mrharm.audit.findings import Finding
from mrharm.audit.overlap import audit_copies
from mrharm.memes.dataset import Dataset
from mrharm.records import Meme
from tests.audit.helpers import club, codes, copies_in, draw, meme, only, shown, write_dataset


def found(dataset: Dataset) -> tuple[list[Finding], dict[str, Any]]:
    contents, _, copies = copies_in(dataset)
    return audit_copies(contents, copies)


def texts(split: str, *names: str, harmful: bool = True) -> list[Meme]:
    """Memes of a split with these texts; ids are split and place."""
    return [meme(f"{split}-{number}", text, harmful, split) for number, text in enumerate(names)]


def clubs(split: str, finding: int, count: int) -> list[Meme]:
    return texts(split, *(f"you and {club(finding + number)}" for number in range(count)))


@pytest.mark.parametrize(("size", "level", "bars"), [(100, "error", ("publishing",)), (101, "warning", ())])
def test_one_percent_of_a_held_out_split_in_train_bars_publishing(
    tmp_path: Path, size: int, level: str, bars: tuple[str, ...]
) -> None:
    memes = clubs("train", 0, 3) + clubs("test", 2, size)
    finding = only(found(write_dataset(tmp_path, memes))[0], "overlap")
    assert (finding.where, finding.level, finding.bars) == ("train - test", level, bars)
    assert (finding.count, finding.of) == (1, size)
    assert finding.mend == "remove them from train: --fix"


@pytest.mark.parametrize(
    ("first", "second"), [("train", "validation"), ("validation", "test"), ("test", "test_b")]
)
def test_overlap_of_other_splits_is_a_warning(tmp_path: Path, first: str, second: str) -> None:
    memes = clubs(first, 0, 3) + clubs(second, 0, 3)
    overlap = only(found(write_dataset(tmp_path, memes))[0], "overlap")
    assert (overlap.where, overlap.level, overlap.bars) == (f"{first} - {second}", "warning", ())


def test_train_is_known_by_its_role(tmp_path: Path) -> None:
    memes = clubs("learn", 0, 3) + clubs("dev", 0, 1) + clubs("exam", 1, 1)
    roles = {"train": "learn", "validation": "dev", "test": "exam"}
    findings, _ = found(write_dataset(tmp_path, memes, roles=roles))
    assert only(findings, "overlap", "learn - dev").level == "warning"
    assert only(findings, "overlap", "learn - exam").level == "error"


def test_overlap_is_counted_by_kind_with_opposite_labels(tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(draw(tmp_path / "one.png", 1).read_bytes())
    draw(tmp_path / "third.png", 2)
    memes = [
        meme("id", "you", True),
        meme("picture", "me", True, image="one.png"),
        meme("text", "us", False),
        meme("labelled", "we all", True),
        meme("alone", "them", False, image="third.png"),
        meme("id#2", "yes you", False, "test", extra={"copy_of": "id"}),
        meme("picture-again", "not me", True, "test", image="other.png"),
        meme("text-again", "Us", True, "test"),
        meme("unlabelled", "we all", None, "test"),
        meme("new", "nobody", False, "test"),
    ]
    findings, table = found(write_dataset(tmp_path, memes))
    counts = {kind: tuple(row.values()) for kind, row in table["across"]["train - test"].items()}
    assert counts == {  # memes, of, beside an opposite label
        "id": (1, 5, 1),
        "picture": (1, 5, 0),
        "near_picture": (1, 5, 0),
        "text": (2, 5, 1),
        "meme": (4, 5, 2),
    }
    finding = only(findings, "overlap")
    assert "4 of 5 test memes are in train too" in finding.message
    assert "1 by id with 1 beside an opposite label" in finding.message
    assert "1 by picture, " in finding.message
    # Conflicts first, then the longer text.
    assert [names[0] for names in shown(finding)] == ["id#2", "text-again", "picture-again", "unlabelled"]
    assert finding.examples[0].what == "test says harmless, train harmful"
    assert finding.examples[3].what == "test says nothing, train harmful"
    assert only(findings, "label-conflict").count == 2


def test_one_text_under_another_picture_is_a_note_and_no_overlap(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    memes = [
        meme("a", "you smell nice", True, image="a.png"),
        meme("b", "you smell nice", False, "test", image="b.png"),
    ]
    findings, table = found(write_dataset(tmp_path, memes))
    assert codes(findings) == ["text-shared"]
    assert (findings[0].level, findings[0].count, findings[0].of) == ("note", 1, 1)
    assert shown(findings[0]) == [("b", "a")]
    assert table["across"]["train - test"]["meme"]["count"] == 0


def test_memes_without_a_split_overlap_with_nothing(tmp_path: Path) -> None:
    memes = [meme("a", "you", True), meme("b", "you", True, None)]
    findings, table = found(write_dataset(tmp_path, memes))
    assert codes(findings) == []
    assert table["across"] == {}


def test_an_id_that_stands_twice_bars_all_use(tmp_path: Path) -> None:
    memes = [meme("a", "you"), meme("b", "me"), meme("a", "us"), meme("a", "them", split="test")]
    finding = only(found(write_dataset(tmp_path, memes))[0], "id-repeated")
    assert (finding.level, finding.count, finding.of) == ("error", 1, 2)
    assert finding.bars == ("training", "publishing")
    assert (shown(finding), finding.examples[0].what) == ([("a",)], "3 times")


@pytest.mark.parametrize(("others", "level"), [(18, "warning"), (19, "note")])
def test_copies_within_a_split_are_a_warning_from_five_percent(
    tmp_path: Path, others: int, level: str
) -> None:
    memes = [*clubs("train", 0, others + 1), meme("again", f"YOU and {club(0)}", True)]
    findings, table = found(write_dataset(tmp_path, memes))
    finding = only(findings, "copies-within")
    assert (finding.level, finding.where, finding.count, finding.of) == (level, "train", 1, others + 2)
    assert f"{others + 2} rows of train hold {others + 1} different memes" in finding.message
    assert shown(finding) == [("train-0", "again")]
    assert table["within"]["train"]["text"] == {"count": 1, "of": others + 2}


def test_copies_are_counted_beyond_the_first(tmp_path: Path) -> None:
    memes = texts("train", "you", "me", "You", "YOU", "me", "us")
    finding = only(found(write_dataset(tmp_path, memes))[0], "copies-within")
    assert (finding.count, finding.of) == (3, 6)
    assert [(example.what, example.memes) for example in finding.examples] == [
        ("3 times", ("train-0", "train-2", "train-3")),
        ("2 times", ("train-1", "train-4")),
    ]


def test_memes_that_carry_both_labels_are_counted(tmp_path: Path) -> None:
    memes = [
        *texts("train", "you", "me", "us", harmful=True),
        *texts("validation", "you", "ME", "them", harmful=False),
        meme("test-0", "us", True, "test"),
    ]
    finding = only(found(write_dataset(tmp_path, memes))[0], "label-conflict")
    assert (finding.level, finding.count, finding.of) == ("warning", 2, 3)
    assert shown(finding) == [("train-0", "validation-0"), ("train-1", "validation-1")]
    assert finding.examples[0].what == "harmful, harmless"


def test_templates_are_counted_with_those_across_splits_and_of_one_label(tmp_path: Path) -> None:
    memes = []
    for template, (count, harmful, split) in enumerate(
        [(5, [True] * 5, "train"), (4, [True] * 4, "train"), (2, [True, False], "test")]
    ):
        for number in range(count):
            # The same scene at other sizes: near, and not the same file.
            image = f"{template}-{number}.png"
            draw(tmp_path / image, template, (90 + 2 * number, 90 + 2 * number))
            inside = split if number else "train"
            memes.append(
                meme(image, f"{club(10 * template + number)} alone", harmful[number], inside, image=image)
            )
    findings, table = found(write_dataset(tmp_path, memes))
    assert table["templates"] == {"groups": 3, "memes": 11, "largest": 5, "across_splits": 1, "one_label": 1}
    finding = only(findings, "templates")
    assert (finding.level, finding.count, finding.of) == ("note", 11, 11)
    assert finding.examples[0].memes[0] == "0-0.png"
    assert finding.examples[0].what == "5 memes, 5 harmful"


def test_one_meme_reposted_is_no_template(tmp_path: Path) -> None:
    memes = []
    for number in range(3):
        draw(tmp_path / f"{number}.png", 1, (90 + number, 90 + number))
        memes.append(meme(str(number), "you again", True, image=f"{number}.png"))
    findings, table = found(write_dataset(tmp_path, memes))
    assert table["templates"]["groups"] == 0
    assert codes(findings) == ["copies-within"]
