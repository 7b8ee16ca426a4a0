"""What stands beside a detector's figures on the same memes: the commoner label, words alone, pixels alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mrharm import baselines
from mrharm.errors import ImageError
from mrharm.evaluation.predictions import Predictions
from mrharm.evaluation.scores import N_RESAMPLES
from mrharm.memes.dataset import in_split
from mrharm.memes.splits import TRAIN
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.classification import headline
from mrharm.records import Meme, Record, Verdict
from mrharm.student.interface import compose_text

MAJORITY, WORDS, CAPTIONED, PIXELS = "majority", "words alone", "words and caption", "pixels alone"
# Pictures to learn from, at most: enough for 64 principal components, in seconds.
MOST_PICTURES = 2000


class BaselineResult(Record):
    """A baseline trained on ``learnt`` memes of the dataset's train split: its figures on the memes judged, and
    ``gains``: how much better the detector is, by the paired bootstrap.
    """

    name: str
    learnt: int
    accuracy: Estimate
    macro_f1: Estimate
    auroc: Estimate
    gains: dict[str, Estimate]


def compare_baselines(
    predictions: Predictions,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> tuple[BaselineResult, ...]:
    """The majority label, words alone, words with the caption where both splits have captions, and pixels alone where
    both have pictures.

    Nothing where `learners` has none. Pixels alone learn from `MOST_PICTURES` memes drawn by lot, and are the mean of a
    linear model and a forest; a meme whose picture is not there or cannot be read gets the share of harmful ones.
    ``together`` as `mrharm.metrics.estimate`.
    """
    learn = learners(predictions)
    gold = np.array(_gold(learn))
    if not learn:
        return ()

    def row(name: str, learnt: int, scores: baselines.Floats) -> BaselineResult:
        theirs = headline(predictions.gold, baselines.decide(scores), scores)
        ours = headline(predictions.gold, predictions.predicted, predictions.scores)
        both: dict[str, Statistic] = {**theirs, **{f"gain {key}": ours[key] - theirs[key] for key in ours}}
        found = bootstrap(both, len(predictions.gold), n_resamples=n_resamples, seed=seed, clusters=clusters)
        gains = {key: found.pop(f"gain {key}") for key in ours}
        return BaselineResult(name=name, learnt=learnt, gains=gains, **found)

    train = np.arange(len(learn))
    judged = len(learn) + np.arange(len(predictions.memes))
    rows = [row(MAJORITY, len(learn), baselines.predict_majority(train, gold.tolist(), judged))]
    parts: dict[str, tuple[str, ...]] = {WORDS: ("text",)}
    captioned = [bool(_text(predictions, meme, ("caption",))) for meme in learn]
    captioned += [
        bool(_text(predictions, meme, ("caption",), verdict)) for meme, verdict in _both_of(predictions)
    ]
    if all(captioned):
        parts[CAPTIONED] = ("text", "caption")
    for name, reads in parts.items():
        texts = [_text(predictions, meme, reads) for meme in learn]
        texts += [_text(predictions, meme, reads, verdict) for meme, verdict in _both_of(predictions)]
        words = baselines.Baseline(np.array(texts, dtype=object), baselines.predict_from_texts)
        if all(baselines.holds_words(words.features[part]) for part in (train, judged)):
            rows.append(row(name, len(learn), words.score(gold, train, judged)))
    if found := _by_pixels(predictions, learn, seed):
        rows.append(row(PIXELS, *found))
    return tuple(rows)


def learners(predictions: Predictions) -> list[Meme]:
    """The memes that baselines learn from: all the labelled ones of the train split.

    None where they do not have both labels, or where it is the split judged.
    """
    train = predictions.dataset.split_name(TRAIN)
    learn = [meme for meme in predictions.dataset.memes if in_split(meme, train) and meme.label]
    return learn if predictions.split != train and len(set(_gold(learn))) == 2 else []


def _by_pixels(
    predictions: Predictions, learn: Sequence[Meme], seed: int
) -> tuple[int, baselines.Floats] | None:
    """From how many memes it learnt, and P(harmful) of every judged meme; None where pictures are missing."""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(learn))[:MOST_PICTURES])
    teach = [learn[place] for place in drawn]
    seen, unseen = _pictures(predictions, teach), _pictures(predictions, predictions.memes)
    gold = [label for label, pixels in zip(_gold(teach), seen, strict=True) if pixels is not None]
    if len(set(gold)) < 2 or all(pixels is None for pixels in unseen):
        return None
    there = np.array([pixels is not None for pixels in unseen])
    # In single precision the figures would change with the number of threads.
    taught, asked = (
        np.stack([pixels for pixels in some if pixels is not None]).astype(np.float64)
        for some in (seen, unseen)
    )
    scores = np.full(len(unseen), float(np.mean(gold)))
    scores[there] = baselines.predict_from_pixels(taught, gold, asked, seed=seed)
    return len(gold), scores


def _pictures(predictions: Predictions, memes: Sequence[Meme]) -> list[baselines.Pixels | None]:
    """The memes as posted, small; None for one without a picture that can be read."""

    def look(meme: Meme) -> baselines.Pixels | None:
        try:
            path = predictions.dataset.image_path(meme)
            return baselines.read_pixels(path) if path else None
        except ImageError:
            return None

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        return list(pool.map(look, memes))


def _gold(memes: Sequence[Meme]) -> list[bool]:
    return [bool(meme.label and meme.label.harmful) for meme in memes]


def _both_of(predictions: Predictions) -> list[tuple[Meme, Verdict]]:
    """The memes judged, each with its verdict."""
    return list(zip(predictions.memes, predictions.verdicts, strict=True))


def _text(
    predictions: Predictions, meme: Meme, reads: tuple[str, ...], verdict: Verdict | None = None
) -> str:
    """What a detector would read of a meme; of one judged, what it did read, words off the picture among it."""
    known = verdict.evidence if verdict else None
    return compose_text(reads, meme, known or predictions.dataset.evidence.get(meme.id))[0]
