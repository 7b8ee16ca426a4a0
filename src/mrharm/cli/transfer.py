"""``mrharm transfer RUN... --on DATASET...``: trained on one dataset, asked of the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.memes.dataset import INFO

if TYPE_CHECKING:
    from mrharm.evaluation.transfer import Transfer


def transfer_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    on: Annotated[
        list[Path],
        typer.Option(
            "--on", metavar="DATASET...", help="Dataset folders; one or more, or --on once for each."
        ),
    ],
    split: Annotated[str, typer.Option(help="Which split, by name or role.")] = "test",
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the matrix as Markdown, and as JSON beside it."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Judge every dataset with every run; verdicts are kept in the runs, and what is there is not judged again."""
    try:
        # An option takes one value; further datasets after it arrive among the runs, and look like datasets.
        more = [path for path in runs if (path / INFO).is_file()]
        trained = [path for path in runs if path not in more]
        if out_file and out_file.is_dir():
            raise InputError(f"{out_file}: a folder; expected the Markdown file to write")
        from mrharm.evaluation.transfer import transfer, write_transfer

        with Bars() as bars:
            found = transfer(trained, [*on, *more], split=split, device=device, seed=seed, progress=bars.show)
        written = write_transfer(found, out_file) if out_file else ()
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json({**found.model_dump(mode="json"), "out": [str(path) for path in written]})
    else:
        _say(found)
        for path in written:
            err.print(f"written: {path}")
    if any(cell.failures for cell in found.cells):
        raise typer.Exit(EXIT_SOME_FAILED)


def _say(found: Transfer) -> None:
    from mrharm.evaluation.transfer import in_percent

    # A row a cell: a column a dataset would not fit 80 characters.
    table = Table(
        title=f"split {found.split}, percent with 95 % intervals; * own dataset", title_justify="left"
    )
    for name in ("run", "dataset", "memes", "macro-F1", "AUROC"):
        table.add_column(name, justify="left" if name in ("run", "dataset") else "right", overflow="fold")
    for cell in found.cells:
        table.add_row(
            cell.run,
            sanitise(cell.dataset) + (" *" if cell.own else ""),
            f"{cell.memes:,}",
            in_percent(cell.macro_f1),
            in_percent(cell.auroc),
        )
    out.print(table)
    for line in found.words:
        out.print(line)
    for cell in found.cells:
        if cell.failures:
            what = f"failed: {cell.failures:,} memes of {cell.dataset} with {cell.run}"
            err.print(sanitise(f"{what}; the first: {cell.first_failure}"))
