"""``mrharm transfer RUN... --on DATASET...``: trained on one dataset, evaluated on others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from mrharm.cli.options import DeviceOption, JsonOption, SeedOption, SplitOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.memes.dataset import INFO, Dataset
from mrharm.runs import find_detector
from mrharm.store import check_place


@report_errors
def transfer_command(
    runs: Annotated[list[Path], Argument(metavar="RUN...", help="Run folders.")],
    on: Annotated[
        list[Path], Option(metavar="DATASET...", help="Dataset folders; several, or --on once for each.")
    ],
    split: SplitOption = "test",
    out_file: Annotated[
        Path | None,
        Option("--out", metavar="FILE", help="Write the matrix as Markdown, and as JSON next to it."),
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Evaluate every run on every dataset; verdicts are stored in the runs and reused."""
    # An option takes one value; further datasets after it arrive among the runs, and look like datasets.
    more = [path for path in runs if (path / INFO).is_file()]
    trained = [path for path in runs if path not in more]
    for run in trained:
        find_detector(run)
    for folder in on:
        Dataset(folder)
    if out_file:
        check_place(out_file, "--out")
    from mrharm.evaluation.transfer import transfer
    from mrharm.reports import terminal
    from mrharm.reports.comparison import describe_transfer, write_transfer

    with Bars() as bars:
        matrix = transfer(trained, [*on, *more], split=split, device=device, seed=seed, progress=bars.show)
    matrix = describe_transfer(matrix)
    written = write_transfer(matrix, out_file) if out_file else ()

    print_result(
        {**dict(matrix), "out": written},
        lambda: terminal.show_transfer(matrix, written),
        as_json=as_json,
        failures=[cell for cell in matrix.cells if cell.failures],
    )
