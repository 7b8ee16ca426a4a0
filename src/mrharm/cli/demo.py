"""``mrharm demo``: the whole story on generated memes, offline, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mrharm.cli.options import JsonOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err


@report_errors
def demo_command(
    out_folder: Annotated[Path, Option("--out", metavar="DIR", help="Where to write.")] = Path("demo"),
    quick: Annotated[
        bool, Option("--quick", help="Under a minute: every step, with too few memes to learn anything.")
    ] = False,
    seed: Annotated[int, Option(help="Seed of the memes, the weights and their order.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Generate memes, train students with and without rationales, compare and report; run again to go on."""
    from mrharm.demo import run_demo
    from mrharm.reports import terminal

    with Bars() as bars:
        report = run_demo(out_folder, quick=quick, seed=seed, say=err.print, progress=bars.show)

    print_result(report, lambda: terminal.show_demo(report, out_folder), as_json=as_json)
