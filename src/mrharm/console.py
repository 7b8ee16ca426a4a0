"""The terminal: results on standard output, notes and failures on standard error; no text moves the cursor."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from mrharm.texts import drop_hidden, sanitise

if TYPE_CHECKING:
    from mrharm.records import Failure

WIDTH = 80  # columns that tables and wrapped sentences keep to
SHOWN_FAILURES = 20


class _SafeConsole(Console):
    """A console that drops control characters from every text, even one that was not passed through `sanitise`."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(drop_hidden(text), **options)


# Ids, paths and texts may hold anything; none of it is markup, and no line is broken for a narrow terminal.
out = _SafeConsole(markup=False, highlight=False, emoji=False, soft_wrap=True)
err = _SafeConsole(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_sentence(text: str, *, indent: str = "", style: str | None = None, to: Console = out) -> None:
    """Print a sentence, broken between words at 80 columns."""
    for line in textwrap.wrap(
        sanitise(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        to.print(line, style=style)


def print_failures(failures: Sequence[Failure], all_in: Path | str = "--json") -> None:
    """Print to standard error what failed and why, at most 20 items; ``all_in`` is what lists all of them."""
    for failure in failures[:SHOWN_FAILURES]:
        place = failure.file if failure.line is None else f"{failure.file}, line {failure.line}"
        # Most items and reasons name their file already.
        named = failure.file is None or failure.file in failure.item + failure.reason
        err.print(sanitise(f"failed: {failure.item}{'' if named else f' ({place})'}: {failure.reason}"))
    if len(failures) > SHOWN_FAILURES:
        more = len(failures) - SHOWN_FAILURES
        err.print(f"and {more:,} more {'failure' if more == 1 else 'failures'}; {all_in} lists them all")
