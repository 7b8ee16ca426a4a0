from __future__ import annotations

import pytest

from mrharm.evaluation.published import list_published
from mrharm.memes.importing import IMPORTERS


def by_system(rows):
    return {row.system: row for row in rows}


def test_the_papers_figures_on_harm_c_stand_as_published():
    paper = by_system(list_published("harm-c", "test", 354))["Mr.Harm"]
    assert (paper.accuracy, paper.macro_f1) == (pytest.approx(0.8616), pytest.approx(0.8543))
    assert paper.comparable
    # 305 of the 354 memes of the official test split are that accuracy.
    assert round(305 / paper.memes, 4) == round(paper.accuracy, 4)


def test_another_split_or_size_is_flagged_with_the_reason():
    other = by_system(list_published("hateful-memes", "test_seen", 1000))
    assert other["Mr.Harm"].apart == "measured on dev_seen (500 memes), this is test_seen"
    assert other["Hate-CLIPper"].comparable
    smaller = by_system(list_published("harm-c", "test", 300))["Mr.Harm"]
    assert smaller.apart == "measured on 354 memes, this test holds 300"
    failed = by_system(list_published("harm-c", "test", 350, 4))["Mr.Harm"]
    assert failed.apart == "4 of the 354 memes it was measured on could not be judged here"


def test_what_can_never_be_compared_says_why_on_its_own_split():
    rows = list_published("harm-p", "test", 355)
    assert rows and not any(row.comparable for row in rows)
    assert "V0" in by_system(rows)["Mr.Harm"].apart


def test_comparable_rows_stand_first():
    flags = [row.comparable for row in list_published("hateful-memes", "dev_seen", 500)]
    assert flags == sorted(flags, reverse=True)
    assert set(flags) == {True, False}


def test_every_dataset_of_the_table_is_one_that_can_be_imported_or_its_short_name():
    from mrharm.evaluation.published import _rows

    named = {name for row in _rows() for name in row.datasets}
    assert named <= {*IMPORTERS.names(), "fhm"}
    for row in _rows():
        figures = (row.accuracy, row.macro_f1, row.auroc)
        assert any(figures) and all(value is None or 0.5 < value < 1 for value in figures)


def test_a_dataset_nobody_published_on_has_no_rows():
    assert list_published("clubs", "test", 24) == ()
