from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mrharm.audit.findings import Finding
from mrharm.audit.labels import audit_labels
from mrharm.records import Label, Meme
from tests.audit.helpers import codes, meme, only, read, shown, sound, write_dataset


def found(folder: Path, memes: list[Meme], **info: Any) -> list[Finding]:
    return audit_labels(read(write_dataset(folder, memes, **info)))[0]


def labelled(split: str, labels: Iterable[Label | bool | None]) -> list[Meme]:
    """Memes of a split called split-0, split-1 ..., of these labels."""
    return [
        meme(
            f"{split}-{number}",
            "you",
            split=split,
            label=Label(harmful=label) if isinstance(label, bool) else label,
        )
        for number, label in enumerate(labels)
    ]


BOTH = [True, False]


def test_a_sound_dataset_gives_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, sound()) == []


def test_the_balance_of_each_split_is_counted(tmp_path: Path) -> None:
    very = Label(harmful=True, severity="very", targets=("club", "you"), attack_types=("mocking",))
    some = Label(harmful=True, severity="somewhat", targets=("you",))
    memes = labelled("train", [very, some, some, Label(harmful=False, severity="none"), None])
    _, table = audit_labels(read(write_dataset(tmp_path, memes + labelled("test", BOTH))))
    assert table == {
        "train": {
            "memes": 5,
            "labelled": 4,
            "harmful": 3,
            "severity": {"somewhat": 2, "very": 1, "none": 1},
            "targets": {"you": 3, "club": 1},
            "attack_types": {"mocking": 1},
        },
        "test": {"memes": 2, "labelled": 2, "harmful": 1},
    }


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([True, True], "does not hold both labels"),
        ([False, None], "does not hold both labels"),
        ([], "there is no train split"),
    ],
)
def test_a_train_split_without_both_labels_bars_training(
    tmp_path: Path, train: list[bool | None], message: str
) -> None:
    memes = labelled("train", train) + labelled("validation", BOTH) + labelled("test", BOTH)
    finding = only(found(tmp_path, memes), "train-unusable")
    assert (finding.level, finding.bars) == ("error", ("training", "publishing"))
    assert message in finding.message


def test_no_validation_split_is_a_warning(tmp_path: Path) -> None:
    findings = found(tmp_path, labelled("train", BOTH) + labelled("test", BOTH))
    assert [(finding.code, finding.level) for finding in findings] == [("validation-missing", "warning")]


@pytest.mark.parametrize("test", [[], [True, True], [None, None]])
def test_no_held_out_split_with_both_labels_bars_publishing_alone(
    tmp_path: Path, test: list[bool | None]
) -> None:
    memes = labelled("train", BOTH) + labelled("validation", BOTH) + labelled("test", test)
    finding = only(found(tmp_path, memes), "test-missing")
    assert (finding.level, finding.bars) == ("error", ("publishing",))
    # Any labelled held-out split is one to publish on.
    assert "test-missing" not in codes(found(tmp_path, memes + labelled("test_unseen", BOTH)))


def test_missing_labels_are_a_warning_in_a_split_that_has_some_and_a_note_in_one_that_has_none(
    tmp_path: Path,
) -> None:
    memes = labelled("train", [True, False, None]) + labelled("test", [None, None])
    findings = found(tmp_path, memes)
    train, test = only(findings, "unlabelled", "train"), only(findings, "unlabelled", "test")
    assert (train.level, train.count, train.of, shown(train)) == ("warning", 1, 3, [("train-2",)])
    assert (test.level, test.count, test.of, shown(test)) == ("note", 2, 2, [])


@pytest.mark.parametrize(
    ("code", "level", "odd"),
    [
        ("label-torn", "warning", {"harmful": True, "severity": "none"}),
        ("label-torn", "warning", {"harmful": False, "severity": "very"}),
        ("label-harmless-target", "note", {"harmful": False, "targets": ["club"]}),
        ("label-harmless-target", "note", {"harmful": False, "attack_types": ["mocking"]}),
        ("label-blank-target", "warning", {"harmful": True, "targets": [""]}),
    ],
)
def test_a_label_that_contradicts_itself_is_reported(
    tmp_path: Path, code: str, level: str, odd: dict[str, Any]
) -> None:
    sound_labels = [
        Label(harmful=False, severity="none"),
        Label(harmful=True, severity="very", targets=("you",)),
    ]
    finding = only(found(tmp_path, labelled("train", [Label.model_validate(odd), *sound_labels])), code)
    assert (finding.level, finding.of, shown(finding)) == (level, 3, [("train-0",)])


@pytest.mark.parametrize(("harmful", "noted"), [(12, True), (11, False), (8, False), (7, True)])
def test_a_share_of_harmful_memes_over_ten_points_from_trains_is_noted(
    tmp_path: Path, harmful: int, noted: bool
) -> None:
    # Train has one half: 8 and 11 of 19 are 8 points off, 7 and 12 are 13.
    test = [number < harmful for number in range(19)]
    memes = labelled("train", BOTH) + labelled("validation", BOTH) + labelled("test", test)
    findings = found(tmp_path, memes)
    assert codes(findings) == (["balance-drift"] if noted else [])
    assert all(finding.where == "test" and finding.level == "note" for finding in findings)


def test_targets_over_a_fifth_apart_are_a_warning_with_the_one_that_grew(tmp_path: Path) -> None:
    def aimed(*targets: str) -> list[Label]:
        return [Label(harmful=True, targets=(name,)) for name in targets]

    memes = labelled("train", aimed("you", "you", "club", "club"))
    memes += labelled("validation", aimed(*["you"] * 7, *["club"] * 3))  # a fifth would have to be others
    memes += labelled("test", aimed("you", "you", "you", "creature"))
    finding = only(found(tmp_path, memes), "target-drift")
    # you 2/4 -> 3/4, club 2/4 -> 0, creature 0 -> 1/4: half of 1/4 + 1/2 + 1/4
    assert (finding.level, finding.where) == ("warning", "test")
    assert "by 50 %: 'you' is 75 % of test's and 50 % of train's" in finding.message


def test_targets_on_three_memes_or_fewer_are_noted(tmp_path: Path) -> None:
    names = ["you"] * 4 + ["club"] * 3 + ["creature"]
    memes = labelled("train", [Label(harmful=True, targets=(name,)) for name in names])
    finding = only(found(tmp_path, memes), "label-rare")
    assert (finding.level, finding.count, finding.of) == ("note", 2, 3)
    assert finding.message.endswith("club (3), creature (1)")


@pytest.mark.parametrize(
    ("version", "level"),
    [("unknown", "warning"), ("phase 1 and phase 2 files together", "warning"), ("phase 2", "note")],
)
def test_labels_of_an_unknown_version_are_a_warning(tmp_path: Path, version: str, level: str) -> None:
    finding = only(found(tmp_path, sound(), options={"label_version": version}), "label-version")
    assert (finding.level, version in finding.message) == (level, True)
