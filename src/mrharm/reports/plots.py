"""Plots as SVG: bars with intervals, and curves over a square."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import matplotlib

from mrharm.metrics import Estimate

# Okabe and Ito's colours, told apart by colour-blind readers; grey text reads on white and on black paper.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
_WIDTH, _LINE = 5, 55  # inches, and how many letters fit: on a phone the text must stay large enough to read
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: searchable, small, in the page's own font
    "svg.hashsalt": "mrharm",  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}
LINES = ((BLUE, "-"), (ORANGE, "--"))  # distinct without colours, too


@dataclass(frozen=True)
class Panel:
    """Bars over one scale: ``bars`` holds (name, figure), top to bottom; ``marked`` names are in another colour."""

    title: str
    bars: list[tuple[str, Estimate]]
    marked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Curve:
    """A line through points; with ``sizes`` a dot at each point, too, its area by this number of memes.

    A ``guide`` is what other curves are compared with (chance, a random order): dotted and grey.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[float] | None = None
    guide: bool = False


DIAGONAL = Curve("", (0.0, 1.0), (0.0, 1.0), guide=True)  # chance, or perfect calibration


def draw_bars(panels: Sequence[Panel], axis: str, *, title: str = "", guess: float | None = None) -> str:
    """Draw panels below each other as an SVG element; figures are shares of one, ``axis`` says of what.

    A dotted line shows what a ``guess`` would reach. Raises ValueError where there is nothing to draw.
    """
    if not any(panel.bars for panel in panels):
        raise ValueError("no bars to draw")
    heights = [len(panel.bars) + 1 for panel in panels]
    with _canvas(_WIDTH, 0.8 + 0.3 * sum(heights)) as canvas:
        axes = canvas.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for ax, panel in zip(axes, panels, strict=True):
            _draw_panel(ax, panel, guess)
        axes[0].set_xlim(0.0, 1.0)
        axes[-1].set_xlabel(fill(axis, _LINE))
        return _to_svg(canvas, title or axis)


def _draw_panel(ax: Any, panel: Panel, guess: float | None) -> None:
    places = range(len(panel.bars))
    for place, (name, figure) in zip(places, panel.bars, strict=True):
        ax.barh(place, figure.value or 0.0, color=ORANGE if name in panel.marked else BLUE, height=0.62)
        if figure.low is not None and figure.high is not None:
            # An interval of few runs may reach beyond what a share can be; it is drawn as far as it can be.
            low, high = max(figure.low, 0.0), min(figure.high, 1.0)
            ax.plot([low, high], [place, place], color="black", linewidth=1.2, marker="|", markersize=6)
        value = "none" if figure.value is None else f"{figure.value:.3f}"
        side = ax.get_yaxis_transform()  # one column of numbers at the right edge
        ax.annotate(
            value, (1.0, place), xycoords=side, xytext=(6, 0), textcoords="offset points", va="center"
        )
    if guess is not None:
        ax.axvline(guess, color=GREY, linestyle=":", linewidth=1)
    ax.set_title(panel.title)
    ax.set_yticks(list(places), [name for name, _ in panel.bars])
    ax.set_ylim(len(panel.bars) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def draw_curves(curves: Sequence[Curve], x: str, y: str, *, title: str, top: float | None = 1.0) -> str:
    """Draw curves as SVG over the axes ``x`` and ``y``; those that have a name are in a legend below.

    The vertical axis ends at ``top``, or where the curves do. Raises ValueError where there is nothing to draw, or more
    curves than kinds of line (`LINES`), guides apart.
    """
    drawn = [curve for curve in curves if not curve.guide]
    if not any(len(curve.x) for curve in drawn) or len(drawn) > len(LINES):
        raise ValueError(f"expected 1 to {len(LINES)} curves with points, got {len(drawn)}")
    # About as wide as a page shows it, so that the text keeps its size.
    with _canvas(2.9, 2.7) as canvas:
        ax: Any = canvas.subplots()
        lines = iter(LINES)
        for curve in curves:
            colour, style = (GREY, ":") if curve.guide else next(lines)
            ax.plot(curve.x, curve.y, color=colour, linestyle=style, linewidth=1.8, label=curve.name or None)
            if curve.sizes is not None:
                largest = max(curve.sizes) or 1.0
                ax.scatter(curve.x, curve.y, [12 + 80 * size / largest for size in curve.sizes], color=colour)
        ax.set(xlim=(-0.02, 1.02), xlabel=x, ylabel=y, title=title)
        if top is not None:
            ax.set_ylim(-0.02, top + 0.02)
        if entries := sum(bool(curve.name) for curve in curves):
            narrow: Any = {"fontsize": 9, "handlelength": 1.6, "handletextpad": 0.4, "columnspacing": 0.9}
            canvas.legend(loc="outside lower center", ncols=entries, frameon=False, borderpad=0, **narrow)
        return _to_svg(canvas, title)


@contextmanager
def _canvas(width: float, height: float) -> Iterator[Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        canvas = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(canvas)
        yield canvas


def _to_svg(canvas: Any, title: str) -> str:
    """Return the SVG element; without a date the same figures give the same bytes."""
    file = io.StringIO()
    canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    text = file.getvalue()
    return text[text.index("<svg") :]  # the XML prolog before it refers to a file elsewhere
