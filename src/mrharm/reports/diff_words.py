"""What ``mrharm diff`` says on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from mrharm.cli.terminal import out, sanitise, say_failures

if TYPE_CHECKING:
    from mrharm.evaluation.own_items import Taken
    from mrharm.evaluation.rightness import Labelled
    from mrharm.evaluation.switch import Change, Diff, Policy, Side

_SHOWN = 10  # changes
_WIDTH = 80


def say(diff: Diff, out_file: Path | None) -> None:
    """Print what changes: from the whole to the single meme."""
    from mrharm.metrics import format_sentence

    for one in diff.taken:
        out.print(sanitise(_taken(one)))
    out.print(
        f"{len(diff.changes):,} of {diff.items:,} decisions change: {format_sentence(diff.changed, unit=' %')}",
        style="bold",
    )
    out.print(f"A (now):  {_policy(diff.policy_a)}")
    out.print(f"B (then): {_policy(diff.policy_b)}")
    _say_counts(diff)
    _say_amounts(diff)
    if diff.labelled:
        _say_labelled(diff.labelled, diff.banded)
    for change in diff.changes[:_SHOWN]:
        _say_change(change)
    if len(diff.changes) > _SHOWN:
        where = f"{out_file} holds them all" if out_file else "--out FILE keeps them all"
        out.print(f"and {len(diff.changes) - _SHOWN:,} more; {where}")
    whose = {"a": "A", "b": "B", "both": "A and B"}
    say_failures(
        [one.model_copy(update={"item": f"{one.item} (for {whose[one.by]})"}) for one in diff.failures]
    )


def _taken(one: Taken) -> str:
    if one.split is None:
        return f"taken: all {one.memes:,} memes of {one.dataset}"
    return f"taken: {one.split} of {one.dataset}, {one.memes:,} of {one.there:,} memes (--split takes others)"


def _policy(policy: Policy) -> str:
    if policy.band is None:
        return f"flags from {policy.threshold:.3f}"
    low, high = policy.band
    return f"flags from {high:.3f}, review from {low:.3f}, threshold within {policy.threshold:.3f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
        width=_WIDTH if any("(" in one for one in columns) else None,
    )  # fmt: skip
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _say_counts(diff: Diff) -> None:
    shown = ("allow", "review", "flag") if diff.banded else ("allow", "flag")
    table = _table("items by decision", *(f"B: {then}" for then in shown))
    for now in shown:
        table.add_row(f"A: {now}", *(f"{diff.counts[f'{now}->{then}']:,}" for then in shown))
    out.print(table)


def _say_amounts(diff: Diff) -> None:
    from mrharm.metrics import format_cell

    times, digits = (100, 1) if diff.per_day is None else (1, 0)
    title = "share of items, %" if diff.per_day is None else f"memes a day, of {diff.per_day:,.0f}"
    table = _table(title, "A now", "B then", "change")
    for what, amount in diff.amounts.items():
        if diff.banded or what in ("allow", "flag"):
            cells = [format_cell(one, times=times, digits=digits) for one in (amount.a, amount.b)]
            table.add_row(what, *cells, format_cell(amount.change, times=times, digits=digits, sign=True))
    out.print(table)
    if diff.banded:
        out.print("People look at review; at review or flag where they see flagged memes, too.\n")


def _say_labelled(known: Labelled, banded: bool) -> None:
    from mrharm.metrics import format_cell, format_sentence

    table = _table(f"{known.items:,} labelled items", "A now", "B then")
    sides = (known.a, known.b)
    if banded:
        table.add_row("decided without a person, %", *(format_cell(one.decided) for one in sides))
        table.add_row("  of these rightly, %", *(format_cell(one.right) for one in sides))
    else:
        table.add_row("decided rightly, %", *(format_cell(one.right) for one in sides))
    table.add_row("harmful, allowed", *(f"{one.harmful['allow']:,}" for one in sides))
    table.add_row("harmless, flagged", *(f"{one.harmless['flag']:,}" for one in sides))
    if banded:
        table.add_row("harmful, to review", *(f"{one.harmful['review']:,}" for one in sides))
        table.add_row("harmless, to review", *(f"{one.harmless['review']:,}" for one in sides))
        table.add_row("rightly if all were decided, %", *(format_cell(one.at_threshold) for one in sides))
    out.print(table)
    if banded:
        out.print("If all were decided, each at its threshold, with no review:")
    out.print(f"B differs from A by {format_sentence(known.difference, unit=' points', sign=True)};")
    out.print(
        f"  A alone is right on {known.test.only_first:,}, B alone on {known.test.only_second:,}; "
        f"McNemar p {known.test.p:.3g}\n"
    )


def _say_change(change: Change) -> None:
    gold = "" if change.gold is None else f", people: {'harmful' if change.gold else 'harmless'}"
    out.print(f"{sanitise(change.id)}: {_side(change.a)} -> {_side(change.b)}{gold}")
    for what, text in (("", change.text), ("A: ", change.a.rationale), ("B: ", change.b.rationale)):
        if text:
            out.print(f"    {what}{sanitise(text)}"[:_WIDTH], style="dim")


def _side(side: Side) -> str:
    return f"{side.decision} {side.score:.3f}"
