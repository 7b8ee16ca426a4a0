"""``mrharm diff RUN_A RUN_B PATH...``: which decisions would change if RUN_B took RUN_A's place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrharm.app.cli.terminal import Bars, fail, out, print_json, say_failures, seen
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError

if TYPE_CHECKING:
    from mrharm.evaluation.diff import Change, Diff

_SHOWN = 10  # changes


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
        from mrharm.evaluation.diff import compare_decisions, judge_items, not_judged
        from mrharm.store import write_records
        from mrharm.verdicts.batches import find_memes
        from mrharm.verdicts.detector import Detector

        if out_file and out_file.is_dir():
            raise InputError(f"{out_file}: a folder; expected the JSONL file to write")
        Stream(per_day=per_day)  # a number that cannot be is said before any work
        found = find_memes(paths)
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
                sides.append((detector, verdicts, failed))
        (a, verdicts_a, failed_a), (b, verdicts_b, failed_b) = sides
        failures = not_judged(found.failures, failed_a, failed_b)
        diff = compare_decisions(
            a, b, found.memes, verdicts_a, verdicts_b, failures=failures, per_day=per_day
        )
        if out_file:
            write_records(out_file, diff.changes)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        values = diff.model_dump(mode="json", exclude={"changes"} if out_file else None)
        print_json({**values, "out": str(out_file) if out_file else None})
    else:
        _say(diff, out_file)
    if diff.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _say(diff: Diff, out_file: Path | None) -> None:
    from mrharm.metrics import spell

    out.print(
        f"{len(diff.changes):,} of {diff.items:,} decisions change: {spell(diff.changed, unit=' %')}",
        style="bold",
    )
    for way, count in diff.counts.items():
        before, _, after = way.partition("->")
        if count and before != after:
            out.print(f"  {before:>6} -> {after:<6} {count:>8,}")
    if diff.per_day is not None:
        now, then = (spell(one, times=1, digits=0) for one in (diff.reviews_a, diff.reviews_b))
        out.print(f"reviews a day, of {diff.per_day:,.0f} memes: {now} now, {then} then")
        out.print(f"  a change of {spell(diff.reviews_change, times=1, digits=0, sign=True)}")
    if diff.labelled:
        known = diff.labelled
        out.print(f"of {known.items:,} labelled items A decides {spell(known.right_a, unit=' %')} rightly,")
        out.print(f"  B {spell(known.right_b, unit=' %')}")
        out.print(
            f"  of the changes A alone is right on {known.only_a:,}, B alone on {known.only_b:,}; "
            f"McNemar p {known.test.p:.3g}"
        )
    for change in diff.changes[:_SHOWN]:
        _say_change(change)
    if len(diff.changes) > _SHOWN:
        where = f"{out_file} holds them all" if out_file else "--out FILE keeps them all"
        out.print(f"and {len(diff.changes) - _SHOWN:,} more; {where}")
    whose = {"a": "A", "b": "B", "both": "A and B"}
    say_failures(
        [one.model_copy(update={"item": f"{one.item} (for {whose[one.by]})"}) for one in diff.failures]
    )


def _say_change(change: Change) -> None:
    gold = "" if change.gold is None else f", people: {'harmful' if change.gold else 'harmless'}"
    out.print(
        f"{seen(change.id)}: {change.a.decision} {change.a.score:.3f} -> "
        f"{change.b.decision} {change.b.score:.3f}{gold}"
    )
    for what, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {what}{seen(text)}"[:80], style="dim")
