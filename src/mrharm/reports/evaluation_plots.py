"""Which plots an evaluation's page shows, and how each is read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrharm.evaluation.evaluate import Evaluation
from mrharm.metrics import Estimate
from mrharm.probes.saliency_report import UNITS, SaliencyProbe
from mrharm.reports.curves import DIAGONAL, Curve, draw_curves
from mrharm.reports.plots import Panel, draw_bars
from mrharm.reports.tables import said

_RANDOM = "random"
_ORDERS = {"gradient": "gradient", "attention": "attention", _RANDOM: "random"}


@dataclass(frozen=True)
class Plot:
    """A drawing for the page: what it is called, its ``data:`` address, and a sentence on how to read it."""

    name: str
    image: str
    note: str
    wide: bool = False


def plots_of(found: Evaluation) -> list[Plot]:
    """The plots of an evaluation's scores and of its robustness: those that there are figures for."""
    curves, plots = found.curves, []
    if bins := curves.reliability:
        dots = Curve(
            "",
            [one.mean_score for one in bins],
            [one.harmful.value or 0.0 for one in bins],
            [float(one.memes) for one in bins],
        )
        drawn = draw_curves([DIAGONAL, dots], "P(harmful)", "share that is harmful", title="Reliability")
        plots.append(
            Plot(
                "Reliability",
                svg_address(drawn),
                "Dots on the dotted line: scores that mean what they say. The larger a dot, the more memes it "
                "stands for.",
            )
        )
    plots += _line(
        "ROC",
        curves.roc,
        "harmless memes flagged",
        "harmful memes flagged",
        "Further up is better; the dotted line is chance.",
        DIAGONAL,
    )
    plots += _line("Precision and recall", curves.pr, "recall", "precision", "Further up is better.")
    plots += _line(
        "Risk and coverage",
        curves.risk_coverage,
        "share decided, the surest first",
        "share of those wrong",
        "Lower is better: how wrong it is if people see what it is least sure of.",
        top=None,
    )
    if panels := _robustness(found):
        title = "Robustness: macro-F1 under the strongest changes"
        note = "Macro-F1 under every change at its strongest; the first bar is without a change."
        drawing = draw_bars(panels, "macro-F1", title=title)
        plots.append(Plot(title, svg_address(drawing), note, wide=True))
    return plots


def saliency_plots(probed: Mapping[str, Any]) -> list[list[Plot]]:
    """What the probe of saliency found, as it stands in report.json -> a row for words, a row for patches; in each
    deletion, then insertion."""
    found = SaliencyProbe.model_validate(probed)
    rows = []
    for name, part in (("text", found.text), ("picture", found.picture)):
        if not part:
            continue
        units, orders = UNITS[name], [kind for kind in _ORDERS if kind in part.orders]
        taken = {kind: part.orders[kind].deletion_curve for kind in orders}
        given = {kind: part.orders[kind].insertion_curve for kind in orders}
        rows.append(
            [
                _orders(
                    f"{units.capitalize()} taken away (deletion)",
                    found.shares,
                    taken,
                    f"share of {units} taken away",
                    f"The {units} said to weigh most go first: a curve below the dotted one, where they go in random "
                    "order, shows that the decision rests on them.",
                ),
                _orders(
                    f"{units.capitalize()} given (insertion)",
                    found.shares,
                    given,
                    f"share of {units} given",
                    f"The {units} said to weigh most come first: here a curve above the dotted one shows it.",
                ),
            ]
        )
    return rows


def svg_address(drawing: str) -> str:
    """An SVG drawing -> a ``data:`` address."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode("utf-8")).decode("ascii")


def _line(
    name: str,
    points: Sequence[tuple[float, float]],
    x: str,
    y: str,
    note: str,
    *guides: Curve,
    top: float | None = 1.0,
) -> list[Plot]:
    if not points:
        return []
    line = Curve("", [across for across, _ in points], [up for _, up in points])
    return [Plot(name, svg_address(draw_curves([*guides, line], x, y, title=name, top=top)), note)]


def _orders(
    name: str, shares: Sequence[float], orders: Mapping[str, Sequence[float]], x: str, note: str
) -> Plot:
    curves = [Curve(_ORDERS[kind], shares, values, guide=kind == _RANDOM) for kind, values in orders.items()]
    return Plot(name, svg_address(draw_curves(curves, x, "mean P(decision)", title=name)), note)


def _robustness(found: Evaluation) -> list[Panel]:
    probe = found.probes.get("robustness")
    if not probe:
        return []
    settings = probe["settings"]
    strongest = max((one["strength"] for one in settings), default=0)
    clean = Estimate.model_validate(probe["clean"]["macro_f1"])
    return [
        Panel(
            f"Robustness: {kind} changed",
            [("unchanged", clean)]
            + [
                (said(one["change"]), Estimate.model_validate(one["moved"]["macro_f1"]))
                for one in settings
                if one["kind"] == kind and one["strength"] == strongest
            ],
            marked=("unchanged",),
        )
        for kind in dict.fromkeys(one["kind"] for one in settings)
    ]
