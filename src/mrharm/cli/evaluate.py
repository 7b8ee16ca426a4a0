"""``mrharm evaluate RUN DATASET``: how good, for whom, and for the right reasons?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
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
from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.memes.dataset import Dataset
from mrharm.probes.run import PROBES, Probing, select_probes
from mrharm.runs import find_detector
from mrharm.store import check_place

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.leaderboards import SubmissionRequest
    from mrharm.progress import Progress
    from mrharm.rationales.teachers import Teacher


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
    # What cannot work is refused before PyTorch is loaded, and before hours of work.
    from mrharm.evaluation.leaderboards import dry_run, parse_request
    from mrharm.evaluation.saved_predictions import PAGE, evaluation_folder

    names = select_probes(probes)
    find_detector(run)
    data = Dataset(dataset)
    print_stale(data, data.split(split))
    _check_options(names, rationales, encoder, html, ablation)
    _check_judge(judge_by, budget, rationales, run, data, split)
    request = parse_request(submission and submission.value, submission_file, submission_types, split)
    if request:
        dry_run(request, data)
    folder = out_folder or evaluation_folder(run, data, data.split_name(split))
    check_place(folder / PAGE, "--out")
    place = {"folder": folder, "page": html or folder / PAGE, "ablation": ablation, "command": command_line()}
    probing = Probing(names, probe_memes, {"rationale": {"encoder": encoder}} if encoder else None)
    judging = {"repeats": judge_repeats, "memes": judge_memes, "seed": seed}
    with Bars() as bars, ExitStack() as closing:
        rater = _load_rater(judge_by, budget, device, closing) if judge_by else None
        loading = {"device": device, "precision": precision}
        evaluation = _evaluate(
            run, loading, data, split, place, probing, request, rater, judging, rationales, bars.show
        )
    values = evaluation.model_dump(mode="json") if evaluation else {}
    print_result(
        {**values, "folder": str(folder), "submission": str(submission_file) if submission_file else None},
        lambda: _show(evaluation, place, request),
        as_json=as_json,
        failures=evaluation and evaluation.failures,
    )


def _evaluate(
    run: Path,
    loading: dict[str, str],
    data: Dataset,
    split: str,
    place: dict[str, Any],
    probing: Probing,
    request: SubmissionRequest | None,
    rater: Teacher | None,
    judging: dict[str, int],
    rationales: bool,
    progress: Progress,
) -> Evaluation | None:
    """Predict, report, submit and have rationales rated, each from the files that the step before wrote.

    Returns what ``report.json`` holds; None of a split without labels, which is only submitted.
    """
    from mrharm.evaluation.evaluate import evaluate, predict_split, read_report
    from mrharm.evaluation.leaderboards import submit
    from mrharm.evaluation.saved_predictions import REPORT, read_labelled
    from mrharm.probes.llm_judge import judge_rationales
    from mrharm.reports.evaluation import Destination, add_probe, report_evaluation
    from mrharm.verdicts.detector import Detector

    detector = Detector.from_pretrained(run, **loading)
    destination = Destination(**place)
    labelled = not request or any(meme.label for meme in data.split(split))
    options: dict[str, Any] = {"folder": destination.folder, "rationales": rationales, "progress": progress}
    if labelled:
        predict_split(detector, data, split, **options)
        verdicts = read_labelled(destination.folder, data, data.split_name(split))
        figures = evaluate(verdicts, detector.card, seed=judging["seed"], folder=destination.folder)
        report_evaluation(figures, verdicts, detector, destination, probing=probing, progress=progress)
    # What may fail midway comes last: the report is complete by now.
    try:
        if request:
            submit(request, detector, data, **options)
        if labelled and rater:
            marks = judge_rationales(verdicts, rater, **judging, progress=progress)
            add_probe("judge", marks, verdicts, detector, destination)
    except (MrHarmError, KeyboardInterrupt):
        if labelled:
            err.print(f"the evaluation itself is stored: {_name_files(place)}")
        raise
    return read_report(destination.folder / REPORT) if labelled else None


def _show(evaluation: Evaluation | None, place: dict[str, Any], request: SubmissionRequest | None) -> None:
    if evaluation:
        from mrharm.reports.terminal import show_evaluation

        show_evaluation(evaluation)
        out.print(f"\n{_name_files(place)}")
    if request:
        out.print(f"{request.kind} submission: {request.file}")
    if evaluation:
        print_failures(evaluation.failures, "report.json")


def _name_files(place: dict[str, Any]) -> str:
    return f"page: {place['page']}; figures: report.json, model-card.md in {place['folder']}"


def _check_options(
    names: Sequence[str],
    rationales: bool,
    encoder: Path | None,
    html: Path | None,
    ablation: Path | None,
) -> None:
    """Refuse options that cannot work, or would do nothing."""
    if html:
        check_place(html, "--html")
    if encoder and ("rationale" not in names or not rationales):
        raise InputError("--encoder goes with the probe `rationale` (--probes), and with rationales")
    if ablation:
        if not (file := ablation / "ablation.json").is_file():
            raise DataError(
                f"{file}: expected the results of an ablation (no such file); `mrharm ablate ... --out {ablation}` "
                "writes them"
            )
        from mrharm.reports.ablation_page import read_ablation

        read_ablation(ablation)
    if encoder:
        if not encoder.is_dir():
            raise InputError(f"--encoder {encoder}: no such folder")
        from mrharm.probes.reference_overlap import check_encoder

        check_encoder(encoder)


def _check_judge(
    judge_by: str | None, budget: float | None, rationales: bool, run: Path, data: Dataset, split: str
) -> None:
    """Refuse a budget that nothing is paid from, and --judge where no labelled meme will have a rationale."""
    if budget is not None and (judge_by or "").partition(":")[0] != "openai":
        raise InputError("--budget goes with --judge openai:MODEL; nothing else costs anything")
    if not judge_by:
        return
    if not rationales:
        raise InputError("--judge rates rationales; leave --no-rationales out")
    from mrharm.verdicts.card import read_card

    writes = read_card(run)[1].explains
    if not (writes and any(meme.label for meme in data.split(split))):
        lack = "label" if writes else "rationale, as this detector writes none"
        raise InputError(f"--judge rates rationales, and no meme of {split} has a {lack}; leave it out")


def _load_rater(name: str, budget: float | None, device: str, closing: ExitStack) -> Teacher:
    """Return the LLM that rates rationales.

    Raises:
        MrHarmError: no such teacher or model; hosted: no package, no key, a budget without the model's price.
    """
    from mrharm.probes.llm_judge import check_judge
    from mrharm.rationales.teachers import teacher_named

    row, _, model = name.partition(":")
    options: dict[str, Any] = {}
    if row == "openai":
        from mrharm.llm import HostedClient

        client = options["client"] = closing.enter_context(HostedClient(budget=budget))
        client.check(model)
    elif row == "hf":
        options["device"] = device
    teacher = teacher_named(name, **options)
    check_judge(teacher)
    return teacher
