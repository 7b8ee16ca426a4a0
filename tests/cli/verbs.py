"""Run a verb as a person would, in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from mrharm.cli.main import app


def run_verb(verb: str, *arguments: object) -> tuple[int, str, str]:
    """Run ``mrharm VERB ARGUMENTS`` on a terminal of 80 columns: exit code, standard output, standard error."""
    line = [*verb.split(), *map(str, arguments)]
    result = CliRunner().invoke(app, line, env={"COLUMNS": "80"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr
