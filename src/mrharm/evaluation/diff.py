"""Two detectors on the same items: which decisions would change if one replaced the other, and which are right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.clusters import cluster_ids
from mrharm.evaluation.diff_items import DatasetItems, DiffItems, ItemFailure, JudgedItems, merge_failures
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values, share_within
from mrharm.metrics.estimate import N_RESAMPLES, Booleans
from mrharm.metrics.significance import McNemar, mcnemar
from mrharm.metrics.thresholds import Traffic
from mrharm.records import Decision, Meme, Record, Verdict, meme_text

SHOWN_REASONS = 3  # where no item could be judged
DECISIONS: tuple[Decision, ...] = ("allow", "review", "flag")
Outcome = Literal["allow", "review", "flag", "review or flag"]
OUTCOMES: dict[Outcome, tuple[Decision, ...]] = {
    "allow": ("allow",),
    "review": ("review",),
    "flag": ("flag",),
    "review or flag": ("review", "flag"),
}


class Policy(Record):
    """The threshold of a detector, and its band."""

    threshold: float
    band: tuple[float, float] | None


class Side(Record):
    """A detector's verdict on an item.

    ``right``: whether its decision agrees with the label; None where there is no label, or the decision is review, as a
    person makes it then; False for an answer that was no label (``harmful`` None).
    """

    score: float
    decision: Decision
    harmful: bool | None
    rationale: str | None = None
    right: bool | None = None


class Change(Record):
    """An item whose decision changes, with the verdicts of the two sides; ``moved``: the score of B minus that of A."""

    id: str
    text: str | None = None
    image: str | None = None
    a: Side
    b: Side
    moved: float
    gold: bool | None = None


class Amount(Record):
    """How many items each detector decides so, as a share or as memes a day, and the change, resampled in pairs."""

    a: Estimate
    b: Estimate
    change: Estimate


class Correctness(Record):
    """A detector's decisions on labelled items.

    decided: share that it decides without a person; ``right``: share of those that it decides rightly.
    harmful: harmful items by decision; ``harmless``: harmless ones.
    at_threshold: share of all items that it would decide rightly without its band; the same as ``right`` where it has
        none.
    """

    decided: Estimate
    right: Estimate
    harmful: dict[Decision, int]
    harmless: dict[Decision, int]
    at_threshold: Estimate


class LabelledComparison(Record):
    """Two detectors on the labelled items.

    A detector that leaves doubtful memes to people is more often right on the rest, so that ``difference`` (B minus A)
    and the paired ``test`` take every item, decided at each detector's threshold. An answer that was no label is wrong.
    """

    items: int
    a: Correctness
    b: Correctness
    difference: Estimate
    test: McNemar


class Diff(Record):
    """What changes from detector ``a`` to detector ``b``.

    taken: the dataset folders the items are of; ``warnings``: what makes the comparison too kind.
    items: how many both judged; ``failures``: the rest.
    counts: ``allow->flag`` -> how many items go that way, unchanged ones too; ``changed``: share that changes.
    amounts: share of items, or with ``per_day`` memes a day, that each allows, sends to review and flags; ``review or
        flag`` is what people look at where they look at flagged memes, too. Without a band review is 0, without an
        interval.
    """

    a: str
    b: str
    policy_a: Policy
    policy_b: Policy
    taken: tuple[DatasetItems, ...]
    warnings: tuple[str, ...]
    items: int
    failures: tuple[ItemFailure, ...]
    counts: dict[str, int]
    changed: Estimate
    per_day: float | None
    amounts: dict[Outcome, Amount]
    labelled: LabelledComparison | None
    changes: tuple[Change, ...]

    @property
    def banded(self) -> bool:
        """Whether either detector sends memes to review, by its band or one by one."""
        reviewed = any(count for ways, count in self.counts.items() if "review" in ways)
        return bool(self.policy_a.band or self.policy_b.band or reviewed)


def compare_decisions(
    a: JudgedItems,
    b: JudgedItems,
    items: DiffItems,
    *,
    per_day: float | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Diff:
    """Compare the decisions of two detectors on the items that both judged.

    Args:
        a: the detector in use.
        b: the one that would take its place.
        items: what was to be judged.
        per_day: how many memes like these come in a day.
        n_resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        InputError: no meme was judged by both, or not a positive number of memes a day.
    """
    traffic = Traffic(per_day=per_day)
    failures = merge_failures(items.inputs.failures, a.failures, b.failures)
    memes = [meme for meme in items.inputs.memes if meme.id in a.verdicts and meme.id in b.verdicts]
    if not memes:
        raise InputError(_explain_no_items(items.inputs.memes, failures))
    comparison = _PairedVerdicts(
        memes, [a.verdicts[meme.id] for meme in memes], [b.verdicts[meme.id] for meme in memes]
    )
    changed, amounts = comparison.estimate_amounts(traffic.per_day or 1.0, n_resamples, seed)
    return Diff(
        a=a.detector.key,
        b=b.detector.key,
        policy_a=Policy(threshold=a.detector.card.threshold, band=a.detector.card.band),
        policy_b=Policy(threshold=b.detector.card.threshold, band=b.detector.card.band),
        taken=items.datasets,
        warnings=items.warnings,
        items=len(memes),
        failures=failures,
        counts=comparison.count_ways(),
        changed=changed,
        per_day=per_day,
        amounts=amounts,
        labelled=comparison.compare_labelled(n_resamples, seed),
        changes=comparison.list_changes(),
    )


def _explain_no_items(memes: Sequence[Meme], failures: Sequence[ItemFailure]) -> str:
    count = len({meme.id for meme in memes} | {failure.item for failure in failures})
    reasons = [" ".join(f"{failure.item}: {failure.reason}".split()) for failure in failures[:SHOWN_REASONS]]
    if len(failures) > SHOWN_REASONS:
        reasons.append(f"and {len(failures) - SHOWN_REASONS:,} more")
    lines = "".join(f"\n  {reason}" for reason in reasons)
    return f"none of the {count:,} items could be judged by both detectors; nothing to compare{lines}"


class _PairedVerdicts:
    """Memes with the verdicts of two detectors, in the same order."""

    def __init__(self, memes: Sequence[Meme], a: Sequence[Verdict], b: Sequence[Verdict]) -> None:
        self.memes, self.a, self.b = memes, a, b
        self.clusters = cluster_ids(memes, [verdict.evidence for verdict in a])

    def count_ways(self) -> dict[str, int]:
        """Count items by decision before and after."""
        counts = {f"{before}->{after}": 0 for before, after in product(DECISIONS, DECISIONS)}
        for before, after in zip(self.a, self.b, strict=True):
            counts[f"{before.decision}->{after.decision}"] += 1
        return counts

    def list_changes(self) -> tuple[Change, ...]:
        """List the items whose decision changes, those whose score moves most first."""
        changes = [
            _describe_change(meme, a, b)
            for meme, a, b in zip(self.memes, self.a, self.b, strict=True)
            if a.decision != b.decision
        ]
        return tuple(sorted(changes, key=lambda change: (-abs(change.moved), change.id)))

    def estimate_amounts(
        self, factor: float, n_resamples: int, seed: int
    ) -> tuple[Estimate, dict[Outcome, Amount]]:
        """Estimate the share of decisions that change, and ``factor`` times the share of every outcome."""
        before = np.array([verdict.decision for verdict in self.a])
        after = np.array([verdict.decision for verdict in self.b])
        statistics = {"changed": mean_of_values(before != after, share=True)}
        for outcome, decisions in OUTCOMES.items():
            in_a, in_b = np.isin(before, decisions), np.isin(after, decisions)
            statistics[f"{outcome} a"] = mean_of_values(in_a, share=True)
            statistics[f"{outcome} b"] = mean_of_values(in_b, share=True)
            statistics[f"{outcome} change"] = statistics[f"{outcome} b"] - statistics[f"{outcome} a"]
        figures = bootstrap(
            statistics, len(self.memes), n_resamples=n_resamples, seed=seed, clusters=self.clusters
        )
        # A detector without a band that doubts no verdict sends nothing to review.
        sides = (("review a", self.a), ("review b", self.b), ("review change", [*self.a, *self.b]))
        for name, verdicts in sides:
            if not _reviews(verdicts):
                figures[name] = Estimate(value=0.0)
        amounts = {
            outcome: Amount(
                a=figures[f"{outcome} a"].scale(factor),
                b=figures[f"{outcome} b"].scale(factor),
                change=figures[f"{outcome} change"].scale(factor),
            )
            for outcome in OUTCOMES
        }
        return figures["changed"], amounts

    def compare_labelled(self, n_resamples: int, seed: int) -> LabelledComparison | None:
        """Compare the decisions with the labels; None where no meme has one."""
        gold = np.array([bool(meme.label.harmful) for meme in self.memes if meme.label], dtype=bool)
        if not len(gold):
            return None
        places = [place for place, meme in enumerate(self.memes) if meme.label]
        clusters = self.clusters[places]
        sides = {"a": [self.a[place] for place in places], "b": [self.b[place] for place in places]}
        right = {name: _labels_right(verdicts, gold) for name, verdicts in sides.items()}
        statistics = {}
        for name, verdicts in sides.items():
            decided = np.array([verdict.decision != "review" for verdict in verdicts])
            statistics[f"{name} decided"] = mean_of_values(decided, share=True)
            # A decision that is not review is the label.
            statistics[f"{name} right"] = share_within(right[name], decided)
            statistics[f"{name} at threshold"] = mean_of_values(right[name], share=True)
        statistics["difference"] = statistics["b at threshold"] - statistics["a at threshold"]
        figures = bootstrap(statistics, len(gold), n_resamples=n_resamples, seed=seed, clusters=clusters)
        correctness = {}
        for name, verdicts in sides.items():
            correctness[name] = Correctness(
                decided=figures[f"{name} decided"] if _reviews(verdicts) else Estimate(value=1.0),
                right=figures[f"{name} right"],
                harmful=_count_decisions(verdicts, gold),
                harmless=_count_decisions(verdicts, ~gold),
                at_threshold=figures[f"{name} at threshold"],
            )
        return LabelledComparison(
            items=len(gold),
            **correctness,
            difference=figures["difference"],
            test=mcnemar(right["a"], right["b"], clusters=clusters),
        )


def _reviews(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether a detector has memes reviewed, by its band or one by one."""
    return any(verdict.band is not None or verdict.decision == "review" for verdict in verdicts)


def _labels_right(verdicts: Sequence[Verdict], gold: NDArray[np.bool_]) -> Booleans:
    rows = [verdict.harmful == harmful for verdict, harmful in zip(verdicts, gold, strict=True)]
    return np.array(rows, dtype=bool)


def _count_decisions(verdicts: Sequence[Verdict], members: Booleans) -> dict[Decision, int]:
    counts = dict.fromkeys(DECISIONS, 0)
    for verdict, member in zip(verdicts, members, strict=True):
        counts[verdict.decision] += bool(member)
    return counts


def _describe_change(meme: Meme, a: Verdict, b: Verdict) -> Change:
    gold = meme.label.harmful if meme.label else None
    return Change(
        id=meme.id,
        text=meme_text(meme, a.evidence),
        image=meme.image,
        a=_describe_side(a, gold),
        b=_describe_side(b, gold),
        moved=b.score - a.score,
        gold=gold,
    )


def _describe_side(verdict: Verdict, gold: bool | None) -> Side:
    undecided = gold is None or verdict.decision == "review"
    return Side(
        score=verdict.score,
        decision=verdict.decision,
        harmful=verdict.harmful,
        rationale=verdict.rationale,
        right=None if undecided else verdict.harmful is not None and (verdict.decision == "flag") == gold,
    )
