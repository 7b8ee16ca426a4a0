from __future__ import annotations

import re

import pytest

from mrharm.reports.plots import DIAGONAL, GREY, LINES, Curve, draw_curves

WORDS = re.compile(r"<text[^>]*>([^<]*)</text>")


def test_each_curve_has_a_line_of_its_own_and_its_name_in_the_legend() -> None:
    curves = [
        Curve("gradient", [0, 1], [0.9, 0.1]),
        Curve("attention", [0, 1], [0.9, 0.5]),
        Curve("random", [0, 1], [0.9, 0.7], guide=True),
    ]
    drawn = draw_curves(curves, "share taken away", "P", title="Taken away")
    words = WORDS.findall(drawn)
    assert [one for one in words if one in ("gradient", "attention", "random")] == [
        "gradient",
        "attention",
        "random",
    ]
    for colour in (*(colour for colour, _ in LINES), GREY):
        assert drawn.count(f"stroke: {colour.lower()}") >= 2  # the line and its mark in the legend


def test_a_guide_is_grey_wherever_it_stands_and_takes_no_other_curves_line() -> None:
    first, _ = LINES[0]
    for curves in ([DIAGONAL, Curve("", [0, 1], [0, 1])], [Curve("", [0, 1], [0, 1]), DIAGONAL]):
        drawn = draw_curves(curves, "across", "up", title="t")
        assert drawn.count(f"stroke: {GREY.lower()}") == 1 and drawn.count(f"stroke: {first.lower()}") == 1
        assert set(WORDS.findall(drawn)) & {"across", "up", "t"} == {"across", "up", "t"}


def test_the_same_curves_are_the_same_drawing() -> None:
    curves = [Curve("a", [0.0, 0.5, 1.0], [0.1, 0.2, 0.3], [1.0, 5.0, 2.0])]
    assert draw_curves(curves, "x", "y", title="t") == draw_curves(curves, "x", "y", title="t")


@pytest.mark.parametrize(
    "curves", [[], [DIAGONAL], [Curve("", [], [])], [Curve("", [0, 1], [0, 1])] * (len(LINES) + 1)]
)
def test_nothing_to_draw_and_more_than_can_be_told_apart_are_refused(curves: list[Curve]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 2 curves with points"):
        draw_curves(curves, "x", "y", title="t")
