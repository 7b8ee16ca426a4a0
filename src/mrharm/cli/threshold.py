"""``mrharm threshold RUN DATASET``: when a detector flags, by what people can live with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrharm.cli.terminal import Bars, fail, print_json
from mrharm.errors import EXIT_SOME_FAILED, GateError, InputError, MrHarmError, exit_code
from mrharm.memes.dataset import Dataset
from mrharm.reports.threshold_words import say
from mrharm.runs import find_detector

if TYPE_CHECKING:
    from mrharm.policy.bands import BandCriterion
    from mrharm.policy.choose import Criterion

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
            help="Share of harmful ones among them, above 0 and below 1; figures are re-weighted to it.",
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
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Measure the choice on another split, too; exit code 4 if a promise breaks there.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what there is to choose from; store nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Choose when a detector flags, allows, or asks a person; kept in the detector, its weights as they are.

    A threshold is chosen so that the estimate on these memes keeps the promise.
    It is called kept only where the pessimistic end of the 95 % interval keeps
    it, too, and NOT SURE where the estimate alone does. A promise that is NOT
    kept on --check-split is exit code 4; the policy is stored all the same.
    """
    try:
        find_detector(run)
        if dataset is not None:
            Dataset(dataset)
        criterion = _criterion(macro_f1, precision, recall, reviews, set_threshold)
        if per_day is not None and prevalence is None:
            raise InputError(
                "--per-day needs --prevalence: say the share of harmful memes among what comes in"
            )
        from mrharm.metrics.thresholds import Traffic
        from mrharm.policy.proposal import Wanted
        from mrharm.policy.propose import propose

        wanted = Wanted(
            criterion=criterion,
            threshold=set_threshold,
            band_criterion=_band(band, flag_precision, allow_precision, set_band),
            band=set_band,
            traffic=Traffic(prevalence, per_day),
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
        say(found, dry_run)
    if found.broken:
        raise typer.Exit(exit_code(GateError()))
    if found.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _criterion(
    macro_f1: bool, precision: float | None, recall: float | None, reviews: float | None, own: float | None
) -> Criterion | None:
    """What the options ask for; None where the threshold is said."""
    from mrharm.policy.choose import Criterion

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
    from mrharm.policy.bands import BandCriterion

    if reviews is None and flag is None and allow is None:
        return None
    if own is not None:
        raise InputError(
            "--set-band says the bounds; leave --band, --flag-precision and --allow-precision out"
        )
    return BandCriterion(reviews=reviews, flag_precision=flag, allow_precision=allow)
