"""Confounder pairs: two memes that share the words or the picture and differ in the other, and in their label.

Whoever reads words alone decides both memes of one text alike and gets one of them wrong, whatever the text; likewise
who looks at pictures alone. So a pair counts as right only where both its memes are (Kiela et al., "The Hateful Memes
Challenge", NeurIPS 2020, has such confounders; Gardner et al., "Evaluating Models' Local Decision Boundaries via
Contrast Sets", Findings of EMNLP 2020, count them so).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.errors import InputError
from mrharm.evaluation.clusters import join_by_keys
from mrharm.evaluation.predictions import Predictions
from mrharm.memes.fingerprints import NEAR, PictureFacts, find_near_pairs, fingerprint_picture
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.probes.cases import cases_of
from mrharm.progress import Progress, no_progress
from mrharm.records import Record
from mrharm.texts import plain

ALIKE = 0.98  # of the pairs decided alike: whatever differs is not looked at
FEWEST = 10  # pairs; fewer may be decided alike by chance

Pair = tuple[int, int]  # places of a harmful and a harmless meme


class PairScores(Record):
    """Pairs of one kind. ``both_right``: share of pairs with both memes right; ``chance``: what guessing would reach
    that flags as many of these memes (that share, times the rest: 25 % at most); ``alike``: share of pairs decided
    alike; ``unanswered``: share of pairs with a meme that got no label; ``ordered``: share in which the harmful meme
    has the higher score, a tie counting half.
    """

    pairs: int
    both_right: Estimate
    chance: Estimate
    alike: Estimate
    unanswered: Estimate
    ordered: Estimate


class PairsProbe(Record):
    """``same_text``: same text, other picture, other label; ``same_picture``: same picture, other text, other label;
    None where there is no such pair. Each meme is in one pair of a kind at most.
    """

    memes: int
    same_text: PairScores | None
    same_picture: PairScores | None
    words: tuple[str, ...] = ()


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> PairsProbe:
    """Find a split's confounder pairs and score them.

    Pictures are held against each other without their words where the dataset has them so (``clean/``): the same by
    the bytes of the file, or by a perceptual hash that differs in at most `NEAR` bits of 64.

    Args:
        judged: memes and verdicts.
        seed: of which memes make a pair where there are several to choose from, and of the intervals.
        memes: not used: nothing is judged again, and memes drawn by lot would break up pairs.
        progress: told how many pictures have been looked at.

    Raises:
        InputError: there is no pair of either kind.
    """
    texts = [" ".join(plain(case.words).casefold().split()) for case in cases_of(predictions)]
    looks = _looks(predictions, progress)
    pictures = _same_pictures(looks)
    rng = np.random.default_rng(seed)
    same_text = _pairs(predictions.gold, texts, pictures, rng)
    same_picture = _pairs(predictions.gold, pictures, texts, rng)
    if not same_text and not same_picture:
        raise InputError(
            f"no two memes of {predictions.split} share the text and differ in picture and label, or the other way "
            "about: there are no confounder pairs to score"
        )
    return PairsProbe(
        memes=len(predictions.memes),
        same_text=_score(predictions, same_text, seed),
        same_picture=_score(predictions, same_picture, seed),
    )


def _looks(predictions: Predictions, progress: Progress) -> list[PictureFacts | None]:
    seen: dict[str, PictureFacts] = {}
    looks: list[PictureFacts | None] = []
    for number, case in enumerate(cases_of(predictions), 1):
        place = case.evidence.clean_image or case.meme.image
        if place and place not in seen:
            seen[place] = fingerprint_picture(predictions.dataset.root, place, place)
        looks.append(seen[place] if place and not seen[place].failure else None)
        progress("pairs: looking at pictures", number, len(predictions.memes))
    return looks


def _same_pictures(looks: Sequence[PictureFacts | None]) -> list[int | None]:
    """A number for each meme's picture, the same for the same picture; None where there is none."""
    joined: DisjointSet[int] = DisjointSet(range(len(looks)))
    first: dict[str, int] = {}
    for place, one in enumerate(looks):
        if one and one.sha256:
            joined.merge(first.setdefault(one.sha256, place), place)
    for place, other in find_near_pairs(looks, NEAR):
        joined.merge(place, other)
    return [joined[place] if one else None for place, one in enumerate(looks)]


def _pairs(
    gold: NDArray[np.bool_],
    same: Sequence[Hashable],
    other: Sequence[Hashable],
    rng: np.random.Generator,
) -> list[Pair]:
    """Pairs of memes that share ``same`` and differ in ``other`` and label; each meme is in one at most."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, (shared, differing) in enumerate(zip(same, other, strict=True)):
        if shared not in (None, "") and differing not in (None, ""):
            groups[shared].append(place)
    pairs: list[Pair] = []
    for members in groups.values():
        harmless = [place for place in rng.permutation(members).tolist() if not gold[place]]
        for place in rng.permutation(members).tolist():
            partner = (
                next((one for one in harmless if other[one] != other[place]), None) if gold[place] else None
            )
            if partner is not None:
                harmless.remove(partner)
                pairs.append((place, partner))
    return pairs


def _score(predictions: Predictions, pairs: Sequence[Pair], seed: int) -> PairScores | None:
    if not pairs:
        return None
    harmful, harmless = np.array(pairs).T
    found = np.array([predictions.predicted[place] is True for place in harmful])
    passed = np.array([predictions.predicted[place] is False for place in harmless])
    flagged = np.array([[predictions.predicted[place] is True for place in pair] for pair in pairs])
    lead = predictions.scores[harmful] - predictions.scores[harmless]
    answers = [(predictions.predicted[place], predictions.predicted[partner]) for place, partner in pairs]
    alike = np.array([None is not first == second for first, second in answers], dtype=bool)
    unanswered = np.array([None in answer for answer in answers], dtype=bool)
    rate = mean_of_values(flagged.mean(axis=1))
    statistics = {
        "both_right": mean_of_values(found & passed, share=True),
        # How many pairs a guess gets right that flags as many memes.
        "chance": Statistic(lambda counts: rate.of(counts) * (1 - rate.of(counts))),
        "alike": mean_of_values(alike, share=True),
        "unanswered": mean_of_values(unanswered, share=True),
        "ordered": mean_of_values(np.where(lead == 0, 0.5, lead > 0)),
    }
    # Pairs depend on one another where one's meme is in the cluster of another's.
    clusters = join_by_keys(
        [[str(cluster) for cluster in pair] for pair in predictions.clusters[np.array(pairs)]]
    )
    return PairScores(pairs=len(pairs), **bootstrap(statistics, len(pairs), seed=seed, clusters=clusters))
