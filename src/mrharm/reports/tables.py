"""Tables of results, built once for the terminal, pages and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mrharm.metrics import SCORES, Estimate, format_cell, name_figure
from mrharm.records import Record
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.groups import Group
    from mrharm.evaluation.transfer import Transfer

HEADLINE = ("accuracy", "macro_f1", "auroc")
# The first two are what a terminal has room for.
GROUP_FIGURES = ("accuracy", "auroc", "macro_f1", "recall", "flagged")
DEMO_ROWS = {
    "majority": "majority",
    "text_only": "text only (TF-IDF + LR)",
    "image_only": "image only (pixels)",
    "labels_only": "labels-only student",
    "two_stage": "two-stage student",
}
Style = Literal["", "own", "dim", "heading"]


@dataclass(frozen=True)
class Row:
    """A row: its cells, and whether it is the detector's own, less important, or a heading of those below."""

    cells: Sequence[str]
    style: Style = ""


@dataclass
class Table:
    """A table: the first column names its rows; ``notes`` are shown under it."""

    title: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str, style: Style = "") -> None:
        """Add a row; no cell moves a cursor or breaks a line, and those that are missing at the end are empty."""
        missing = [""] * (len(self.columns) - len(cells))
        self.rows.append(Row((*map(sanitise, cells), *missing), style))


def tabulate_evaluation(evaluation: Evaluation, most_groups: int | None = None) -> dict[str, Table]:
    """Return the tables of an evaluation by name, in percent, without those that are empty.

    ``most_groups`` of a kind are shown, all where it is None. The columns that matter most come first.
    """
    scores = Table("figures in %, with 95 % intervals", ("figure", "value"))
    for name, label in SCORES.items():
        scores.add(label, *_format_cells(evaluation.scores, (name,)))
    tables = {
        "scores": scores,
        "baselines": _tabulate_baselines(evaluation),
        "published": _tabulate_published(evaluation),
        "groups": _tabulate_groups(evaluation, most_groups),
        "areas": _tabulate_areas(evaluation, most_groups),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _format_cells(record: Record, names: Sequence[str]) -> list[str]:
    return [format_cell(getattr(record, name)) for name in names]


def _tabulate_baselines(evaluation: Evaluation) -> Table:
    """Return the detector and the baselines on the same memes."""
    headline = [name_figure(name) for name in HEADLINE]
    table = Table("baselines, in %", ("model", *headline, "the detector's gain in macro-F1", "trained on"))
    if evaluation.beside:
        table.add("this detector", *_format_cells(evaluation.scores, HEADLINE), style="own")
    for row in evaluation.beside:
        gain = format_cell(row.gains["macro_f1"], sign=True)
        table.add(row.name, *_format_cells(row, HEADLINE), gain, f"{row.learnt:,} memes")
    return table


def _tabulate_published(evaluation: Evaluation) -> Table:
    """Return figures that papers give for this dataset; those that cannot be compared have a note."""
    headline = [name_figure(name) for name in HEADLINE]
    table = Table("published, in %", ("system", *headline, "measured on", "source"))
    for row in evaluation.published:
        mark = ""
        if row.apart:
            mark = f" [{len(table.notes) + 1}]"
            table.notes.append(f"[{len(table.notes) + 1}] not comparable: {row.apart}")
        figures = [format_cell(Estimate(value=getattr(row, name))) for name in HEADLINE]
        style: Style = "dim" if row.apart else ""
        table.add(f"{row.system}{mark}", *figures, f"{row.split}, {row.memes:,}", row.source, style=style)
    return table


def _tabulate_groups(evaluation: Evaluation, most: int | None) -> Table:
    """Return the groups of memes by kind."""
    table = Table("by group, in %", ("group", "memes", "harmful", *map(name_figure, GROUP_FIGURES)))

    def format_group(group: Group) -> list[str]:
        figures = ["too few"] if group.too_few else _format_cells(group, GROUP_FIGURES)
        return [f"{group.memes:,}", f"{group.harmful:,}", *figures]

    _add_groups(table, evaluation.groups, most, format_group)
    return table


def _tabulate_areas(evaluation: Evaluation, most: int | None) -> Table:
    """Return how groups of people are ranked, compared with the rest."""
    table = Table("AUROC by group of people, in %", ("group", "in the group", "BPSN", "BNSP"))

    def format_areas(group: Group) -> list[str]:
        return _format_cells(group.areas, ("subgroup", "bpsn", "bnsp")) if group.areas else []

    ranked = [
        group
        for group in evaluation.groups
        if group.areas and (group.areas.bpsn.value, group.areas.bnsp.value) != (None, None)
    ]
    _add_groups(table, ranked, most, format_areas)
    table.notes.append(
        "low BPSN: the group's harmless memes score too high; low BNSP: its harmful memes too low"
    )
    return table


def _add_groups(
    table: Table, groups: Sequence[Group], most: int | None, format_row: Callable[[Group], list[str]]
) -> None:
    """Add the first ``most`` groups of each kind under a heading."""
    for kind in dict.fromkeys(group.kind for group in groups):
        table.add(kind, style="heading")
        members = [group for group in groups if group.kind == kind]
        for group in members[:most]:
            table.add(group.name, *format_row(group), style="dim" if group.too_few else "")
        if most is not None and len(members) > most:
            table.add(f"and {len(members) - most} more", style="dim")


def tabulate_comparison(comparison: Comparison) -> list[Table]:
    """Return both sides with their differences, in percent; over seeds, too, where a side has several runs."""
    columns = ("figure", "first", "second", "difference")
    first, second = comparison.first, comparison.second
    table = Table(f"{comparison.dataset} ({comparison.split}), {comparison.memes:,} memes, in %", columns)
    for name, difference in comparison.differences.items():
        sides = (format_cell(side.figures[name]) for side in (first, second))
        table.add(name_figure(name), *sides, format_cell(difference, sign=True))
    tables = [table]
    if first.spread or second.spread:
        seeds = Table("over seeds: mean ± standard deviation, in %", columns)
        tables.append(seeds)
        for name in comparison.differences:
            spreads = (side.spread.get(name) for side in (first, second))
            cells = (
                f"{100 * spread.mean:.1f} ± {100 * spread.sd:.1f}" if spread else "-" for spread in spreads
            )
            difference = comparison.over_seeds.get(name, Estimate())
            seeds.add(name_figure(name), *cells, format_cell(difference, sign=True))
    if comparison.by_baseline:
        groups = Table("accuracy where words alone are wrong or right, in %", columns)
        tables.append(groups)
        for group in comparison.by_baseline:
            cells = (format_cell(figure) for figure in (group.first, group.second))
            name = f"{group.name} ({group.memes:,} memes)"
            groups.add(name, *cells, format_cell(group.difference, sign=True))
    return tables


def tabulate_transfer(matrix: Transfer) -> Table:
    """Return a row for every run and dataset, in percent: a column a dataset would not fit 80 characters."""
    title = f"split {matrix.split}, in %, with 95 % intervals"
    table = Table(title, ("run", "dataset", "memes", "macro-F1", "AUROC"))
    for cell in matrix.cells:
        dataset = f"{cell.dataset} *" if cell.own else cell.dataset
        table.add(cell.run, dataset, f"{cell.memes:,}", *_format_cells(cell, ("macro_f1", "auroc")))
    table.notes.append("* the dataset that the run was trained on")
    return table


def tabulate_demo(report: Mapping[str, Any], split: str) -> Table:
    """Return what each model of the demo reaches on a split, as shares of one."""
    models = report[split]
    table = Table(
        f"{split} (n = {models['two_stage']['n']:,})", ("model", *(name_figure(name) for name in HEADLINE))
    )
    for model, name in DEMO_ROWS.items():
        figures = (Estimate(value=models[model][figure]) for figure in HEADLINE[1:])
        cells = (format_cell(figure, times=1, digits=3) for figure in figures)
        style: Style = "own" if model == "two_stage" else ""
        table.add(name, _format_accuracy(models[model]), *cells, style=style)
    return table


def tabulate_demo_kinds(report: Mapping[str, Any]) -> Table:
    """Return accuracy on the demo's two kinds of test memes, and the two-stage student's rationales there."""
    table = Table(
        "test, by what the teacher does with the relation of words and picture",
        ("it is", "memes", "labels-only", "two-stage", "names it", "true"),
    )
    for kind, rows in report["by_kind"].items():
        figures = [_format_accuracy(rows[student]) for student in ("labels_only", "two_stage")]
        shares = (Estimate(value=rows["rationale_truth"][part]) for part in ("names_relation", "all"))
        cells = (format_cell(share, times=1, digits=3) for share in shares)
        table.add(kind, f"{rows['two_stage']['n']:,}", *figures, *cells)
    table.notes.append(
        "labels-only, two-stage: accuracy; names it, true: shares of the two-stage student's rationales that say how "
        "words and picture combine, and that are true in all they say"
    )
    return table


def _format_accuracy(row: Mapping[str, Any]) -> str:
    low, high = row["accuracy_ci"]
    return format_cell(Estimate(value=row["accuracy"], low=low, high=high), times=1, digits=3)


def tabulate_record(record: Mapping[str, Any]) -> list[Table]:
    """Return the figures of a probe's record, as report.json holds it, from 0 to 1: a table for each part.

    Texts, notes and lists of names are left out.
    """
    figures = {name: value for name, value in record.items() if _is_estimate(value)}
    tables = []
    for part, value in {"figures": figures, **record}.items():
        rows = list(_find_rows(name_figure(part), value))
        columns = list(dict.fromkeys(name for _, estimates in rows for name in estimates))
        table = Table(name_figure(part), ("", *map(name_figure, columns)))
        for name, estimates in rows:
            cells = (estimates.get(column, Estimate()) for column in columns)
            table.add(name, *(format_cell(cell, times=1, digits=3) for cell in cells))
        if rows:
            tables.append(table)
    return tables


def _find_rows(name: str, value: Any) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Find the figures in a nested value: a row for each mapping that holds some, with its name."""
    if isinstance(value, list | tuple):
        for record in value:
            yield from _find_record_row(record) if isinstance(record, Mapping) else ()
    elif isinstance(value, Mapping):
        if figures := _select_estimates(value):
            yield name, figures
        for key, part in value.items():
            yield from _find_rows(name_figure(key), part)


def _find_record_row(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Make a row of a list's record with what it holds in turn; its first five texts and numbers name it."""
    figures = _select_estimates(record)
    for part in record.values():
        figures |= _select_estimates(part) if isinstance(part, Mapping) else {}
    names = [part for part in record.values() if isinstance(part, str | int | float) and part != ""]
    shown = [f"{part:g}" if isinstance(part, float) else str(part) for part in names]
    if figures:
        yield " ".join(shown[:5]), figures


def _select_estimates(value: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate.model_validate(part) for name, part in value.items() if _is_estimate(part)}


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == set(Estimate.model_fields)
