"""``mrharm train DATASET --recipe R --out RUN``: both stages, or the label stage alone."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mrharm.cli.options import DatasetArgument, DeviceOption, JsonOption, RecipeOption, SettingsOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err, out, print_failures
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides
from mrharm.records import Failure, read_records
from mrharm.runs import read_run
from mrharm.store import FAILURES


class Stages(StrEnum):
    """Which stages to train."""

    both = "both"
    label = "label"
    joint = "joint"


OutOption = Annotated[
    Path, typer.Option("--out", metavar="RUN", help="The run folder to write, or to go on with.")
]
StagesOption = Annotated[
    Stages,
    typer.Option(
        help="both; label: without rationales; joint: one stage, the rationale and then the label as one target."
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="Override the recipe's seed.")]
ReportOption = Annotated[str, typer.Option(help="none, tensorboard, wandb or mlflow.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Delete what is in RUN and start anew.")]


@report_errors
def train_command(
    dataset: DatasetArgument,
    out_folder: OutOption,
    recipe: RecipeOption = "mr-harm",
    settings: SettingsOption = None,
    stages: StagesOption = Stages.both,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    report_to: ReportOption = "none",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student; stopped at any moment, the same command goes on from the last complete checkpoint."""
    overrides = parse_overrides(settings or [])
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
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun the first process speaks for all
    print_result(
        {"run": str(out_folder), **summary},
        lambda: _show(summary, out_folder),
        as_json=as_json,
        failures=summary.get("failed_pictures"),
    )


def _show(summary: dict[str, Any], folder: Path) -> None:
    for stage, metrics in summary["results"].items():
        if not stage.endswith("_coverage"):
            figures = ", ".join(
                f"{name.removeprefix('eval_')} {value:.4g}" for name, value in metrics.items()
            )
            out.print(f"stage {stage}, the checkpoint kept, on validation: {figures}")
    out.print(f"detector: {folder / 'detector'}; try it: mrharm predict {folder} photo.jpg --text ...")
    if summary.get("failed_pictures"):
        print_failures(list(read_records(folder / FAILURES, Failure)), folder / FAILURES)
