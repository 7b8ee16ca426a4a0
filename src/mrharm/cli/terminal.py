"""What every verb says and how: plain words and results on stdout, progress and errors on stderr, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mrharm.errors import exit_code
from mrharm.records import Failure
from mrharm.texts import hides

QUIET_SECONDS = 10.0
SHOWN_FAILURES = 20


class _Terminal(Console):
    """A console on which no text moves the cursor, whoever wrote it; not even one that a verb forgot to pass through
    `seen`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_harmless(text), **options)


def _harmless(text: str) -> str:
    return "".join(letter for letter in text if not hides(letter))


# Ids, paths and texts may hold anything; none of it is markup, and no line is broken for a narrow terminal.
out = _Terminal(markup=False, highlight=False, emoji=False, soft_wrap=True)
err = _Terminal(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def sanitise(text: str) -> str:
    """What a dataset or a teacher says, on one line and without the characters that would move a terminal's cursor."""
    return _harmless(" ".join(text.split()))


def say_failures(failures: Sequence[Failure], all_in: Path | str = "--json") -> None:
    """Name on stderr what failed and why, at most 20 of them; ``all_in`` is the file or option that lists them all."""
    for failure in failures[:SHOWN_FAILURES]:
        place = failure.file if failure.line is None else f"{failure.file}, line {failure.line}"
        # Most say themselves where they stand.
        known = failure.file is None or failure.file in failure.item + failure.reason
        err.print(sanitise(f"failed: {failure.item}{'' if known else f' ({place})'}: {failure.reason}"))
    if len(failures) > SHOWN_FAILURES:
        more = len(failures) - SHOWN_FAILURES
        err.print(f"and {more:,} more {'failure' if more == 1 else 'failures'}; {all_in} lists them all")


def print_json(value: Any) -> None:
    """Print one JSON object on stdout; what a verb prints with ``--json``, once and alone."""
    typer.echo(json.dumps(value))


def fail(error: BaseException, *, as_json: bool = False) -> typer.Exit:
    """Say what went wrong on stderr, and return the exit to raise: ``raise fail(error)``.

    With ``as_json``, stdout gets its one object too: ``{"error", "kind", "exit_code"}``.
    """
    message = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
    code = exit_code(error)
    err.print(f"error: {message}")
    if as_json:
        print_json({"error": message, "kind": type(error).__name__, "exit_code": code})
    return typer.Exit(code)


class Bars:
    """Bars for work in several parts, each known by name; lines now and then where there is no terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last = monotonic()

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def show(self, what: str, done: int, total: int, note: str = "") -> None:
        """Show ``done`` of ``total`` items of ``what`` (a total of 0: not known yet) and a note beside them."""
        if not err.is_terminal:
            if monotonic() - self._last >= QUIET_SECONDS:
                self._last = monotonic()
                amount = f"{done:,} of {total:,}" if total else f"{done:,}"
                err.print(f"{what}: {amount}" + (f", {note}" if note else ""))
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(sanitise(what), total=total or None)
        label = sanitise(f"{what}, {note}" if note else what)  # a bar's columns print past render_str
        self._bars.update(
            self._tasks[what],
            completed=done,
            total=total or None,
            visible=done < total or not total,
            description=label,
        )
