"""Curves over one square: reliability, ROC, risk and coverage, deletion and insertion."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

from mrharm.reports.plots import BLUE, GREY, ORANGE, SETTINGS

LINES = ((BLUE, "-"), (ORANGE, "--"))  # told apart without colours, too


@dataclass(frozen=True)
class Curve:
    """A line through points.

    ``name``: stands in the legend; empty for none. ``sizes``: where given, a dot at each point, its area by how many
    memes it stands for. ``guide``: what the others are held against (chance, a random order): dotted and grey.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[float] | None = None
    guide: bool = False


DIAGONAL = Curve("", (0.0, 1.0), (0.0, 1.0), guide=True)  # chance, or perfect calibration


def draw_curves(
    curves: Sequence[Curve],
    x: str,
    y: str,
    *,
    title: str,
    top: float | None = 1.0,
) -> str:
    """Curves -> an SVG drawing; those that have a name stand in a legend below.

    Args:
        curves: at most as many as there are kinds of `LINES`, and guides.
        x: what the horizontal axis is.
        y: what the vertical axis is.
        title: readers of the page hear it.
        top: where the vertical axis ends; None for where the curves do.

    Raises:
        ValueError: nothing to draw, or more curves than kinds of line.
    """
    drawn = [curve for curve in curves if not curve.guide]
    if not any(len(curve.x) for curve in drawn) or len(drawn) > len(LINES):
        raise ValueError(f"expected 1 to {len(LINES)} curves with points, got {len(drawn)}")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(SETTINGS):
        # About as wide as a page shows it, so that the text keeps its size.
        canvas = Canvas(figsize=(2.9, 2.7), layout="constrained")
        FigureCanvasSVG(canvas)
        ax: Any = canvas.subplots()
        lines = iter(LINES)
        for curve in curves:
            colour, style = (GREY, ":") if curve.guide else next(lines)
            ax.plot(curve.x, curve.y, color=colour, linestyle=style, linewidth=1.8, label=curve.name or None)
            if curve.sizes is not None:
                largest = max(curve.sizes) or 1.0
                ax.scatter(curve.x, curve.y, [12 + 80 * size / largest for size in curve.sizes], color=colour)
        ax.set_xlim(-0.02, 1.02)
        if top is not None:
            ax.set_ylim(-0.02, top + 0.02)
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.set_title(title)
        if named := sum(bool(curve.name) for curve in curves):
            narrow: Any = {"fontsize": 9, "handlelength": 1.6, "handletextpad": 0.4, "columnspacing": 0.9}
            canvas.legend(loc="outside lower center", ncols=named, frameon=False, borderpad=0, **narrow)
        file = io.StringIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Title": title})
    return file.getvalue()
