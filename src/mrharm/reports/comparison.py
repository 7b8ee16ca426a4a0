"""Comparisons of runs and the transfer matrix: sentences about their figures, and the files they are written to."""

from __future__ import annotations

from pathlib import Path

from mrharm.evaluation.compare import Comparison
from mrharm.evaluation.transfer import Transfer
from mrharm.metrics import format_cell, name_figure
from mrharm.metrics.estimate import FEWEST, sign_of
from mrharm.reports.render import render_markdown, render_sentences
from mrharm.reports.tables import Table
from mrharm.store import write_json, write_text


def describe_comparison(comparison: Comparison) -> Comparison:
    """Return the comparison with its ``words``: which side is better, and by which evidence."""
    gain, over_seeds = comparison.differences["macro_f1"], comparison.over_seeds.get("macro_f1")
    has_seeds = max(len(comparison.first.runs), len(comparison.second.runs)) > 1
    outcome = sign_of(gain)
    # Of recipes, which runs of several seeds stand for, nothing is shown that may be the seeds' doing.
    if comparison.memes < FEWEST or (has_seeds and (over_seeds is None or sign_of(over_seeds) != outcome)):
        outcome = "open"
    sentences = render_sentences(
        "comparison.jinja",
        found=comparison,
        gain=gain,
        over_seeds=over_seeds,
        seeds_differ=over_seeds is not None and sign_of(over_seeds) != "open",
        has_seeds=has_seeds,
        outcome=outcome,
        FEWEST=FEWEST,
    )
    return comparison.model_copy(update={"words": sentences})


def describe_transfer(matrix: Transfer) -> Transfer:
    """Return the matrix with its ``words``: macro-F1 on the training datasets and on others, on average."""
    sentences = render_sentences("transfer.jinja", cells=matrix.cells)
    return matrix.model_copy(update={"words": sentences})


def write_transfer(matrix: Transfer, file: Path) -> tuple[Path, Path]:
    """Write the matrix as Markdown and, next to it, as JSON; return both paths."""
    page, data = file.with_suffix(".md"), file.with_suffix(".json")
    tables = [_tabulate_matrix(matrix, figure) for figure in ("macro_f1", "auroc")]
    write_text(page, render_markdown("transfer.md.jinja", found=matrix, tables=tables))
    write_json(data, matrix.model_dump(mode="json"))
    return page, data


def _tabulate_matrix(matrix: Transfer, figure: str) -> Table:
    table = Table(name_figure(figure), ("run", "trained on", *matrix.datasets))
    for run in matrix.runs:
        cells = []
        for dataset in matrix.datasets:
            cell = matrix.cell(run, dataset)
            text = format_cell(getattr(cell, figure))
            cells.append(f"**{text}**" if cell.own else text)
        table.add(run, matrix.trained_on[run], *cells)
    return table
