"""What the verbs show on a terminal: the verdict first, then tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as RichTable

from mrharm.console import WIDTH, err, out, print_failures, print_sentence
from mrharm.metrics import Estimate, format_cell, format_sentence
from mrharm.reports.render import LABELS, render_sentences, shorten
from mrharm.reports.tables import (
    Table,
    tabulate_comparison,
    tabulate_demo,
    tabulate_demo_kinds,
    tabulate_evaluation,
    tabulate_transfer,
)
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.audit.findings import AuditReport, Finding
    from mrharm.audit.fix import Fixed
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.diff import Change, Diff, LabelledComparison
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.transfer import Transfer
    from mrharm.reports.ablation_page import Ablation

SHOWN_ROWS = 10  # groups of a kind, mistakes, changes
SHOWN_EXAMPLES = 3  # examples of a finding
# Columns of an evaluation's tables that fit 80 columns of text.
SHOWN_COLUMNS = {"scores": 2, "baselines": 4, "published": 4, "groups": 5, "areas": 4}
LEVEL_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
ROW_STYLES = {"": None, "own": "bold", "heading": "bold", "dim": "dim"}
AUDIT_PROTOCOLS = ("overlap_removed", "split", "cross_validated")  # what fits 80 columns
_LEAST_NAME = 14  # columns of a row's name


def print_table(table: Table, columns: int | None = None) -> None:
    """Print the first ``columns`` of a table, all where it is None."""
    headings = table.columns[:columns]
    is_grouped = any(row.style == "heading" for row in table.rows)
    rows: list[list[str]] = []
    for row in table.rows:
        name, *cells = row.cells[:columns]
        rows.append([f"  {name}" if is_grouped and row.style != "heading" else name, *cells])
    figures = sum(2 + max(map(len, column)) for column in list(zip(headings, *rows, strict=True))[1:])
    # Names are folded to make room for figures; only where there is too little room are figures broken, too.
    fits = WIDTH - figures >= _LEAST_NAME
    rich = RichTable(
        title=sanitise(table.title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    rich.add_column(headings[0], min_width=None if fits else _LEAST_NAME, overflow="fold")
    for heading in headings[1:]:
        rich.add_column(heading, justify="right", no_wrap=fits)
    for row, cells in zip(table.rows, rows, strict=True):
        rich.add_row(*cells, style=ROW_STYLES[row.style])
    out.print(rich)
    print_sentences(table.notes, "dim")


def print_sentences(sentences: Iterable[str], style: str | None = None) -> None:
    """Print sentences, a paragraph each."""
    for sentence in sentences:
        print_sentence(sentence, style=style)


def show_evaluation(evaluation: Evaluation) -> None:
    """Print the verdict, figures, baselines, groups, probes and the worst mistakes."""
    print_sentences(evaluation.words, "bold")
    for name, table in tabulate_evaluation(evaluation, SHOWN_ROWS).items():
        print_table(table, SHOWN_COLUMNS[name])
    for name, record in evaluation.probes.items():
        out.print(f"\nprobe: {name}", style="bold")
        print_sentences(record.get("words", ()))
    for name, reason in evaluation.skipped.items():
        out.print()
        print_sentence(f"probe: {name}: skipped: {reason}")
    if evaluation.mistakes:
        out.print("\nworst mistakes, most confident first", style="bold")
    for mistake in evaluation.mistakes[:SHOWN_ROWS]:
        labels = f"predicted {LABELS[mistake.said]}, is {LABELS[mistake.harmful]}"
        meme_id = shorten(sanitise(mistake.meme_id), 22)
        out.print(sanitise(f"{meme_id}: {labels}, P(harmful) {mistake.score:.2f}: {mistake.text}")[:WIDTH])


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print comparisons, one after the other."""
    for place, comparison in enumerate(comparisons):
        if place:
            out.print()
        print_sentences(comparison.words, "bold")
        for table in tabulate_comparison(comparison):
            print_table(table)
        for name, side in (("first", comparison.first), ("second", comparison.second)):
            out.print(f"{name}: {side.name} (recipe {side.recipe})")


def show_transfer(matrix: Transfer, written: Sequence[Path]) -> None:
    """Print a matrix of runs and datasets, and the files it was written to."""
    print_table(tabulate_transfer(matrix))
    print_sentences(matrix.words)
    for cell in matrix.cells:
        if cell.failures:
            what = f"failed: {cell.failures:,} memes of {cell.dataset} with {cell.run}"
            err.print(sanitise(f"{what}; the first: {cell.first_failure}"))
    for path in written:
        err.print(f"written: {path}")


def show_diff(diff: Diff, out_file: Path | None) -> None:
    """Print what changes between two detectors: totals first, then single memes."""
    changed, *compared = render_sentences("diff.jinja", diff=diff)
    print_sentence(changed, style="bold")
    print_sentences(compared)
    decisions = ("allow", "review", "flag") if diff.banded else ("allow", "flag")
    counts = Table("items by decision", ("", *(f"B: {after}" for after in decisions)))
    for before in decisions:
        counts.add(f"A: {before}", *(f"{diff.counts[f'{before}->{after}']:,}" for after in decisions))
    print_table(counts)
    print_table(_tabulate_amounts(diff))
    if diff.labelled:
        print_table(_tabulate_labelled(diff.labelled, diff.banded))
    for change in diff.changes[:SHOWN_ROWS]:
        _show_change(change)
    if len(diff.changes) > SHOWN_ROWS:
        where = f"{out_file} lists them all" if out_file else "--out FILE writes them all"
        out.print(f"and {len(diff.changes) - SHOWN_ROWS:,} more; {where}")
    sides = {"a": "A", "b": "B", "both": "A and B"}
    failures = [
        failure.model_copy(update={"item": f"{failure.item} (for {sides[failure.by]})"})
        for failure in diff.failures
    ]
    print_failures(failures)


def _tabulate_amounts(diff: Diff) -> Table:
    times, digits = (100, 1) if diff.per_day is None else (1, 0)
    title = "share of items, in %" if diff.per_day is None else f"memes a day, of {diff.per_day:,.0f}"
    table = Table(title, ("", "A now", "B then", "change"))
    for what, amount in diff.amounts.items():
        if diff.banded or what in ("allow", "flag"):
            sides = (format_cell(side, times=times, digits=digits) for side in (amount.a, amount.b))
            table.add(what, *sides, format_cell(amount.change, times=times, digits=digits, sign=True))
    if diff.banded:
        table.notes.append(
            "people look at what is sent to review, and at what is flagged where they check that, too"
        )
    return table


def _tabulate_labelled(labelled: LabelledComparison, banded: bool) -> Table:
    sides = (labelled.a, labelled.b)
    table = Table(f"{labelled.items:,} labelled items", ("", "A now", "B then"))
    if banded:
        table.add("decided without a person, %", *(format_cell(side.decided) for side in sides))
    table.add("of these correct, %" if banded else "correct, %", *(format_cell(side.right) for side in sides))
    table.add("harmful, allowed", *(f"{side.harmful['allow']:,}" for side in sides))
    table.add("harmless, flagged", *(f"{side.harmless['flag']:,}" for side in sides))
    if banded:
        table.add("harmful, to review", *(f"{side.harmful['review']:,}" for side in sides))
        table.add("harmless, to review", *(f"{side.harmless['review']:,}" for side in sides))
        table.add("correct at the threshold, %", *(format_cell(side.at_threshold) for side in sides))
        table.notes.append("at the threshold: if every meme were decided, without review")
    difference = format_sentence(labelled.difference, unit=" points", sign=True)
    table.notes.append(
        f"{'At the threshold, ' if banded else ''}B differs from A by {difference}; only A is correct on "
        f"{labelled.test.only_first:,}, only B on {labelled.test.only_second:,}; paired test p = {labelled.test.p:.3g}."
    )
    return table


def _show_change(change: Change) -> None:
    gold = "" if change.gold is None else f", label: {LABELS[change.gold]}"
    before, after = (f"{side.decision} {side.score:.3f}" for side in (change.a, change.b))
    out.print(f"{sanitise(change.id)}: {before} -> {after}{gold}")
    for side, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {side}{sanitise(text)}"[:WIDTH], style="dim")


def show_audit(report: AuditReport, fixed: Fixed | None, html: Path | None) -> None:
    """Print the findings of an audit, what surface signals reach, the verdict, and what was written."""
    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
    out.print(sanitise(f"{report.name}: {report.memes:,} memes ({splits})") + "\n")
    for finding in report.findings:
        _show_finding(finding)
    if report.shortcuts:
        out.print()
        print_table(_tabulate_shortcuts(report))
    print_sentences(report.verdict.words, "bold")
    if fixed:
        out.print(f"\ncleaned copy of {fixed.memes:,} memes in {fixed.folder}")
        for what, counts in (("left out", fixed.dropped), ("rationales marked", fixed.marked)):
            for why, count in counts.most_common(8):
                out.print("  " + sanitise(f"{what}: {count:,} {why}"))
        out.print(f"audit the copy: mrharm audit {fixed.folder}")
    if html:
        err.print(f"page: {html}")


def _tabulate_shortcuts(report: AuditReport) -> Table:
    from mrharm.audit.shortcuts import PROTOCOLS

    protocols = [name for name in AUDIT_PROTOCOLS if name in report.shortcuts[0].scores]
    headings = (PROTOCOLS[protocol] for protocol in protocols)
    table = Table("surface signals alone: macro-F1 in %", ("signal", *headings))
    for row in report.shortcuts:
        scores = [row.scores[protocol] for protocol in protocols]
        intervals = [(score.macro_f1, *score.macro_f1_ci) for score in scores]
        cells = (format_cell(Estimate(value=value, low=low, high=high)) for value, low, high in intervals)
        table.add(row.title, *cells)
    return table


def _show_finding(finding: Finding) -> None:
    where = "" if finding.where == "dataset" else f" [{finding.where}]"
    out.print(sanitise(f"{finding.level}{where}"), style=LEVEL_STYLES[finding.level], end=" ")
    out.print(sanitise(finding.message))
    if finding.level == "note":
        return
    for example in finding.examples[:SHOWN_EXAMPLES]:
        more = f" +{len(example.memes) - 2}" if len(example.memes) > 2 else ""
        parts = (" / ".join(example.memes[:2]) + more, example.what, example.text)
        text = "    " + ": ".join(sanitise(part) for part in parts if part)
        out.print(text[: max(40, out.width)], style="dim")


def show_ablation(ablation: Ablation, folder: Path) -> None:
    """Print an ablation's table, its answers, and where the report is."""
    from mrharm.reports.ablation_page import JSON, MARKDOWN, tabulate_split

    tables = tabulate_split(ablation.tables[ablation.split])
    tables[0].title = f"{ablation.dataset}, {ablation.split}, recipe {ablation.recipe}"
    for table in tables:
        print_table(table, 6)
    for answer in ablation.answers:
        out.print(answer.question, style="bold")
        print_sentence(answer.words, indent="  ")
    print_failures(ablation.failures, folder / JSON)
    out.print(f"{ablation.runs} runs; report: {folder / MARKDOWN}")


def show_demo(report: Mapping[str, Any], folder: Path) -> None:
    """Print the demo's tables, and whether its rationales are true."""
    from mrharm.reports.demo_page import SPLITS

    for split in SPLITS:
        print_table(tabulate_demo(report, split))
    print_table(tabulate_demo_kinds(report))
    print_sentences(render_sentences("demo.jinja", report=report, page=folder / "report.html"))
