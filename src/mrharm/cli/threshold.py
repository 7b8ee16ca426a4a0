"""``mrharm threshold RUN DATASET``: choose when a detector flags, by precision, recall or reviews a day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from mrharm.cli.options import DeviceOption, JsonOption, RunArgument
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.runs import find_detector

if TYPE_CHECKING:
    from mrharm.policy.choose_threshold import Criterion

# Panels of ``--help``.
_THRESHOLD = {"rich_help_panel": "Choose the threshold"}
_TRAFFIC = {"rich_help_panel": "Expected traffic"}
_BAND = {"rich_help_panel": "Send uncertain memes to a person"}
DatasetArgument = Annotated[
    Path | None, Argument(metavar="DATASET", help="A dataset folder; only --set-threshold works without one.")
]
MacroF1Option = Annotated[bool, Option("--macro-f1", help="The best macro-F1 (the default).", **_THRESHOLD)]
PrecisionOption = Annotated[
    float | None, Option(metavar="P", help="At least this share of flagged memes is harmful.", **_THRESHOLD)
]
RecallOption = Annotated[
    float | None, Option(metavar="R", help="At least this share of harmful memes is flagged.", **_THRESHOLD)
]
ReviewsOption = Annotated[
    float | None,
    Option(
        metavar="N", help="At most this many flagged a day; needs --per-day and --prevalence.", **_THRESHOLD
    ),
]
SetThresholdOption = Annotated[
    float | None, Option(metavar="X", help="A threshold of your own.", **_THRESHOLD)
]
PerDayOption = Annotated[float | None, Option(metavar="N", help="Memes a day.", **_TRAFFIC)]
PrevalenceOption = Annotated[
    float | None,
    Option(metavar="P", help="Share of harmful memes (0 to 1); figures are re-weighted to it.", **_TRAFFIC),
]
BandOption = Annotated[
    float | None,
    Option(metavar="N", help="The memes nearest to the threshold, at most this many a day.", **_BAND),
]
FlagPrecisionOption = Annotated[
    float | None, Option(metavar="P", help="At least this share of flagged memes is harmful.", **_BAND)
]
AllowPrecisionOption = Annotated[
    float | None, Option(metavar="P", help="At least this share of allowed memes is harmless.", **_BAND)
]
SetBandOption = Annotated[
    tuple[float, float] | None, Option(metavar="LOW HIGH", help="Bounds of your own.", **_BAND)
]
SplitOption = Annotated[str, Option(help="The split to choose on.")]
CheckOption = Annotated[
    str | None,
    Option(metavar="SPLIT", help="Measure the choice on it, too; exit code 4 if a target is missed there."),
]
ForceOption = Annotated[bool, Option("--force", help="Store a policy that misses a target, too.")]
DryRunOption = Annotated[bool, Option("--dry-run", help="Show what there is to choose from; store nothing.")]


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
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Choose when a detector flags, allows, or asks a person; its weights and scores do not change.

    A threshold is chosen so that the estimate on these memes meets the target.
    The target counts as met only where the pessimistic end of the 95 % interval
    meets it, too, and as UNCERTAIN where the estimate alone does. Where one is
    MISSED, as it may be on --check-split, nothing is stored without --force, and
    the exit code is 4.
    """
    targets = {"macro_f1": macro_f1 or None, "precision": precision, "recall": recall, "reviews": reviews}
    band_targets = {"reviews": band, "flag_precision": flag_precision, "allow_precision": allow_precision}
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
        band_criteria=_parse_band(band_targets, set_band),
        band=set_band,
        traffic=Traffic(prevalence, per_day),
        split=split,
        check_split=check_split,
        menu=dry_run,
    )
    with Bars() as bars:
        choice = choose_policy(run, dataset, request, device=device, progress=bars.show)
    stored = not dry_run and choice.store(force=force)
    print_result(
        {**policy_to_json(choice), "stored": stored},
        lambda: show_policy(choice, stored),
        as_json=as_json,
        failures=choice.failures,
        gate_failed=choice.missed,
    )


def _parse_criterion(targets: dict[str, Any]) -> Criterion | None:
    """Return what the options (by name, None where not given) ask of the threshold; None where they set it."""
    from mrharm.policy.choose_threshold import Criterion

    used = [name for name, value in targets.items() if value is not None]
    if len(used) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in used)
        raise InputError(f"{names}: a threshold is chosen in one way; name only one of them")
    if used == ["set_threshold"]:
        return None
    if not used or used == ["macro_f1"]:
        return Criterion()
    return Criterion.model_validate({"promise": used[0], "limit": targets[used[0]]})


def _parse_band(
    targets: dict[str, float | None], bounds: tuple[float, float] | None
) -> tuple[Criterion, ...]:
    """Return what the options ask of the band; nothing where they set its bounds or want none."""
    from mrharm.policy.choose_threshold import Criterion

    used = {name: limit for name, limit in targets.items() if limit is not None}
    if used and bounds is not None:
        raise InputError(
            "--set-band sets the bounds; leave --band, --flag-precision and --allow-precision out"
        )
    return tuple(Criterion.model_validate({"promise": name, "limit": limit}) for name, limit in used.items())
