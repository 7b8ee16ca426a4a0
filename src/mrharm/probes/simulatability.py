"""Simulatability: does a rationale tell what its detector decided, beyond the meme itself and beyond stating a label?

Rationales that lead a reader of texts to the decision are faithful to it at least in this sense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.baselines import FEWEST, FOLDS, cross_validate_texts
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.probes.run import NotMeasurableError
from mrharm.records import Record

Booleans = NDArray[np.bool_]


class Recovered(Record):
    """Share of decisions that simulators recover, over the same memes.

    Attributes:
        rationale: from the rationale alone.
        unstated: from the rationale without its sentences that state a label.
        meme: from the meme's text alone.
        both: from meme and rationale.
        gain: ``both`` minus ``meme``.
    """

    memes: int
    rationale: Estimate
    unstated: Estimate
    meme: Estimate
    both: Estimate
    gain: Estimate


class Simulatability(Record):
    """How well simulators recover decisions.

    Attributes:
        commoner: what always predicting the commoner decision recovers.
        stating, not_stating: over rationales that state a label, and over the rest.
        leaking: how many rationales alone give the decision away to the simulator.
        adjusted: the mean of the gain among leaking rationales and of that among the rest (LAS, Hase et al. 2020);
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
    texts: Mapping[str, Sequence[str]],
    stating: Booleans,
    *,
    groups: Sequence[str],
    clusters: NDArray[np.int64],
    seed: int = 0,
) -> Simulatability:
    """Measure how well texts recover decisions.

    Rationales that merely state the label recover it, too: Hase et al., "Leakage-Adjusted Simulatability" (Findings of
    EMNLP 2020), set apart those from which alone the decision is recovered. Their simulator is a fine-tuned T5, this
    one TF-IDF and logistic regression over folds of the memes: what it does not recover may be there all the same.

    Args:
        texts: ``rationale``, ``unstated`` (without its sentences that state a label) and ``meme`` (its words).
        stating: whether the rationale states a label. *Shape:* (memes,)
        groups: a name for each meme; memes made to differ in one thing, as confounders are, have one name and are in
            one fold: else a reader of words takes each for its twin and is wrong more often than by chance.
        clusters, seed: of the intervals, as `bootstrap`.

    Raises:
        NotMeasurableError: too few decisions of either side.
    """
    columns = {
        **{name: (column,) for name, column in texts.items()},
        "both": (texts["meme"], texts["rationale"]),
    }
    recovered: dict[str, Booleans] = {}
    for name, (first, *more) in columns.items():
        scores = cross_validate_texts(first, decisions.tolist(), *more, groups=groups)
        if scores is None:
            harmful = int(decisions.sum())
            raise NotMeasurableError(
                f"{harmful} harmful and {len(decisions) - harmful} harmless decisions; {FEWEST} in all, {FOLDS} of "
                f"either side, and {FOLDS} unlike memes of either side are needed"
            )
        recovered[name] = (scores >= 0.5) == decisions
    gain = recovered["both"].astype(np.float64) - recovered["meme"]
    leaks = recovered["rationale"]

    def summarise(members: Booleans) -> Recovered:
        statistics = {name: mean_of_values(values[members], share=True) for name, values in recovered.items()}
        statistics["gain"] = mean_of_values(gain[members])
        memes = int(members.sum())
        return Recovered(memes=memes, **bootstrap(statistics, memes, seed=seed, clusters=clusters[members]))

    commoner = decisions.mean() > 0.5
    statistics = {
        "commoner": mean_of_values(decisions == commoner, share=True),
        "adjusted": adjusted_gain(gain, leaks),
    }
    return Simulatability(
        all=summarise(np.ones(len(gain), dtype=bool)),
        stating=summarise(stating),
        not_stating=summarise(~stating),
        leaking=int(leaks.sum()),
        **bootstrap(statistics, len(gain), seed=seed, clusters=clusters),
    )


def adjusted_gain(gain: NDArray[np.float64], leaks: Booleans) -> Statistic:
    """Return the leakage-adjusted gain (LAS, Hase et al. 2020): its means over leaking and other rationales, averaged.

    Undefined where one of the two kinds is empty. *Shape of both:* (memes,)
    """

    def of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        leaking = (counts @ (gain * leaks)) / (counts @ leaks)
        silent = (counts @ (gain * ~leaks)) / (counts @ ~leaks)
        return np.asarray((leaking + silent) / 2)

    return Statistic(of)
