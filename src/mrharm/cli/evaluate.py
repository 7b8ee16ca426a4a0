"""``mrharm evaluate RUN DATASET``: how good, for whom, and for the right reasons?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.memes.dataset import Dataset
from mrharm.probes.run import PROBES, chosen
from mrharm.runs import find_detector
from mrharm.store import check_place

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.rationales.teachers import Teacher

_SHOWN = 20
PAGE = "report.html"
_PRECISION = "fp32"


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
    ] = _PRECISION,
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A local encoder for BERTScore of rationales against people's."),
    ] = None,
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
    found: Evaluation | None = None
    try:
        names = chosen(probes)
        _check_options(names, rationales, judge_by, encoder, html, ablation)
        find_detector(run)
        data = Dataset(dataset)
        labelled = any(meme.label for meme in data.split(split))
        from mrharm.evaluation.leaderboards import rehearse, submit, take_order

        order = take_order(submission and submission.value, submission_file, submission_types)
        from mrharm.evaluation.evaluate import evaluate_judged, judge, with_probe
        from mrharm.evaluation.saved import evaluation_folder
        from mrharm.probes.llm_judge import judge_rationales
        from mrharm.reports.evaluation_page import write_page
        from mrharm.reports.model_card import write_model_card
        from mrharm.verdicts.detector import Detector

        if order:
            rehearse(order, data, split)
        folder = out_folder or evaluation_folder(run, data, data.split_name(split))
        page = html or folder / PAGE
        check_place(folder / PAGE, "--out")
        # The device is left out: it changes no figure that is promised, and the next reader's machine may lack it.
        command = _again(
            [run, dataset],
            {
                "--split": split,
                "--seed": seed,
                "--probes": probes,
                "--probe-memes": probe_memes,
                "--precision": precision if precision != _PRECISION else None,
                "--encoder": encoder,
                "--out": out_folder,
                "--judge": judge_by,
                "--judge-memes": judge_memes if judge_by else None,
                "--judge-repeats": judge_repeats if judge_by else None,
                "--budget": budget,
                "--ablation": ablation,
                "--html": html,
            },
            () if rationales else ("--no-rationales",),
        )
        with Bars() as bars, ExitStack() as closing:
            marker = _marker(judge_by, budget, device, closing)
            detector = Detector.from_pretrained(run, device=device, precision=precision)
            if marker and not (labelled and detector.rationale_student):
                lacks = "label" if detector.rationale_student else "rationale, as this detector writes none"
                raise InputError(
                    f"--judge marks rationales, and no meme of {split} has a {lacks}; leave it out"
                )
            if labelled or not order:
                predictions, _ = judge(
                    detector, data, split, rationales=rationales, out=folder, progress=bars.show
                )
            if labelled:
                found = evaluate_judged(
                    predictions,
                    probes=names,
                    probe_memes=probe_memes,
                    probe_options={"rationale": {"encoder": encoder}} if encoder else None,
                    seed=seed,
                    folder=folder,
                    progress=bars.show,
                )
                write_model_card(found, detector.card, folder)
                write_page(found, predictions, page, folder=folder, ablation=ablation, command=command)
            # What may fail midway comes last: report, card and page are whole and of one evaluation by now.
            if order:
                submit(order, detector, data, split, folder=folder, rationales=rationales, progress=bars.show)
            if found and marker:
                marks = judge_rationales(
                    predictions,
                    marker,
                    repeats=judge_repeats,
                    memes=judge_memes,
                    seed=seed,
                    progress=bars.show,
                )
                found = with_probe(found, "judge", marks, folder)
                write_model_card(found, detector.card, folder)
                write_page(found, predictions, page, folder=folder, ablation=ablation, command=command)
    except (MrHarmError, KeyboardInterrupt) as error:
        if found:
            err.print(
                f"what was found before this is kept: page {page}; report.json, model-card.md in {folder}"
            )
        raise fail(error, as_json=as_json) from None
    submitted = str(submission_file) if submission_file else None
    if as_json:
        whole = found.model_dump(mode="json") if found else {}
        print_json({**whole, "folder": str(folder), "submission": submitted})
    else:
        if found:
            from mrharm.reports.evaluation_tables import say

            say(found)
            out.print(f"\npage: {page}; figures: report.json, model-card.md in {folder}")
        if submitted:
            out.print(f"{order.kind if order else ''} submission: {submitted}")
    failures = found.failures if found else ()
    for failure in failures[:_SHOWN]:
        err.print(sanitise(f"failed: {failure.item}: {failure.reason}"))
    if len(failures) > _SHOWN:
        err.print(f"and {len(failures) - _SHOWN:,} more; report.json lists them all")
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _again(what: Sequence[object], options: Mapping[str, object], flags: Sequence[str] = ()) -> str:
    """The command that makes every figure again, as a shell takes it; options that are None were not given."""
    given = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
    return shlex.join(["mrharm", "evaluate", *(str(one) for one in what), *given, *flags])


def _check_options(
    names: Sequence[str],
    rationales: bool,
    judge_by: str | None,
    encoder: Path | None,
    html: Path | None,
    ablation: Path | None,
) -> None:
    """Refuse what cannot be, or would do nothing, before hours of work."""
    if judge_by and not rationales:
        raise InputError("--judge marks rationales; leave --no-rationales out")
    if html:
        check_place(html, "--html")
    if ablation:
        from mrharm.reports.evaluation_page import read_ablation

        read_ablation(ablation)
    if encoder:
        if "rationale" not in names or not rationales:
            raise InputError("--encoder goes with the probe `rationale` (--probes), and with rationales")
        from mrharm.probes.bertscore import check_encoder

        check_encoder(encoder)


def _marker(name: str | None, budget: float | None, device: str, closing: ExitStack) -> Teacher | None:
    """The teacher that is to mark rationales; what would keep it from its first answer is said now.

    Raises:
        MrHarmError: no such teacher or model; hosted: no package, no key, a budget without the model's price.
    """
    row, _, what = (name or "").partition(":")
    if budget is not None and row != "openai":
        raise InputError("--budget goes with --judge openai:MODEL; nothing else costs anything")
    if not name:
        return None
    from mrharm.probes.llm_judge import check_judge
    from mrharm.rationales.teachers import teacher_named

    options: dict[str, Any] = {}
    if row == "openai":
        from mrharm.llm import HostedClient
        from mrharm.llm.endpoint import Endpoint

        Endpoint().close()
        options["client"] = closing.enter_context(HostedClient(budget=budget))
    elif row == "hf":
        options["device"] = device
    teacher = teacher_named(name, **options)
    check_judge(teacher)
    if budget is not None:
        from mrharm.llm import Request
        from mrharm.llm.pricing import load_prices, worst_case

        worst_case(Request((), what, {"max_tokens": 1}), load_prices())
    return teacher
