"""``mrharm predict RUN PATH...``: pictures, folders or JSONL in; verdicts out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise, say_failures
from mrharm.errors import EXIT_SOME_FAILED, MrHarmError
from mrharm.records import Failure, Meme, Saliency, Verdict
from mrharm.runs import find_detector
from mrharm.store import write_bytes
from mrharm.verdicts.inputs import find_memes

if TYPE_CHECKING:
    from mrharm.verdicts.batch import Tally
    from mrharm.verdicts.detector import Detector, JudgeOptions

_SHOWN = 50  # verdicts


def predict_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a detector folder.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Pictures, folders of pictures, dataset folders, JSONL files."
        ),
    ],
    text: Annotated[str | None, typer.Option(help="The words on the picture (one picture).")] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write verdicts here as JSONL; goes on where it stopped."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Memes a batch.")] = 32,
    rationales: Annotated[bool, typer.Option(help="Write rationales, too (the slow part).")] = True,
    saliency: Annotated[
        Literal["attention", "gradient"] | None,
        typer.Option(help="Say where the student looked, or what moved its decision, too."),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw that on the first meme (gradient unless --saliency says)."),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Let the student write its label, as the paper does.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a meme that lacks a wanted input.")
    ] = False,
    gather: Annotated[
        bool, typer.Option(help="Read the words off pictures whose words are not given.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")
    ] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Judge memes: P(harmful), a decision, and the rationale behind it."""
    try:
        find_detector(run)
        found = find_memes(paths, text)
        from mrharm.verdicts.batch import Tally, judge_all, judge_to_file
        from mrharm.verdicts.detector import Detector

        memes, failures = found.memes, found.failures
        detector = Detector.from_pretrained(run, device=device, precision=precision)
        options: JudgeOptions = {
            "evidence": found.evidence,
            "batch_size": batch_size,
            "rationales": rationales,
            "saliency": saliency or False,
            "strict": strict,
            "gather": gather,
        }
        if greedy:
            options["greedy"] = True
        if draw and memes:
            _draw(detector, memes[0], options, draw)
        verdicts: list[Verdict] = []
        tally = Tally()
        done = 0
        with Bars() as bars:

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bars.show("memes", done, len(memes))

            if out_file:
                tally = judge_to_file(detector, memes, out_file, options, failures, advance)
            else:
                for verdict in judge_all(detector, memes, options, failures, advance):
                    verdicts.append(verdict)
                    tally.count(verdict)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(
            {
                "detector": detector.key,
                "memes": len(memes),
                "judged": tally.judged,
                "already_there": tally.already_there,
                "missing": tally.missing,
                "failures": [failure.model_dump(mode="json") for failure in failures],
                **(
                    {"out": str(out_file)}
                    if out_file
                    else {"verdicts": [one.model_dump(mode="json") for one in verdicts]}
                ),
            }
        )
    else:
        _say(verdicts, failures, out_file, tally)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _draw(detector: Detector, meme: Meme, options: JudgeOptions, path: Path) -> None:
    from mrharm.images import encode_png, open_image
    from mrharm.reports.saliency_picture import draw_both
    from mrharm.verdicts.saliency_map import share_on_picture

    kind = options.get("saliency") or "gradient"
    asked: JudgeOptions = {**options, "saliency": kind, "rationales": False}
    verdict = detector.judge(meme, **asked)
    image = open_image(Path(meme.image)) if meme.image else None
    saliency, frame = verdict.saliency or Saliency(), detector.label_student.frame
    write_bytes(path, encode_png(draw_both(image, saliency, frame)))
    if image and frame and saliency.patches:
        share = share_on_picture(saliency, frame, image.size)
        err.print(
            f"{path}: {kind}; {100 * share:.0f} % of the patches' weight lies on the picture, not on padding"
        )


def _say(verdicts: list[Verdict], failures: list[Failure], out_file: Path | None, tally: Tally) -> None:
    from mrharm.verdicts.batch import failures_file

    for verdict in verdicts[:_SHOWN]:
        says = {True: "harmful", False: "harmless", None: "no label"}[verdict.harmful]
        out.print(f"{sanitise(verdict.meme_id)}: {says} ({verdict.decision}), P(harmful) {verdict.score:.3f}")
        if verdict.rationale:
            out.print(f"    because: {sanitise(verdict.rationale)}")
    if len(verdicts) > _SHOWN:
        out.print(f"and {len(verdicts) - _SHOWN:,} more; --out FILE keeps them all")
    if out_file:
        there = f"; {tally.already_there:,} were there already" if tally.already_there else ""
        out.print(f"{tally.judged:,} memes judged into {out_file}{there}")
    for part, count in tally.missing.items():
        mend = " (say what is written on it with --text, or in a JSONL file)" if part == "text" else ""
        err.print(
            f"warning: {count:,} of {tally.judged:,} judged without {part}, which this detector wants{mend}"
        )
    say_failures(failures, failures_file(out_file) if out_file else "--json")
