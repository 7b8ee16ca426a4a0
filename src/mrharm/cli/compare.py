"""``mrharm compare RUN_A RUN_B``: is one better than the other, or is it chance?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from mrharm.cli.options import DeviceOption, JsonOption, SeedOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.runs import find_run


@report_errors
def compare_command(
    sides: Annotated[
        list[str],
        Argument(
            metavar="RUN_A RUN_B...",
            help="Runs; each later one is compared with the first. A quoted pattern ('runs/distilled-*') is one "
            "side: runs of one recipe that differ in their seed, reported with mean and spread over seeds.",
        ),
    ],
    dataset: Annotated[
        Path | None,
        Option(
            metavar="DATASET",
            help="Evaluate runs on it that have not been yet; default: what every run was evaluated on already.",
        ),
    ] = None,
    split: Annotated[
        str | None, Option(help="Which split; default: test, or the one that every run was evaluated on.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare runs on the same memes: a paired test, paired bootstrap, spread over seeds."""
    if len(sides) < 2:
        raise InputError("expected two runs or more: mrharm compare RUN_A RUN_B")
    runs = [[find_run(run) for run in _expand(side)] for side in sides]
    if dataset is not None:
        Dataset(dataset)
    from mrharm.evaluation.compare import compare
    from mrharm.reports import terminal
    from mrharm.reports.comparison import describe_comparison

    with Bars() as bars:
        compared = compare(runs, dataset=dataset, split=split, device=device, seed=seed, progress=bars.show)
    comparisons = [describe_comparison(comparison) for comparison in compared]

    values = {"comparisons": comparisons}
    print_result(values, lambda: terminal.show_comparisons(comparisons), as_json=as_json)


def _expand(side: str) -> list[Path]:
    """Return the folders of a side, one or those that match a pattern, in order of their names."""
    folder = Path(side)
    if folder.is_dir() or not any(letter in side for letter in "*?["):
        return [folder]
    anchor = Path(folder.anchor)
    folders = sorted(path for path in anchor.glob(str(folder.relative_to(anchor))) if path.is_dir())
    if not folders:
        raise InputError(f"{side}: no folder matches; expected runs, for example 'runs/distilled-*'")
    return folders
