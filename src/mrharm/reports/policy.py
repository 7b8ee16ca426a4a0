"""Describe a policy: whether it meets its targets, what makes its figures worth less, and its ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mrharm.console import err, out, print_failures, print_sentence
from mrharm.metrics import Estimate, format_cell, format_figure, format_sentence, name_figure
from mrharm.policy.choose import Criterion
from mrharm.policy.propose import Measurement, PolicyChoice
from mrharm.policy.targets import TargetCheck
from mrharm.reports.render import render_sentences
from mrharm.reports.tables import Table
from mrharm.reports.terminal import print_table

BAND_FIGURES = (
    "allowed", "reviewed", "flagged", "reviews", "flag_precision", "harmful_of_allowed", "allowed_of_harmful",
)  # fmt: skip
_FIGURE_WIDTH = 28  # columns of a figure's name


def describe_target(check: TargetCheck) -> str:
    """Describe a check: the state first, the pessimistic end, and whether the split is too small to tell."""

    def describe(value: float) -> str:
        return format_figure(check.name, Estimate(value=value))

    (sentence,) = render_sentences(
        "target.jinja",
        check=check,
        target=describe(check.wanted),
        measured=format_figure(check.name, check.figure),
        bound=None if check.bound is None else describe(check.bound),
    )
    return sentence


def describe_cautions(choice: PolicyChoice) -> tuple[str, ...]:
    """Describe what makes the figures of a policy worth less than they seem."""
    promise = (choice.request.criterion or Criterion()).promise
    corrected = Estimate(value=choice.chosen.optimism_corrected if choice.chosen else None)
    return render_sentences(
        "cautions.jinja", choice=choice, promise=promise, elsewhere=format_figure(promise, corrected)
    )


def policy_to_json(choice: PolicyChoice) -> dict[str, Any]:
    """Return JSON-able values, as ``mrharm threshold --json`` prints them."""
    chosen, measured, checked = choice.chosen, choice.measured, choice.checked
    return {
        "detector": choice.card.key(),
        "folder": str(choice.folder),
        "threshold": choice.card.threshold,
        "threshold_interval": [chosen.threshold.low, chosen.threshold.high] if chosen else [None, None],
        "band": choice.card.band,
        "band_bounds": choice.band.model_dump() if choice.band else None,
        "criterion": choice.provenance.criterion,
        "band_criterion": choice.provenance.band_criterion,
        "split": measured.split,
        "memes": measured.memes,
        "prevalence": choice.request.traffic.prevalence,
        "per_day": choice.request.traffic.per_day,
        "figures": _dump_figures(measured),
        "elsewhere": chosen.optimism_corrected if chosen else None,
        "found_in": chosen.feasible_share if chosen else None,
        "check_split": checked.split,
        "check_memes": checked.memes,
        "checked": _dump_figures(checked),
        "kept_on": {
            part.split: all(check.state == "met" for check in part.checks)
            for part in (measured, checked)
            if part.checks
        },
        "promises": [check.to_json() for check in choice.promises],
        "choices": [row.model_dump(exclude={"promise"}) for row in choice.menu],
        "before": {"threshold": choice.before.threshold, "band": choice.before.band},
        "notes": [*describe_cautions(choice), *map(describe_target, choice.promises)],
        "stale": [str(path) for path in choice.stale_pages()],
        "failures": [failure.model_dump(mode="json") for failure in choice.failures],
    }


def _dump_figures(measured: Measurement) -> dict[str, Any]:
    return {name: figure.model_dump() for name, figure in measured.figures.items()}


def show_policy(choice: PolicyChoice, dry_run: bool) -> None:
    """Print a policy: whether it meets its targets, what there was to choose from, its figures, where it is stored."""
    # Targets on the other split come first: that is what the choice was made for.
    for target in sorted(choice.promises, key=lambda target: target.split != choice.checked.split):
        print_sentence(describe_target(target), style="bold")
    if choice.menu:
        print_table(_tabulate_menu(choice))
        for row in choice.menu:
            if row.why_not:
                print_sentence(row.why_not, indent="  ")
        out.print()
    _show_thresholds(choice)
    _show_policy_figures(choice, choice.measured)
    for note in describe_cautions(choice):
        print_sentence(note)
    _show_policy_figures(choice, choice.checked)
    print_failures(choice.failures)
    if dry_run:
        out.print("nothing stored (--dry-run)")
        return
    _show_stored(choice)


def _show_thresholds(choice: PolicyChoice) -> None:
    card, chosen = choice.card, choice.provenance
    threshold = choice.chosen.threshold if choice.chosen else Estimate(value=card.threshold)
    out.print(f"threshold {_format_score(threshold)}: {chosen.criterion}", style="bold")
    if chosen.band_criterion and card.band:
        bounds = [Estimate(value=bound) for bound in card.band]
        low, high = (choice.band.low, choice.band.high) if choice.band else bounds
        out.print(f"allow below {_format_score(low)}, review from there,")
        out.print(f"flag from {_format_score(high)}: {chosen.band_criterion}")
    elif chosen.band_criterion:
        out.print(f"no band is needed: the threshold alone does it ({chosen.band_criterion})")


def _show_stored(choice: PolicyChoice) -> None:
    anyway = "stored all the same" if choice.missed else "stored"
    out.print(f"{anyway} in {choice.folder}; the threshold was {choice.before.threshold:.4g}")
    if stale := choice.stale_pages():
        err.print("note: these still show the old policy; evaluate the run again on their splits:")
        for path in stale:
            err.print(f"  {path}")


def _show_policy_figures(choice: PolicyChoice, measured: Measurement) -> None:
    """Print what the policy does on a split; with a band, the figures of the threshold alone come last."""
    figures = measured.figures
    if not figures:
        return
    out.print(
        f"on {measured.split} ({measured.memes:,} memes{_describe_prevalence(choice)}), 95 % intervals:"
    )
    if not choice.card.band:
        _print_figures(figures, figures)
        return
    _print_figures([name for name in BAND_FIGURES if name in figures], figures)
    out.print("  without a band, with every meme from the threshold up flagged:")
    _print_figures(("precision", "recall", "macro_f1"), figures)


def _describe_prevalence(choice: PolicyChoice) -> str:
    share = choice.request.traffic.prevalence
    return f", re-weighted to {100 * share:g} % harmful" if share is not None else ""


def _print_figures(names: Iterable[str], figures: Mapping[str, Estimate]) -> None:
    for name in names:
        figure = figures[name]
        is_small = figure.value is not None and 0 < figure.value < 0.01
        words = format_figure(name, figure, digits=2 if is_small else 1)
        out.print(f"  {name_figure(name):<{_FIGURE_WIDTH}}{words}")


def _tabulate_menu(choice: PolicyChoice) -> Table:
    """Return what there is to choose from, with intervals of the threshold and of its target alone."""
    last = "reviews" if choice.request.traffic.per_day is not None else "flagged"
    names = ("precision", "recall", "macro_f1", last)
    unit = ", reviews a day" if last == "reviews" else ""
    table = Table(
        f"choices on {choice.measured.split}, in %{unit}", ("", "at", *(name_figure(name) for name in names))
    )
    for row in choice.menu:
        if row.why_not:
            continue
        cells = []
        for name in names:
            # Reviews a day are long; their interval is printed under the table.
            has_interval = name == row.promise and name != "reviews"
            figure = row.figures[name] if has_interval else Estimate(value=row.figures[name].value)
            cells.append(format_cell(figure, times=1 if name == "reviews" else 100, digits=0))
        table.add(row.criterion, format_cell(row.threshold, times=1, digits=3), *cells)
    return table


def _format_score(figure: Estimate) -> str:
    return format_sentence(figure, times=1, digits=4)
