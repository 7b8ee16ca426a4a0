"""``mrharm diff RUN_A RUN_B PATH...``: which decisions would change if RUN_B took RUN_A's place."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from mrharm.cli.terminal import Bars, err, fail, print_json, sanitise
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError


def diff_command(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run in use.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that would take its place.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Pictures, folders of pictures, dataset folders, JSONL files."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Of dataset folders, by name or role, or all; default: test where there is one, else all."
        ),
    ] = None,
    per_day: Annotated[
        float | None,
        typer.Option(metavar="N", help="Memes like these a day: says how many a day are decided how."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write every changed item here as JSONL.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where verdicts are kept; default: each in its run's folder."),
    ] = None,
    rationales: Annotated[bool, typer.Option(help="Write rationales, too (the slow part).")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show what would be decided otherwise on memes of your own, labelled or not, before you switch."""
    try:
        from mrharm.evaluation.own_items import find_items, judge_items, not_judged
        from mrharm.evaluation.switch import compare_decisions
        from mrharm.metrics.thresholds import Traffic
        from mrharm.store import write_records
        from mrharm.verdicts.detector import Detector

        if out_file and out_file.is_dir():
            raise InputError(f"{out_file}: a folder; expected the JSONL file to write")
        Traffic(per_day=per_day)  # a number that cannot be is said before any work
        items = find_items(paths, run_a, run_b, split=split)
        found = items.found
        for warning in items.warnings:  # before hours of judging, too
            err.print(textwrap.fill(f"warning: {sanitise(warning)}", 80, subsequent_indent="  "))
        with Bars() as bars:
            sides = []
            for name, run in (("a", run_a), ("b", run_b)):
                detector = Detector.from_pretrained(run, device=device)
                verdicts, failed = judge_items(
                    run,
                    detector,
                    found,
                    keep=keep,
                    rationales=rationales,
                    what=f"judging with {name}",
                    progress=bars.show,
                )
                sides.append((detector, verdicts, failed))
        (a, verdicts_a, failed_a), (b, verdicts_b, failed_b) = sides
        failures = not_judged(found.failures, failed_a, failed_b)
        diff = compare_decisions(
            a,
            b,
            found.memes,
            verdicts_a,
            verdicts_b,
            failures=failures,
            taken=items.taken,
            warnings=items.warnings,
            per_day=per_day,
        )
        if out_file:
            write_records(out_file, diff.changes)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        values = diff.model_dump(mode="json", exclude={"changes"} if out_file else None)
        print_json({**values, "out": str(out_file) if out_file else None})
    else:
        from mrharm.reports.diff_words import say

        say(diff, out_file)
    if diff.failures:
        raise typer.Exit(EXIT_SOME_FAILED)
