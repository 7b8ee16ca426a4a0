"""``mrharm threshold RUN DATASET``: when a detector flags, by what people can live with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mrharm.app.cli.terminal import Bars, err, fail, out, print_json, say_failures, seen
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError

if TYPE_CHECKING:
    from mrharm.evaluation.bands import BandCriterion
    from mrharm.evaluation.policy import Proposal
    from mrharm.evaluation.thresholds import Criterion
    from mrharm.metrics import Figure

_CHOOSE = "Choose the threshold"
_BAND = "Send uncertain memes to a person"
_STREAM = "What will come in"


def threshold_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a detector folder.")],
    dataset: Annotated[
        Path | None,
        typer.Argument(metavar="DATASET", help="A dataset folder; only --set-threshold does without."),
    ] = None,
    macro_f1: Annotated[
        bool, typer.Option("--macro-f1", help="The best macro-F1 (the default).", rich_help_panel=_CHOOSE)
    ] = False,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="At least this share of what is flagged is harmful.", rich_help_panel=_CHOOSE
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="At least this share of what is harmful is flagged.", rich_help_panel=_CHOOSE
        ),
    ] = None,
    reviews: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="At most so many flagged a day; with both below.", rich_help_panel=_CHOOSE
        ),
    ] = None,
    set_threshold: Annotated[
        float | None, typer.Option(metavar="X", help="A number of your own.", rich_help_panel=_CHOOSE)
    ] = None,
    per_day: Annotated[
        float | None, typer.Option(metavar="N", help="Memes a day.", rich_help_panel=_STREAM)
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Share of harmful ones among them; figures are re-weighted to it.",
            rich_help_panel=_STREAM,
        ),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="The memes nearest to the threshold, at most so many a day.",
            rich_help_panel=_BAND,
        ),
    ] = None,
    flag_precision: Annotated[
        float | None,
        typer.Option(metavar="P", help="Flag only what keeps this precision.", rich_help_panel=_BAND),
    ] = None,
    allow_precision: Annotated[
        float | None,
        typer.Option(metavar="P", help="Allow only what keeps this share harmless.", rich_help_panel=_BAND),
    ] = None,
    set_band: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Bounds of your own.", rich_help_panel=_BAND),
    ] = None,
    split: Annotated[str, typer.Option(help="The split to choose on.")] = "validation",
    check_split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Report what the choice does on another split, too.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what there is to choose from; store nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Choose when a detector flags, allows, or asks a person; kept in the detector, its weights as they are."""
    try:
        criterion = _criterion(macro_f1, precision, recall, reviews, set_threshold)
        if per_day is not None and prevalence is None:
            raise InputError(
                "--per-day needs --prevalence: say the share of harmful memes among what comes in"
            )
        from mrharm.evaluation.cuts import Stream
        from mrharm.evaluation.policy import Wanted, propose

        wanted = Wanted(
            criterion=criterion,
            threshold=set_threshold,
            band_criterion=_band(band, flag_precision, allow_precision, set_band),
            band=set_band,
            stream=Stream(prevalence, per_day),
        )
        with Bars() as bars:
            found = propose(
                run,
                dataset,
                wanted,
                split=split,
                check_split=check_split,
                menu=dry_run,
                device=device,
                progress=bars.show,
            )
        if not dry_run:
            found.store()
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json({**found.summary(), "stored": not dry_run})
    else:
        _say(found, dry_run)
    if found.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _criterion(
    macro_f1: bool, precision: float | None, recall: float | None, reviews: float | None, own: float | None
) -> Criterion | None:
    """What the options ask for; None where the threshold is said."""
    from mrharm.evaluation.thresholds import Criterion

    given = {
        "--macro-f1": macro_f1 or None,
        "--precision": precision,
        "--recall": recall,
        "--reviews": reviews,
        "--set-threshold": own,
    }
    said = [name for name, value in given.items() if value is not None]
    if len(said) > 1:
        raise InputError(f"{' and '.join(said)}: a threshold is chosen one way; leave the others out")
    if own is not None:
        return None
    if precision is not None:
        return Criterion(promise="precision", wanted=precision)
    if recall is not None:
        return Criterion(promise="recall", wanted=recall)
    if reviews is not None:
        return Criterion(promise="reviews", wanted=reviews)
    return Criterion()


def _band(
    reviews: float | None, flag: float | None, allow: float | None, own: tuple[float, float] | None
) -> BandCriterion | None:
    from mrharm.evaluation.bands import BandCriterion

    if reviews is None and flag is None and allow is None:
        return None
    if own is not None:
        raise InputError(
            "--set-band says the bounds; leave --band, --flag-precision and --allow-precision out"
        )
    return BandCriterion(reviews=reviews, flag_precision=flag, allow_precision=allow)


def _say(found: Proposal, dry_run: bool) -> None:
    from mrharm.metrics import Figure
    from mrharm.verdicts.card import figure_name, figure_words

    if found.menu:
        out.print(_table(found))
        for row in found.menu:
            if row.why:
                out.print(f"  {row.why}")
        out.print()
    card = found.card
    out.print(f"threshold {_score(found.threshold)}: {found.criterion_words}", style="bold")
    if found.band_words:
        if card.band:
            bounds = [Figure(value=bound) for bound in card.band]
            low, high = (found.band.low, found.band.high) if found.band else bounds
            out.print(f"allow below {_score(low)}, review from there,")
            out.print(f"flag from {_score(high)}: {found.band_words}")
        else:
            out.print(f"no band is needed: the threshold alone does it ({found.band_words})")
    if found.figures:
        out.print(f"on {found.split} ({found.memes:,} memes{found.weighed()}), 95 % intervals:")
        for name, figure in found.figures.items():
            out.print(f"  {figure_name(name):<16}{figure_words(name, figure)}")
    for note in found.notes:
        out.print(note)
    if found.checked:
        out.print(f"on {found.check_split} ({found.check_memes:,} memes{found.weighed()}):")
        for name, figure in found.checked.items():
            out.print(f"  {figure_name(name):<16}{figure_words(name, figure)}")
    for note in found.check_notes:
        out.print(note, style="bold")
    say_failures(found.failures)
    if dry_run:
        out.print("nothing stored (--dry-run)")
    else:
        out.print(f"stored in {found.folder}; it was {found.before.threshold:.4g}")
        if (found.folder.parent / "report.json").exists():
            err.print("note: the run's report has the figures of the old threshold; evaluate the run again")


def _table(found: Proposal) -> Table:
    """What there is to choose from, in 80 columns; intervals of the threshold and of what it promises."""
    from mrharm.metrics import Figure, in_table
    from mrharm.verdicts.card import figure_name

    last = "reviews" if found.wanted.stream.per_day is not None else "flagged"
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    table.title = (
        f"to choose from, on {seen(found.split or '')}; in %{', reviews a day' if last == 'reviews' else ''}"
    )
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
            figure = row.figures[name] if whole else Figure(value=row.figures[name].value)
            cells.append(in_table(figure, times=1 if name == "reviews" else 100, digits=0))
        table.add_row(row.words, in_table(row.threshold, times=1, digits=3), *cells)
    return table


def _score(figure: Figure) -> str:
    from mrharm.metrics import spell

    return spell(figure, times=1, digits=4)
