"""Figures by group: for every kind of meme the same ones, and whether groups of people are ranked alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.metrics.classification import accuracy_of, flags_of, macro_f1_of, recall_of
from mrharm.metrics.estimate import N_RESAMPLES, Booleans
from mrharm.metrics.ranking import auroc_of
from mrharm.metrics.thresholds import LabelledScores
from mrharm.records import Label, Record, meme_text

FEWEST = 10
QUANTILES = 4
# Kinds of people spoken of: the only ones with areas that compare their ranking with that of the rest.
OF_PEOPLE = ("target", "protected category")
BY_BASELINE = "words alone"  # memes that the baseline of this name gets wrong, and those it gets right


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

    Fewer than 10 memes have no figures (``too_few``). ``macro_f1`` needs memes of both labels, ``auroc`` 10 of either,
    ``recall`` a harmful one. ``flagged``: share decided harmful; ``mean_score``: mean P(harmful).
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
    predictions: LabelledVerdicts,
    baseline_errors: Booleans | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[Group, ...]:
    """Score every group of every kind that tells memes apart, the largest first within a kind.

    A meme with two targets is in both groups, one without any in none. ``baseline_errors``: where words alone are wrong
    (`find_baseline_errors`). *Shape:* (memes,)
    """
    texts = [
        meme_text(meme, verdict.evidence) or ""
        for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True)
    ]
    lengths = [len(text.split()) for text in texts]
    groups: list[Group] = []
    for kind, names_by_meme in _groups_by_kind(predictions, texts, baseline_errors).items():
        members: dict[str, list[int]] = {}
        for place, names in enumerate(names_by_meme):
            for name in names:
                members.setdefault(name, []).append(place)
        if len(members) == 1 and len(next(iter(members.values()))) == len(names_by_meme):
            continue  # the group is the whole split
        # Quarters of the lengths from short to long, all else from large to small.
        if kind == "text length":
            order = sorted((lengths[places[0]], name) for name, places in members.items())
        else:
            order = sorted((-len(places), name) for name, places in members.items())
        for _, name in order:
            inside = np.zeros(len(names_by_meme), dtype=bool)
            inside[members[name]] = True
            groups.append(_score_group(predictions, kind, name, inside, n_resamples, seed))
    return tuple(groups)


def length_groups(texts: Sequence[str]) -> list[str]:
    """Return the quarter of the split that each text's number of words falls into, named by its bounds: ``"5 to 9
    words"``. Equal lengths are in one quarter, so that there may be fewer than four, of unequal size.
    """
    lengths = np.array([len(text.split()) for text in texts])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, QUANTILES + 1)[1:], method="inverted_cdf"))
    places = np.searchsorted(edges, lengths)
    names = {}
    for place in np.unique(places):
        low, high = int(lengths[places == place].min()), int(lengths[places == place].max())
        names[place] = f"{low} to {high} words" if low < high else f"{low} word{'s' * (low != 1)}"
    return [names[place] for place in places]


def _groups_by_kind(
    predictions: LabelledVerdicts, texts: Sequence[str], baseline_errors: Booleans | None
) -> dict[str, list[tuple[str, ...]]]:
    """Return kind -> the names of the groups that each meme is in."""

    def by_label(get: Callable[[Label], Sequence[str | None]]) -> list[tuple[str, ...]]:
        names = [get(meme.label) if meme.label else () for meme in predictions.memes]
        return [tuple(dict.fromkeys(filter(None, names_of_meme))) for names_of_meme in names]

    parts = [
        ("picture and text" if text else "picture alone") if meme.image else "text alone"
        for meme, text in zip(predictions.memes, texts, strict=True)
    ]
    groups: dict[str, list[tuple[str, ...]]] = {
        "severity": by_label(lambda label: (label.severity,)),
        "target": by_label(lambda label: label.targets),
        "protected category": by_label(lambda label: label.protected_categories),
        "attack type": by_label(lambda label: label.attack_types),
        "text length": [(name,) for name in length_groups(texts)],
        "parts": [(name,) for name in parts],
    }
    if baseline_errors is not None:
        groups[BY_BASELINE] = [("wrong",) if wrong else ("right",) for wrong in baseline_errors]
    return groups


def _score_group(
    predictions: LabelledVerdicts, kind: str, name: str, inside: Booleans, n_resamples: int, seed: int
) -> Group:
    gold, predicted = predictions.gold[inside], predictions.predicted[inside]
    scores, clusters = predictions.scores[inside], predictions.clusters[inside]
    memes, harmful = len(gold), int(gold.sum())
    if memes < FEWEST:
        return Group(kind=kind, name=name, memes=memes, harmful=harmful, too_few=True)
    statistics: dict[str, Statistic] = {
        "accuracy": accuracy_of(gold, predicted),
        "mean_score": mean_of_values(scores),
        "flagged": mean_of_values(flags_of(predicted), share=True),
    }
    if harmful:
        statistics["recall"] = recall_of(gold, predicted)
    if 0 < harmful < memes:
        statistics["macro_f1"] = macro_f1_of(gold, predicted)
    if min(harmful, memes - harmful) >= FEWEST:
        statistics["auroc"] = auroc_of(gold, scores)
    figures = bootstrap(statistics, memes, n_resamples=n_resamples, seed=seed, clusters=clusters)
    areas = None
    if kind in OF_PEOPLE:
        areas = subgroup_areas(predictions.labelled_scores, inside, n_resamples=n_resamples, seed=seed)
    return Group(kind=kind, name=name, memes=memes, harmful=harmful, areas=areas, **figures)


def subgroup_areas(
    memes: LabelledScores, inside: Booleans, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> SubgroupAreas:
    """Compute the three areas of Borkan et al. of the memes ``inside`` a group and of the background, the rest.

    An area has a value where either of its sides has 10 memes: with fewer its interval says too little. *Shape:*
    (memes,)
    """
    clusters = np.arange(len(memes.gold)) if memes.clusters is None else memes.clusters

    def area(members: Booleans) -> Estimate:
        gold = memes.gold[members]
        harmful = int(gold.sum())
        if min(harmful, len(gold) - harmful) < FEWEST:
            return Estimate()
        statistics = {"area": auroc_of(gold, memes.scores[members])}
        return bootstrap(
            statistics, len(gold), n_resamples=n_resamples, seed=seed, clusters=clusters[members]
        )["area"]

    return SubgroupAreas(
        subgroup=area(inside), bpsn=area(inside != memes.gold), bnsp=area(inside == memes.gold)
    )
