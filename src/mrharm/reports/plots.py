"""Bars with intervals: what each arm of an ablation reaches, a panel a size, the reference's interval behind them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Panel:
    """Bars over one scale: ``bars`` holds (name, figure), top to bottom; those of ``marked`` names stand out."""

    title: str
    bars: Sequence[tuple[str, Estimate]]
    marked: Sequence[str] = ()


def draw_bars(panels: Sequence[Panel], axis: str, *, title: str = "", guess: float | None = None) -> str:
    """Panels one below the other -> an SVG element, self-contained; figures are shares of one.

    Args:
        panels: what to draw; a bar without an interval has a single run behind it.
        axis: what the figures are.
        title: what the drawing is called.
        guess: where a guess would stand, as a dotted line.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not any(panel.bars for panel in panels):
        raise ValueError("no bars to draw")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    heights = [len(panel.bars) + 1 for panel in panels]
    with matplotlib.rc_context(SETTINGS):
        canvas = Canvas(figsize=(_WIDTH, 0.8 + 0.3 * sum(heights)), layout="constrained")
        FigureCanvasSVG(canvas)
        axes = canvas.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for ax, panel in zip(axes, panels, strict=True):
            _draw(ax, panel, guess)
        axes[0].set_xlim(0.0, 1.0)
        axes[-1].set_xlabel(fill(axis, _LINE))
        drawn = io.StringIO()
        # Without a date the same figures give the same bytes.
        canvas.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Title": title or axis})
    text = drawn.getvalue()
    return text[
        text.index("<svg") :
    ]  # what stands before it names a file elsewhere, and may not stand in a page


def _draw(ax: Any, panel: Panel, guess: float | None) -> None:
    places = range(len(panel.bars))
    for place, (name, figure) in zip(places, panel.bars, strict=True):
        ax.barh(place, figure.value or 0.0, color=ORANGE if name in panel.marked else BLUE, height=0.62)
        if figure.low is not None and figure.high is not None:
            # An interval of few runs may reach beyond what a share can be; it is drawn as far as it can be.
            low, high = max(figure.low, 0.0), min(figure.high, 1.0)
            ax.plot([low, high], [place, place], color="black", linewidth=1.2, marker="|", markersize=6)
        said = "none" if figure.value is None else f"{figure.value:.3f}"
        side = ax.get_yaxis_transform()  # one column of numbers at the right edge
        ax.annotate(said, (1.0, place), xycoords=side, xytext=(6, 0), textcoords="offset points", va="center")
    if guess is not None:
        ax.axvline(guess, color=GREY, linestyle=":", linewidth=1)
    ax.set_title(panel.title)
    ax.set_yticks(list(places), [name for name, _ in panel.bars])
    ax.set_ylim(len(panel.bars) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
