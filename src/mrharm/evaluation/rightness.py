"""Two detectors held against people's labels, like with like where one or both send doubtful memes to review."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values, share_within
from mrharm.metrics.estimate import N_RESAMPLES, Booleans
from mrharm.metrics.significance import McNemar, mcnemar
from mrharm.records import Decision, Meme, Record, Verdict


class Rightness(Record):
    """What one detector makes of labelled items.

    ``decided`` is the share that it decides without a person, ``right`` the share of those that it decides rightly;
    ``harmful`` and ``harmless`` count what people called so by what is done with it. ``at_threshold`` is the share of
    all items that it would decide rightly had it no band: at the threshold within. Without a band it equals ``right``.
    """

    decided: Estimate
    right: Estimate
    harmful: dict[Decision, int]
    harmless: dict[Decision, int]
    at_threshold: Estimate


class Labelled(Record):
    """Both detectors on the items that people labelled.

    A detector that leaves doubtful memes to people is more often right on the rest, so that ``difference`` (B minus A)
    and McNemar's ``test`` take every item, decided at each detector's threshold. An answer that was no label is wrong.
    """

    items: int
    a: Rightness
    b: Rightness
    difference: Estimate
    test: McNemar


def find_labelled(
    memes: Sequence[Meme],
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    *,
    clusters: NDArray[np.int64],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Labelled | None:
    """Memes and both verdicts on each, in the same order -> how right they are; None where no meme has a label."""
    known = [place for place, meme in enumerate(memes) if meme.label]
    if not known:
        return None
    gold = np.array([bool(label and label.harmful) for label in (memes[place].label for place in known)])
    sides = {"a": [first[place] for place in known], "b": [second[place] for place in known]}
    forced = {name: _at_threshold(side, gold) for name, side in sides.items()}
    wanted = {"difference": mean_of_values(forced["b"].astype(float) - forced["a"].astype(float))}
    for name, side in sides.items():
        decided = np.array([verdict.decision != "review" for verdict in side])
        wanted[f"{name} decided"] = mean_of_values(decided, share=True)
        # What is decided without a person lies outside of the band, on the threshold's either side.
        wanted[f"{name} right"] = share_within(forced[name], decided)
        wanted[f"{name} at threshold"] = mean_of_values(forced[name], share=True)
    found = bootstrap(wanted, len(known), n_resamples=n_resamples, seed=seed, clusters=clusters[known])
    for name, side in sides.items():
        if never_reviews(side):
            found[f"{name} decided"] = Estimate(value=1.0)
    a, b = (
        Rightness(
            decided=found[f"{name} decided"],
            right=found[f"{name} right"],
            harmful=_count(side, gold),
            harmless=_count(side, ~gold),
            at_threshold=found[f"{name} at threshold"],
        )
        for name, side in sides.items()
    )
    return Labelled(
        items=len(known),
        a=a,
        b=b,
        difference=found["difference"],
        test=mcnemar(forced["a"], forced["b"], clusters=clusters[known]),
    )


def never_reviews(verdicts: Sequence[Verdict]) -> bool:
    """Whether these are of a detector without a band, which sends nothing to review whatever comes."""
    return all(verdict.band is None for verdict in verdicts)


def _at_threshold(verdicts: Sequence[Verdict], gold: Booleans) -> Booleans:
    rows = [
        verdict.harmful is not None and (verdict.score >= verdict.threshold) == truth
        for verdict, truth in zip(verdicts, gold, strict=True)
    ]
    return np.array(rows, dtype=bool)


def _count(verdicts: Sequence[Verdict], which: Booleans) -> dict[Decision, int]:
    counts: dict[Decision, int] = {"allow": 0, "review": 0, "flag": 0}
    for verdict, there in zip(verdicts, which, strict=True):
        counts[verdict.decision] += bool(there)
    return counts
