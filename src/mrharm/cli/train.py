"""``mrharm train DATASET --recipe R --out RUN``: both stages, or the label stage alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from mrharm.cli.options import DatasetArgument, DeviceOption, JsonOption, RecipeOption, SettingsOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import err, out, print_failures
from mrharm.memes.dataset import Dataset
from mrharm.recipe import WhichStages, load_recipe, parse_overrides
from mrharm.records import Failure, read_records
from mrharm.runs import read_run
from mrharm.store import FAILURES


@report_errors
def train_command(
    dataset: DatasetArgument,
    out_folder: Annotated[
        Path, Option("--out", metavar="RUN", help="The run folder to write, or to go on with.")
    ],
    recipe: RecipeOption = "mr-harm",
    settings: SettingsOption = None,
    stages: Annotated[
        WhichStages,
        Option(
            help="both; label: without rationales; joint: one stage that writes a rationale, then the label."
        ),
    ] = "both",
    seed: Annotated[int | None, Option(help="Override the recipe's seed.")] = None,
    device: DeviceOption = "auto",
    report_to: Annotated[str, Option(help="none, tensorboard, wandb or mlflow.")] = "none",
    overwrite: Annotated[bool, Option("--overwrite", help="Delete what is in RUN and start anew.")] = False,
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
            stages=stages,
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
        {"run": out_folder, **summary},
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
