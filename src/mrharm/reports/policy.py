"""Describe a policy: whether it meets its targets, what makes its figures worth less, and its ``--json``."""

from __future__ import annotations

from typing import Any

from mrharm.metrics import Estimate
from mrharm.policy.choose import Criterion
from mrharm.policy.propose import Measurement, PolicyChoice
from mrharm.policy.targets import TargetCheck
from mrharm.reports.render import render_sentences
from mrharm.verdicts.card import figure_words


def describe_target(check: TargetCheck) -> str:
    """Describe a check: the state first, the pessimistic end, and whether the split is too small to tell."""

    def describe(value: float) -> str:
        return figure_words(check.name, Estimate(value=value))

    (sentence,) = render_sentences(
        "target.jinja",
        check=check,
        target=describe(check.wanted),
        measured=figure_words(check.name, check.figure),
        bound=None if check.bound is None else describe(check.bound),
    )
    return sentence


def describe_cautions(choice: PolicyChoice) -> tuple[str, ...]:
    """Describe what makes the figures of a policy worth less than they seem."""
    promise = (choice.request.criterion or Criterion()).promise
    corrected = Estimate(value=choice.chosen.optimism_corrected if choice.chosen else None)
    return render_sentences(
        "cautions.jinja", choice=choice, promise=promise, elsewhere=figure_words(promise, corrected)
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
