"""The verdict on a detector and what each probe measured, in plain sentences made from their figures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateNotFound

from mrharm.evaluation.baseline_comparison import CAPTIONED, MAJORITY, WORDS
from mrharm.evaluation.groups import BY_BASELINE
from mrharm.metrics.estimate import FEWEST, sign_of
from mrharm.probes import confounder_pairs, identity, llm_judge, robustness, saliency
from mrharm.records import Record
from mrharm.reports.render import render_sentences

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.groups import Group

RARE = 0.01  # the share of harmful memes for which precision is worked out anew
# What the templates know besides the figures.
CONSTANTS = {
    "ALIKE": confounder_pairs.ALIKE,
    "CAP": llm_judge.CAP,
    "COARSE": 0.10,  # calibration error that chance alone may give: smaller ones would not show
    "FEWEST": FEWEST,
    "FEWEST_NAMING": identity.FEWEST,
    "FEWEST_PAIRS": confounder_pairs.FEWEST,
    "LEVEL": 0.05,  # of a p value that shows a difference
    "OFTEN": identity.OFTEN,
    "SMALL": 0.03,  # calibration error that matters little, however many memes show it
    "STRENGTHS": robustness.STRENGTHS,
    "UNITS": saliency.UNITS,
    "WORDS": (WORDS, CAPTIONED),  # the baselines that read words
}


def summarise(evaluation: Evaluation) -> tuple[str, ...]:
    """Describe an evaluation, the most important first: the verdict, what it rests on, and its limits."""
    return render_sentences(
        "summary.jinja",
        found=evaluation,
        scores=evaluation.scores,
        own_dataset=evaluation.trained_on in (None, evaluation.dataset),
        baseline=_compare_with_best(evaluation),
        precision_if_rare=_estimate_rare_precision(evaluation),
        weakest=_find_weakest_group(evaluation),
        by_baseline={group.name: group for group in evaluation.groups if group.kind == BY_BASELINE},
        **CONSTANTS,
    )


def describe_probe(name: str, record: Record | Mapping[str, Any]) -> tuple[str, ...]:
    """Describe the record of a probe or of the judge (`templates/probes`).

    A probe of another package brings sentences of its own in ``words``; these are returned as they are.
    """
    try:
        return render_sentences(f"probes/{name}.jinja", probe=record, **CONSTANTS)
    except TemplateNotFound:
        return tuple(dict(record).get("words") or ())


def _compare_with_best(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the baseline of the best macro-F1, the majority only where it is alone, and how the detector compares."""
    rows = [row for row in evaluation.beside if row.name != MAJORITY] or list(evaluation.beside)
    if not rows:
        return None
    best = max(rows, key=lambda row: row.macro_f1.value or 0.0)
    macro_f1, auroc = sign_of(best.gains["macro_f1"]), sign_of(best.gains["auroc"])
    outcome = "mixed"
    if macro_f1 == auroc == "open":
        outcome = "open"
    elif macro_f1 == "more" and auroc != "less":
        outcome = "better"
    elif macro_f1 == "less" and auroc != "more":
        outcome = "worse"
    return {"row": best, "outcome": outcome}


def _estimate_rare_precision(evaluation: Evaluation) -> float | None:
    """Return the precision where 1 in 100 memes is harmful, as in most traffic; None where these are as rare."""
    recall, alarms = evaluation.scores.recall.value, evaluation.scores.false_alarms.value
    if recall is None or alarms is None:
        return None
    flagged = RARE * recall + (1 - RARE) * alarms
    share = evaluation.scores.harmful / max(evaluation.memes, 1)
    return RARE * recall / flagged if flagged and share >= 2 * RARE else None


def _find_weakest_group(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the group furthest below the memes of its labels, of those whose whole interval is below.

    The accuracy of a group of harmful memes alone is a recall, and is compared with the recall of all; likewise that of
    one of harmless memes alone.
    """
    scores = evaluation.scores
    alarms = scores.false_alarms.value
    specificity = None if alarms is None or scores.unanswered else 1 - alarms

    def choose_reference(group: Group) -> tuple[float | None, str]:
        if group.harmful == group.memes:
            return scores.recall.value, "all harmful memes"
        return (
            (specificity, "all harmless memes") if not group.harmful else (scores.accuracy.value, "all memes")
        )

    below = []
    for group in evaluation.groups:
        if group.kind == BY_BASELINE:  # hard memes, and no kind of meme: they have a sentence of their own
            continue
        share, memes = choose_reference(group)
        if share is not None and group.accuracy.high is not None and group.accuracy.high < share:
            gap = share - (group.accuracy.value or 0.0)
            below.append({"gap": gap, "row": group, "reference": share, "memes": memes})
    return {**max(below, key=lambda group: group["gap"]), "below": len(below)} if below else None
