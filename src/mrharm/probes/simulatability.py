"""Does a rationale tell what its detector decided, beyond what the meme itself tells and beyond saying the label?

A simulator guesses the detector's decision from texts alone. Rationales that lead it to the decision are faithful to
that decision at least in this sense; but one that merely states the label does so, too. Hase et al.,
"Leakage-Adjusted Simulatability: Can Models Generate Non-Trivial Explanations of Their Behavior in Natural Language?"
(Findings of EMNLP 2020) therefore set apart the rationales from which alone the decision can be recovered. Theirs is a
fine-tuned T5, ours TF-IDF and logistic regression over folds of the judged memes: a weaker reader, so that what it
cannot read off is not shown to be absent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.baselines import FEWEST, FOLDS, cross_validate_texts
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.records import Record

Booleans = NDArray[np.bool_]


class Recovered(Record):
    """Share of decisions that simulators recover, over the same memes.

    ``rationale`` alone; ``unstated``: the rationale without its sentences that state a label; ``meme``: the meme's text
    alone; ``both``: meme and rationale; ``gain``: both minus meme.
    """

    memes: int
    rationale: Estimate
    unstated: Estimate
    meme: Estimate
    both: Estimate
    gain: Estimate


class Simulatability(Record):
    """How well simulators recover decisions: on all memes, by whether the rationale states a label, and adjusted.

    ``commoner``: what always guessing the commoner decision gets. ``adjusted``: the mean of the gain among rationales
    that alone give the decision away to the simulator and of that among those that do not (LAS, Hase et al. 2020);
    without a value where one of the two kinds is empty.
    """

    commoner: Estimate
    all: Recovered
    stating: Recovered
    not_stating: Recovered
    leaking: int
    adjusted: Estimate


def simulate(
    decisions: Booleans,
    rationales: Sequence[str],
    unstated: Sequence[str],
    memes: Sequence[str],
    stating: Booleans,
    groups: Sequence[str],
    *,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Simulatability | None:
    """How well a reader of texts recovers decisions; None where there are too few of either side (`too_few`).

    Args:
        decisions: what the detector decided. *Shape:* (memes,)
        rationales: what it wrote.
        unstated: the same without the sentences that state a label.
        memes: what can be read of each meme.
        stating: whether the rationale states a label. *Shape:* (memes,)
        groups: memes made to differ in one thing, as confounders are, have one name, and stand in one fold: else a
            reader of words takes each for its twin and is wrong more often than by chance.
        clusters: of the intervals, as `bootstrap`. *Shape:* (memes,)
        seed: of the intervals.
    """
    columns = {
        "rationale": (rationales,),
        "unstated": (unstated,),
        "meme": (memes,),
        "both": (memes, rationales),
    }
    right: dict[str, Booleans] = {}
    for name, (first, *more) in columns.items():
        scores = cross_validate_texts(first, decisions.tolist(), *more, groups=groups)
        if scores is None:
            return None
        right[name] = (scores >= 0.5) == decisions
    gain = right["both"].astype(np.float64) - right["meme"]
    leaks = right["rationale"]
    numbers = np.arange(len(decisions)) if clusters is None else clusters

    def recovered(kept: Booleans) -> Recovered:
        statistics = {name: mean_of_values(values[kept], share=True) for name, values in right.items()}
        statistics["gain"] = mean_of_values(gain[kept])
        memes = int(kept.sum())
        return Recovered(memes=memes, **bootstrap(statistics, memes, seed=seed, clusters=numbers[kept]))

    statistics = {
        "commoner": mean_of_values(decisions == (decisions.mean() > 0.5), share=True),
        "adjusted": adjusted_gain(gain, leaks),
    }
    return Simulatability(
        all=recovered(np.ones(len(decisions), dtype=bool)),
        stating=recovered(stating),
        not_stating=recovered(~stating),
        leaking=int(leaks.sum()),
        **bootstrap(statistics, len(gain), seed=seed, clusters=numbers),
    )


def adjusted_gain(gain: NDArray[np.float64], leaks: Booleans) -> Statistic:
    """Return the leakage-adjusted gain (LAS, Hase et al. 2020): the mean over leaking and over other rationales,
    averaged; undefined where one of the two kinds is empty.

    Args:
        gain: right with the rationale minus right without: 1, 0 or -1. *Shape:* (memes,)
        leaks: whether the rationale alone gives the decision away. *Shape:* (memes,)
    """

    def of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        leaking = (counts @ (gain * leaks)) / (counts @ leaks)
        silent = (counts @ (gain * ~leaks)) / (counts @ ~leaks)
        return np.asarray((leaking + silent) / 2)

    return Statistic(of)


def too_few(decisions: Booleans) -> str:
    """Why nothing could be simulated, in words: the usual reason, too few of a side, or too few unlike memes."""
    harmful = int(decisions.sum())
    return (
        f"{harmful} harmful and {len(decisions) - harmful} harmless decisions; {FEWEST} in all, {FOLDS} of either "
        f"side, and {FOLDS} unlike memes of either side are needed"
    )
