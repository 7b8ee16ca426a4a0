"""``mrharm audit DATASET``: can this data be trusted?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mrharm.cli.options import (
    DatasetArgument,
    JsonOption,
    OverwriteOption,
    RecipeOption,
    SettingsOption,
    WorkersOption,
)
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe, parse_overrides
from mrharm.store import check_place


@report_errors
def audit_command(
    dataset: DatasetArgument,
    html: Annotated[
        Path | None, Option(metavar="FILE", help="Write the report as one page, pictures blurred.")
    ] = None,
    fix: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Write a cleaned copy: overlap removed from train, leaking rationales marked.",
        ),
    ] = None,
    recipe: RecipeOption = "mr-harm",
    settings: SettingsOption = None,
    workers: WorkersOption = 2,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with a dataset before a model is trained on it; exit code 4 where there are errors."""
    chosen = load_recipe(recipe, parse_overrides(settings or []))
    Dataset(dataset)
    from mrharm.audit.fix import check_folder, write_fixed
    from mrharm.audit.run import audit
    from mrharm.reports import terminal
    from mrharm.reports.audit_page import write_page

    # What cannot be written is refused before the audit, not after it.
    if html:
        check_place(html, "--html")
    if fix:
        check_folder(fix, dataset, overwrite)
    with Bars() as bars:
        audited = audit(dataset, chosen, workers=workers, progress=bars.show)
        if html:
            write_page(audited, html)
        fixed = write_fixed(audited, fix, overwrite=overwrite, progress=bars.show) if fix else None

    print_result(
        {**dict(audited.report), "fixed": fixed and fixed.summary(), "html": html},
        lambda: terminal.show_audit(audited.report, fixed, html),
        as_json=as_json,
        gate_failed=bool(audited.report.errors),
    )
