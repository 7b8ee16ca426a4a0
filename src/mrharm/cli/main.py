"""The command line: one verb a file, assembled here. PyTorch is imported only inside the verbs that need it."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from mrharm._version import __version__
from mrharm.cli.abduce import abduce_command
from mrharm.cli.ablate import ablate_command
from mrharm.cli.audit import audit_command
from mrharm.cli.compare import compare_command
from mrharm.cli.demo import demo_command
from mrharm.cli.diff import diff_command
from mrharm.cli.evaluate import evaluate_command
from mrharm.cli.gather import gather_command
from mrharm.cli.import_ import import_command
from mrharm.cli.predict import predict_command
from mrharm.cli.rationales import rationales_app
from mrharm.cli.terminal import fail
from mrharm.cli.threshold import threshold_command
from mrharm.cli.train import train_command
from mrharm.cli.transfer import transfer_command
from mrharm.console import out
from mrharm.errors import file_error

app = typer.Typer(
    name="mrharm",
    help="Detects harmful memes, picture and text together, and says why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 some items failed (listed), 2 wrong usage or input, 3 stopped, 4 an audit or a gate "
    "found errors, 70 a bug of mrharm: please report it with the traceback.",
)
app.command("demo")(demo_command)
app.command("import")(import_command)
app.command("audit")(audit_command)
app.command("gather")(gather_command)
app.command("abduce")(abduce_command)
app.add_typer(rationales_app, name="rationales")
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)
app.command("threshold")(threshold_command)
app.command("compare")(compare_command)
app.command("diff")(diff_command)
app.command("transfer")(transfer_command)
app.command("ablate")(ablate_command)
app.command("predict")(predict_command)


def _print_version(requested: bool) -> None:
    if requested:
        out.print(f"mrharm {__version__}")
        raise typer.Exit


@app.callback()
def _take_version_option(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the ``mrharm`` command.

    A file that the system will not read or write is one line and exit code 2, in every verb; an unexpected error ends
    with its traceback and exit code 70.
    """
    try:
        app()
    except Exception as error:
        expected = file_error(error) if isinstance(error, OSError) else None
        if expected is None:
            traceback.print_exc()
        sys.exit(fail(expected or error, as_json="--json" in sys.argv).exit_code)
