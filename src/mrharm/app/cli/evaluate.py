"""``mrharm evaluate RUN DATASET``: how good, for whom, and for the right reasons?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.app.cli.terminal import Bars, err, fail, out, print_json, seen
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.evaluation.probing import PROBES, chosen

if TYPE_CHECKING:
    from mrharm.evaluation.judge_report import JudgeReport
    from mrharm.evaluation.judged import Judged

_SHOWN = 20
PAGE = "report.html"


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
    probe_memes: Annotated[
        int, typer.Option(min=10, help="Memes a probe looks at, at most; robustness 200, saliency 100.")
    ] = 500,
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
    judge_by: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="ROW[:WHAT]",
            help="Have a teacher mark rationales, too: openai:MODEL, hf:MODEL.",
        ),
    ] = None,
    judge_memes: Annotated[int, typer.Option(min=1, help="Rationales it marks.")] = 50,
    judge_repeats: Annotated[int, typer.Option(min=1, help="Times it marks each, for its own variance.")] = 3,
    budget: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="What a hosted judge may cost at most.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the page goes; default: report.html in the folder."),
    ] = None,
    ablation: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Show this ablation's plot and table on the page, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Judge a split and measure it; stopped at any moment, the same command goes on.

    Keeps verdicts.<split>.jsonl, probes.jsonl, report.json, report.html and model-card.md. A split without labels can
    be judged for --submission.
    """
    try:
        names = chosen(probes)
        if ablation and not (ablation / "ablation.svg").is_file():
            raise InputError(
                f"{ablation}: no ablation.svg there; `mrharm ablate ... --out {ablation}` makes it"
            )
        from mrharm.evaluation.evaluate import evaluate_judged, judge, with_probe
        from mrharm.evaluation.model_card import write_model_card
        from mrharm.evaluation.page import write_page
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
                if judge_by:
                    marks = _mark(judged, judge_by, judge_repeats, judge_memes, seed, budget, bars)
                    found = with_probe(found, "judge", marks, folder)
                command = _again(
                    [run, dataset],
                    {
                        "--split": split,
                        "--seed": seed,
                        "--probes": probes,
                        "--probe-memes": probe_memes,
                        "--out": out_folder,
                        "--judge": judge_by,
                        "--judge-memes": judge_memes if judge_by else None,
                        "--judge-repeats": judge_repeats if judge_by else None,
                        "--ablation": ablation,
                        "--html": html,
                    },
                    () if rationales else ("--no-rationales",),
                )
                write_page(found, judged, html or folder / PAGE, ablation=ablation, command=command)
                write_model_card(found, detector.card, folder)
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
            out.print(f"\npage: {html or folder / PAGE}; figures: report.json, model-card.md in {folder}")
        if submitted:
            out.print(f"{order.kind if order else ''} submission: {submitted}")
    failures = found.failures if found else ()
    for failure in failures[:_SHOWN]:
        err.print(seen(f"failed: {failure.item}: {failure.reason}"))
    if len(failures) > _SHOWN:
        err.print(f"and {len(failures) - _SHOWN:,} more; report.json lists them all")
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _again(what: Sequence[object], options: Mapping[str, object], flags: Sequence[str] = ()) -> str:
    """The command that makes every figure again, as a shell takes it; options that are None were not given."""
    given = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
    return shlex.join(["mrharm", "evaluate", *(str(one) for one in what), *given, *flags])


def _mark(
    judged: Judged, name: str, repeats: int, memes: int, seed: int, budget: float | None, bars: Bars
) -> JudgeReport:
    """Have a teacher mark some rationales."""
    from mrharm.evaluation.rationale_judge import judge_rationales
    from mrharm.rationales.teachers import teacher_named

    with ExitStack() as closing:
        options: dict[str, Any] = {}
        if name.partition(":")[0] == "openai":
            from mrharm.hosted import HostedClient

            options["client"] = closing.enter_context(HostedClient(budget=budget))
        teacher = teacher_named(name, **options)
        return judge_rationales(judged, teacher, repeats=repeats, memes=memes, seed=seed, progress=bars.show)
