"""``mrharm evaluate RUN DATASET``: how good, for whom, and for the right reasons?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrharm.app.cli.terminal import Bars, err, fail, out, print_json
from mrharm.errors import EXIT_SOME_FAILED, MrHarmError
from mrharm.evaluation.probing import PROBES, chosen

_SHOWN = 20


class Leaderboard(StrEnum):
    """Whose file to write."""

    fhm = "fhm"
    mami = "mami"
    fine_grained = "fine-grained"


def evaluate_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    split: Annotated[str, typer.Option(help="Which split, by its own name or its role.")] = "test",
    probes: Annotated[
        str, typer.Option(metavar="all|none|A,B", help=f"What to probe, of {', '.join(PROBES.names())}.")
    ] = "all",
    probe_memes: Annotated[int, typer.Option(min=10, help="Memes a probe looks at, at most.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of intervals and of what probes draw by lot.")] = 0,
    rationales: Annotated[bool, typer.Option(help="Write rationales, too (the slow part).")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")
    ] = "fp32",
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Where verdicts and report.json go; default: RUN for its own test split, else RUN/evaluations/.",
        ),
    ] = None,
    submission: Annotated[
        Leaderboard | None,
        typer.Option(help="Write a leaderboard's file, too; all memes of the split count."),
    ] = None,
    submission_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the leaderboard's file goes.")
    ] = None,
    submission_types: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSONL of {"meme_id", "types": {name: score}} from a model that says of which kind.',
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Judge a split and measure it; stopped at any moment, the same command goes on.

    Keeps verdicts.<split>.jsonl, probes.jsonl and report.json. A split without labels can be judged for --submission.
    """
    try:
        names = chosen(probes)
        from mrharm.evaluation.evaluate import evaluate_judged, judge
        from mrharm.evaluation.stored import evaluation_folder
        from mrharm.evaluation.submissions import submit, take_order
        from mrharm.memes.dataset import Dataset
        from mrharm.verdicts.detector import Detector

        order = take_order(submission and submission.value, submission_file, submission_types)
        data = Dataset(dataset)
        labelled = any(meme.label for meme in data.split(split))
        folder = out_folder or evaluation_folder(run, data, data.split_name(split))
        detector = Detector.from_pretrained(run, device=device, precision=precision)
        found = None
        with Bars() as bars:
            if labelled or not order:
                judged, _ = judge(
                    detector, data, split, rationales=rationales, out=folder, progress=bars.show
                )
            if order:
                submit(order, detector, data, split, folder=folder, rationales=rationales, progress=bars.show)
            if labelled:
                found = evaluate_judged(
                    judged,
                    probes=names,
                    probe_memes=probe_memes,
                    seed=seed,
                    folder=folder,
                    progress=bars.show,
                )
                # PLACE OF `--html FILE`: write_page(found, judged, html)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    submitted = str(submission_file) if submission_file else None
    if as_json:
        whole = found.model_dump(mode="json") if found else {}
        print_json({**whole, "folder": str(folder), "submission": submitted})
    else:
        if found:
            from mrharm.app.cli.evaluation_tables import say

            say(found)
            out.print(f"\nreport: {folder / 'report.json'}")
        if submitted:
            out.print(f"{order.kind if order else ''} submission: {submitted}")
    failures = found.failures if found else ()
    for failure in failures[:_SHOWN]:
        err.print(f"failed: {failure.item}: {failure.reason}")
    if len(failures) > _SHOWN:
        err.print(f"and {len(failures) - _SHOWN:,} more; report.json lists them all")
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)
