"""``mrharm compare RUN_A RUN_B``: is one better than the other, or is it chance?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mrharm.cli.terminal import Bars, fail, out, print_json
from mrharm.errors import InputError, MrHarmError


def compare_command(
    sides: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_A RUN_B...",
            help="Runs; every later one is held against the first. A quoted pattern ('runs/distilled-*') is one side: "
            "runs of one recipe that differ in their seed, with mean and spread over seeds.",
        ),
    ],
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="Judge it with the runs that have not yet. Without: what all runs have judged already.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which split; default: test, or the one that all runs have judged.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals' draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Hold runs against each other on the same memes: McNemar's test, paired bootstrap, spread over seeds."""
    try:
        if len(sides) < 2:
            raise InputError("expected two runs or more: mrharm compare RUN_A RUN_B")
        found_sides = [_runs(side) for side in sides]
        from mrharm.evaluation.compare import compare

        with Bars() as bars:
            found = compare(
                found_sides, dataset=dataset, split=split, device=device, seed=seed, progress=bars.show
            )
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json({"comparisons": [one.model_dump(mode="json") for one in found]})
        return
    from mrharm.reports.evaluation_tables import say_comparison

    for place, one in enumerate(found):
        if place:
            out.print()
        say_comparison(one)


def _runs(side: str) -> list[Path]:
    """A folder, or a pattern of folders, in order of their names."""
    folder = Path(side)
    if folder.is_dir() or not any(letter in side for letter in "*?["):
        return [folder]
    anchor = Path(folder.anchor)
    found = sorted(path for path in anchor.glob(str(folder.relative_to(anchor))) if path.is_dir())
    if not found:
        raise InputError(f"{side}: no folder matches; expected runs, for example 'runs/distilled-*'")
    return found
