"""``mrharm threshold RUN DATASET``: choose when a detector flags, by precision, recall or reviews a day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.cli.options import DeviceOption, JsonOption, RunArgument
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.runs import find_detector

if TYPE_CHECKING:
    from mrharm.policy.choose import Criterion

_THRESHOLD = "Choose the threshold"
_BAND = "Send uncertain memes to a person"
_TRAFFIC = "Expected traffic"
DatasetArgument = Annotated[
    Path | None,
    typer.Argument(metavar="DATASET", help="A dataset folder; only --set-threshold works without one."),
]
MacroF1Option = Annotated[
    bool, typer.Option("--macro-f1", help="The best macro-F1 (the default).", rich_help_panel=_THRESHOLD)
]
PrecisionOption = Annotated[
    float | None,
    typer.Option(
        metavar="P", help="At least this share of what is flagged is harmful.", rich_help_panel=_THRESHOLD
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option(
        metavar="R", help="At least this share of what is harmful is flagged.", rich_help_panel=_THRESHOLD
    ),
]
ReviewsOption = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="At most this many memes flagged a day; needs --per-day and --prevalence.",
        rich_help_panel=_THRESHOLD,
    ),
]
SetThresholdOption = Annotated[
    float | None, typer.Option(metavar="X", help="A threshold of your own.", rich_help_panel=_THRESHOLD)
]
PerDayOption = Annotated[
    float | None, typer.Option(metavar="N", help="Memes a day.", rich_help_panel=_TRAFFIC)
]
PrevalenceOption = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Share of harmful memes, above 0 and below 1; figures are re-weighted to it.",
        rich_help_panel=_TRAFFIC,
    ),
]
BandOption = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="The memes nearest to the threshold, at most this many a day.",
        rich_help_panel=_BAND,
    ),
]
FlagPrecisionOption = Annotated[
    float | None,
    typer.Option(metavar="P", help="At least this share of flagged memes is harmful.", rich_help_panel=_BAND),
]
AllowPrecisionOption = Annotated[
    float | None,
    typer.Option(
        metavar="P", help="At least this share of allowed memes is harmless.", rich_help_panel=_BAND
    ),
]
SetBandOption = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="Bounds of your own.", rich_help_panel=_BAND),
]
SplitOption = Annotated[str, typer.Option(help="The split to choose on.")]
CheckOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPLIT",
        help="Measure the choice on another split, too; exit code 4 if a target is missed there.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what there is to choose from; store nothing.")
]


@report_errors
def threshold_command(
    run: RunArgument,
    dataset: DatasetArgument = None,
    macro_f1: MacroF1Option = False,
    precision: PrecisionOption = None,
    recall: RecallOption = None,
    reviews: ReviewsOption = None,
    set_threshold: SetThresholdOption = None,
    per_day: PerDayOption = None,
    prevalence: PrevalenceOption = None,
    band: BandOption = None,
    flag_precision: FlagPrecisionOption = None,
    allow_precision: AllowPrecisionOption = None,
    set_band: SetBandOption = None,
    split: SplitOption = "validation",
    check_split: CheckOption = None,
    dry_run: DryRunOption = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Choose when a detector flags, allows, or asks a person; its weights and scores do not change.

    A threshold is chosen so that the estimate on these memes meets the target.
    The target counts as met only where the pessimistic end of the 95 % interval
    meets it, too, and as UNCERTAIN where the estimate alone does. A target that
    is MISSED on --check-split is exit code 4; the policy is stored all the same.
    """
    targets = {"macro_f1": macro_f1 or None, "precision": precision, "recall": recall, "reviews": reviews}
    if per_day is not None and prevalence is None:
        raise InputError("--per-day needs --prevalence, the share of harmful memes in that traffic")
    find_detector(run)
    if dataset is not None:
        Dataset(dataset)
    from mrharm.metrics.thresholds import Traffic
    from mrharm.policy.propose import PolicyRequest, choose_policy
    from mrharm.reports.policy import policy_to_json, show_policy

    request = PolicyRequest(
        criterion=_parse_criterion({**targets, "set_threshold": set_threshold}),
        threshold=set_threshold,
        band_criteria=_parse_band(band, flag_precision, allow_precision, set_band),
        band=set_band,
        traffic=Traffic(prevalence, per_day),
        split=split,
        check_split=check_split,
        menu=dry_run,
    )
    with Bars() as bars:
        choice = choose_policy(run, dataset, request, device=device, progress=bars.show)
    if not dry_run:
        choice.store()

    print_result(
        {**policy_to_json(choice), "stored": not dry_run},
        lambda: show_policy(choice, dry_run),
        as_json=as_json,
        failures=choice.failures,
        gate_failed=choice.missed,
    )


def _parse_criterion(targets: dict[str, Any]) -> Criterion | None:
    """Return what the options (by name, None where not given) ask of the threshold; None where they set it."""
    from mrharm.policy.choose import Criterion

    used = [name for name, value in targets.items() if value is not None]
    if len(used) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in used)
        raise InputError(f"{names}: a threshold is chosen in one way; name only one of them")
    if not used or used == ["macro_f1"]:
        return Criterion()
    (name,) = used
    return (
        None
        if name == "set_threshold"
        else Criterion.model_validate({"promise": name, "limit": targets[name]})
    )


def _parse_band(
    reviews: float | None,
    flag_precision: float | None,
    allow_precision: float | None,
    bounds: tuple[float, float] | None,
) -> tuple[Criterion, ...]:
    """Return what the options ask of the band; nothing where they set its bounds or want none."""
    from mrharm.policy.choose import Criterion

    options = [
        Criterion(promise="reviews", limit=reviews),
        Criterion(promise="flag_precision", limit=flag_precision),
        Criterion(promise="allow_precision", limit=allow_precision),
    ]
    criteria = tuple(criterion for criterion in options if criterion.limit is not None)
    if criteria and bounds is not None:
        raise InputError(
            "--set-band sets the bounds; leave --band, --flag-precision and --allow-precision out"
        )
    return criteria
