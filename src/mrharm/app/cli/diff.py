"""``mrharm diff RUN_A RUN_B PATH...``: which decisions would change if RUN_B took RUN_A's place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrharm.app.cli.terminal import Bars, err, fail, out, print_json, seen
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError

if TYPE_CHECKING:
    from mrharm.evaluation.diff import Change, Diff
    from mrharm.metrics.figures import Figure
    from mrharm.records import Failure

_SHOWN = 10


def diff_command(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run in use.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that would take its place.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Pictures, folders of pictures, dataset folders, JSONL files."
        ),
    ],
    per_day: Annotated[
        float | None, typer.Option(metavar="N", help="Memes like these a day: says reviews a day, too.")
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
        from mrharm.evaluation.cuts import Stream
        from mrharm.evaluation.diff import compare_decisions, judge_items
        from mrharm.store import write_records
        from mrharm.verdicts.batches import find_memes
        from mrharm.verdicts.detector import Detector

        if out_file and out_file.is_dir():
            raise InputError(f"{out_file}: a folder; expected the JSONL file to write")
        Stream(per_day=per_day)  # a number that cannot be is said before any work
        found = find_memes(paths)
        failures = list(found.failures)
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
                failures += failed
                sides.append((detector, verdicts))
        (a, verdicts_a), (b, verdicts_b) = sides
        diff = compare_decisions(a, b, found.memes, verdicts_a, verdicts_b, per_day=per_day)
        if out_file:
            write_records(out_file, diff.changes)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        values = diff.model_dump(mode="json", exclude={"changes", "failures"} if out_file else {"failures"})
        print_json(
            {
                **values,
                "out": str(out_file) if out_file else None,
                "failures": [failure.model_dump(mode="json") for failure in failures],
            }
        )
    else:
        _say(diff, failures, out_file)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _say(diff: Diff, failures: list[Failure], out_file: Path | None) -> None:
    out.print(
        f"{len(diff.changes):,} of {diff.items:,} decisions change: {_numbers(diff.changed, 100, 1)} %",
        style="bold",
    )
    for way, count in diff.counts.items():
        before, _, after = way.partition("->")
        if count and before != after:
            out.print(f"  {before:>6} -> {after:<6} {count:>8,}")
    if diff.per_day is not None:
        out.print(
            f"reviews a day, of {diff.per_day:,.0f} memes: {_numbers(diff.reviews_a)} now, "
            f"{_numbers(diff.reviews_b)} then"
        )
        out.print(f"  a change of {_numbers(diff.reviews_change, sign=True)}")
    if diff.labelled:
        known = diff.labelled
        out.print(
            f"of {known.items:,} labelled items A decides {_numbers(known.right_a, 100, 1)} % rightly, "
            f"B {_numbers(known.right_b, 100, 1)} %"
        )
        out.print(
            f"  of the changes A alone is right on {known.only_a:,}, B alone on {known.only_b:,}; "
            f"McNemar p {known.test.p:.3g}"
        )
    for change in diff.changes[:_SHOWN]:
        _say_change(change)
    if len(diff.changes) > _SHOWN:
        where = f"{out_file} holds them all" if out_file else "--out FILE keeps them all"
        out.print(f"and {len(diff.changes) - _SHOWN:,} more; {where}")
    for failure in failures[:_SHOWN]:
        err.print(f"failed: {failure.item}: {failure.reason}")
    if len(failures) > _SHOWN:
        err.print(f"and {len(failures) - _SHOWN:,} more failures")


def _say_change(change: Change) -> None:
    gold = "" if change.gold is None else f", people: {'harmful' if change.gold else 'harmless'}"
    out.print(
        f"{seen(change.id)}: {change.a.decision} {change.a.score:.3f} -> "
        f"{change.b.decision} {change.b.score:.3f}{gold}"
    )
    for what, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {what}{seen(text)}"[:80], style="dim")


def _numbers(figure: Figure, factor: float = 1.0, places: int = 0, sign: bool = False) -> str:
    if figure.value is None:
        return "-"
    form = f"{'+' if sign else ''},.{places}f"
    shown = f"{factor * figure.value:{form}}"
    if figure.low is None or figure.high is None:
        return shown
    return f"{shown} ({factor * figure.low:{form}} to {factor * figure.high:{form}})"
