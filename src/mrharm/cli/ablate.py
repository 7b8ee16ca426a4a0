"""``mrharm ablate DATASET --recipe R --seeds N``: what each part of the method is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mrharm.cli.options import DatasetArgument, JsonOption, RecipeOption, SettingsOption, SplitOption
from mrharm.cli.terminal import Bars, print_result, print_sentences, report_errors
from mrharm.console import err
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.records import Failure
    from mrharm.reports.ablation_page import Ablation


@report_errors
def ablate_command(
    dataset: DatasetArgument,
    recipe: RecipeOption = "mr-harm",
    seeds: Annotated[int, Option(min=1, help="Runs of every arm, with seeds 0 to N - 1.")] = 3,
    arms: Annotated[str, Option(metavar="A,B,C", help="Which arms, or all; --dry-run lists them.")] = "all",
    sizes: Annotated[
        str | None, Option(metavar="N,M", help="Numbers of training memes; default: all of them.")
    ] = None,
    split: SplitOption = "test",
    workers: Annotated[int, Option(min=1, help="Worker processes, of one thread each.")] = 2,
    out_folder: Annotated[Path, Option("--out", metavar="DIR", help="Where rows and report go.")] = Path(
        "runs/ablate"
    ),
    settings: SettingsOption = None,
    keep_runs: Annotated[bool, Option("--keep-runs", help="Keep every run's folder.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would be run, and for how long.")] = False,
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
    from mrharm.reports.ablation_page import summarise, write_ablation

    for name, why in skipped.items():
        err.print(sanitise(f"left out: {name}: {why}"))
    jobs = make_jobs(folder, chosen, out_folder, Grid(possible, counts, seeds, split), keep=keep_runs)
    duration = estimate_hours(jobs, read_rows(folder, chosen, out_folder, split), workers)
    err.print(str(duration))
    if dry_run:
        described = {arm.name: arm.what for arm in possible}
        plan = {"arms": described, "sizes": counts, "seeds": seeds}
        values = {**plan, "runs": duration.runs, "hours": duration.hours}
        print_result(values, lambda: print_sentences("ablation-plan.jinja", **plan), as_json=as_json)
        return

    # Called after each run, too: a grid that is stopped has a report of what was done.
    def report(failures: Sequence[Failure] = ()) -> Ablation:
        rows = list(read_rows(folder, chosen, out_folder, split).values())
        names = {"dataset": folder.info.name, "recipe": chosen.name, "split": split}
        ablation = summarise(rows, **names, skipped=skipped, failures=failures)
        write_ablation(out_folder, ablation)
        return ablation

    with Bars() as bars:
        failures = run_grid(
            jobs, out_folder, workers=workers, say=err.print, progress=bars.show, after=report
        )
    ablation = report(failures)
    print_result(
        {**dict(ablation), "out": out_folder},
        lambda: terminal.show_ablation(ablation, out_folder),
        as_json=as_json,
        failures=failures,
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
