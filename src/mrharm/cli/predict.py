"""``mrharm predict RUN PATH...``: pictures, folders or JSONL in; verdicts out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from mrharm.cli.options import (
    DeviceOption,
    ItemsArgument,
    JsonOption,
    PrecisionOption,
    RationalesOption,
    RunArgument,
)
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err, out, print_failures
from mrharm.records import Failure, Meme, Saliency, Verdict
from mrharm.runs import find_detector
from mrharm.store import write_bytes
from mrharm.texts import sanitise
from mrharm.verdicts.inputs import JudgeOptions, find_memes

if TYPE_CHECKING:
    from mrharm.verdicts.batch import Tally
    from mrharm.verdicts.detector import Detector

SHOWN_VERDICTS = 50
OutOption = Annotated[
    Path | None,
    Option("--out", metavar="FILE", help="Write verdicts here as JSONL; run again to go on after a stop."),
]
SaliencyOption = Annotated[
    Literal["attention", "gradient"] | None,
    Option(help="Add what the student attended to, or what moved its decision."),
]


@report_errors
def predict_command(
    run: RunArgument,
    paths: ItemsArgument,
    text: Annotated[str | None, Option(help="The words on the picture (one picture only).")] = None,
    out_file: OutOption = None,
    batch_size: Annotated[int, Option(min=1, help="Memes in a batch.")] = 32,
    rationales: RationalesOption = True,
    saliency: SaliencyOption = None,
    draw: Annotated[
        Path | None, Option(metavar="PNG", help="Draw the saliency of the first meme (default: gradient).")
    ] = None,
    greedy: Annotated[
        bool | None,
        Option(help="Take the label that the student writes, as the paper does (default: the recipe's)."),
    ] = None,
    strict: Annotated[
        bool, Option("--strict", help="Refuse a meme that lacks an input of the recipe.")
    ] = False,
    gather: Annotated[bool, Option(help="Read the words off pictures that come without text.")] = True,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
    as_json: JsonOption = False,
) -> None:
    """Predict for memes: P(harmful), a decision, and the rationale behind it."""
    find_detector(run)
    items = find_memes(paths, text)
    from mrharm.verdicts.batch import Tally, drop_mended_rows, judge_all, judge_to_file
    from mrharm.verdicts.detector import Detector

    memes, failures = items.memes, items.failures
    detector = Detector.from_pretrained(run, device=device, precision=precision)
    options = JudgeOptions(
        evidence=items.evidence,
        batch_size=batch_size,
        rationales=rationales,
        saliency=saliency or False,
        greedy=greedy,
        strict=strict,
        gather=gather,
    )
    if draw and memes:
        _draw_saliency(detector, memes[0], options, draw)
    verdicts: list[Verdict] = []
    tally = Tally()
    with Bars() as bars:
        show = partial(bars.show, "memes")
        if out_file:  # verdicts are not held in memory: there may be millions
            tally = judge_to_file(detector, memes, out_file, options, failures, show)
            drop_mended_rows(out_file, paths, failures)
        else:
            for verdict in judge_all(detector, memes, options, failures, show):
                verdicts.append(verdict)
                tally.count(verdict)
    results = {"out": out_file} if out_file else {"verdicts": verdicts}
    print_result(
        {"detector": detector.key, "memes": len(memes), **tally.to_json(), "failures": failures, **results},
        lambda: _show(verdicts, failures, out_file, tally),
        as_json=as_json,
        failures=failures,
    )


def _draw_saliency(detector: Detector, meme: Meme, options: JudgeOptions, path: Path) -> None:
    from mrharm.images import encode_png, open_image
    from mrharm.reports.saliency_picture import draw_meme
    from mrharm.verdicts.saliency_map import share_on_picture

    kind = options.saliency or "gradient"
    verdict = detector.judge(meme, options, saliency=kind, rationales=False)
    image = open_image(Path(meme.image)) if meme.image else None
    saliency, frame = verdict.saliency or Saliency(), detector.frame
    write_bytes(path, encode_png(draw_meme(image, saliency, frame)))
    if image and frame and saliency.patches:
        share = share_on_picture(saliency, frame, image.size)
        err.print(
            f"{path}: {kind}; {100 * share:.0f} % of the patches' weight is on the picture, the rest on padding"
        )


def _show(verdicts: list[Verdict], failures: list[Failure], out_file: Path | None, tally: Tally) -> None:
    from mrharm.reports.render import DOUBTS
    from mrharm.verdicts.batch import failures_file

    for verdict in verdicts[:SHOWN_VERDICTS]:
        label = {True: "harmful", False: "harmless", None: "no label"}[verdict.harmful]
        out.print(
            f"{sanitise(verdict.meme_id)}: {label} ({verdict.decision}), P(harmful) {verdict.score:.3f}"
        )
        if verdict.doubts:
            out.print(f"    for review: {'; '.join(DOUBTS[doubt] for doubt in verdict.doubts)}")
        if verdict.rationale:
            out.print(f"    its explanation: {sanitise(verdict.rationale)}")
    if len(verdicts) > SHOWN_VERDICTS:
        out.print(f"and {len(verdicts) - SHOWN_VERDICTS:,} more; --out FILE stores them all")
    if out_file:
        before = f"; {tally.already_there:,} were there already" if tally.already_there else ""
        out.print(f"{out_file}: {tally.judged:,} verdicts{before}")
    if tally.decisions.total() > 1:
        out.print(", ".join(f"{decision} {count:,}" for decision, count in tally.list_decisions().items()))
    for part, count in tally.missing.items():
        mend = " (give the words with --text, or in a JSONL file)" if part == "text" else ""
        err.print(
            f"warning: {count:,} of {tally.judged:,} memes have no {part}, which this detector reads{mend}"
        )
    print_failures(failures, failures_file(out_file) if out_file else "--json")
