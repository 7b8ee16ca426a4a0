"""``mrharm ablate DATASET --recipe R --seeds N``: what each part of the method is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrharm.cli.options import DatasetArgument, JsonOption, RecipeOption, SettingsOption, SplitOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err, out
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.ablation.arms import Arm
    from mrharm.records import Failure
    from mrharm.reports.ablation_page import Ablation

SeedsOption = Annotated[int, typer.Option(min=1, help="Runs of every arm, with seeds 0 to N - 1.")]
ArmsOption = Annotated[
    str, typer.Option(metavar="A,B,C", help="Which arms, or all; --dry-run lists those there are.")
]
SizesOption = Annotated[
    str | None, typer.Option(metavar="N,M", help="Numbers of training memes; default: all of them.")
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Worker processes, of one thread each.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where rows and report go.")]
KeepOption = Annotated[bool, typer.Option("--keep-runs", help="Keep every run's folder.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and for how long.")]


@report_errors
def ablate_command(
    dataset: DatasetArgument,
    recipe: RecipeOption = "mr-harm",
    seeds: SeedsOption = 3,
    arms: ArmsOption = "all",
    sizes: SizesOption = None,
    split: SplitOption = "test",
    workers: WorkersOption = 2,
    out_folder: OutOption = Path("runs/ablate"),
    settings: SettingsOption = None,
    keep_runs: KeepOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the student without each part of the method, over several seeds; run again to go on after a stop."""
    chosen = load_recipe(recipe, parse_overrides(settings or []))
    counts = _parse_sizes(sizes)
    folder = Dataset(dataset)
    from mrharm.ablation.arms import select_arms, split_possible

    possible, skipped = split_possible(select_arms(arms), folder, chosen)
    from mrharm.ablation.run import Grid, estimate_hours, make_jobs, read_rows, run_grid
    from mrharm.reports import terminal
    from mrharm.reports.ablation_page import summarise, write_report

    for name, why in skipped.items():
        err.print(sanitise(f"left out: {name}: {why}"))
    jobs = make_jobs(folder, chosen, out_folder, Grid(possible, counts, seeds, split), keep=keep_runs)
    duration = estimate_hours(jobs, read_rows(folder, chosen, out_folder, split), workers)
    err.print(str(duration))
    if dry_run:
        plan = {
            "arms": {arm.name: arm.what for arm in possible},
            "sizes": counts,
            "seeds": seeds,
            "runs": duration.runs,
            "hours": duration.hours,
        }
        print_result(plan, lambda: _show_plan(possible, counts, seeds), as_json=as_json)
        return

    def report(failures: Sequence[Failure] = ()) -> Ablation:
        rows = list(read_rows(folder, chosen, out_folder, split).values())
        names = {"dataset": folder.info.name, "recipe": chosen.name, "split": split}
        ablation = summarise(rows, **names, skipped=skipped, failures=failures)
        write_report(out_folder, ablation)
        return ablation

    def report_so_far() -> None:
        report()

    with Bars() as bars:
        failures = run_grid(
            jobs, out_folder, workers=workers, say=err.print, progress=bars.show, after=report_so_far
        )
    ablation = report(failures)
    values = {**ablation.model_dump(mode="json"), "out": str(out_folder)}
    print_result(
        values, lambda: terminal.show_ablation(ablation, out_folder), as_json=as_json, failures=failures
    )


def _parse_sizes(sizes: str | None) -> list[int] | None:
    if sizes is None:
        return None
    try:
        counts = sorted({int(size) for size in sizes.split(",") if size.strip()})
    except ValueError:
        counts = []
    if not counts or counts[0] < 2:
        raise InputError(f"--sizes {sizes}: expected numbers of training memes, for example 800,1600,3200")
    return counts


def _show_plan(arms: list[Arm], sizes: list[int] | None, seeds: int) -> None:
    for arm in arms:
        out.print(f"{arm.name:<14} {arm.what}")
    out.print(f"memes: {', '.join(f'{size:,}' for size in sizes) if sizes else 'all'}; seeds: {seeds}")
