from __future__ import annotations

import base64

from mrharm.metrics import Estimate
from mrharm.probes.saliency import SHARES, Order, Part, SaliencyProbe
from mrharm.reports.evaluation_page import Plot, make_saliency_plots


def order(deletion: float, insertion: float) -> Order:
    return Order(
        deletion=Estimate(value=deletion),
        insertion=Estimate(value=insertion),
        deletion_curve=(deletion,) * len(SHARES),
        insertion_curve=(insertion,) * len(SHARES),
    )


def drawing(plot: Plot) -> str:
    return base64.b64decode(plot.image.removeprefix("data:image/svg+xml;base64,")).decode("utf-8")


def test_words_and_patches_have_a_row_each_of_deletion_and_insertion() -> None:
    orders = {kind: order(0.2, 0.8) for kind in ("attention", "gradient", "random")}
    found = SaliencyProbe(
        memes=3, text=Part(memes=3, orders=orders), picture=Part(memes=2, orders=orders), skipped={}
    )
    drawn = make_saliency_plots(found.model_dump(mode="json"))
    assert [[plot.name for plot in row] for row in drawn] == [
        ["Words removed (deletion)", "Words added (insertion)"],
        ["Patches removed (deletion)", "Patches added (insertion)"],
    ]
    for plot in (plot for row in drawn for plot in row):
        assert all(f">{kind}<" in drawing(plot) for kind in orders)
    assert "below the dotted one" in drawn[0][0].note and "above the dotted one" in drawn[0][1].note


def test_what_was_not_measured_is_not_drawn() -> None:
    orders = {"gradient": order(0.2, 0.8), "random": order(0.5, 0.5)}
    found = SaliencyProbe(memes=3, text=Part(memes=3, orders=orders), skipped={"picture": "no picture"})
    (row,) = make_saliency_plots(found.model_dump(mode="json"))
    assert [">attention<" in drawing(plot) for plot in row] == [False, False]


def test_deletion_and_insertion_are_not_the_same_drawing() -> None:
    orders = {"gradient": order(0.2, 0.8), "random": order(0.5, 0.5)}
    found = SaliencyProbe(memes=3, text=Part(memes=3, orders=orders), skipped={})
    ((deletion, insertion),) = make_saliency_plots(found.model_dump(mode="json"))
    flat = order(0.8, 0.2)
    turned = SaliencyProbe(
        memes=3, text=Part(memes=3, orders={**orders, "gradient": flat}), skipped={}
    ).model_dump(mode="json")
    ((other, _),) = make_saliency_plots(turned)
    assert drawing(deletion) != drawing(other)
    assert "share of words removed" in drawing(deletion) and "share of words added" in drawing(insertion)
