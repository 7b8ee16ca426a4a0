"""``mrharm diff RUN_A RUN_B PATH...``: which decisions would change if RUN_B replaced RUN_A."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from mrharm.cli.options import DeviceOption, ItemsArgument, JsonOption, RationalesOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err, print_sentence
from mrharm.runs import find_detector
from mrharm.store import check_place


@report_errors
def diff_command(
    run_a: Annotated[Path, Argument(metavar="RUN_A", help="The run in use.")],
    run_b: Annotated[Path, Argument(metavar="RUN_B", help="The run that would replace it.")],
    paths: ItemsArgument,
    split: Annotated[
        str | None,
        Option(help="The split of dataset folders, or all; default: test where there is one, else all."),
    ] = None,
    per_day: Annotated[
        float | None, Option(metavar="N", help="Memes like these a day; decisions are then given per day.")
    ] = None,
    out_file: Annotated[
        Path | None, Option("--out", metavar="FILE", help="Write every changed item here as JSONL.")
    ] = None,
    keep: Annotated[
        Path | None, Option(metavar="FOLDER", help="Where verdicts are stored; default: each in its run.")
    ] = None,
    rationales: RationalesOption = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show which decisions would change on memes of your own, labelled or not, before you switch detectors."""
    for run in (run_a, run_b):
        find_detector(run)
    if out_file:
        check_place(out_file, "--out")
    from mrharm.metrics.thresholds import Traffic

    Traffic(per_day=per_day)  # refuses a number that makes no sense
    from mrharm.evaluation.diff import compare_decisions
    from mrharm.evaluation.diff_items import diff_verdicts_file, find_items, judge_items
    from mrharm.reports import terminal
    from mrharm.store import write_records
    from mrharm.verdicts.detector import Detector

    items = find_items(paths, run_a, run_b, split=split)
    for warning in items.warnings:  # before hours of predicting
        print_sentence(f"warning: {warning}", to=err)
    sides = []
    with Bars() as bars:
        for name, run in (("A", run_a), ("B", run_b)):
            detector = Detector.from_pretrained(run, device=device)
            file = diff_verdicts_file(run, detector, keep)
            what = f"predicting with {name}"
            sides.append(
                judge_items(
                    detector, items.inputs, file, rationales=rationales, what=what, progress=bars.show
                )
            )
    diff = compare_decisions(sides[0], sides[1], items, per_day=per_day)
    if out_file:
        write_records(out_file, diff.changes)

    values = diff.model_dump(mode="json", exclude={"changes"} if out_file else None)
    print_result(
        {**values, "out": out_file},
        lambda: terminal.show_diff(diff, out_file),
        as_json=as_json,
        failures=diff.failures,
    )
