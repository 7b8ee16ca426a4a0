"""Two detectors on the same memes: which decisions would change before one takes the other's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.clusters import cluster_ids
from mrharm.evaluation.own_items import NotJudged, Taken
from mrharm.evaluation.rightness import Labelled, find_labelled, never_reviews
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.metrics.estimate import N_RESAMPLES
from mrharm.metrics.thresholds import Traffic
from mrharm.records import Decision, Meme, Record, Verdict, meme_text
from mrharm.verdicts.detector import Detector

DECISIONS: tuple[Decision, ...] = ("allow", "review", "flag")
_REASONS = 3  # named where nothing could be judged
What = Literal["allow", "review", "flag", "review or flag"]
_WHATS: dict[What, tuple[Decision, ...]] = {
    **{one: (one,) for one in DECISIONS},
    "review or flag": ("review", "flag"),
}


class Policy(Record):
    """What a detector decides by."""

    threshold: float
    band: tuple[float, float] | None


class Side(Record):
    """What one detector says of an item.

    ``right`` says whether people's label bears its decision out: None where there is no label, or the decision is
    review, as a person makes it then; False for an answer that was no label (``harmful`` None).
    """

    score: float
    decision: Decision
    harmful: bool | None
    rationale: str | None = None
    right: bool | None = None


class Change(Record):
    """An item whose decision changes, with both sides."""

    id: str
    text: str | None = None
    image: str | None = None
    a: Side
    b: Side
    moved: float
    gold: bool | None = None


class Amount(Record):
    """How much each detector decides so, as a share of items or as memes a day, and the change, drawn in pairs."""

    a: Estimate
    b: Estimate
    change: Estimate


class Diff(Record):
    """What changes from detector ``a`` to detector ``b``.

    ``counts`` maps ``allow->flag`` to how many items go that way, unchanged ones too; ``changed`` is the share that
    changes. ``amounts`` says what each allows, sends to review and flags, as a share of items, or with ``per_day`` as
    memes a day; ``review or flag`` is what people have to look at where they look at flagged memes, too. Without a
    band review is 0 for certain, and has no interval. ``items`` are those that both judged; ``failures`` lists the
    others. ``taken``: what was taken of each dataset folder; ``warnings``: what makes this comparison worth less than
    it seems.
    """

    a: str
    b: str
    policy_a: Policy
    policy_b: Policy
    taken: tuple[Taken, ...]
    warnings: tuple[str, ...]
    items: int
    failures: tuple[NotJudged, ...]
    counts: dict[str, int]
    changed: Estimate
    per_day: float | None
    amounts: dict[What, Amount]
    labelled: Labelled | None
    changes: tuple[Change, ...]

    @property
    def banded(self) -> bool:
        """Whether either detector sends memes to review."""
        return bool(self.policy_a.band or self.policy_b.band)


def compare_decisions(
    a: Detector,
    b: Detector,
    memes: Sequence[Meme],
    verdicts_a: Mapping[str, Verdict],
    verdicts_b: Mapping[str, Verdict],
    *,
    failures: Sequence[NotJudged] = (),
    taken: Sequence[Taken] = (),
    warnings: Sequence[str] = (),
    per_day: float | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Diff:
    """Both detectors' verdicts on the same memes -> what would change.

    Args:
        a: the detector in use.
        b: the one that would take its place.
        memes: what was judged; those without a verdict of both are left out.
        verdicts_a: meme id -> verdict.
        verdicts_b: meme id -> verdict.
        failures: why others have none.
        taken: what the memes are, for the record.
        warnings: what else is to be known of them, for the record.
        per_day: how many memes like these come in a day.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        InputError: no meme was judged by both, or not a positive number of memes a day.
    """
    traffic = Traffic(per_day=per_day)
    both = [meme for meme in memes if meme.id in verdicts_a and meme.id in verdicts_b]
    if not both:
        raise InputError(_none_judged(memes, failures))
    first, second = [verdicts_a[meme.id] for meme in both], [verdicts_b[meme.id] for meme in both]
    counts = dict.fromkeys((f"{one}->{other}" for one, other in product(DECISIONS, DECISIONS)), 0)
    for one, other in zip(first, second, strict=True):
        counts[f"{one.decision}->{other.decision}"] += 1
    changes = [
        _change(meme, one, other)
        for meme, one, other in zip(both, first, second, strict=True)
        if one.decision != other.decision
    ]
    clusters = cluster_ids(both, [verdict.evidence for verdict in first])
    changed, amounts = _amounts(first, second, clusters, traffic.per_day or 1.0, n_resamples, seed)
    return Diff(
        a=a.key,
        b=b.key,
        policy_a=Policy(threshold=a.card.threshold, band=a.card.band),
        policy_b=Policy(threshold=b.card.threshold, band=b.card.band),
        taken=tuple(taken),
        warnings=tuple(warnings),
        items=len(both),
        failures=tuple(failures),
        counts=counts,
        changed=changed,
        per_day=per_day,
        amounts=amounts,
        labelled=find_labelled(both, first, second, clusters=clusters, n_resamples=n_resamples, seed=seed),
        changes=tuple(sorted(changes, key=lambda change: (-abs(change.moved), change.id))),
    )


def _none_judged(memes: Sequence[Meme], failures: Sequence[NotJudged]) -> str:
    count = len({meme.id for meme in memes} | {one.item for one in failures})
    why = "".join(f"\n  {' '.join(f'{one.item}: {one.reason}'.split())}" for one in failures[:_REASONS])
    more = f"\n  and {len(failures) - _REASONS:,} more" if len(failures) > _REASONS else ""
    return f"none of the {count:,} items could be judged by both detectors; nothing to compare{why}{more}"


def _amounts(
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    clusters: NDArray[np.int64],
    factor: float,
    n_resamples: int,
    seed: int,
) -> tuple[Estimate, dict[What, Amount]]:
    one, two = (np.array([verdict.decision for verdict in side]) for side in (first, second))
    wanted = {"changed": mean_of_values(one != two, share=True)}
    for what, decisions in _WHATS.items():
        in_a, in_b = np.isin(one, decisions), np.isin(two, decisions)
        wanted[f"{what} a"] = mean_of_values(in_a, share=True)
        wanted[f"{what} b"] = mean_of_values(in_b, share=True)
        wanted[f"{what} change"] = mean_of_values(in_b.astype(float) - in_a.astype(float))
    found = bootstrap(wanted, len(one), n_resamples=n_resamples, seed=seed, clusters=clusters)
    for name, side in (("review a", first), ("review b", second)):
        if never_reviews(side):
            found[name] = Estimate(value=0.0)
    amounts = {
        what: Amount(
            a=found[f"{what} a"].scale(factor),
            b=found[f"{what} b"].scale(factor),
            change=found[f"{what} change"].scale(factor),
        )
        for what in _WHATS
    }
    return found["changed"], amounts


def _change(meme: Meme, a: Verdict, b: Verdict) -> Change:
    gold = meme.label.harmful if meme.label else None
    return Change(
        id=meme.id,
        text=meme_text(meme, a.evidence),
        image=meme.image,
        a=_side(a, gold),
        b=_side(b, gold),
        moved=b.score - a.score,
        gold=gold,
    )


def _side(verdict: Verdict, gold: bool | None) -> Side:
    undecided = gold is None or verdict.decision == "review"
    return Side(
        score=verdict.score,
        decision=verdict.decision,
        harmful=verdict.harmful,
        rationale=verdict.rationale,
        right=None if undecided else verdict.harmful is not None and (verdict.decision == "flag") == gold,
    )
