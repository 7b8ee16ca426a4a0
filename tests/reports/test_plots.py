from __future__ import annotations

import base64
import re

import pytest

from mrharm.metrics import Estimate
from mrharm.probes.saliency import SHARES, Order, Part, SaliencyProbe
from mrharm.reports.evaluation_page import draw_saliency_plots, make_robustness_panels
from mrharm.reports.plots import DIAGONAL, GREY, LINES, Curve, Panel, draw_bars, draw_curves

WORDS = re.compile(r"<text[^>]*>([^<]*)</text>")


def test_each_curve_has_a_line_of_its_own_and_its_name_in_the_legend() -> None:
    curves = [
        Curve("gradient", [0, 1], [0.9, 0.1]),
        Curve("attention", [0, 1], [0.9, 0.5]),
        Curve("random", [0, 1], [0.9, 0.7], guide=True),
    ]
    drawn = draw_curves(curves, "share taken away", "P", title="Taken away")
    names = [curve.name for curve in curves]
    assert [word for word in WORDS.findall(drawn) if word in names] == names
    for colour in (*(colour for colour, _ in LINES), GREY):
        assert drawn.count(f"stroke: {colour.lower()}") >= 2  # the line and its mark in the legend
    assert drawn == draw_curves(curves, "share taken away", "P", title="Taken away")


def test_a_guide_is_grey_wherever_it_stands_and_takes_no_other_curves_line() -> None:
    first, _ = LINES[0]
    for curves in ([DIAGONAL, Curve("", [0, 1], [0, 1])], [Curve("", [0, 1], [0, 1]), DIAGONAL]):
        drawn = draw_curves(curves, "across", "up", title="t")
        assert drawn.count(f"stroke: {GREY.lower()}") == 1 and drawn.count(f"stroke: {first.lower()}") == 1
        assert {"across", "up", "t"} <= set(WORDS.findall(drawn))


@pytest.mark.parametrize(
    "curves", [[], [DIAGONAL], [Curve("", [], [])], [Curve("", [0, 1], [0, 1])] * (len(LINES) + 1)]
)
def test_nothing_to_draw_and_more_than_can_be_told_apart_are_refused(curves: list[Curve]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 2 curves with points"):
        draw_curves(curves, "x", "y", title="t")


def test_an_interval_beyond_what_a_share_can_be_is_drawn_as_far_as_it_can_be() -> None:
    wide = Estimate(value=0.9, low=0.4, high=1.4)
    drawn = draw_bars([Panel("", [("a <b>", wide), ("c", Estimate())])], "share")
    assert "a &lt;b&gt;" in drawn and ">none<" in drawn
    with pytest.raises(ValueError, match="no bars"):
        draw_bars([Panel("", [])], "share")


def test_a_panel_for_each_kind_shows_its_strongest_changes_and_no_change() -> None:
    settings = [
        {
            "kind": kind,
            "change": change,
            "strength": strength,
            "moved": {"macro_f1": {"value": 0.1 * strength}},
        }
        for kind, change in (("text", "leet"), ("picture", "blur"))
        for strength in (1, 3)
    ]
    panels = make_robustness_panels({"clean": {"macro_f1": {"value": 0.9}}, "settings": settings})
    assert [panel.title for panel in panels] == ["text changed", "picture changed"]
    assert [(name, figure.value) for name, figure in panels[0].bars] == [
        ("unchanged", 0.9),
        ("leet", pytest.approx(0.3)),
    ]


def draw_parts(*kinds: str, **parts: tuple[float, float]) -> list[list[str]]:
    """The units and drawings of a saliency probe: part -> its deletion and insertion, flat, in each order."""
    probed = {}
    for name, (deletion, insertion) in parts.items():
        order = Order(
            deletion=Estimate(value=deletion),
            insertion=Estimate(value=insertion),
            deletion_curve=(deletion,) * len(SHARES),
            insertion_curve=(insertion,) * len(SHARES),
        )
        probed[name] = Part(memes=3, orders=dict.fromkeys(kinds, order))
    record = SaliencyProbe(memes=3, skipped={}, **probed).model_dump(mode="json")
    rows = []
    for units, *plots in draw_saliency_plots(record):
        drawings = [base64.b64decode(plot.removeprefix("data:image/svg+xml;base64,")) for plot in plots]
        rows.append([units, *(drawing.decode("utf-8") for drawing in drawings)])
    return rows


def test_words_and_patches_have_a_row_each_of_deletion_and_insertion() -> None:
    drawn = draw_parts("attention", "gradient", "random", text=(0.2, 0.8), picture=(0.2, 0.8))
    assert [units for units, *_ in drawn] == ["Words", "Patches"]
    for units, deletion, insertion in drawn:
        assert (
            f"share of {units.lower()} removed" in deletion and f"share of {units.lower()} added" in insertion
        )
        assert all(f">{kind}<" in deletion + insertion for kind in ("attention", "gradient", "random"))


def test_what_was_not_measured_is_not_drawn_and_each_curve_is_its_own() -> None:
    ((_, deletion, insertion),) = draw_parts("gradient", "random", text=(0.2, 0.8))
    ((_, turned, _),) = draw_parts("gradient", "random", text=(0.8, 0.2))
    assert ">attention<" not in deletion + insertion and deletion != turned
