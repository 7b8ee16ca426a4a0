"""Score confounder pairs: two memes that share the words or the picture and differ in the other, and in their label.

A detector of words alone decides both memes of one text alike and gets one of them wrong, whatever the text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.clusters import join_by_keys
from mrharm.evaluation.predictions import Predictions
from mrharm.memes.fingerprints import NEAR, PictureFacts, find_near_pairs, fingerprint_picture
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap, mean_of_values
from mrharm.probes.changed_memes import Case, make_cases
from mrharm.probes.run import ProbeRecord
from mrharm.progress import Progress, no_progress
from mrharm.records import Record
from mrharm.texts import fold, plain

ALIKE = 0.98  # of the pairs decided alike: what differs is not looked at
FEWEST = 10  # pairs; fewer may be decided alike by chance

Pair = tuple[int, int]  # places of a harmful and a harmless meme


class PairScores(Record):
    """Scores of the pairs of one kind.

    Attributes:
        both_right: share of pairs with both memes right.
        chance: what guessing would reach that flags as many of these memes: that share times the rest, 25 % at most.
        alike: share of pairs whose memes are decided alike.
        unanswered: share of pairs with a meme that got no label.
        ordered: share of pairs whose harmful meme has the higher score, a tie counting half.
    """

    pairs: int
    both_right: Estimate
    chance: Estimate
    alike: Estimate
    unanswered: Estimate
    ordered: Estimate


class PairsProbe(ProbeRecord):
    """Scores of confounder pairs; each meme is in one pair of a kind at most.

    Attributes:
        memes: of the split.
        same_text: of pairs with one text and another picture; None without such a pair.
        same_picture: of pairs with one picture and another text; None without such a pair.
    """

    memes: int
    same_text: PairScores | None
    same_picture: PairScores | None


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> PairsProbe:
    """Find a split's confounder pairs and score them: a pair is right only where both its memes are.

    Kiela et al., "The Hateful Memes Challenge", NeurIPS 2020, has such confounders; Gardner et al., "Evaluating Models'
    Local Decision Boundaries via Contrast Sets", Findings of EMNLP 2020, count them so.

    Pictures are compared without their words where the dataset has them so (``clean/``): two are the same by the bytes
    of the file, or by perceptual hashes that differ in at most `NEAR` bits of 64.

    ``memes`` is not used: no meme is judged again, and a random subset of memes would break up pairs.

    Raises:
        InputError: there is no pair of either kind.
    """
    cases = make_cases(predictions)
    texts = [fold(plain(case.text)) for case in cases]
    pictures = _number_pictures(predictions, cases, progress)
    rng = np.random.default_rng(seed)
    same_text = _draw_pairs(predictions.gold, texts, pictures, rng)
    same_picture = _draw_pairs(predictions.gold, pictures, texts, rng)
    if not same_text and not same_picture:
        raise InputError(
            f"no two memes of {predictions.split} share the text and differ in picture and label, or the other way "
            "about: there are no confounder pairs to score"
        )
    return PairsProbe(
        memes=len(predictions.memes),
        same_text=_score_pairs(predictions, same_text, seed),
        same_picture=_score_pairs(predictions, same_picture, seed),
    )


def _number_pictures(predictions: Predictions, cases: Sequence[Case], progress: Progress) -> list[int | None]:
    """Number the memes' pictures, the same picture alike; None for a meme without one that can be read."""
    fingerprint = cache(partial(fingerprint_picture, predictions.dataset.root))
    fingerprints: list[PictureFacts | None] = []
    for number, case in enumerate(cases, 1):
        path = case.evidence.clean_image or case.meme.image
        facts = fingerprint(path, path) if path else None
        fingerprints.append(facts if facts and not facts.failure else None)
        progress("pairs: looking at pictures", number, len(cases))
    keys = [[str(picture.sha256)] if picture else [] for picture in fingerprints]
    for first, second in find_near_pairs(fingerprints, NEAR):
        keys[first].append(f"{first} {second}")
        keys[second].append(f"{first} {second}")
    numbers = join_by_keys(keys).tolist()
    return [number if picture else None for number, picture in zip(numbers, fingerprints, strict=True)]


def _draw_pairs(
    gold: NDArray[np.bool_],
    shared: Sequence[Hashable],
    differing: Sequence[Hashable],
    rng: np.random.Generator,
) -> list[Pair]:
    """Pair harmful with harmless memes that have the same ``shared`` value and another ``differing`` value.

    Each meme is in one pair at most. *Length of both:* memes; a value of None or "" makes no pair.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, values in enumerate(zip(shared, differing, strict=True)):
        if None not in values and "" not in values:
            groups[values[0]].append(place)
    pairs: list[Pair] = []
    for members in groups.values():
        harmless = [place for place in rng.permutation(members).tolist() if not gold[place]]
        harmful = [place for place in rng.permutation(members).tolist() if gold[place]]
        for place in harmful:
            partners = (candidate for candidate in harmless if differing[candidate] != differing[place])
            if (partner := next(partners, None)) is not None:
                harmless.remove(partner)
                pairs.append((place, partner))
    return pairs


def _score_pairs(predictions: Predictions, pairs: Sequence[Pair], seed: int) -> PairScores | None:
    if not pairs:
        return None
    harmful, harmless = np.array(pairs).T
    answers = [(predictions.predicted[first], predictions.predicted[second]) for first, second in pairs]
    both_right = np.array([answer == (True, False) for answer in answers])
    alike = np.array([first == second is not None for first, second in answers])
    unanswered = np.array([None in answer for answer in answers])
    lead = predictions.scores[harmful] - predictions.scores[harmless]
    flagged = mean_of_values(np.array([answer.count(True) / 2 for answer in answers]))
    statistics = {
        "both_right": mean_of_values(both_right, share=True),
        "chance": Statistic(lambda counts: flagged.of(counts) * (1 - flagged.of(counts))),
        "alike": mean_of_values(alike, share=True),
        "unanswered": mean_of_values(unanswered, share=True),
        "ordered": mean_of_values(np.where(lead == 0, 0.5, lead > 0)),
    }
    # Pairs depend on one another where a meme of one is in the cluster of a meme of the other.
    keys = [[str(cluster) for cluster in pair] for pair in predictions.clusters[np.array(pairs)]]
    figures = bootstrap(statistics, len(pairs), seed=seed, clusters=join_by_keys(keys))
    return PairScores(pairs=len(pairs), **figures)
