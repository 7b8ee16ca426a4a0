"""``mrharm demo``: the whole story on generated memes, offline, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mrharm.cli.terminal import Bars, err, fail, out, print_json
from mrharm.errors import MrHarmError


def demo_command(
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute: every part, too little to learn.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Memes, weights and order follow from it.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Draw memes, train students with and without rationales, compare, judge, report; goes on where it stopped."""
    try:
        from mrharm.demo import run_demo

        with Bars() as bars:
            report = run_demo(out_folder, quick=quick, seed=seed, say=err.print, progress=bars.show)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(report)
        return
    _say(report, out_folder)


def _say(report: dict[str, Any], folder: Path) -> None:
    from mrharm.metrics import Estimate, format_cell
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
