"""``mrharm train DATASET --recipe R --out RUN``: both stages, or the label stage alone."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mrharm.cli.terminal import Bars, err, fail, out, print_json, say_failures
from mrharm.errors import EXIT_SOME_FAILED, MrHarmError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides, recipe_names
from mrharm.records import Failure, read_records
from mrharm.runs import read_run
from mrharm.store import FAILURES


class Stages(StrEnum):
    """Which stages to train."""

    both = "both"
    label = "label"
    joint = "joint"


def train_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="RUN", help="The run folder to write or go on with.")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help=f"A YAML file, or one of: {', '.join(recipe_names())}.")
    ] = "mr-harm",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a recipe field, e.g. stages.label.epochs=3."
        ),
    ] = None,
    stages: Annotated[
        Stages,
        typer.Option(
            help="both; label: no rationale is seen; joint: one stage, the rationale and then the label as one target."
        ),
    ] = Stages.both,
    seed: Annotated[int | None, typer.Option(help="Override the recipe's seed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    report_to: Annotated[str, typer.Option(help="none, tensorboard, wandb or mlflow.")] = "none",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Throw away what is in RUN.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Train a student; stopped at any moment, the same command goes on from the last whole checkpoint."""
    try:
        overrides: dict[str, Any] = parse_overrides(settings or [])
        if seed is not None:
            overrides["seed"] = seed
        chosen = load_recipe(recipe, overrides)
        data = Dataset(dataset)
        from mrharm.training.run import train

        with Bars() as bars:
            train(
                data,
                chosen,
                out_folder,
                stages=stages.value,
                device=device,
                overwrite=overwrite,
                report_to=report_to,
                say=err.print,
                progress=bars.show,
            )
        summary = read_run(out_folder)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun the first process speaks for all
    if as_json:
        print_json({"run": str(out_folder), **summary})
    else:
        for stage, found in summary["results"].items():
            if not stage.endswith("_coverage"):
                figures = ", ".join(
                    f"{name.removeprefix('eval_')} {value:.4g}" for name, value in found.items()
                )
                out.print(f"stage {stage}: kept {figures} (validation)")
        out.print(
            f"detector in {out_folder / 'detector'}; judge with: mrharm predict {out_folder} photo.jpg --text ..."
        )
        if summary.get("failed_pictures"):
            say_failures(list(read_records(out_folder / FAILURES, Failure)), out_folder / FAILURES)
    if summary.get("failed_pictures"):
        raise typer.Exit(EXIT_SOME_FAILED)
