"""What the verbs show on a terminal: the verdict first, then tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as RichTable

from mrharm.console import WIDTH, err, out, print_failures, print_sentence
from mrharm.metrics import Estimate, format_cell, format_sentence
from mrharm.reports.tables import (
    Table,
    tabulate_baselines,
    tabulate_comparison,
    tabulate_demo,
    tabulate_groups,
    tabulate_published,
    tabulate_scores,
    tabulate_transfer,
)
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.audit.findings import AuditReport, Finding
    from mrharm.audit.fix import Fixed
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.diff import Change, Diff, LabelledComparison, Policy, Side
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.transfer import Transfer
    from mrharm.reports.ablation_page import Ablation

SHOWN_ROWS = 10  # groups of a kind, mistakes, changes
SHOWN_EXAMPLES = 3  # examples of a finding
LABELS = {True: "harmful", False: "harmless", None: "no label"}
LEVEL_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
ROW_STYLES = {"": None, "own": "bold", "heading": "bold", "dim": "dim"}
AUDIT_PROTOCOLS = ("cross_validated", "split", "overlap_removed")  # what fits 80 columns
_LEAST_NAME = 14  # columns of a row's name


def print_table(table: Table, *, width: int | None = None, header: bool = True) -> None:
    """Print a table; names of rows are cut at ``width`` columns, and figures that do not fit are broken in two."""
    rich = RichTable(
        title=sanitise(table.title) or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_header=header,
    )
    is_grouped = any(row.style == "heading" for row in table.rows)
    rows = []
    for row in table.rows:
        name, *cells = row.cells
        indent = "  " if is_grouped and row.style != "heading" else ""
        name = indent + (_shorten(name, width - len(indent)) if width else sanitise(name))
        rows.append((name, cells, ROW_STYLES[row.style]))
    widths = [len(heading) for heading in table.columns]
    for row in table.rows:
        for place, cell in enumerate(row.cells):
            widths[place] = max(widths[place], len(cell))
    figures = sum(width + 2 for width in widths[1:])
    # Names are folded to make room for figures; only where there is too little room are figures broken, too.
    fits = WIDTH - figures >= _LEAST_NAME
    rich.add_column(table.columns[0], min_width=None if fits else _LEAST_NAME, overflow="fold")
    for column in table.columns[1:]:
        rich.add_column(column, justify="right", no_wrap=fits)
    for name, cells, style in rows:
        rich.add_row(name, *cells, style=style)
    out.print(rich)
    for note in table.notes:
        print_sentence(note, style="dim")


def show_evaluation(evaluation: Evaluation) -> None:
    """Print the verdict, figures, baselines, groups, probes and the worst mistakes."""
    for sentence in evaluation.words:
        print_sentence(sentence, style="bold")
    print_table(tabulate_scores(evaluation), header=False)
    print_table(tabulate_baselines(evaluation, with_gains=False))
    if evaluation.published:
        print_table(tabulate_published(evaluation, with_source=False))
    if evaluation.groups:
        print_table(tabulate_groups(evaluation.groups, ("accuracy", "AUROC"), SHOWN_ROWS), width=24)
    ranked = [
        group
        for group in evaluation.groups
        if group.areas and (group.areas.bpsn.value, group.areas.bnsp.value) != (None, None)
    ]
    if ranked:
        table = tabulate_groups(ranked, ("in the group", "BPSN", "BNSP"), SHOWN_ROWS, with_sizes=False)
        table.title = "AUROC by group of people, in %"
        table.notes.append(
            "low BPSN: the group's harmless memes score too high; low BNSP: its harmful memes too low"
        )
        print_table(table, width=24)
    for name, record in evaluation.probes.items():
        out.print(f"\nprobe: {name}", style="bold")
        for sentence in record.get("words", ()):
            print_sentence(sentence)
    for name, reason in evaluation.skipped.items():
        out.print()
        print_sentence(f"probe: {name}: skipped: {reason}")
    if evaluation.mistakes:
        out.print("\nworst mistakes, most confident first", style="bold")
    for mistake in evaluation.mistakes[:SHOWN_ROWS]:
        labels = f"predicted {LABELS[mistake.said]}, is {LABELS[mistake.harmful]}"
        line = f"{_shorten(mistake.meme_id, 22)}: {labels}, P(harmful) {mistake.score:.2f}: {mistake.text}"
        out.print(sanitise(line)[:WIDTH])


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print comparisons, one after the other."""
    for place, comparison in enumerate(comparisons):
        if place:
            out.print()
        for sentence in comparison.words:
            print_sentence(sentence, style="bold")
        for table in tabulate_comparison(comparison):
            print_table(table)
        for name, side in (("first", comparison.first), ("second", comparison.second)):
            out.print(f"{name}: {side.name} (recipe {side.recipe})")


def show_transfer(matrix: Transfer, written: Sequence[Path]) -> None:
    """Print a matrix of runs and datasets, and the files it was written to."""
    print_table(tabulate_transfer(matrix))
    for sentence in matrix.words:
        print_sentence(sentence)
    for cell in matrix.cells:
        if cell.failures:
            what = f"failed: {cell.failures:,} memes of {cell.dataset} with {cell.run}"
            err.print(sanitise(f"{what}; the first: {cell.first_failure}"))
    for path in written:
        err.print(f"written: {path}")


def show_diff(diff: Diff, out_file: Path | None) -> None:
    """Print what changes between two detectors: totals first, then single memes."""
    for taken in diff.taken:
        if taken.split is None:
            out.print(sanitise(f"all {taken.memes:,} memes of {taken.dataset}"))
        else:
            sizes = f"{taken.memes:,} of its {taken.there:,} memes"
            out.print(sanitise(f"{taken.split} of {taken.dataset}, {sizes} (--split chooses others)"))
    out.print(
        f"{len(diff.changes):,} of {diff.items:,} decisions change: {format_sentence(diff.changed, unit=' %')}",
        style="bold",
    )
    out.print(f"A (now):  {_format_policy(diff.policy_a)}")
    out.print(f"B (then): {_format_policy(diff.policy_b)}")
    decisions = ("allow", "review", "flag") if diff.banded else ("allow", "flag")
    counts = Table("items by decision", ("", *(f"B: {after}" for after in decisions)))
    for before in decisions:
        counts.add(f"A: {before}", *(f"{diff.counts[f'{before}->{after}']:,}" for after in decisions))
    print_table(counts)
    print_table(_tabulate_amounts(diff))
    if diff.labelled:
        _show_labelled(diff.labelled, diff.banded)
    for change in diff.changes[:SHOWN_ROWS]:
        _show_change(change)
    if len(diff.changes) > SHOWN_ROWS:
        where = f"{out_file} lists them all" if out_file else "--out FILE writes them all"
        out.print(f"and {len(diff.changes) - SHOWN_ROWS:,} more; {where}")
    sides = {"a": "A", "b": "B", "both": "A and B"}
    print_failures(
        [
            failure.model_copy(update={"item": f"{failure.item} (for {sides[failure.by]})"})
            for failure in diff.failures
        ]
    )


def _format_policy(policy: Policy) -> str:
    if policy.band is None:
        return f"flags from {policy.threshold:.3f}"
    low, high = policy.band
    return f"flags from {high:.3f}, review from {low:.3f}, threshold {policy.threshold:.3f}"


def _tabulate_amounts(diff: Diff) -> Table:
    times, digits = (100, 1) if diff.per_day is None else (1, 0)
    title = "share of items, in %" if diff.per_day is None else f"memes a day, of {diff.per_day:,.0f}"
    table = Table(title, ("", "A now", "B then", "change"))
    for what, amount in diff.amounts.items():
        if diff.banded or what in ("allow", "flag"):
            sides = (format_cell(side, times=times, digits=digits) for side in (amount.a, amount.b))
            table.add(what, *sides, format_cell(amount.change, times=times, digits=digits, sign=True))
    if diff.banded:
        table.notes.append("people see what is in review; also what is flagged, where they check that, too")
    return table


def _show_labelled(labelled: LabelledComparison, banded: bool) -> None:
    sides = (labelled.a, labelled.b)
    table = Table(f"{labelled.items:,} labelled items", ("", "A now", "B then"))
    if banded:
        table.add("decided without a person, %", *(format_cell(side.decided) for side in sides))
        table.add("  of these correct, %", *(format_cell(side.right) for side in sides))
    else:
        table.add("correct, %", *(format_cell(side.right) for side in sides))
    table.add("harmful, allowed", *(f"{side.harmful['allow']:,}" for side in sides))
    table.add("harmless, flagged", *(f"{side.harmless['flag']:,}" for side in sides))
    if banded:
        table.add("harmful, to review", *(f"{side.harmful['review']:,}" for side in sides))
        table.add("harmless, to review", *(f"{side.harmless['review']:,}" for side in sides))
        table.add("correct at the threshold, %", *(format_cell(side.at_threshold) for side in sides))
        table.notes.append("at the threshold: if every meme were decided, without review")
    print_table(table)
    difference = format_sentence(labelled.difference, unit=" points", sign=True)
    print_sentence(
        f"{'At the threshold, ' if banded else ''}B differs from A by {difference}; only A is correct on "
        f"{labelled.test.only_first:,}, only B on {labelled.test.only_second:,}; paired test p = {labelled.test.p:.3g}."
    )
    out.print()


def _show_change(change: Change) -> None:
    gold = "" if change.gold is None else f", label: {LABELS[change.gold]}"
    out.print(f"{sanitise(change.id)}: {_format_side(change.a)} -> {_format_side(change.b)}{gold}")
    for side, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {side}{sanitise(text)}"[:WIDTH], style="dim")


def _format_side(side: Side) -> str:
    return f"{side.decision} {side.score:.3f}"


def show_audit(report: AuditReport, fixed: Fixed | None, html: Path | None) -> None:
    """Print the findings of an audit, what surface signals reach, the verdict, and what was written."""
    from mrharm.audit.shortcuts import PROTOCOLS

    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
    out.print(sanitise(f"{report.name}: {report.memes:,} memes ({splits})") + "\n")
    for finding in report.findings:
        _show_finding(finding)
    if report.shortcuts:
        protocols = [name for name in AUDIT_PROTOCOLS if name in report.shortcuts[0].scores]
        table = Table(
            "surface signals alone: macro-F1 in %", ("", *(PROTOCOLS[protocol] for protocol in protocols))
        )
        for row in report.shortcuts:
            cells = []
            for protocol in protocols:
                score = row.scores[protocol]
                low, high = score.macro_f1_ci
                cells.append(format_cell(Estimate(value=score.macro_f1, low=low, high=high)))
            table.add(row.title, *cells)
        out.print()
        print_table(table)
    for sentence in report.verdict.words:
        print_sentence(sentence, style="bold")
    if fixed:
        out.print(f"\ncleaned copy of {fixed.memes:,} memes in {fixed.folder}")
        for what, counts in (("left out", fixed.dropped), ("rationales marked", fixed.marked)):
            for why, count in counts.most_common(8):
                out.print("  " + sanitise(f"{what}: {count:,} {why}"))
        out.print(f"audit the copy: mrharm audit {fixed.folder}")
    if html:
        err.print(f"page: {html}")


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
    from mrharm.reports.ablation_page import COLUMNS, JSON, MARKDOWN, tabulate_arms

    # What fits 80 columns with every figure complete; ablation.md has the rest.
    columns = [column for column in COLUMNS if column not in ("accuracy", "AUROC")]
    table = tabulate_arms(ablation.tables[ablation.split], columns)
    table.title = f"{ablation.dataset}, {ablation.split}, recipe {ablation.recipe}"
    table.notes.append("mean ± half of the 95 % interval over seeds; difference: in macro-F1, same seeds")
    print_table(table)
    for answer in ablation.answers:
        out.print(answer.question, style="bold")
        print_sentence(answer.words, indent="  ")
    print_failures(ablation.failures, folder / JSON)
    out.print(f"{ablation.runs} runs; report: {folder / MARKDOWN}")


def show_demo(report: Mapping[str, Any], folder: Path) -> None:
    """Print the demo's tables on two splits, and whether its rationales are true."""
    for split, what in (
        ("test", "new phrasings, new renderings"),
        ("composition", "new concept-scene pairs"),
    ):
        table = tabulate_demo(report, split)
        table.title += f": {what}"
        print_table(table)
    truth = report["rationale_truth"]
    out.print(
        f"rationales true: scene {truth['scene']:.3f}, tone {truth['tone']:.3f}, relation {truth['relation']:.3f}, "
        f"all three {truth['all']:.3f}"
    )
    out.print(f"greedy labels agree with the scores' argmax on {report['greedy_agreement']:.3f}")
    out.print(
        f"{report['seconds']:.0f} s, at most {report['peak_memory_mb']:,} MB; report: {folder / 'report.html'}"
    )
    if report["quick"]:
        out.print("a quick run is too short to learn anything; run `mrharm demo` for meaningful figures")


def _shorten(name: str, width: int) -> str:
    name = sanitise(name)
    return name if len(name) <= width else name[: width - 1] + "…"
