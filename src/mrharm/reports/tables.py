"""Nested figures -> tables to print: what a probe found, whatever its shape, as rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mrharm.metrics import Estimate

_FIGURE = {"value", "low", "high"}


@dataclass
class Row:
    """A row: its name, and its figures by column."""

    name: str
    cells: dict[str, Estimate] = field(default_factory=dict)


@dataclass
class FigureTable:
    """Rows that have the same columns, or some of them; ``columns`` in the order they are met."""

    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Every column that some row has."""
        return list(dict.fromkeys(name for row in self.rows for name in row.cells))


def tables_of(found: Mapping[str, Any]) -> list[FigureTable]:
    """A probe's values, as they stand in report.json -> its tables; texts, notes and lists of names are left out.

    A mapping of mappings, and a list of records, is one table; figures that stand alone share one.
    """
    tables: list[FigureTable] = []
    alone = FigureTable("")
    for name, value in found.items():
        if _is_figure(value):
            alone.rows.append(Row(said(name), {"": Estimate.model_validate(value)}))
            continue
        rows = list(_rows(value))
        if rows:
            tables.append(FigureTable(said(name), rows))
    return ([alone] if alone.rows else []) + tables


def _rows(value: Any) -> Iterator[Row]:
    if isinstance(value, Mapping):
        direct = _figures(value)
        # Figures of the thing itself are one row; of what it holds, a row each.
        inner: list[Row] = []
        for name, one in value.items():
            if isinstance(one, Mapping) and not _is_figure(one):
                # What has no figures of its own may hold what has: a saliency's orders.
                inner += [Row(said(name), own)] if (own := _figures(one)) else _rows(one)
        if direct and not inner:
            yield from (Row(said(name), {"": figure}) for name, figure in direct.items())
        else:
            yield from ([Row("", direct)] if direct else [])
            yield from inner
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            if isinstance(one, Mapping) and (figures := _figures(one, deep=True)):
                names = [part for part in one.values() if isinstance(part, str | int | float) and part != ""]
                shown = [f"{part:g}" if isinstance(part, float) else str(part) for part in names]
                yield Row(" ".join(shown[:5]), figures)


def _figures(value: Mapping[str, Any], *, deep: bool = False) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name, one in value.items():
        if _is_figure(one):
            found[said(name)] = Estimate.model_validate(one)
        elif deep and isinstance(one, Mapping):
            found.update(_figures(one))
    return found


_NAMES = {
    "before": "unchanged",
    "clean": "unchanged",
    "conditions": "one modality changed",
    "settings": "every change at every strength (kind, change, strength, its number, unit)",
    "written": "what the rationales look like",
}


def said(name: str) -> str:
    """A field's name as people read it."""
    if name in _NAMES:
        return _NAMES[name]
    return name.replace("_", " ").replace("macro f1", "macro-F1").replace("auroc", "AUROC")


def markdown(text: str) -> str:
    """A text for a Markdown cell or line: nothing in it ends the cell, breaks the line, makes a link or is markup.

    Stars stay, so that a cell may be bold.
    """
    for letter, shown in (("\\", "\\\\"), ("|", "\\|"), ("[", "\\["), ("<", "&lt;")):
        text = text.replace(letter, shown)
    return " ".join(text.split())


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table, ``| one | other |``; what names hold stays in its cell."""
    return f"| {' | '.join(map(markdown, cells))} |"


def _is_figure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == _FIGURE
