"""``mrharm predict RUN PATH...``: pictures, folders or JSONL in; verdicts out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mrharm.app.cli.terminal import Bars, err, fail, out, print_json
from mrharm.errors import EXIT_SOME_FAILED, MrHarmError
from mrharm.records import Failure, Verdict

_SHOWN = 50


def predict_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a detector folder.")],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Pictures, folders of pictures, JSONL files.")
    ],
    text: Annotated[str | None, typer.Option(help="The words on the picture (one picture).")] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write verdicts here as JSONL; goes on where it stopped."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Memes a batch.")] = 32,
    rationales: Annotated[bool, typer.Option(help="Write rationales, too (the slow part).")] = True,
    saliency: Annotated[bool, typer.Option(help="Say where the student looked, too.")] = False,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Let the student write its label, as the paper does.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a meme that lacks a wanted input.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")
    ] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Judge memes: P(harmful), a decision, and the rationale behind it."""
    try:
        from mrharm.verdicts.batches import find_memes, judge_all, judge_to_file
        from mrharm.verdicts.detector import Detector, JudgeOptions

        memes, failures = find_memes(paths, text)
        detector = Detector.from_pretrained(run, device=device, precision=precision)
        options: JudgeOptions = {
            "batch_size": batch_size,
            "rationales": rationales,
            "saliency": saliency,
            "strict": strict,
        }
        if greedy:
            options["greedy"] = True
        verdicts: list[Verdict] = []
        done = skipped = 0
        with Bars() as bars:

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bars.show("memes", done, len(memes))

            if out_file:
                skipped = judge_to_file(detector, memes, out_file, options, failures, advance)
            else:
                verdicts = list(judge_all(detector, memes, options, failures=failures, advance=advance))
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    summary = {
        "detector": detector.key,
        "memes": len(memes),
        "already_there": skipped,
        "failures": [failure.model_dump(mode="json") for failure in failures],
        **(
            {"out": str(out_file)}
            if out_file
            else {"verdicts": [one.model_dump(mode="json") for one in verdicts]}
        ),
    }
    if as_json:
        print_json(summary)
    else:
        _say(verdicts, failures, out_file, len(memes), skipped)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _say(
    verdicts: list[Verdict], failures: list[Failure], out_file: Path | None, memes: int, skipped: int
) -> None:
    for verdict in verdicts[:_SHOWN]:
        says = {True: "harmful", False: "harmless", None: "no label"}[verdict.harmful]
        out.print(f"{verdict.meme_id}: {says} ({verdict.decision}), P(harmful) {verdict.score:.3f}")
        if verdict.rationale:
            out.print(f"    because: {verdict.rationale}")
        if verdict.missing:
            err.print(
                f"    warning: {verdict.meme_id}: judged without {', '.join(verdict.missing)}{_mend(verdict)}"
            )
    if len(verdicts) > _SHOWN:
        out.print(f"and {len(verdicts) - _SHOWN:,} more; --out FILE keeps them all")
    if out_file:
        judged: Any = memes - skipped - len([one for one in failures if one.line is None])
        out.print(
            f"{judged:,} memes judged into {out_file}"
            + (f"; {skipped:,} were there already" if skipped else "")
        )
    for failure in failures[:_SHOWN]:
        err.print(f"failed: {failure.item}: {failure.reason}")
    if len(failures) > _SHOWN:
        err.print(
            f"and {len(failures) - _SHOWN:,} more failures" + (" in failures.jsonl" if out_file else "")
        )


def _mend(verdict: Verdict) -> str:
    return " (say what is written on it with --text)" if "text" in verdict.missing else ""
