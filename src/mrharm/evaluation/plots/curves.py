"""Curves over one square: reliability, ROC, risk and coverage, deletion and insertion."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib

from mrharm.evaluation.plots.bars import BLUE, GREY, ORANGE, SETTINGS

GREEN, PINK = "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PINK)
Guide = Literal["up", "flat", None]


@dataclass(frozen=True)
class Curve:
    """A line through points; ``sizes``, where given, draws a dot at each, its area by how many memes it stands for."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[float] | None = None


def draw_curves(
    curves: Sequence[Curve],
    x: str,
    y: str,
    *,
    title: str,
    guide: Guide = None,
    top: float | None = 1.0,
) -> str:
    """Curves -> an SVG drawing.

    Args:
        curves: at most as many as there are colours.
        x: what the horizontal axis is.
        y: what the vertical axis is.
        title: readers of the page hear it.
        guide: a dotted line: ``up`` from corner to corner (chance, or perfect calibration), ``flat`` at one half.
        top: where the vertical axis ends; None for where the curves do.

    Raises:
        ValueError: nothing to draw, or more curves than colours.
    """
    if not any(len(curve.x) for curve in curves) or len(curves) > len(COLOURS):
        raise ValueError(f"expected 1 to {len(COLOURS)} curves with points, got {len(curves)}")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(SETTINGS):
        canvas = Canvas(figsize=(4.6, 4.0), layout="constrained")
        FigureCanvasSVG(canvas)
        ax: Any = canvas.subplots()
        if guide == "up":
            ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        elif guide == "flat":
            ax.axhline(0.5, color=GREY, linestyle=":", linewidth=1)
        for colour, curve in zip(COLOURS, curves, strict=False):
            ax.plot(curve.x, curve.y, color=colour, linewidth=1.6, label=curve.name)
            if curve.sizes is not None:
                largest = max(curve.sizes) or 1.0
                ax.scatter(curve.x, curve.y, [12 + 80 * size / largest for size in curve.sizes], color=colour)
        ax.set_xlim(-0.02, 1.02)
        if top is not None:
            ax.set_ylim(-0.02, top + 0.02)
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.set_title(title)
        if len(curves) > 1:
            ax.legend(frameon=False, fontsize=9)
        drawn = io.StringIO()
        canvas.savefig(drawn, format="svg", metadata={"Date": None, "Title": title})
    return drawn.getvalue()
