"""Baselines on the same memes as a detector: the commoner label, words alone, words and caption, pixels alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mrharm import baselines
from mrharm.errors import ImageError
from mrharm.evaluation.groups import FEWEST
from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.memes.dataset import in_split
from mrharm.memes.splits import TRAIN
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap
from mrharm.metrics.classification import headline, settle
from mrharm.metrics.estimate import N_RESAMPLES, Booleans, Floats
from mrharm.records import Meme, Record
from mrharm.student.interface import compose_text

MAJORITY, WORDS, CAPTIONED, PIXELS = "majority", "words alone", "words and caption", "pixels alone"
WORDS_WRONG, WORDS_RIGHT = "words_wrong", "words_right"
MOST_PICTURES = 2000  # to learn from: enough for 64 principal components, in seconds


class BaselineResult(Record):
    """A baseline trained on ``learnt`` memes of the dataset's train split, and its figures on the memes judged.

    gains: how much better the detector is, by the paired bootstrap.
    """

    name: str
    learnt: int
    accuracy: Estimate
    macro_f1: Estimate
    auroc: Estimate
    gains: dict[str, Estimate]


def compare_baselines(
    predictions: LabelledVerdicts, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[BaselineResult, ...]:
    """Compare the majority label, words alone, words with the caption where every meme has one, and pixels alone where
    there are pictures.

    Returns nothing without a train split of both labels (`select_train_memes`). Pixels alone learn from `MOST_PICTURES`
    memes drawn at random, and are the mean of a linear model and a forest; a meme without a picture that can be read
    gets the share of harmful ones.
    """
    train_memes = select_train_memes(predictions)
    if not train_memes:
        return ()
    gold = np.array(_labels(train_memes))
    train = np.arange(len(gold))
    judged = len(gold) + np.arange(len(predictions.memes))
    rows = [(MAJORITY, len(gold), baselines.predict_majority(train, gold.tolist(), judged))]
    texts = {WORDS: _texts(predictions, train_memes, ("text",))}
    if all(_texts(predictions, train_memes, ("caption",))):
        texts[CAPTIONED] = _texts(predictions, train_memes, ("text", "caption"))
    for name, rows_of_text in texts.items():
        words = baselines.Baseline(np.array(rows_of_text, dtype=object), baselines.predict_from_texts)
        if all(baselines.holds_words(words.features[part]) for part in (train, judged)):
            rows.append((name, len(gold), words.score(gold, train, judged)))
    if pixels := _score_by_pixels(predictions, train_memes, seed):
        rows.append((PIXELS, *pixels))
    return tuple(
        _compare_baseline(predictions, name, learnt, scores, n_resamples, seed)
        for name, learnt, scores in rows
    )


def find_baseline_errors(predictions: LabelledVerdicts) -> Booleans | None:
    """Return where words alone are wrong, beyond which a detector has to go. *Shape:* (memes,)

    None where they have nothing to learn from, or give every meme one label: the wrong ones are then the other label.
    """
    train_memes = select_train_memes(predictions)
    texts = np.array(_texts(predictions, train_memes, ("text",)), dtype=object)
    if not train_memes or not baselines.holds_words(texts[: len(train_memes)]):
        return None
    train, judged = np.split(np.arange(len(texts)), [len(train_memes)])
    words = baselines.Baseline(texts, baselines.predict_from_texts)
    scores = words.score(np.array(_labels(train_memes)), train, judged)
    decisions: Booleans = baselines.decide(scores).astype(bool)
    return None if decisions.all() or not decisions.any() else decisions != predictions.gold


def accuracy_by_baseline(predictions: LabelledVerdicts) -> dict[str, float | int]:
    """Return the number of memes that words alone get wrong (``words_wrong_n``) and the accuracy on them
    (``words_wrong``) and on the rest (``words_right``), each where there are `FEWEST` memes; empty where
    `find_baseline_errors` is None.
    """
    wrong = find_baseline_errors(predictions)
    if wrong is None:
        return {}
    right_decisions = settle(predictions.gold, predictions.predicted) == predictions.gold
    members = {WORDS_WRONG: wrong, WORDS_RIGHT: ~wrong}
    figures = {
        name: float(right_decisions[inside].mean())
        for name, inside in members.items()
        if inside.sum() >= FEWEST
    }
    return {"words_wrong_n": int(wrong.sum()), **figures}


def _compare_baseline(
    predictions: LabelledVerdicts, name: str, learnt: int, scores: Floats, n_resamples: int, seed: int
) -> BaselineResult:
    statistics = headline(predictions.gold, baselines.decide(scores), scores)
    detector = headline(predictions.gold, predictions.predicted, predictions.scores)
    gains = {f"gain {figure}": detector[figure] - statistics[figure] for figure in detector}
    figures = bootstrap(
        {**statistics, **gains},
        len(predictions.gold),
        n_resamples=n_resamples,
        seed=seed,
        clusters=predictions.clusters,
    )
    return BaselineResult(
        name=name,
        learnt=learnt,
        gains={figure: figures[f"gain {figure}"] for figure in detector},
        **{figure: figures[figure] for figure in statistics},
    )


def select_train_memes(predictions: LabelledVerdicts) -> list[Meme]:
    """Return the memes that baselines learn from: the labelled ones of the train split; none where all have one label,
    or where it is the split judged.
    """
    train = predictions.dataset.split_name(TRAIN)
    memes = [meme for meme in predictions.dataset.memes if in_split(meme, train) and meme.label]
    return memes if predictions.split != train and len(set(_labels(memes))) == 2 else []


def _score_by_pixels(
    predictions: LabelledVerdicts, train_memes: Sequence[Meme], seed: int
) -> tuple[int, Floats] | None:
    """Return from how many memes pixels alone learnt, and P(harmful) of every judged meme; None without pictures."""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(train_memes))[:MOST_PICTURES])
    chosen = [train_memes[place] for place in drawn]
    train, judged = _read_pixels(predictions, chosen), _read_pixels(predictions, predictions.memes)
    gold = [harmful for harmful, pixels in zip(_labels(chosen), train, strict=True) if pixels is not None]
    if len(set(gold)) < 2 or all(pixels is None for pixels in judged):
        return None
    scores = np.full(len(judged), float(np.mean(gold)))
    has_picture = np.array([pixels is not None for pixels in judged])
    scores[has_picture] = baselines.predict_from_pixels(_stack(train), gold, _stack(judged), seed=seed)
    return len(gold), scores


def _stack(pictures: Sequence[baselines.Pixels | None]) -> Floats:
    # In single precision the figures would change with the number of threads.
    return np.stack([pixels for pixels in pictures if pixels is not None]).astype(np.float64)


def _read_pixels(predictions: LabelledVerdicts, memes: Sequence[Meme]) -> list[baselines.Pixels | None]:
    """Read the pictures as posted, small; None for a meme without one that can be read."""

    def read(meme: Meme) -> baselines.Pixels | None:
        try:
            path = predictions.dataset.image_path(meme)
            return baselines.read_pixels(path) if path else None
        except ImageError:
            return None

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        return list(pool.map(read, memes))


def _labels(memes: Sequence[Meme]) -> list[bool]:
    return [bool(meme.label and meme.label.harmful) for meme in memes]


def _texts(predictions: LabelledVerdicts, train_memes: Sequence[Meme], reads: tuple[str, ...]) -> list[str]:
    """Compose the texts of the train memes and of the memes judged, the latter with the evidence of their verdicts."""
    gathered = predictions.dataset.evidence
    texts = [compose_text(reads, meme, gathered.get(meme.id))[0] for meme in train_memes]
    for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True):
        texts.append(compose_text(reads, meme, verdict.evidence or gathered.get(meme.id))[0])
    return texts
