"""How good for whom and for what: the same figures for every kind of meme, and whether kinds are ranked alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.evaluation.predictions import Predictions
from mrharm.evaluation.scores import N_RESAMPLES
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.metrics.classification import accuracy_of, macro_f1_of, recall_of
from mrharm.metrics.estimate import Booleans, Floats
from mrharm.metrics.ranking import auroc_of
from mrharm.records import Record, meme_text

FEWEST = 10
QUANTILES = 4
# Kinds that say who is spoken of: only of these is it asked whether the detector ranks one like the others.
OF_PEOPLE = ("target", "protected category")


class SubgroupAreas(Record):
    """AUROCs that show what a group's own AUROC hides (Borkan et al., "Nuanced metrics for measuring unintended bias",
    WWW 2019): ``subgroup``, within the group; ``bpsn``, harmful memes of the background against harmless ones of the
    group (low: harmless memes about the group score too high); ``bnsp``, harmless ones of the background against
    harmful ones of the group (low: harmful memes about it score too low).
    """

    subgroup: Estimate
    bpsn: Estimate
    bnsp: Estimate


class Group(Record):
    """The memes of one kind: ``kind`` (severity, target ...) and ``name``, counts, figures.

    Where there are fewer than 10 memes, ``too_few`` stands and there are no figures. ``macro_f1`` needs both classes,
    ``auroc`` 10 memes of either, ``recall`` a harmful meme. ``flagged`` is the share said to be harmful,
    ``mean_score`` the mean P(harmful).
    """

    kind: str
    name: str
    memes: int
    harmful: int
    too_few: bool = False
    accuracy: Estimate = Estimate()
    macro_f1: Estimate = Estimate()
    recall: Estimate = Estimate()
    auroc: Estimate = Estimate()
    mean_score: Estimate = Estimate()
    flagged: Estimate = Estimate()
    areas: SubgroupAreas | None = None


def score_groups(
    predictions: Predictions,
    *,
    n_resamples: int = N_RESAMPLES // 2,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> tuple[Group, ...]:
    """Every group of every kind that tells memes apart, the largest first within a kind; ``together`` as `figures`.

    A meme with two targets stands in both groups, one without any in none.
    """
    alike = np.arange(len(predictions.memes)) if clusters is None else clusters
    texts = [
        meme_text(meme, verdict.evidence) or ""
        for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True)
    ]
    lengths = [len(text.split()) for text in texts]
    found: list[Group] = []
    for kind, names in _kinds(predictions, texts).items():
        members: dict[str, list[int]] = {}
        for place, own in enumerate(names):
            for name in own:
                members.setdefault(name, []).append(place)
        if not members or (len(members) == 1 and len(next(iter(members.values()))) == len(names)):
            continue  # nothing to tell apart
        by_size = sorted(members.items(), key=lambda one: (-len(one[1]), one[0]))
        by_length = sorted(members.items(), key=lambda one: lengths[one[1][0]])
        for name, places in by_length if kind == "text length" else by_size:
            inside = np.zeros(len(names), dtype=bool)
            inside[places] = True
            found.append(_group(predictions, kind, name, inside, alike, n_resamples, seed))
    return tuple(found)


def length_groups(texts: Sequence[str]) -> list[str]:
    """The quarter of the split each text's number of words falls into, named by its bounds: ``"5 to 9 words"``.

    Equal lengths stand together, so that there may be fewer than four, and of unequal size.
    """
    lengths = np.array([len(text.split()) for text in texts])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, QUANTILES + 1)[1:], method="inverted_cdf"))
    places = np.searchsorted(edges, lengths)
    names = {}
    for place in np.unique(places):
        low, high = int(lengths[places == place].min()), int(lengths[places == place].max())
        names[place] = f"{low} to {high} words" if low < high else f"{low} word{'s' * (low != 1)}"
    return [names[place] for place in places]


def _kinds(predictions: Predictions, texts: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    """Kind -> the groups of that kind each meme is in."""
    labels = [meme.label for meme in predictions.memes]

    def each(get: Callable[..., Sequence[str | None]]) -> list[tuple[str, ...]]:
        return [
            tuple(dict.fromkeys(name for name in get(label) if name)) if label else () for label in labels
        ]

    shown: list[tuple[str, ...]] = [
        (("picture and text" if text else "picture alone") if meme.image else "text alone",)
        for meme, text in zip(predictions.memes, texts, strict=True)
    ]
    by_length: list[tuple[str, ...]] = [(name,) for name in length_groups(texts)]
    return {
        "severity": each(lambda label: (label.severity,)),
        "target": each(lambda label: label.targets),
        "protected category": each(lambda label: label.protected_categories),
        "attack type": each(lambda label: label.attack_types),
        "text length": by_length,
        "parts": shown,
    }


def _group(
    predictions: Predictions,
    kind: str,
    name: str,
    inside: Booleans,
    clusters: NDArray[np.int64],
    n_resamples: int,
    seed: int,
) -> Group:
    gold, said, scores = predictions.gold[inside], predictions.predicted[inside], predictions.scores[inside]
    memes, harmful = len(gold), int(gold.sum())
    if memes < FEWEST:
        return Group(kind=kind, name=name, memes=memes, harmful=harmful, too_few=True)
    flagged = np.array([bool(one) for one in said])
    statistics: dict[str, Statistic] = {
        "accuracy": accuracy_of(gold, said),
        "mean_score": mean_of_values(scores),
        "flagged": mean_of_values(flagged, share=True),
    }
    if harmful:
        statistics["recall"] = recall_of(gold, said)
    if 0 < harmful < memes:
        statistics["macro_f1"] = macro_f1_of(gold, said)
    if min(harmful, memes - harmful) >= FEWEST:
        statistics["auroc"] = auroc_of(gold, scores)
    return Group(
        kind=kind,
        name=name,
        memes=memes,
        harmful=harmful,
        areas=subgroup_areas(
            predictions.gold,
            predictions.scores,
            inside,
            n_resamples=n_resamples,
            seed=seed,
            clusters=clusters,
        )
        if kind in OF_PEOPLE
        else None,
        **bootstrap(statistics, memes, n_resamples=n_resamples, seed=seed, clusters=clusters[inside]),
    )


def subgroup_areas(
    gold: Booleans,
    scores: Floats,
    inside: Booleans,
    *,
    n_resamples: int = N_RESAMPLES // 2,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> SubgroupAreas:
    """The three areas of Borkan et al. of the memes ``inside`` a group and the background, the memes outside.

    An area is there where either of its sides has 10 memes: with fewer its interval says too little. *Shape of all:*
    (memes,)
    """
    parts = {"subgroup": inside, "bpsn": inside != gold, "bnsp": inside == gold}
    alike = np.arange(len(gold)) if clusters is None else clusters

    def area(some: Booleans) -> Estimate:
        harmful = int(gold[some].sum())
        if min(harmful, int(some.sum()) - harmful) < FEWEST:
            return Estimate()
        found = bootstrap(
            {"area": auroc_of(gold[some], scores[some])},
            int(some.sum()),
            n_resamples=n_resamples,
            seed=seed,
            clusters=alike[some],
        )
        return found["area"]

    return SubgroupAreas(**{name: area(some) for name, some in parts.items()})
