"""What the verbs show on a terminal: the verdict first, then tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from mrharm.console import WIDTH, err, out, print_failures, print_sentence
from mrharm.metrics import Estimate, format_cell, format_sentence
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.audit.findings import AuditReport, Finding
    from mrharm.audit.fix import Fixed
    from mrharm.evaluation.compare import Comparison
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.items import DatasetItems
    from mrharm.evaluation.switch import Change, Diff, LabelledComparison, Policy, Side
    from mrharm.evaluation.transfer import Transfer
    from mrharm.policy.propose import PolicyChoice
    from mrharm.reports.ablation_page import Ablation

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
_NAME = 24


def show_evaluation(found: Evaluation) -> None:
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


def show_comparison(found: Comparison) -> None:
    """Print what a comparison says, and its table."""
    for words in found.words:
        out.print(sanitise(words), style="bold")
    table = _plain_table(
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
    table = _plain_table("over seeds: mean ± standard deviation, %", "first", "second", "difference")
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


def _plain_table(title: str, *columns: str, header: bool = True, width: int = _NAME) -> Table:
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
    table = _plain_table("figures in %, 95 % interval", "", header=False)
    for name, words in NAMES.items():
        table.add_row(words, format_cell(getattr(scores, name)))
    out.print(table)


def _beside(found: Evaluation) -> None:
    scores = found.scores
    table = _plain_table("beside others, in %", "accuracy", "macro-F1", "AUROC", width=34)
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
    table = _plain_table("by group, in %", "memes", "harmful", "accuracy", "AUROC")
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
    table = _plain_table("ranked like others? AUROC in %", "in the group", "BPSN", "BNSP")
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
        out.print(line[:WIDTH])


def _short(name: str) -> str:
    name = sanitise(name)
    return name if len(name) < _NAME - 2 else name[: _NAME - 4] + "…"


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print comparisons, one after the other."""
    for place, comparison in enumerate(comparisons):
        if place:
            out.print()
        show_comparison(comparison)


SHOWN_CHANGES = 10  # changes


def show_diff(diff: Diff, out_file: Path | None) -> None:
    """Print what changes: from the whole to the single meme."""
    for one in diff.taken:
        out.print(sanitise(_taken(one)))
    out.print(
        f"{len(diff.changes):,} of {diff.items:,} decisions change: {format_sentence(diff.changed, unit=' %')}",
        style="bold",
    )
    out.print(f"A (now):  {_diff_policy(diff.policy_a)}")
    out.print(f"B (then): {_diff_policy(diff.policy_b)}")
    _say_counts(diff)
    _say_amounts(diff)
    if diff.labelled:
        _say_labelled(diff.labelled, diff.banded)
    for change in diff.changes[:SHOWN_CHANGES]:
        _say_change(change)
    if len(diff.changes) > SHOWN_CHANGES:
        where = f"{out_file} holds them all" if out_file else "--out FILE keeps them all"
        out.print(f"and {len(diff.changes) - SHOWN_CHANGES:,} more; {where}")
    whose = {"a": "A", "b": "B", "both": "A and B"}
    print_failures(
        [one.model_copy(update={"item": f"{one.item} (for {whose[one.by]})"}) for one in diff.failures]
    )


def _taken(one: DatasetItems) -> str:
    if one.split is None:
        return f"taken: all {one.memes:,} memes of {one.dataset}"
    return f"taken: {one.split} of {one.dataset}, {one.memes:,} of {one.there:,} memes (--split takes others)"


def _diff_policy(policy: Policy) -> str:
    if policy.band is None:
        return f"flags from {policy.threshold:.3f}"
    low, high = policy.band
    return f"flags from {high:.3f}, review from {low:.3f}, threshold within {policy.threshold:.3f}"


def _diff_table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
        width=WIDTH if any("(" in one for one in columns) else None,
    )  # fmt: skip
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _say_counts(diff: Diff) -> None:
    shown = ("allow", "review", "flag") if diff.banded else ("allow", "flag")
    table = _diff_table("items by decision", *(f"B: {then}" for then in shown))
    for now in shown:
        table.add_row(f"A: {now}", *(f"{diff.counts[f'{now}->{then}']:,}" for then in shown))
    out.print(table)


def _say_amounts(diff: Diff) -> None:
    times, digits = (100, 1) if diff.per_day is None else (1, 0)
    title = "share of items, %" if diff.per_day is None else f"memes a day, of {diff.per_day:,.0f}"
    table = _diff_table(title, "A now", "B then", "change")
    for what, amount in diff.amounts.items():
        if diff.banded or what in ("allow", "flag"):
            cells = [format_cell(one, times=times, digits=digits) for one in (amount.a, amount.b)]
            table.add_row(what, *cells, format_cell(amount.change, times=times, digits=digits, sign=True))
    out.print(table)
    if diff.banded:
        out.print("People look at review; at review or flag where they see flagged memes, too.\n")


def _say_labelled(known: LabelledComparison, banded: bool) -> None:
    table = _diff_table(f"{known.items:,} labelled items", "A now", "B then")
    sides = (known.a, known.b)
    if banded:
        table.add_row("decided without a person, %", *(format_cell(one.decided) for one in sides))
        table.add_row("  of these rightly, %", *(format_cell(one.right) for one in sides))
    else:
        table.add_row("decided rightly, %", *(format_cell(one.right) for one in sides))
    table.add_row("harmful, allowed", *(f"{one.harmful['allow']:,}" for one in sides))
    table.add_row("harmless, flagged", *(f"{one.harmless['flag']:,}" for one in sides))
    if banded:
        table.add_row("harmful, to review", *(f"{one.harmful['review']:,}" for one in sides))
        table.add_row("harmless, to review", *(f"{one.harmless['review']:,}" for one in sides))
        table.add_row("rightly if all were decided, %", *(format_cell(one.at_threshold) for one in sides))
    out.print(table)
    if banded:
        out.print("If all were decided, each at its threshold, with no review:")
    out.print(f"B differs from A by {format_sentence(known.difference, unit=' points', sign=True)};")
    out.print(
        f"  A alone is right on {known.test.only_first:,}, B alone on {known.test.only_second:,}; "
        f"McNemar p {known.test.p:.3g}\n"
    )


def _say_change(change: Change) -> None:
    gold = "" if change.gold is None else f", people: {'harmful' if change.gold else 'harmless'}"
    out.print(f"{sanitise(change.id)}: {_side(change.a)} -> {_side(change.b)}{gold}")
    for what, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {what}{sanitise(text)}"[:WIDTH], style="dim")


def _side(side: Side) -> str:
    return f"{side.decision} {side.score:.3f}"


_TITLE = 28  # columns of a figure's name
_WITH_BAND = {
    "allowed": "allowed",
    "reviewed": "reviewed by a person",
    "flagged": "flagged",
    "reviews": "reviews",
    "flag_precision": "flagged that is harmful",
    "harmful_of_allowed": "allowed that is harmful",
    "allowed_of_harmful": "harmful that is allowed",
}


def show_policy(choice: PolicyChoice, dry_run: bool) -> None:
    """Print a policy: how its promises stand, what there is to choose from, what it does, where it was stored."""
    # How the promises stand elsewhere comes first, as it is what the choice was made for.
    for one in sorted(choice.promises, key=lambda one: one.split != choice.check_split):
        print_sentence(one.words(), style="bold")
    if choice.menu:
        out.print(_menu_table(choice))
        for row in choice.menu:
            if row.why:
                print_sentence(row.why, indent="  ")
        out.print()
    card = choice.card
    out.print(f"threshold {_score(choice.threshold)}: {choice.criterion_words}", style="bold")
    if choice.band_words:
        if card.band:
            bounds = [Estimate(value=bound) for bound in card.band]
            low, high = (choice.band.low, choice.band.high) if choice.band else bounds
            out.print(f"allow below {_score(low)}, review from there,")
            out.print(f"flag from {_score(high)}: {choice.band_words}")
        else:
            out.print(f"no band is needed: the threshold alone does it ({choice.band_words})")
    if choice.split and choice.figures:
        _policy_figures(choice, choice.split, choice.memes, choice.figures)
    for note in choice.notes:
        print_sentence(note)
    if choice.check_split:
        _policy_figures(choice, choice.check_split, choice.check_memes, choice.checked)
    print_failures(choice.failures)
    if dry_run:
        out.print("nothing stored (--dry-run)")
        return
    all_the_same = "all the same " if choice.missed else ""
    out.print(f"stored {all_the_same}in {choice.folder}; it was {choice.before.threshold:.4g}")
    stale = choice.stale_pages()
    if stale:
        err.print("note: these show the policy before; evaluate the run again on their splits:")
        for path in stale:
            err.print(f"  {path}")


def _policy_figures(choice: PolicyChoice, split: str, memes: int, figures: dict[str, Estimate]) -> None:
    """What the policy does on a split; the figures of a threshold inside a band apart, as it decides nothing there."""
    from mrharm.verdicts.card import figure_name

    out.print(f"on {split} ({memes:,} memes{_describe_prevalence(choice)}), 95 % intervals:")
    if not choice.card.band:
        _say_rows((figure_name(name), name, figures[name]) for name in figures)
        return
    _say_rows((title, name, figures[name]) for name, title in _WITH_BAND.items() if name in figures)
    out.print("  were all from the threshold up flagged, without a band:")
    _say_rows((figure_name(name), name, figures[name]) for name in ("precision", "recall", "macro_f1"))


def _describe_prevalence(choice: PolicyChoice) -> str:
    share = choice.request.traffic.prevalence
    return f", re-weighted to {100 * share:g} % harmful" if share is not None else ""


def _say_rows(rows: Iterable[tuple[str, str, Estimate]]) -> None:
    from mrharm.verdicts.card import figure_words

    for title, name, figure in rows:
        small = name != "reviews" and figure.value is not None and 0 < figure.value < 0.01
        words = format_sentence(figure, unit=" %", digits=2) if small else figure_words(name, figure)
        out.print(f"  {title:<{_TITLE}}{words}")


def _menu_table(choice: PolicyChoice) -> Table:
    """What there is to choose from, in 80 columns; intervals of the threshold and of what it promises."""
    from mrharm.verdicts.card import figure_name

    last = "reviews" if choice.request.traffic.per_day is not None else "flagged"
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    unit = ", reviews a day" if last == "reviews" else ""
    table.title = f"to choose from, on {sanitise(choice.split or '')}; in %{unit}"
    table.add_column("")
    for header in ("at", *map(figure_name, ("precision", "recall", "macro_f1", last))):
        table.add_column(header, justify="right", no_wrap=True)
    for row in choice.menu:
        if row.why:
            continue
        cells = []
        for name in ("precision", "recall", "macro_f1", last):
            # Reviews a day are long; their interval stands under the table.
            whole = name == row.promise and name != "reviews"
            figure = row.figures[name] if whole else Estimate(value=row.figures[name].value)
            cells.append(format_cell(figure, times=1 if name == "reviews" else 100, digits=0))
        table.add_row(row.words, format_cell(row.threshold, times=1, digits=3), *cells)
    return table


def _score(figure: Estimate) -> str:
    return format_sentence(figure, times=1, digits=4)


TERMINAL = ("cross_validated", "split", "overlap_removed")
SHOWN_EXAMPLES = 3  # examples of a finding on the terminal; --html and --json hold more
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def show_audit(report: AuditReport, fixed: Fixed | None, html: Path | None) -> None:
    """Print what an audit found."""
    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
    out.print(sanitise(f"{report.name}: {report.memes:,} memes ({splits})") + "\n")
    for finding in report.findings:
        _say_finding(finding)
    if report.shortcuts:
        _say_shortcuts(report)
    for words in report.verdict.words:
        out.print(sanitise(words), style="bold")
    if fixed:
        _say_fixed(fixed)
    if html:
        err.print(f"page: {html}")


def _say_finding(finding: Finding) -> None:
    where = "" if finding.where == "dataset" else f" [{finding.where}]"
    out.print(sanitise(f"{finding.level}{where}"), style=STYLES[finding.level], end=" ")
    out.print(sanitise(finding.message))
    if finding.level == "note":
        return
    for example in finding.examples[:SHOWN_EXAMPLES]:
        parts = (_names(example.memes), example.what, example.text)
        text = "    " + ": ".join(sanitise(part) for part in parts if part)
        out.print(text[: max(40, out.width)], style="dim")


def _names(memes: tuple[str, ...]) -> str:
    more = f" +{len(memes) - 2}" if len(memes) > 2 else ""
    return " / ".join(memes[:2]) + more


def _say_shortcuts(report: AuditReport) -> None:
    from mrharm.audit.shortcuts import PROTOCOLS, SIGNALS

    # What fits 80 columns; --html and --json hold every protocol.
    protocols = [name for name in TERMINAL if name in report.shortcuts[0].scores]
    table = Table(title="surface signals alone: macro-F1", title_justify="left")
    table.add_column("")
    for protocol in protocols:
        table.add_column(PROTOCOLS[protocol], justify="right", no_wrap=True)
    for row in report.shortcuts:
        cells = []
        for protocol in protocols:
            score = row.scores[protocol]
            low, high = score.macro_f1_ci
            cells.append(format_cell(Estimate(value=score.macro_f1, low=low, high=high)))
        table.add_row(SIGNALS[row.signal], *cells)
    out.print()
    out.print(table)


def _say_fixed(fixed: Fixed) -> None:
    out.print(f"\ncleaned copy of {fixed.memes:,} memes in {fixed.folder}")
    lines: list[tuple[str, Any]] = [("left out", fixed.dropped), ("rationales marked", fixed.marked)]
    for what, counts in lines:
        for why, count in counts.most_common(8):
            out.print("  " + sanitise(f"{what}: {count:,} {why}"))
    out.print(f"audit it in turn: mrharm audit {fixed.folder}")


def show_ablation(found: Ablation, folder: Path) -> None:
    """Print an ablation."""
    from mrharm.reports.ablation_page import COLUMNS, JSON, MARKDOWN, row_of

    table = Table(
        title=sanitise(f"{found.dataset}, {found.split}, recipe {found.recipe}"),
        title_justify="left",
        box=None,
    )
    # What fits 80 columns with every figure whole; ablation.md has the rest.
    kept = [index for index, name in enumerate(COLUMNS) if name not in ("accuracy", "AUROC")]
    for index in kept:
        table.add_column(COLUMNS[index], justify="left" if index == 0 else "right", no_wrap=True)
    for cell in found.tables[found.split]:
        row = row_of(cell)
        table.add_row(*(row[index] for index in kept))
    out.print(table)
    out.print("mean ± half of the 95 % interval over seeds; difference in macro-F1 with the same seeds")
    for answer in found.answers:
        out.print(f"{answer.question}\n  {answer.words}")
    print_failures(found.failures, folder / JSON)
    out.print(f"{found.runs} runs; see {folder / MARKDOWN}")


def show_transfer(found: Transfer, written: Sequence[Path]) -> None:
    """Print a matrix of runs and datasets."""
    from mrharm.evaluation.transfer import in_percent

    # A row a cell: a column a dataset would not fit 80 characters.
    table = Table(
        title=f"split {found.split}, percent with 95 % intervals; * own dataset", title_justify="left"
    )
    for name in ("run", "dataset", "memes", "macro-F1", "AUROC"):
        table.add_column(name, justify="left" if name in ("run", "dataset") else "right", overflow="fold")
    for cell in found.cells:
        table.add_row(
            cell.run,
            sanitise(cell.dataset) + (" *" if cell.own else ""),
            f"{cell.memes:,}",
            in_percent(cell.macro_f1),
            in_percent(cell.auroc),
        )
    out.print(table)
    for line in found.words:
        out.print(line)
    for cell in found.cells:
        if cell.failures:
            what = f"failed: {cell.failures:,} memes of {cell.dataset} with {cell.run}"
            err.print(sanitise(f"{what}; the first: {cell.first_failure}"))
    for path in written:
        err.print(f"written: {path}")


def show_demo(report: dict[str, Any], folder: Path) -> None:
    """Print the demo report."""
    from mrharm.reports.html import ROW_NAMES

    for split, what in (
        ("test", "new phrasings, new renderings"),
        ("composition", "new concept-scene pairs"),
    ):
        rows = report[split]
        table = Table(title=f"{split}: {what} (n = {rows['two_stage']['n']})", title_justify="left")
        table.add_column("", no_wrap=True)
        for column in ("accuracy (95 %)", "macro-F1", "AUROC"):
            table.add_column(column, justify="right", no_wrap=True)
        for key, name in ROW_NAMES.items():
            row = rows[key]
            low, high = row["accuracy_ci"]
            area = "-" if row["auroc"] is None else f"{row['auroc']:.3f}"
            accuracy = format_cell(Estimate(value=row["accuracy"], low=low, high=high), times=1, digits=3)
            table.add_row(name, accuracy, f"{row['macro_f1']:.3f}", area)
        out.print(table)
    truth = report["rationale_truth"]
    out.print(
        f"rationales true: scene {truth['scene']:.3f}, tone {truth['tone']:.3f}, relation {truth['relation']:.3f}, "
        f"all three {truth['all']:.3f}"
    )
    out.print(f"greedy labels agree with the scores' argmax on {report['greedy_agreement']:.3f}")
    out.print(
        f"{report['seconds']:.0f} s, at most {report['peak_memory_mb']:,} MB; see {folder / 'report.html'}"
    )
    if report["quick"]:
        out.print("a quick run learns next to nothing; `mrharm demo` gives figures worth reading")
