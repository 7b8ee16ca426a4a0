"""``mrharm evaluate RUN DATASET``: how good, for whom, and for the right reasons?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.cli.options import (
    BudgetOption,
    DatasetArgument,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    RationalesOption,
    RunArgument,
    SeedOption,
    SplitOption,
)
from mrharm.cli.terminal import Bars, command_line, print_result, print_stale, report_errors
from mrharm.console import err, out, print_failures
from mrharm.errors import InputError, MrHarmError
from mrharm.memes.dataset import Dataset
from mrharm.probes.run import PROBES, Probing, select_probes
from mrharm.runs import find_detector
from mrharm.store import check_place

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.rationales.teachers import Teacher
    from mrharm.reports.evaluation import Destination

PAGE = "report.html"


class Leaderboard(StrEnum):
    """The leaderboards that a submission can be written for."""

    fhm = "fhm"
    mami = "mami"
    fine_grained = "fine-grained"


ProbesOption = Annotated[
    str, typer.Option(metavar="all|none|A,B", help=f"Which probes to run: {', '.join(PROBES.names())}.")
]
ProbeMemesOption = Annotated[
    int, typer.Option(min=10, help="The most memes a probe uses; robustness 200, saliency 100.")
]
EncoderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="A local encoder, for BERTScore of rationales against human-written ones."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where verdicts and report.json go; default: RUN for its own test split, else RUN/evaluations/.",
    ),
]
SubmissionOption = Annotated[
    Leaderboard | None,
    typer.Option(help="Write a submission to this leaderboard, too; it needs every meme of the split."),
]
SubmissionFileOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Where the submission goes.")]
SubmissionTypesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='JSONL of {"meme_id", "types": {name: score}} from a model of the kinds of harm.',
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge", metavar="ROW[:WHAT]", help="An LLM that rates rationales: openai:MODEL, hf:MODEL."
    ),
]
JudgeMemesOption = Annotated[int, typer.Option(min=1, help="How many rationales it rates.")]
JudgeRepeatsOption = Annotated[
    int, typer.Option(min=1, help="How often it rates each, which gives its own variance.")
]
HtmlOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where the page goes; default: report.html in the folder.")
]
AblationOption = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Show this ablation's plot and table on the page, too."),
]


@report_errors
def evaluate_command(
    run: RunArgument,
    dataset: DatasetArgument,
    split: SplitOption = "test",
    probes: ProbesOption = "all",
    probe_memes: ProbeMemesOption = 500,
    seed: SeedOption = 0,
    rationales: RationalesOption = True,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
    encoder: EncoderOption = None,
    out_folder: OutOption = None,
    submission: SubmissionOption = None,
    submission_file: SubmissionFileOption = None,
    submission_types: SubmissionTypesOption = None,
    judge_by: JudgeOption = None,
    judge_memes: JudgeMemesOption = 50,
    judge_repeats: JudgeRepeatsOption = 3,
    budget: BudgetOption = None,
    html: HtmlOption = None,
    ablation: AblationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a detector on a split; stopped at any moment, the same command goes on.

    Writes verdicts.<split>.jsonl, probes.jsonl, report.json, report.html and model-card.md. A split without labels can
    be used for --submission.
    """
    names = select_probes(probes)
    find_detector(run)
    data = Dataset(dataset)
    labelled = any(meme.label for meme in data.split(split))
    print_stale(data, data.split(split))
    _check_options(names, rationales, judge_by, encoder, html, ablation)
    from mrharm.evaluation.leaderboards import dry_run, parse_request, submit

    request = parse_request(submission and submission.value, submission_file, submission_types, split)
    if request:
        dry_run(request, data)
    from mrharm.evaluation.evaluate import predict_split
    from mrharm.evaluation.saved import evaluation_folder
    from mrharm.probes.llm_judge import judge_rationales
    from mrharm.reports.evaluation import Destination, add_probe, report_evaluation, write_report
    from mrharm.verdicts.detector import Detector

    folder = out_folder or evaluation_folder(run, data, data.split_name(split))
    check_place(folder / PAGE, "--out")
    destination = Destination(folder, html or folder / PAGE, ablation, command_line())
    probing = Probing(names, probe_memes, {"rationale": {"encoder": encoder}} if encoder else None)
    evaluation: Evaluation | None = None
    with Bars() as bars, ExitStack() as closing:
        rater = _load_rater(judge_by, budget, device, closing)
        if rater:
            _check_rationales(run, labelled, split)
        detector = Detector.from_pretrained(run, device=device, precision=precision)
        if labelled or not request:
            predictions = predict_split(
                detector, data, split, folder=folder, rationales=rationales, progress=bars.show
            )
        if labelled:
            evaluation = report_evaluation(
                predictions, destination, probing=probing, seed=seed, progress=bars.show
            )
        # What may fail midway comes last: the report is complete by now.
        with _note_stored_report(evaluation, destination):
            if request:
                submit(request, detector, data, folder=folder, rationales=rationales, progress=bars.show)
            if evaluation and rater:
                marks = judge_rationales(
                    predictions,
                    rater,
                    repeats=judge_repeats,
                    memes=judge_memes,
                    seed=seed,
                    progress=bars.show,
                )
                evaluation = add_probe(evaluation, "judge", marks)
                write_report(evaluation, predictions, destination)
    print_result(
        _to_json(evaluation, destination, submission_file),
        lambda: _show(evaluation, destination, submission, submission_file),
        as_json=as_json,
        failures=evaluation and evaluation.failures,
    )


@contextmanager
def _note_stored_report(evaluation: Evaluation | None, destination: Destination) -> Iterator[None]:
    """Say where the report is, if what comes after it fails."""
    try:
        yield
    except (MrHarmError, KeyboardInterrupt):
        if evaluation:
            err.print(f"the evaluation itself is stored: {_name_files(destination)}")
        raise


def _to_json(
    evaluation: Evaluation | None, destination: Destination, submission_file: Path | None
) -> dict[str, Any]:
    values = evaluation.model_dump(mode="json") if evaluation else {}
    submission = str(submission_file) if submission_file else None
    return {**values, "folder": str(destination.folder), "submission": submission}


def _show(
    evaluation: Evaluation | None,
    destination: Destination,
    submission: Leaderboard | None,
    submission_file: Path | None,
) -> None:
    if evaluation:
        from mrharm.reports.terminal import show_evaluation

        show_evaluation(evaluation)
        out.print(f"\n{_name_files(destination)}")
    if submission:
        out.print(f"{submission.value} submission: {submission_file}")
    if evaluation:
        print_failures(evaluation.failures, "report.json")


def _name_files(destination: Destination) -> str:
    return f"page: {destination.page}; figures: report.json, model-card.md in {destination.folder}"


def _check_options(
    names: Sequence[str],
    rationales: bool,
    judge_by: str | None,
    encoder: Path | None,
    html: Path | None,
    ablation: Path | None,
) -> None:
    """Refuse options that cannot work, or would do nothing, before hours of work."""
    if judge_by and not rationales:
        raise InputError("--judge rates rationales; leave --no-rationales out")
    if html:
        check_place(html, "--html")
    if encoder and ("rationale" not in names or not rationales):
        raise InputError("--encoder goes with the probe `rationale` (--probes), and with rationales")
    if ablation:
        from mrharm.reports.evaluation_page import read_ablation

        read_ablation(ablation)
    if encoder:
        from mrharm.probes.reference_overlap import check_encoder

        check_encoder(encoder)


def _check_rationales(run: Path, labelled: bool, split: str) -> None:
    """Refuse --judge where there will be no rationale of a labelled meme."""
    from mrharm.verdicts.card import read_card

    writes = bool({"rationale", "joint"} & set(read_card(run)[1].students))
    if not (labelled and writes):
        lack = "label" if writes else "rationale, as this detector writes none"
        raise InputError(f"--judge rates rationales, and no meme of {split} has a {lack}; leave it out")


def _load_rater(name: str | None, budget: float | None, device: str, closing: ExitStack) -> Teacher | None:
    """Return the LLM that rates rationales.

    Raises:
        MrHarmError: no such teacher or model; hosted: no package, no key, a budget without the model's price.
    """
    row, _, model = (name or "").partition(":")
    if budget is not None and row != "openai":
        raise InputError("--budget goes with --judge openai:MODEL; nothing else costs anything")
    if not name:
        return None
    from mrharm.probes.llm_judge import check_judge
    from mrharm.rationales.teachers import teacher_named

    options: dict[str, Any] = {}
    if row == "openai":
        from mrharm.llm import HostedClient

        client = closing.enter_context(HostedClient(budget=budget))
        client.check(model)
        options["client"] = client
    elif row == "hf":
        options["device"] = device
    teacher = teacher_named(name, **options)
    check_judge(teacher)
    return teacher
