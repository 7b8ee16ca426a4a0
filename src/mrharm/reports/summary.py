"""The verdict on a detector and what each probe measured, in plain sentences made from their figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateNotFound

from mrharm.evaluation.baseline_comparison import MAJORITY, PIXELS, WORDS, BaselineResult
from mrharm.metrics import Estimate
from mrharm.metrics.estimate import FEWEST
from mrharm.probes import confounder_pairs, identity, llm_judge, robustness, saliency
from mrharm.records import Record
from mrharm.reports.render import percent, render_sentences

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation
    from mrharm.evaluation.groups import Group

RARE = 0.01  # the share of harmful memes for which precision is worked out anew
COARSE = 0.10  # calibration error that chance alone may give: smaller ones would not show
SMALL = 0.03  # calibration error that matters little, however many memes show it
BASELINES = {
    MAJORITY: "always predicting the more common label",
    PIXELS: "a model of small pictures (pixels alone)",
}

# What the templates of probes know besides the record.
PROBE_CONSTANTS = {
    "ALIKE": confounder_pairs.ALIKE,
    "CAP": llm_judge.CAP,
    "FEWEST": FEWEST,
    "FEWEST_NAMING": identity.FEWEST,
    "FEWEST_PAIRS": confounder_pairs.FEWEST,
    "LEVEL": 0.05,  # of a p value that shows a difference
    "OFTEN": identity.OFTEN,
    "STRENGTHS": robustness.STRENGTHS,
    "UNITS": saliency.UNITS,
}


def summarise(evaluation: Evaluation) -> tuple[str, ...]:
    """Describe an evaluation, the most important first: the verdict, what it rests on, and its limits."""
    return render_sentences(
        "summary.jinja",
        found=evaluation,
        scores=evaluation.scores,
        own_dataset=evaluation.trained_on in (None, evaluation.dataset),
        baseline=_compare_with_best(evaluation),
        has_words=any(row.name.startswith("words") for row in evaluation.beside),
        changes=_find_worst_changes((evaluation.probes.get("robustness") or {}).get("settings") or ()),
        precision_if_rare=_estimate_rare_precision(evaluation),
        published=_compare_with_published(evaluation),
        weakest=_find_weakest_group(evaluation),
        calibration=_judge_calibration(evaluation),
        FEWEST=FEWEST,
    )


def describe_probe(name: str, record: Record | Mapping[str, Any]) -> tuple[str, ...]:
    """Describe the record of a probe or of the judge (`templates/probes`).

    A probe of another package brings sentences of its own in ``words``; these are returned as they are.
    """
    try:
        return render_sentences(f"probes/{name}.jinja", probe=record, **PROBE_CONSTANTS)
    except TemplateNotFound:
        return tuple(dict(record).get("words") or ())


def describe_modalities(rows: Sequence[BaselineResult], accuracy: Estimate, memes: int) -> str | None:
    """Describe what words alone and pixels alone reach on the same memes as the detector; None without either."""
    parts = [
        f"{row.name} {percent(row.accuracy)} (trained on {row.learnt:,} memes)"
        for row in rows
        if row.name in (WORDS, PIXELS)
    ]
    if not parts:
        return None
    return f"Correct on all {memes:,} memes evaluated: {'; '.join([f'the detector {percent(accuracy)}', *parts])}."


def name_baseline(name: str) -> str:
    """Name a baseline within a sentence."""
    return BASELINES.get(name, f"a bag of words ({name})")


def _compare_with_best(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the baseline of the best macro-F1, the majority only where it is alone, and how the detector compares."""
    rows = [row for row in evaluation.beside if row.name != MAJORITY] or list(evaluation.beside)
    if not rows:
        return None
    best = max(rows, key=lambda row: row.macro_f1.value or 0.0)
    signs = [_sign(best.gains["macro_f1"]), _sign(best.gains["auroc"])]
    if signs == [0, 0]:
        outcome = "open"
    elif min(signs) >= 0:
        outcome = "better" if signs[0] > 0 else "mixed"
    else:
        outcome = "worse" if max(signs) <= 0 and signs[0] < 0 else "mixed"
    return {"row": best, "name": name_baseline(best.name), "outcome": outcome}


def _sign(difference: Estimate) -> int:
    """Return 1 where a difference is shown to be above 0, -1 where below, else 0."""
    if difference.low is not None and difference.low > 0:
        return 1
    return -1 if difference.high is not None and difference.high < 0 else 0


def _find_worst_changes(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the robustness setting that flips most decisions, at the mildest strength and at the strongest."""
    if not any(setting["strength"] == 1 for setting in settings):
        return []
    worst: dict[int, dict[str, Any]] = {}
    for setting in sorted(settings, key=lambda setting: setting["moved"]["flipped"]["value"] or 0.0):
        worst[setting["strength"]] = setting
    return [worst[1], worst[max(worst)]]


def _estimate_rare_precision(evaluation: Evaluation) -> float | None:
    """Return the precision where 1 in 100 memes is harmful, as in most traffic; None where these are as rare."""
    recall, alarms = evaluation.scores.recall.value, evaluation.scores.false_alarms.value
    if recall is None or alarms is None:
        return None
    flagged = RARE * recall + (1 - RARE) * alarms
    share = evaluation.scores.harmful / max(evaluation.memes, 1)
    return RARE * recall / flagged if flagged and share >= 2 * RARE else None


def _judge_calibration(evaluation: Evaluation) -> str | None:
    ece, chance = evaluation.scores.ece.value, evaluation.scores.ece_by_chance
    if ece is None:
        return None
    if chance > COARSE:
        return "unknown"
    if ece <= chance:
        return "good"
    return "fair" if ece <= SMALL else "poor"


def _compare_with_published(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the best comparable accuracy that others published, and on which side of the interval it is."""
    rows = [
        row for row in evaluation.published if row.comparable and not row.ours and row.accuracy is not None
    ]
    low, high = evaluation.scores.accuracy.low, evaluation.scores.accuracy.high
    if not rows or low is None or high is None:
        return None
    best = max(rows, key=lambda row: row.accuracy or 0.0)
    accuracy = best.accuracy or 0.0
    return {"row": best, "where": "above" if accuracy > high else "below" if accuracy < low else "within"}


def _find_weakest_group(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the group furthest below the memes of its labels, of those whose whole interval is below.

    The accuracy of a group of harmful memes alone is a recall, and is compared with the recall of all; likewise that of
    one of harmless memes alone.
    """
    scores = evaluation.scores
    alarms = scores.false_alarms.value
    specificity = None if alarms is None or scores.unanswered else 1 - alarms

    def reference(group: Group) -> tuple[float | None, str]:
        if group.harmful == group.memes:
            return scores.recall.value, "all harmful memes"
        return (
            (specificity, "all harmless memes") if not group.harmful else (scores.accuracy.value, "all memes")
        )

    below = []
    for group in evaluation.groups:
        share, memes = reference(group)
        if share is not None and group.accuracy.high is not None and group.accuracy.high < share:
            gap = share - (group.accuracy.value or 0.0)
            below.append({"gap": gap, "row": group, "reference": share, "memes": memes})
    if not below:
        return None
    measured = sum(not group.too_few for group in evaluation.groups)
    return {**max(below, key=lambda group: group["gap"]), "below": len(below), "measured": measured}
