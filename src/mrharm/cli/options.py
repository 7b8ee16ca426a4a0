"""The arguments and options that several verbs share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mrharm.recipe import recipe_names

DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, or the detector folder inside one.")
]
ItemsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="PATH...", help="Pictures, folders of pictures, dataset folders, JSONL files."),
]

SplitOption = Annotated[str, typer.Option(help="Which split, by name or role (train, validation, test).")]
OneSplitOption = Annotated[str | None, typer.Option(help="One split only; default: every meme.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="The first N memes only.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the random draws behind the intervals.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
PrecisionOption = Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 where the hardware has it.")]
RationalesOption = Annotated[bool, typer.Option(help="Write rationales, too (the slow part).")]

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", help=f"A YAML file, or one of: {', '.join(recipe_names())}.")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe field, e.g. stages.label.epochs=3."),
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Worker processes.")]
BudgetOption = Annotated[
    float | None, typer.Option(min=0, metavar="USD", help="The most that hosted models may cost in this run.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done; do and store nothing.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
