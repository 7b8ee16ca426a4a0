"""An evaluation and a comparison on the terminal: the verdict first, then tables that fit 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from mrharm.cli.terminal import out, sanitise
from mrharm.metrics import Estimate, format_cell

if TYPE_CHECKING:
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.evaluate import Evaluation

NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "precision": "precision",
    "recall": "recall",
    "false_alarms": "false alarms",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "ece": "class-wise ECE",
    "aurc": "AURC (risk-coverage)",
}
SHOWN = 10  # groups of a kind, mistakes; report.json holds all
_WIDTH = 80
_NAME = 24


def say(found: Evaluation) -> None:
    """Print the verdict, figures, what stands beside them, groups, probes and the worst mistakes."""
    for words in found.words:
        out.print(sanitise(words), style="bold")
    _figures(found)
    _beside(found)
    _groups(found)
    _areas(found)
    for name, record in found.probes.items():
        out.print(f"\nprobe: {name}", style="bold")
        for words in record.get("words", ()):
            out.print(sanitise(words))
    for name, reason in found.skipped.items():
        out.print(f"\nprobe: {name}: skipped: {sanitise(reason)}")
    _mistakes(found)


def say_comparison(found: Comparison) -> None:
    """Print what a comparison says, and its table."""
    for words in found.words:
        out.print(sanitise(words), style="bold")
    table = _table(
        sanitise(f"{found.dataset} ({found.split}), {found.memes:,} memes, %"),
        "first",
        "second",
        "difference",
    )
    for name, difference in found.differences.items():
        table.add_row(
            NAMES[name],
            format_cell(found.first.figures[name]),
            format_cell(found.second.figures[name]),
            format_cell(difference, sign=True),
        )
    out.print(table)
    for place, side in (("first", found.first), ("second", found.second)):
        out.print(f"{place}: {side.name} (recipe {side.recipe})")
    if not (found.first.spread or found.second.spread):
        return
    table = _table("over seeds: mean ± standard deviation, %", "first", "second", "difference")
    for name in found.differences:
        cells = [
            f"{100 * side.spread[name].mean:.1f} ± {100 * side.spread[name].sd:.1f}"
            if name in side.spread
            else "-"
            for side in (found.first, found.second)
        ]
        over = found.over_seeds.get(name)
        table.add_row(NAMES[name], *cells, format_cell(over, sign=True) if over else "-")
    out.print(table)


def _table(title: str, *columns: str, header: bool = True, width: int = _NAME) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_header=header,
    )
    table.add_column("", max_width=width, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _figures(found: Evaluation) -> None:
    scores = found.scores
    table = _table("figures in %, 95 % interval", "", header=False)
    for name, words in NAMES.items():
        table.add_row(words, format_cell(getattr(scores, name)))
    out.print(table)


def _beside(found: Evaluation) -> None:
    scores = found.scores
    table = _table("beside others, in %", "accuracy", "macro-F1", "AUROC", width=34)
    table.add_row(
        "this detector",
        format_cell(scores.accuracy),
        format_cell(scores.macro_f1),
        format_cell(scores.auroc),
        style="bold",
    )
    for row in found.beside:
        table.add_row(row.name, format_cell(row.accuracy), format_cell(row.macro_f1), format_cell(row.auroc))
    notes: list[str] = []
    for paper in found.published:
        mark = ""
        if paper.apart:
            mark = f" [{len(notes) + 1}]"
            notes.append(f"[{len(notes) + 1}] not comparable: {paper.apart}")
        figures = [
            format_cell(Estimate(value=value)) for value in (paper.accuracy, paper.macro_f1, paper.auroc)
        ]
        table.add_row(f"{paper.system}{mark}", *figures, style="dim" if paper.apart else None)
    out.print(table)
    for note in notes:
        out.print(note, style="dim")


def _groups(found: Evaluation) -> None:
    kinds = dict.fromkeys(row.kind for row in found.groups)
    if not kinds:
        return
    # What fits 80 columns with every figure whole; report.json and the page have the others.
    table = _table("by group, in %", "memes", "harmful", "accuracy", "AUROC")
    for kind in kinds:
        rows = [row for row in found.groups if row.kind == kind]
        table.add_row(kind, style="bold")
        for row in rows[:SHOWN]:
            cells = ["too few", ""] if row.too_few else [format_cell(row.accuracy), format_cell(row.auroc)]
            table.add_row(f"  {_short(row.name)}", f"{row.memes:,}", f"{row.harmful:,}", *cells)
        if len(rows) > SHOWN:
            table.add_row(f"  and {len(rows) - SHOWN} more")
    out.print(table)


def _areas(found: Evaluation) -> None:
    rows = [
        row
        for row in found.groups
        if row.areas and (row.areas.bpsn.value, row.areas.bnsp.value) != (None, None)
    ]
    if not rows:
        return
    table = _table("ranked like others? AUROC in %", "in the group", "BPSN", "BNSP")
    for row in rows[:SHOWN]:
        if row.areas:
            table.add_row(
                _short(row.name),
                format_cell(row.areas.subgroup),
                format_cell(row.areas.bpsn),
                format_cell(row.areas.bnsp),
            )
    out.print(table)
    out.print("low BPSN: its harmless memes score too high; low BNSP: its harmful ones too low", style="dim")


def _mistakes(found: Evaluation) -> None:
    if not found.mistakes:
        return
    out.print("\nworst mistakes, the surest first", style="bold")
    for one in found.mistakes[:SHOWN]:
        says = {True: "harmful", False: "harmless", None: "no label"}[one.said]
        is_ = "harmful" if one.harmful else "harmless"
        line = (
            f"{_short(one.meme_id)}: said {says}, is {is_}, P(harmful) {one.score:.2f}: {sanitise(one.text)}"
        )
        out.print(line[:_WIDTH])


def _short(name: str) -> str:
    name = sanitise(name)
    return name if len(name) < _NAME - 2 else name[: _NAME - 4] + "…"
