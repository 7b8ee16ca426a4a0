"""Tables of results, built once for the terminal, for pages and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mrharm.metrics import SCORES, Estimate, format_cell, name_figure
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.groups import Group
    from mrharm.evaluation.transfer import Transfer

HEADLINE = ("accuracy", "macro_f1", "auroc")
DEMO_ROWS = {
    "majority": "majority",
    "text_only": "text only (TF-IDF + LR)",
    "image_only": "image only (pixels)",
    "labels_only": "labels-only student",
    "two_stage": "two-stage student",
}
_ESTIMATE = {"value", "low", "high"}


@dataclass(frozen=True)
class Row:
    """A row: its cells, and whether it is the detector's own, less important, or a heading of those below."""

    cells: Sequence[str]
    style: Literal["", "own", "dim", "heading"] = ""


@dataclass
class Table:
    """A table: the first column names its rows; ``notes`` are printed under it."""

    title: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str, style: Literal["", "own", "dim", "heading"] = "") -> None:
        """Add a row."""
        self.rows.append(Row(cells, style))

    def to_markdown(self) -> str:
        """Return the table in Markdown, without its title and notes."""
        lines = [self.columns, ["---"] * len(self.columns)]
        for row in self.rows:
            first, *rest = row.cells
            bold = row.style in ("own", "heading")
            lines.append(
                [f"**{first}**" if bold else first, *rest, *[""] * (len(self.columns) - len(row.cells))]
            )
        return "\n".join(f"| {' | '.join(map(markdown, cells))} |" for cells in lines)


def markdown(text: str) -> str:
    """Escape a text for a Markdown cell or line: it ends no cell, breaks no line, makes no link and is no markup.

    Stars stay, so that a cell may be bold.
    """
    for letter, escaped in (("\\", "\\\\"), ("|", "\\|"), ("[", "\\["), ("<", "&lt;")):
        text = text.replace(letter, escaped)
    return " ".join(text.split())


def tabulate_scores(evaluation: Evaluation) -> Table:
    """Return every score of an evaluation, in percent."""
    table = Table("figures in %, with 95 % intervals", ("", "value"))
    for name, label in SCORES.items():
        table.add(label, format_cell(getattr(evaluation.scores, name)))
    return table


def tabulate_baselines(evaluation: Evaluation, *, with_gains: bool = True) -> Table:
    """Return the detector and the baselines on the same memes, in percent."""
    gains = ("gain in macro-F1", "trained on") if with_gains else ()
    table = Table("baselines, in %", ("", "accuracy", "macro-F1", "AUROC", *gains))
    table.add(
        "this detector",
        *(format_cell(getattr(evaluation.scores, name)) for name in HEADLINE),
        *("",) * len(gains),
        style="own",
    )
    for row in evaluation.beside:
        more = (format_cell(row.gains["macro_f1"], sign=True), f"{row.learnt:,} memes") if gains else ()
        table.add(row.name, *(format_cell(getattr(row, name)) for name in HEADLINE), *more)
    return table


def tabulate_published(evaluation: Evaluation, *, with_source: bool = True) -> Table:
    """Return figures that papers give for this dataset, in percent; what is not comparable has a note."""
    source = ("measured on", "source") if with_source else ()
    table = Table("published, in %", ("system", "accuracy", "macro-F1", "AUROC", *source))
    for row in evaluation.published:
        mark = ""
        if row.apart:
            mark = f" [{len(table.notes) + 1}]"
            table.notes.append(f"[{len(table.notes) + 1}] not comparable: {row.apart}")
        figures = [format_cell(Estimate(value=value)) for value in (row.accuracy, row.macro_f1, row.auroc)]
        more = (f"{row.split}, {row.memes:,}", row.source) if source else ()
        table.add(f"{row.system}{mark}", *figures, *more, style="dim" if row.apart else "")
    return table


GROUP_COLUMNS: dict[str, Callable[[Group], Estimate | None]] = {
    "accuracy": lambda group: group.accuracy,
    "macro-F1": lambda group: group.macro_f1,
    "recall": lambda group: group.recall,
    "AUROC": lambda group: group.auroc,
    "flagged": lambda group: group.flagged,
    "in the group": lambda group: group.areas.subgroup if group.areas else None,
    "BPSN": lambda group: group.areas.bpsn if group.areas else None,
    "BNSP": lambda group: group.areas.bnsp if group.areas else None,
}


def tabulate_groups(
    groups: Sequence[Group], columns: Sequence[str], most: int | None = None, *, with_sizes: bool = True
) -> Table:
    """Return groups of memes by kind, in percent.

    Args:
        groups: those of an evaluation.
        columns: of `GROUP_COLUMNS`.
        most: groups of a kind that are shown; None for all.
        with_sizes: show how many memes each has, and how many of them are harmful.
    """
    table = Table("by group, in %", ("", *(("memes", "harmful") if with_sizes else ()), *columns))
    for kind in dict.fromkeys(group.kind for group in groups):
        table.add(kind, style="heading")
        rows = [group for group in groups if group.kind == kind]
        for group in rows[:most]:
            figures = ["too few"] if group.too_few else []
            if not group.too_few:
                figures = [format_cell(GROUP_COLUMNS[column](group) or Estimate()) for column in columns]
            sizes = (f"{group.memes:,}", f"{group.harmful:,}") if with_sizes else ()
            table.add(sanitise(group.name), *sizes, *figures, style="dim" if group.too_few else "")
        if most is not None and len(rows) > most:
            table.add(f"and {len(rows) - most} more", style="dim")
    return table


def tabulate_comparison(comparison: Comparison) -> list[Table]:
    """Return both sides with their differences, in percent; over seeds, too, where a side has several runs."""
    columns = ("", "first", "second", "difference")
    first, second = comparison.first, comparison.second
    tables = [Table(f"{comparison.dataset} ({comparison.split}), {comparison.memes:,} memes, in %", columns)]
    for name, difference in comparison.differences.items():
        sides = (format_cell(side.figures[name]) for side in (first, second))
        tables[0].add(name_figure(name), *sides, format_cell(difference, sign=True))
    if first.spread or second.spread:
        seeds = Table("over seeds: mean ± standard deviation, in %", columns)
        for name in comparison.differences:
            spreads = (side.spread.get(name) for side in (first, second))
            cells = (
                f"{100 * spread.mean:.1f} ± {100 * spread.sd:.1f}" if spread else "-" for spread in spreads
            )
            difference = comparison.over_seeds.get(name, Estimate())
            seeds.add(name_figure(name), *cells, format_cell(difference, sign=True))
        tables.append(seeds)
    return tables


def tabulate_transfer(matrix: Transfer) -> Table:
    """Return a row for every run and dataset, in percent: a column a dataset would not fit 80 characters."""
    table = Table(
        f"split {matrix.split}, in %, with 95 % intervals", ("run", "dataset", "memes", "macro-F1", "AUROC")
    )
    for cell in matrix.cells:
        dataset = sanitise(cell.dataset) + (" *" if cell.own else "")
        table.add(cell.run, dataset, f"{cell.memes:,}", format_cell(cell.macro_f1), format_cell(cell.auroc))
    table.notes.append("* the dataset that the run was trained on")
    return table


def tabulate_demo(report: Mapping[str, Any], split: str) -> Table:
    """Return what each model of the demo reaches on a split, as shares of one."""
    rows = report[split]
    table = Table(f"{split} (n = {rows['two_stage']['n']:,})", ("", "accuracy", "macro-F1", "AUROC"))
    for key, name in DEMO_ROWS.items():
        row = rows[key]
        low, high = row["accuracy_ci"]
        cells = (
            Estimate(value=row["accuracy"], low=low, high=high),
            *map(_bare, (row["macro_f1"], row["auroc"])),
        )
        shown = (format_cell(cell, times=1, digits=3) for cell in cells)
        table.add(name, *shown, style="own" if key == "two_stage" else "")
    return table


def _bare(value: float | None) -> Estimate:
    return Estimate(value=value)


def tabulate_record(record: Mapping[str, Any]) -> list[Table]:
    """Return the figures of a probe's record, as it is in report.json; texts, notes and lists of names are left out.

    A mapping of mappings, and a list of records, is one table; figures of the record itself share one.
    """
    tables: list[Table] = []
    figures: dict[str, dict[str, Estimate]] = {}
    for name, value in record.items():
        if _is_estimate(value):
            figures[name_figure(name)] = {"": Estimate.model_validate(value)}
        elif rows := list(_find_rows(value)):
            tables.append(_make_table(name_figure(name), rows))
    return ([_make_table("", list(figures.items()))] if figures else []) + tables


def _make_table(title: str, rows: Sequence[tuple[str, Mapping[str, Estimate]]]) -> Table:
    columns = list(dict.fromkeys(column for _, figures in rows for column in figures))
    table = Table(title or "figures", ("", *columns))
    for name, figures in rows:
        cells = (figures.get(column, Estimate()) for column in columns)
        table.add(name, *(format_cell(cell, times=1, digits=3) for cell in cells))
    return table


def _find_rows(value: Any) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Find the rows in a nested value: each with its name and its figures by column."""
    if isinstance(value, Mapping):
        direct = _find_estimates(value)
        inner = list(_find_inner_rows(value))
        if direct and not inner:
            yield from ((name, {"": figure}) for name, figure in direct.items())
        else:
            yield from ([("", direct)] if direct else [])
            yield from inner
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _find_record_rows(value)


def _find_record_rows(records: Sequence[Any]) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Find the rows in a list of records: each is named by its first five texts and numbers."""
    for record in records:
        if isinstance(record, Mapping) and (figures := _find_estimates(record, deep=True)):
            names = [part for part in record.values() if isinstance(part, str | int | float) and part != ""]
            shown = [f"{part:g}" if isinstance(part, float) else str(part) for part in names]
            yield " ".join(shown[:5]), figures


def _find_inner_rows(value: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Estimate]]]:
    for name, part in value.items():
        if isinstance(part, Mapping) and not _is_estimate(part):
            # What has no figures of its own may hold what has: a saliency's orders.
            figures = _find_estimates(part)
            yield from [(name_figure(name), figures)] if figures else _find_rows(part)


def _find_estimates(value: Mapping[str, Any], *, deep: bool = False) -> dict[str, Estimate]:
    estimates: dict[str, Estimate] = {}
    for name, part in value.items():
        if _is_estimate(part):
            estimates[name_figure(name)] = Estimate.model_validate(part)
        elif deep and isinstance(part, Mapping):
            estimates.update(_find_estimates(part))
    return estimates


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == _ESTIMATE
