"""Render templates: pages, Markdown and sentences; the filters that all of them share; pictures for pages."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from mrharm.images import open_image
from mrharm.metrics import Estimate, counted, format_figure, format_sentence, name_figure
from mrharm.records import Doubt
from mrharm.reports.tables import Table
from mrharm.texts import sanitise

DOUBTS: dict[Doubt, str] = {
    "text_cut": "its text is longer than this detector reads",
    "unfamiliar": "it is unlike the memes this detector learned from",
    "rationale_disagrees": "its explanation speaks for the other side",
}
LABELS = {True: "harmful", False: "harmless", None: "no label"}
_SIDE = 320  # pixels of a picture on a page, at most
Figure = Estimate | Mapping[str, Any] | float | None


def render_page(template: str, **values: Any) -> str:
    """Render an HTML page; every value is escaped."""
    return _environment(html=True).get_template(template).render(values)


def render_markdown(template: str, **values: Any) -> str:
    """Render a Markdown file; blank lines that logic leaves behind are joined."""
    text = _environment(html=False).get_template(template).render(values)
    return re.sub(r"\n\s*\n\s*\n", "\n\n", text).strip() + "\n"


def render_sentences(template: str, **values: Any) -> tuple[str, ...]:
    """Render a template of sentences, one a paragraph; a line with nothing but logic ends a paragraph, too."""
    text = _environment(html=False).get_template(template).render(values)
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def shorten(text: str, most: int) -> str:
    """Return a text of at most so many characters; an ellipsis stands for the rest."""
    return text if len(text) <= most else text[: most - 1] + "…"


def inline_picture(path: Path) -> str:
    """Return a picture file as the ``data:`` address of a JPEG of at most 320 pixels a side."""
    return inline(open_image(path))


def inline(image: Image.Image) -> str:
    """Return an RGB picture as the ``data:`` address of a JPEG of at most 320 pixels a side."""
    image = image.copy()
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def inline_svg(drawing: str) -> str:
    """Return an SVG drawing as a ``data:`` address."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode("utf-8")).decode("ascii")


def markdown(text: str) -> str:
    """Escape a text for a Markdown cell or line: it ends no cell, breaks no line, makes no link and is no markup.

    Stars stay, so that a cell may be bold.
    """
    for letter, escaped in (("\\", "\\\\"), ("|", "\\|"), ("[", "\\["), ("<", "&lt;")):
        text = text.replace(letter, escaped)
    return sanitise(text)


class _Verbatim(str):
    """A text of several lines that is meant."""


def markdown_table(table: Table) -> str:
    """Return a table in Markdown, without its title and notes; rows that stand out have a bold name."""
    lines = [table.columns, ["---"] * len(table.columns)]
    for row in table.rows:
        name, *cells = row.cells
        lines.append([f"**{name}**" if row.style in ("own", "heading") else name, *cells])
    return _Verbatim("\n".join(f"| {' | '.join(map(markdown, cells))} |" for cells in lines))


def _one_line(value: Any) -> Any:
    """Keep what a dataset says on one line: a blank line in it would end a sentence."""
    return " ".join(value.split()) if isinstance(value, str) and not isinstance(value, _Verbatim) else value


def _estimate(figure: Figure) -> Estimate:
    """Return a figure as an Estimate, whether it is one, is one read from JSON, or is a bare number."""
    if isinstance(figure, Mapping):
        figure = Estimate.model_validate(figure)
    return figure if isinstance(figure, Estimate) else Estimate(value=figure)


def _format(figure: Figure, unit: str, digits: int, times: float = 100, sign: bool = False) -> str:
    return format_sentence(_estimate(figure), unit=unit, times=times, digits=digits, sign=sign)


@cache
def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("mrharm", "reports/templates"),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=None if html else _one_line,
    )
    environment.globals.update(DOUBTS=DOUBTS, LABELS=LABELS)
    environment.filters.update(
        commas="{:,}".format,
        count=counted,
        figure=name_figure,
        fixed=lambda value, digits=1: f"{value:,.{digits}f}",
        markdown=markdown,
        policy_figure=lambda figure, name: format_figure(name, _estimate(figure)),
        table=markdown_table,
        verbatim=_Verbatim,
        # ``81.1 % (77.1 to 85.0)``, ``+3.1 points (+0.2 to +6.0)`` and ``0.811 (0.771 to 0.850)``.
        percent=lambda figure, digits=1: _format(figure, " %", digits),
        points=lambda figure, digits=1: _format(figure, " points", digits, sign=True),
        number=lambda figure, digits=3, sign=False: _format(figure, "", digits, times=1, sign=sign),
    )
    return environment
