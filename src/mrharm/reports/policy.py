"""Describe a policy: whether it meets its targets, what makes its figures worth less, and its ``--json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrharm.console import err, out, print_failures
from mrharm.errors import GateError, InputError
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate, format_cell, format_figure, name_figure
from mrharm.metrics.thresholds import Traffic
from mrharm.policy.choose_threshold import Criterion
from mrharm.policy.propose import PolicyChoice, PolicyRequest, choose_policy
from mrharm.policy.targets import TargetCheck
from mrharm.reports.render import render_sentences
from mrharm.reports.tables import Table
from mrharm.reports.terminal import print_sentences, print_table

BAND_FIGURES = (
    "allowed", "reviewed", "flagged", "reviews", "flag_precision", "harmful_of_allowed", "allowed_of_harmful",
)  # fmt: skip
THRESHOLD_FIGURES = ("precision", "recall", "macro_f1")


def describe_target(check: TargetCheck) -> str:
    """Describe a check: the state first, the pessimistic end, and whether the split is too small to tell."""
    (sentence,) = render_sentences("target.jinja", check=check)
    return sentence


def describe_cautions(choice: PolicyChoice) -> tuple[str, ...]:
    """Describe what makes the figures of a policy worth less than they seem."""
    promise = (choice.request.criterion or Criterion()).promise
    return render_sentences("cautions.jinja", choice=choice, promise=promise)


def policy_to_json(choice: PolicyChoice) -> dict[str, Any]:
    """Return the values that ``mrharm threshold --json`` prints."""
    chosen, measured, checked = choice.chosen, choice.measured, choice.checked
    return {
        "detector": choice.card.key(),
        "folder": choice.folder,
        "threshold": choice.card.threshold,
        "threshold_interval": [chosen.threshold.low, chosen.threshold.high] if chosen else [None, None],
        "band": choice.card.band,
        "band_bounds": choice.band,
        "criterion": choice.provenance.criterion,
        "band_criterion": choice.provenance.band_criterion,
        "split": measured.split,
        "memes": measured.memes,
        "prevalence": choice.request.traffic.prevalence,
        "per_day": choice.request.traffic.per_day,
        "figures": measured.figures,
        "elsewhere": chosen.optimism_corrected if chosen else None,
        "found_in": chosen.feasible_share if chosen else None,
        "check_split": checked.split,
        "check_memes": checked.memes,
        "checked": checked.figures,
        "kept_on": {
            part.split: all(check.state == "met" for check in part.checks)
            for part in (measured, checked)
            if part.checks
        },
        "promises": [check.to_json() for check in choice.promises],
        "choices": [row.model_dump(exclude={"promise"}) for row in choice.menu],
        "before": {"threshold": choice.before.threshold, "band": choice.before.band},
        "notes": [*describe_cautions(choice), *map(describe_target, choice.promises)],
        "stale": choice.stale_pages(),
        "failures": choice.failures,
    }


def threshold(
    run: str | Path,
    dataset: Dataset | str | Path,
    *,
    precision: float | None = None,
    recall: float | None = None,
    check_split: str | None = None,
    force: bool = False,
) -> PolicyChoice:
    """Choose a detector's threshold on the validation split and store it in its card, as ``mrharm threshold`` does.

    Args:
        precision, recall: what it is to reach, one of them; without, the best macro-F1.
        check_split: measure the choice on this split, too.
        force: store a policy that misses its target there, too.

    Raises:
        InputError: no detector, no dataset, both targets, or one that no threshold meets.
        GateError: the target is missed on the check split; nothing was stored.
    """
    if precision is not None and recall is not None:
        raise InputError("precision and recall: a threshold is chosen in one way; name only one of them")
    criterion = Criterion()
    if precision is not None:
        criterion = Criterion(promise="precision", limit=precision)
    elif recall is not None:
        criterion = Criterion(promise="recall", limit=recall)
    request = PolicyRequest(Traffic(), criterion, check_split=check_split)
    folder = dataset.root if isinstance(dataset, Dataset) else Path(dataset)
    choice = choose_policy(Path(run), folder, request)
    if not choice.store(force=force):
        missed = " ".join(describe_target(check) for check in choice.promises if check.state == "missed")
        raise GateError(
            f"{missed} Nothing was stored; choose again, or store it all the same with force=True"
        )
    return choice


def show_policy(choice: PolicyChoice, stored: bool) -> None:
    """Print a policy: whether it meets its targets, what there was to choose from, its figures, where it is stored."""
    # Targets on the other split come first: that is what the choice was made for.
    targets = sorted(choice.promises, key=lambda target: target.split != choice.checked.split)
    print_sentences(map(describe_target, targets), "bold")
    if choice.menu:
        print_table(_tabulate_menu(choice))
    print_sentences(render_sentences("policy.jinja", choice=choice), "bold")
    if choice.measured.figures:
        print_table(_tabulate_figures(choice))
    print_sentences(describe_cautions(choice))
    print_failures(choice.failures)
    if not stored:
        missed = "a target is MISSED; --force stores the policy all the same"
        out.print(f"nothing stored ({'--dry-run' if choice.request.menu else missed})")
        return
    anyway = "stored all the same" if choice.missed else "stored"
    out.print(f"{anyway} in {choice.folder}; the threshold was {choice.before.threshold:.4g}")
    if stale := choice.stale_pages():
        err.print("note: these still show the old policy; evaluate the run again on their splits:")
        for path in stale:
            err.print(f"  {path}")


def _tabulate_menu(choice: PolicyChoice) -> Table:
    """Return what there is to choose from, with intervals of the threshold and of its target alone."""
    last = "reviews" if choice.request.traffic.per_day is not None else "flagged"
    names = (*THRESHOLD_FIGURES, last)
    unit = ", reviews a day" if last == "reviews" else ""
    table = Table(f"choices on {choice.measured.split}, in %{unit}", ("", "at", *map(name_figure, names)))
    for row in choice.menu:
        if row.why_not:
            table.notes.append(row.why_not)
            continue
        cells = []
        for name in names:
            # Reviews a day are long; their interval is printed under the table.
            has_interval = name == row.promise and name != "reviews"
            figure = row.figures[name] if has_interval else Estimate(value=row.figures[name].value)
            cells.append(format_cell(figure, times=1 if name == "reviews" else 100, digits=0))
        table.add(row.criterion, format_cell(row.threshold, times=1, digits=3), *cells)
    return table


def _tabulate_figures(choice: PolicyChoice) -> Table:
    """Return what the policy does on each split; with a band, the figures of the threshold alone come last."""
    splits = [part for part in (choice.measured, choice.checked) if part.figures]
    share = choice.request.traffic.prevalence
    weights = f", re-weighted to {100 * share:g} % harmful" if share is not None else ""
    headings = (f"{part.split} ({part.memes:,} memes)" for part in splits)
    table = Table(f"in %, with 95 % intervals{weights}", ("", *headings))
    names = [*choice.measured.figures]
    if choice.card.band:
        names = [*(name for name in BAND_FIGURES if name in names), "", *THRESHOLD_FIGURES]
    for name in names:
        if not name:
            table.add("without a band, at the threshold alone", style="heading")
            continue
        figures = (part.figures.get(name, Estimate()) for part in splits)
        cells = (format_figure(name, figure, cell=True) for figure in figures)
        table.add("reviews a day" if name == "reviews" else name_figure(name), *cells)
    return table
