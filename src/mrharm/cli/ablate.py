"""``mrharm ablate DATASET --recipe R --seeds N``: what each part of the method is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise, say_failures
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides, recipe_names

if TYPE_CHECKING:
    from mrharm.ablation.arms import Arm
    from mrharm.records import Failure
    from mrharm.reports.ablation_page import Ablation


def ablate_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder with rationales.")],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help=f"A YAML file, or one of: {', '.join(recipe_names())}.")
    ] = "mr-harm",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every arm, with seeds 0 to N - 1.")] = 3,
    arms: Annotated[
        str, typer.Option(metavar="A,B,C", help="Which arms, or all; --dry-run says what there is.")
    ] = "all",
    sizes: Annotated[
        str | None, typer.Option(metavar="N,M", help="Numbers of training memes; default: all there are.")
    ] = None,
    split: Annotated[str, typer.Option(help="What the figures are of.")] = "test",
    workers: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where rows and report go.")
    ] = Path("runs/ablate"),
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a recipe field, e.g. stages.label.steps=300."
        ),
    ] = None,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Keep every run's folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and how long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Train the student without each part of the method, over seeds; stopped, the same command goes on."""
    try:
        chosen = load_recipe(recipe, parse_overrides(settings or []))
        counts = _sizes(sizes)
        from mrharm.ablation.arms import arms_named, arms_possible
        from mrharm.ablation.estimate import estimate
        from mrharm.ablation.run import make_jobs, rows_of, run_grid
        from mrharm.reports.ablation_page import summarise, write_report

        folder = Dataset(dataset)
        possible, skipped = arms_possible(arms_named(arms), folder, chosen)
        for name, why in skipped.items():
            err.print(sanitise(f"left out: {name}: {why}"))
        jobs = make_jobs(folder, chosen, out_folder, possible, counts, seeds, split=split, keep=keep_runs)
        guess = estimate(jobs, rows_of(folder, chosen, out_folder, split), workers)
        err.print(str(guess))
        if dry_run:
            _say_plan(possible, counts, seeds, as_json, {"runs": guess.runs, "hours": guess.hours})
            return

        def report(failures: Sequence[Failure] = ()) -> None:
            rows = list(rows_of(folder, chosen, out_folder, split).values())
            names = {"dataset": folder.info.name, "recipe": chosen.name, "split": split}
            reported.append(summarise(rows, **names, skipped=skipped, failures=failures))
            write_report(out_folder, reported[-1])

        reported: list[Ablation] = []
        with Bars() as bars:
            failures = run_grid(
                jobs, out_folder, workers=workers, say=err.print, progress=bars.show, after=report
            )
        report(failures)
        found = reported[-1]
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json({**found.model_dump(mode="json"), "out": str(out_folder)})
    else:
        _say(found, out_folder)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _sizes(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        counts = sorted({int(one) for one in given.split(",") if one.strip()})
    except ValueError:
        counts = []
    if not counts or counts[0] < 2:
        raise InputError(f"--sizes {given}: expected numbers of training memes, for example 800,1600,3200")
    return counts


def _say_plan(
    arms: list[Arm], sizes: list[int] | None, seeds: int, as_json: bool, guess: dict[str, Any]
) -> None:
    if as_json:
        what = {arm.name: arm.what for arm in arms}
        print_json({"arms": what, "sizes": sizes, "seeds": seeds, **guess})
        return
    for arm in arms:
        out.print(f"{arm.name:<14} {arm.what}")
    out.print(f"memes: {', '.join(f'{size:,}' for size in sizes) if sizes else 'all'}; seeds: {seeds}")


def _say(found: Ablation, folder: Path) -> None:
    from mrharm.reports.ablation_page import COLUMNS, JSON, MARKDOWN, row_of

    table = Table(
        title=sanitise(f"{found.dataset}, {found.split}, recipe {found.recipe}"),
        title_justify="left",
        box=None,
    )
    # What fits 80 columns with every figure whole; ablation.md has the rest.
    kept = [index for index, name in enumerate(COLUMNS) if name not in ("accuracy", "AUROC")]
    for index in kept:
        table.add_column(COLUMNS[index], justify="left" if index == 0 else "right", no_wrap=True)
    for cell in found.tables[found.split]:
        row = row_of(cell)
        table.add_row(*(row[index] for index in kept))
    out.print(table)
    out.print("mean ± half of the 95 % interval over seeds; difference in macro-F1 with the same seeds")
    for answer in found.answers:
        out.print(f"{answer.question}\n  {answer.words}")
    say_failures(found.failures, folder / JSON)
    out.print(f"{found.runs} runs; see {folder / MARKDOWN}")
