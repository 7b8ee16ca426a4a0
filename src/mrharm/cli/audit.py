"""``mrharm audit DATASET``: can this data be trusted?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise
from mrharm.errors import GateError, InputError, MrHarmError, exit_code
from mrharm.recipe import load_recipe, parse_overrides, recipe_names

if TYPE_CHECKING:
    from mrharm.audit.findings import AuditReport, Finding
    from mrharm.audit.fix import Fixed

TERMINAL = ("cross_validated", "split", "overlap_removed")
SHOWN = 3  # examples of a finding on the terminal; --html and --json hold more
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def audit_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the report as one page, pictures blurred."),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            metavar="FOLDER",
            help="Write a cleaned copy: overlap out of train, leaking rationales marked.",
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", "-r", help=f"What would be trained: a YAML file, or {', '.join(recipe_names())}."
        ),
    ] = "mr-harm",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a recipe field, e.g. lengths.rationale=64."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that look at pictures.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --fix wrote before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what is wrong with a dataset before anyone trains on it; exit code 4 where an error stands."""
    try:
        chosen = load_recipe(recipe, parse_overrides(settings or []))
        from mrharm.audit.fix import check_folder, write_fixed
        from mrharm.audit.run import audit
        from mrharm.reports.audit_page import write_page

        # What could not be written is said before the audit, not after it.
        if html:
            _check_page(html)
        if fix:
            check_folder(fix, dataset, overwrite)
        with Bars() as bars:
            found = audit(dataset, chosen, workers=workers, progress=bars.show)
            if html:
                write_page(found, html)
            fixed = write_fixed(found, fix, overwrite=overwrite, progress=bars.show) if fix else None
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(
            {
                **found.report.model_dump(mode="json"),
                "fixed": fixed.summary() if fixed else None,
                "html": str(html) if html else None,
            }
        )
    else:
        _say(found.report, fixed, html)
    if found.report.errors:
        raise typer.Exit(exit_code(GateError()))


def _check_page(html: Path) -> None:
    if html.is_dir():
        raise InputError(f"{html}: a folder; expected the HTML file to write")
    if any(parent.is_file() for parent in html.parents):
        raise InputError(f"{html}: lies in a file; expected a folder to write the page into")


def _say(report: AuditReport, fixed: Fixed | None, html: Path | None) -> None:
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
    for example in finding.examples[:SHOWN]:
        parts = (_names(example.memes), example.what, example.text)
        text = "    " + ": ".join(sanitise(part) for part in parts if part)
        out.print(text[: max(40, out.width)], style="dim")


def _names(memes: tuple[str, ...]) -> str:
    more = f" +{len(memes) - 2}" if len(memes) > 2 else ""
    return " / ".join(memes[:2]) + more


def _say_shortcuts(report: AuditReport) -> None:
    from mrharm.audit.shortcuts import PROTOCOLS, SIGNALS
    from mrharm.metrics import Estimate, format_cell

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
