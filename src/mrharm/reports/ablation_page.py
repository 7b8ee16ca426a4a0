"""An ablation as ``ablation.json``, ``ablation.md`` and ``ablation.svg``: tables, a plot, and answers to questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mrharm.ablation.arms import ARMS, REFERENCE
from mrharm.ablation.results import (
    BY_BASELINE,
    TRUTH,
    Answer,
    Cell,
    answer_questions,
    format_plus_minus,
    tabulate,
)
from mrharm.ablation.run import MORE_SPLITS, RunRow
from mrharm.metrics import Estimate
from mrharm.records import Failure, Record
from mrharm.reports.plots import Panel, draw_bars
from mrharm.reports.render import render_markdown
from mrharm.reports.tables import Table
from mrharm.store import read_json_record, write_json, write_text

JSON, MARKDOWN, PLOT = "ablation.json", "ablation.md", "ablation.svg"
_PLOTTED, _GUESS = "macro_f1", 0.5
_EMPTY = Estimate()

NOTE = (
    "Mean over seeds ± half the width of its 95 % interval (Student's t); differences are from the reference with the "
    "same seeds. Intervals are about training again, not about other memes, and are not corrected for their number. "
    "All arms train with the recipe's steps and learning rates: an arm that needs others looks worse than it is. Where "
    "seeds fall into two groups, learned or not, five of each arm rarely suffice: 5 of 5 against a true rate of 2 of 5 "
    "reaches p < 0.05 one time in three."
)


class Ablation(Record):
    """The results of an ablation. ``tables``: split -> cells, the main split first; ``skipped``: arm -> why."""

    dataset: str
    recipe: str
    split: str
    arms: dict[str, str]
    tables: dict[str, list[Cell]]
    answers: list[Answer]
    runs: int
    seconds: float
    skipped: dict[str, str] = {}
    failures: list[Failure] = []


def summarise(
    rows: Sequence[RunRow],
    *,
    dataset: str,
    recipe: str,
    split: str,
    skipped: Mapping[str, str] | None = None,
    failures: Sequence[Failure] = (),
) -> Ablation:
    """Return the tables and answers of runs."""
    measured = {name for row in rows for name in row.splits}
    splits = [split, *(name for name in MORE_SPLITS if name in measured and name != split)]
    return Ablation(
        dataset=dataset,
        recipe=recipe,
        split=split,
        arms={name: arm.what for name, arm in ARMS.items() if any(row.arm == name for row in rows)},
        tables={name: tabulate(rows, name) for name in splits},
        answers=answer_questions(rows, split),
        runs=len(rows),
        seconds=round(sum(row.seconds for row in rows), 1),
        skipped=dict(skipped or {}),
        failures=list(failures),
    )


def write_ablation(out: Path, ablation: Ablation) -> None:
    """Write the three files; without a run there is no plot."""
    write_json(out / JSON, ablation.model_dump(mode="json"))
    write_text(out / MARKDOWN, to_markdown(ablation))
    if ablation.runs:
        write_text(out / PLOT, to_svg(ablation))


def read_ablation(folder: Path) -> Ablation:
    """Read the ``ablation.json`` of `mrharm ablate`; raises DataError where there is none, or something else."""
    mend = f"expected the results of an ablation, which `mrharm ablate ... --out {folder}` writes"
    return read_json_record(folder / JSON, Ablation, mend)


def tabulate_split(cells: Sequence[Cell]) -> list[Table]:
    """Return the tables of a split, a row for each cell: the arms, and where it is known for any of them accuracy where
    words alone are wrong and right. A terminal has room for the first six columns.
    """
    by_baseline = _tabulate_by_baseline(cells)
    return [_tabulate_arms(cells), *([by_baseline] if by_baseline.rows else [])]


def _tabulate_arms(cells: Sequence[Cell]) -> Table:
    table = Table(
        "mean over seeds", ("arm", "memes", "seeds", "macro-F1", "difference", "true", "accuracy", "AUROC")
    )
    for cell in cells:
        macro_f1, *figures = (
            format_plus_minus(cell.figures.get(name, _EMPTY))
            for name in (_PLOTTED, TRUTH, "accuracy", "auroc")
        )
        change = format_plus_minus(cell.differences.get(_PLOTTED, _EMPTY), signed=True)
        change = "reference" if cell.arm == REFERENCE else change
        table.add(cell.arm, f"{cell.size:,}", str(len(cell.seeds)), macro_f1, change, *figures)
    table.notes.append(NOTE)
    return table


def _tabulate_by_baseline(cells: Sequence[Cell]) -> Table:
    table = Table(
        "accuracy where words alone are wrong or right, mean over seeds",
        ("arm", "memes", "seeds", "words wrong", "words right"),
    )
    for cell in cells:
        if any(name in cell.figures for name in BY_BASELINE):
            figures = (format_plus_minus(cell.figures.get(name, _EMPTY)) for name in BY_BASELINE)
            table.add(cell.arm, f"{cell.size:,}", str(len(cell.seeds)), *figures)
    table.notes.append(
        "Words alone learn from all training memes, so that the groups are the same for every arm."
    )
    return table


def to_markdown(ablation: Ablation) -> str:
    """Render the report that people read."""
    tables = {split: tabulate_split(cells) for split, cells in ablation.tables.items()}
    return render_markdown("ablation.md.jinja", found=ablation, tables=tables, note=NOTE, plot=PLOT)


def to_svg(ablation: Ablation) -> str:
    """Draw macro-F1 of every arm with its interval, a panel for each number of training memes."""
    panels: dict[int, Panel] = {}
    for cell in sorted(ablation.tables[ablation.split], key=lambda cell: cell.size):
        panel = panels.setdefault(cell.size, Panel(f"{cell.size:,} training memes", [], []))
        name = f"{cell.arm} ({len(cell.seeds)})"
        panel.bars.append((name, cell.figures.get(_PLOTTED, _EMPTY)))
        if cell.arm == REFERENCE:
            panel.marked.append(name)
    axis = f"macro-F1 on {ablation.split}, mean over seeds (how many in brackets) and 95 % interval"
    return draw_bars(list(panels.values()), axis, title=f"Ablation on {ablation.dataset}", guess=_GUESS)
