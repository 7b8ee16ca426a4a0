from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mrharm.audit.findings import Finding, LabelError
from mrharm.audit.labels import LISTED, find_confident_errors, find_label_errors
from mrharm.audit.shortcuts import make_signals
from mrharm.progress import no_progress
from mrharm.records import Label, Meme
from tests.audit.helpers import club, copies_in, meme, only, shown, write_dataset


def suspects(folder: Path, memes: Sequence[Meme]) -> tuple[list[Finding], list[LabelError]]:
    contents, facts, copies = copies_in(write_dataset(folder, memes))
    return find_label_errors(contents, copies, make_signals(contents.items, facts), no_progress)


def separable(count: int) -> list[Meme]:
    """Memes whose words tell their label: three of ten kettles or of ten teapots, and two that say nothing."""
    rng = random.Random(0)
    rows = []
    for number in range(count):
        side = number % 2
        words = [club(100 * (side + 1) + rng.randrange(10)) for _ in range(3)]
        words += [club(300 + rng.randrange(20)) for _ in range(2)]
        rows.append(meme(f"m{number}", " ".join(words), side == 0, "test" if number % 5 == 4 else "train"))
    return rows


def flip(row: Meme) -> Meme:
    assert row.label is not None
    return row.model_copy(update={"label": Label(harmful=not row.label.harmful)})


def test_planted_errors_come_first_in_whatever_split_they_are(tmp_path: Path) -> None:
    rows = separable(200)
    planted = {f"m{number}" for number in (3, 14, 39, 60, 85, 104, 121, 150, 173, 199)}
    findings, errors = suspects(tmp_path, [flip(row) if row.id in planted else row for row in rows])
    first = [error for error in errors[:10] if error.meme in planted]
    assert len(first) >= 9
    truth = {row.id: row for row in rows}
    for error in first:
        right = truth[error.meme]
        assert right.label is not None
        assert (error.harmful, error.split) == (not right.label.harmful, right.split)
        assert (error.probability >= 0.5) == right.label.harmful
    finding = only(findings, "label-errors")
    assert (finding.level, finding.of, finding.count) == ("note", 200, len(errors))
    assert shown(finding)[0] == (errors[0].meme,)
    side = "harmful" if errors[0].harmful else "harmless"
    assert finding.examples[0].what == f"labelled {side}, P(harmful) {errors[0].probability:.2f}"


def test_a_copy_of_a_wrong_label_does_not_vouch_for_it(tmp_path: Path) -> None:
    text = " ".join(club(100 + number) for number in range(10))  # every word says harmful
    wrong = [meme(f"copy-{number}", text, False) for number in range(6)]
    _, errors = suspects(tmp_path, [*separable(100), *wrong])
    assert {error.meme for error in errors[:6]} == {row.id for row in wrong}


def test_where_signals_say_nothing_that_is_said_and_no_label_is_accused(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [row.model_copy(update={"label": Label(harmful=rng.random() < 0.5)}) for row in separable(120)]
    findings, errors = suspects(tmp_path, rows)
    assert [(finding.code, finding.level) for finding in findings] == [("label-errors-unknown", "note")]
    assert errors == []


def test_memes_without_a_label_are_no_suspects(tmp_path: Path) -> None:
    rows = [
        row.model_copy(update={"label": None}) if n % 9 == 0 else row for n, row in enumerate(separable(90))
    ]
    findings, errors = suspects(tmp_path, [flip(rows[1]), *rows[2:]])
    assert [error.meme for error in errors[:1]] == ["m1"]
    assert only(findings, "label-errors").of == 80


@pytest.mark.parametrize(
    "rows",
    [
        separable(49),  # too few
        [meme(str(n), f"you {club(n)}", n < 4) for n in range(80)],  # too few of a side
        [meme(str(n), f"you and {club(n % 4)}", n % 2 == 0) for n in range(60)],  # copies of a handful
        [
            meme(str(n), f"you and {club(0 if n < 30 else n)}", n < 30) for n in range(60)
        ],  # a side is one meme
    ],
)
def test_where_there_is_too_little_to_learn_from_no_label_is_accused(
    tmp_path: Path, rows: list[Meme]
) -> None:
    findings, errors = suspects(tmp_path, rows)
    assert errors == []
    assert all(finding.code != "label-errors" for finding in findings)


def test_at_most_two_hundred_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    rows = separable(800)
    findings, errors = suspects(tmp_path, [flip(row) if n % 3 == 0 else row for n, row in enumerate(rows)])
    assert len(errors) == LISTED
    assert (only(findings, "label-errors").count or 0) > LISTED


def test_suspects_are_those_beyond_both_thresholds_the_least_confident_first() -> None:
    gold = np.array([True, True, True, True, False, False, False, False])
    probabilities = np.array([0.9, 0.8, 0.1, 0.3, 0.2, 0.1, 0.75, 0.6])
    # P(own label) on average: harmful (0.9 + 0.8 + 0.1 + 0.3) / 4 = 0.525, harmless (0.8 + 0.9 + 0.25 + 0.4) / 4 =
    # 0.5875. The fourth: P(harmless) 0.7 reaches 0.5875, its own 0.3 is below 0.525. The last: 0.6 reaches 0.525.
    assert find_confident_errors(gold, probabilities) == [2, 6, 3, 7]
    # Now 0.55 of 0.6125 and 0.5 of 0.5625: neither reaches the other side.
    probabilities[3], probabilities[7] = 0.45, 0.5
    assert find_confident_errors(gold, probabilities) == [2, 6]
