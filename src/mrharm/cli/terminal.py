"""What every verb shares: one way to report errors, to print a result, and to show progress."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, ParamSpec

import typer
from pydantic_core import to_jsonable_python
from rich import progress
from rich.table import Column
from rich.text import Text

from mrharm.console import err, out
from mrharm.errors import EXIT_SOME_FAILED, DataError, GateError, MrHarmError, exit_code
from mrharm.memes.dataset import Dataset
from mrharm.records import Meme
from mrharm.texts import sanitise

QUIET_SECONDS = 10.0
Parameters = ParamSpec("Parameters")


def report_errors(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Decorate a verb: an expected error is one line on standard error and an exit code, with ``--json`` an object."""

    @functools.wraps(command)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        try:
            command(*arguments, **options)
        except (MrHarmError, KeyboardInterrupt) as error:
            raise fail(error, as_json=bool(options.get("as_json"))) from None

    return run


def fail(error: BaseException, *, as_json: bool = False) -> typer.Exit:
    """Print what went wrong on standard error, and return the exit to raise: ``raise fail(error)``.

    With ``as_json``, standard output gets its one object too: ``{"error", "kind", "exit_code"}``.
    """
    message = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
    code = exit_code(error)
    err.print(f"error: {message}")
    if as_json:
        print_json({"error": message, "kind": type(error).__name__, "exit_code": code})
    return typer.Exit(code)


def print_stale(dataset: Dataset, memes: Sequence[Meme] | None = None) -> None:
    """Note on standard error how many memes have evidence or a rationale made for an earlier text (None: of all)."""
    from mrharm.rationales.staleness import describe_stale

    with contextlib.suppress(DataError):  # a file that cannot be read is an error of the verbs that need it
        for sentence in describe_stale(dataset, dataset.memes if memes is None else memes):
            err.print(f"note: {sentence}")


def print_json(value: Any) -> None:
    """Print one JSON object on standard output: the only thing a verb prints there with ``--json``.

    ``value`` may hold records, dataclasses and paths.
    """
    typer.echo(json.dumps(to_jsonable_python(value)))


def print_sentences(template: str, **values: Any) -> None:
    """Print the sentences of a template of `mrharm.reports`, a line each."""
    from mrharm.reports.render import render_sentences

    for sentence in render_sentences(template, **values):
        out.print(sentence)


def print_result(
    values: Any,
    show: Callable[[], object],
    *,
    as_json: bool,
    failures: object = None,
    gate_failed: bool = False,
) -> None:
    """Print a verb's result, and raise its exit where that is not 0.

    Args:
        values: the object of ``--json``.
        show: prints the result for people.
        as_json: which of the two.
        failures: what failed, items or their number; any makes exit code 1.
        gate_failed: a gate or an audit found errors: exit code 4.
    """
    if as_json:
        print_json(values)
    else:
        show()
    if gate_failed:
        raise typer.Exit(exit_code(GateError()))
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def command_line() -> str:
    """Return the command line of this process, as a shell takes it."""
    return shlex.join(["mrharm", *sys.argv[1:]])


def describe_pace(task: progress.Task) -> str:
    """Describe how fast items are done and how long the rest takes: ``3.2/s, 0:04:10 left``; empty at the start."""
    if not task.speed:
        return ""
    rate = f"{task.speed:,.3g}/s" if task.speed >= 1 else f"{1 / task.speed:,.3g} s each"
    seconds = task.time_remaining
    return f"{rate}, {timedelta(seconds=math.ceil(seconds))} left" if seconds else rate


class _PaceColumn(progress.ProgressColumn):
    """Shows `describe_pace`."""

    def render(self, task: progress.Task) -> Text:
        return Text(describe_pace(task), style="progress.remaining", no_wrap=True)


class Bars:
    """A progress bar of one line for work in several parts, each known by name: the part that last went on is shown.

    Without a terminal, a line every 10 seconds. What ``note`` returns is shown after the part's name: what was spent,
    say.
    """

    def __init__(self) -> None:
        self.note: Callable[[], str] = lambda: ""
        # All columns fit into a terminal of 80: what is too long there would take a second line.
        name = Column(no_wrap=True, overflow="ellipsis", max_width=34)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False, table_column=name),
            progress.BarColumn(bar_width=10),
            progress.MofNCompleteColumn(table_column=Column(no_wrap=True)),
            _PaceColumn(table_column=Column(no_wrap=True)),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, progress.TaskID] = {}
        self._last = monotonic()

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` items of ``what`` (a total of 0: not known yet)."""
        note = self.note()
        note = f", {note}" if note else ""
        description = sanitise(what + note)  # a bar's columns print past the console's own check
        if what not in self._tasks:
            # What a stopped run did before does not count as fast.
            self._tasks[what] = self._bars.add_task(description, total=total or None, completed=done)
        for name, task in self._tasks.items():
            if name != what:
                self._bars.update(task, visible=False)
        self._bars.update(
            self._tasks[what],
            completed=done,
            total=total or None,
            visible=done < total or not total,
            description=description,
        )
        if not err.is_terminal and monotonic() - self._last >= QUIET_SECONDS:
            self._last = monotonic()
            amount = f"{done:,} of {total:,}" if total else f"{done:,}"
            pace = describe_pace(self._bars.tasks[self._tasks[what]])
            err.print(f"{what}: {amount}{f', {pace}' if pace else ''}{note}")
