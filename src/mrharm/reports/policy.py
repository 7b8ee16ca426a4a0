"""Describe whether a policy meets its targets."""

from __future__ import annotations

from typing import Any

from mrharm.metrics import Estimate
from mrharm.policy.propose import PolicyChoice
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


def policy_to_json(choice: PolicyChoice) -> dict[str, Any]:
    """Return a policy as ``--json`` prints it, its targets described among the notes."""
    values = choice.summary()
    return {**values, "notes": [*values["notes"], *map(describe_target, choice.promises)]}
