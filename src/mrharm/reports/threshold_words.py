"""What ``mrharm threshold`` says on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from mrharm.cli.terminal import err, out, sanitise, say_failures

if TYPE_CHECKING:
    from mrharm.metrics import Estimate
    from mrharm.policy.proposal import Proposal

_TITLE = 28  # columns of a figure's name
_WITH_BAND = {
    "allowed": "allowed",
    "reviewed": "reviewed by a person",
    "flagged": "flagged",
    "reviews": "reviews",
    "flag_precision": "flagged that is harmful",
    "harmful_of_allowed": "allowed that is harmful",
    "allowed_of_harmful": "harmful that is allowed",
}


def say(found: Proposal, dry_run: bool) -> None:
    """Print a proposal: how its promises stand, what there is to choose from, what it does, where it was stored."""
    from mrharm.metrics import Estimate

    # How the promises stand elsewhere comes first, as it is what the choice was made for.
    for one in sorted(found.promises, key=lambda one: one.split != found.check_split):
        _print(one.words(), bold=True)
    if found.menu:
        out.print(_table(found))
        for row in found.menu:
            if row.why:
                _print(row.why, indent="  ")
        out.print()
    card = found.card
    out.print(f"threshold {_score(found.threshold)}: {found.criterion_words}", style="bold")
    if found.band_words:
        if card.band:
            bounds = [Estimate(value=bound) for bound in card.band]
            low, high = (found.band.low, found.band.high) if found.band else bounds
            out.print(f"allow below {_score(low)}, review from there,")
            out.print(f"flag from {_score(high)}: {found.band_words}")
        else:
            out.print(f"no band is needed: the threshold alone does it ({found.band_words})")
    if found.split and found.figures:
        _say_figures(found, found.split, found.memes, found.figures)
    for note in found.notes:
        _print(note)
    if found.check_split:
        _say_figures(found, found.check_split, found.check_memes, found.checked)
    say_failures(found.failures)
    if dry_run:
        out.print("nothing stored (--dry-run)")
        return
    all_the_same = "all the same " if found.broken else ""
    out.print(f"stored {all_the_same}in {found.folder}; it was {found.before.threshold:.4g}")
    stale = found.stale()
    if stale:
        err.print("note: these show the policy before; evaluate the run again on their splits:")
        for path in stale:
            err.print(f"  {path}")


def _say_figures(found: Proposal, split: str, memes: int, figures: dict[str, Estimate]) -> None:
    """What the policy does on a split; the figures of a threshold inside a band apart, as it decides nothing there."""
    from mrharm.verdicts.card import figure_name

    out.print(f"on {split} ({memes:,} memes{found.weighed()}), 95 % intervals:")
    if not found.card.band:
        _say_rows((figure_name(name), name, figures[name]) for name in figures)
        return
    _say_rows((title, name, figures[name]) for name, title in _WITH_BAND.items() if name in figures)
    out.print("  were all from the threshold up flagged, without a band:")
    _say_rows((figure_name(name), name, figures[name]) for name in ("precision", "recall", "macro_f1"))


def _say_rows(rows: Iterable[tuple[str, str, Estimate]]) -> None:
    from mrharm.metrics import format_sentence
    from mrharm.verdicts.card import figure_words

    for title, name, figure in rows:
        small = name != "reviews" and figure.value is not None and 0 < figure.value < 0.01
        words = format_sentence(figure, unit=" %", digits=2) if small else figure_words(name, figure)
        out.print(f"  {title:<{_TITLE}}{words}")


def _print(text: str, *, indent: str = "", bold: bool = False) -> None:
    """A sentence, broken between words at 80 columns."""
    lines = textwrap.wrap(
        sanitise(text), 80, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )
    for line in lines:
        out.print(line, style="bold" if bold else None)


def _table(found: Proposal) -> Table:
    """What there is to choose from, in 80 columns; intervals of the threshold and of what it promises."""
    from mrharm.metrics import Estimate, format_cell
    from mrharm.verdicts.card import figure_name

    last = "reviews" if found.wanted.traffic.per_day is not None else "flagged"
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    unit = ", reviews a day" if last == "reviews" else ""
    table.title = f"to choose from, on {sanitise(found.split or '')}; in %{unit}"
    table.add_column("")
    for header in ("at", *map(figure_name, ("precision", "recall", "macro_f1", last))):
        table.add_column(header, justify="right", no_wrap=True)
    for row in found.menu:
        if row.why:
            continue
        cells = []
        for name in ("precision", "recall", "macro_f1", last):
            # Reviews a day are long; their interval stands under the table.
            whole = name == row.promise and name != "reviews"
            figure = row.figures[name] if whole else Estimate(value=row.figures[name].value)
            cells.append(format_cell(figure, times=1 if name == "reviews" else 100, digits=0))
        table.add_row(row.words, format_cell(row.threshold, times=1, digits=3), *cells)
    return table


def _score(figure: Estimate) -> str:
    from mrharm.metrics import format_sentence

    return format_sentence(figure, times=1, digits=4)
