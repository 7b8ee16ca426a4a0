"""Baselines that a student must beat: the majority, words alone, pixels alone; one harness fits and scores them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mrharm.images import open_image
from mrharm.metrics import Estimate, share

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]
Rows = NDArray[np.int64]  # row numbers of memes
Folds = list[tuple[Rows, Rows]]  # rows to learn from, rows to predict
Features = NDArray[Any]  # one row a meme: (memes,) of texts, or (memes, columns) of texts or numbers
# Features and labels of the memes to learn from, features of those to predict -> P(harmful) of the latter.
Predictor = Callable[[Features, Sequence[bool], Features], Floats]

FOLDS, FEWEST = 5, 50
_SIDE = 32  # pixels: scenes are recognisable, and a linear model has 3,072 numbers to learn from
_COMPONENTS = 64


@dataclass(frozen=True)
class Baseline:
    """A surface signal: what it reads of every meme, and what learns from that."""

    features: Features
    predict: Predictor

    def score(self, gold: Booleans, train: Rows, rows: Rows) -> Floats:
        """Fit on the ``train`` rows and return P(harmful) of ``rows``. *Shape:* (rows,)"""
        return self.predict(self.features[train], gold[train].tolist(), self.features[rows])


def decide(scores: Floats) -> NDArray[Any]:
    """Return the decisions of scores: harmful from 0.5 up. *Shape:* (memes,) of Python bools"""
    return (np.asarray(scores) >= 0.5).astype(object)


def predict_majority(train: Features, gold: Sequence[bool], rows: Features) -> Floats:
    """Predict the share of harmful memes of the training rows for every row; just below 0.5 on a tie (harmless)."""
    harmful = float(np.mean(gold))
    return np.full(len(rows), np.nextafter(0.5, 0) if harmful == 0.5 else harmful)


def predict_from_texts(train: Features, gold: Sequence[bool], rows: Features) -> Floats:
    """Predict by scikit-learn's default TF-IDF and logistic regression; columns of texts get a TF-IDF table each.

    Where no training text holds a word, like `predict_majority`.
    """
    columns = zip(train.reshape(len(train), -1).T, rows.reshape(len(rows), -1).T, strict=True)
    counts, counts_of_rows = [], []
    for train_texts, texts in columns:
        if holds_words(train_texts):
            table = TfidfVectorizer()
            counts.append(table.fit_transform(train_texts))
            counts_of_rows.append(table.transform(texts))
    if not counts:
        return predict_majority(train, gold, rows)
    return _fit(LogisticRegression(), hstack(counts, "csr"), gold, hstack(counts_of_rows, "csr"))


def holds_words(texts: Sequence[str] | Features) -> bool:
    """Return whether any of the texts holds what TF-IDF counts as a word: two letters or digits in a row."""
    return any(re.search(r"\w\w", text) for text in texts)


def predict_from_numbers(train: Features, gold: Sequence[bool], rows: Features, *, seed: int = 0) -> Floats:
    """Predict by gradient-boosted trees over a table of numbers (sizes, lengths, principal components).

    Not-a-number is a missing value. *Shape of the tables:* (memes, columns)
    """
    # The trees cannot bin a column without two different numbers; such a column tells nothing anyway.
    varied = [len(np.unique(column[np.isfinite(column)])) > 1 for column in train.T]
    if not any(varied):
        return np.full(len(rows), float(np.mean(gold)))
    model = HistGradientBoostingClassifier(random_state=seed)
    return _fit(model, train[:, varied], gold, rows[:, varied])


def predict_from_pixels(train: Features, gold: Sequence[bool], rows: Features, *, seed: int = 0) -> Floats:
    """Predict by the mean of logistic regression and a random forest on 64 principal components of pixels.

    Pixels are as `read_pixels` makes them; what the first cannot see may be plain to the second.
    """
    components = _fit_components(train, seed)
    learnt, judged = components.transform(train), components.transform(rows)
    models = (LogisticRegression(max_iter=1000), RandomForestClassifier(200, random_state=seed, n_jobs=2))
    scores: Floats = np.mean([_fit(model, learnt, gold, judged) for model in models], axis=0)
    return scores


def reduce_pixels(pixels: Features, *, seed: int = 0) -> Floats:
    """Return the first 64 principal components of flattened pictures, standardised. *Shape:* (pictures, <= 64)"""
    components: Floats = _fit_components(pixels, seed).transform(pixels)
    return components


def _fit_components(pixels: Features, seed: int) -> Any:
    components = make_pipeline(StandardScaler(), PCA(min(_COMPONENTS, *pixels.shape), random_state=seed))
    # Where all pictures are alike there is no variance to have shares of; those shares are not used.
    with np.errstate(invalid="ignore"):
        return components.fit(pixels)


def read_pixels(picture: Path) -> Pixels:
    """Return a picture's 32 x 32 pixels in a row, 0 to 1; raises ImageError. *Shape:* (3,072,)"""
    return np.asarray(open_image(picture).resize((_SIDE, _SIDE)), dtype=np.float32).ravel() / np.float32(255)


def split_folds(gold: Sequence[bool] | Booleans, groups: Sequence[object] | None = None) -> Folds:
    """Return five folds, stratified by label; rows of one of the ``groups`` stay in one fold.

    No folds where there are too few rows, labels of a side or groups to learn from every time.
    """
    truth = np.asarray(gold, dtype=bool)
    if len(truth) < FEWEST or min(truth.sum(), (~truth).sum()) < FOLDS:
        return []
    if groups is not None and len(set(groups)) < FOLDS:
        return []
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    splits = splitter(FOLDS, shuffle=True, random_state=0).split(truth, truth, groups)
    folds = [(train, rest) for train, rest in splits if len(rest)]
    # One group may hold all memes of a side.
    return folds if all(len(set(truth[train].tolist())) == 2 for train, _ in folds) else []


def cross_validate_texts(
    texts: Sequence[str],
    gold: Sequence[bool],
    *more: Sequence[str],
    groups: Sequence[object] | None = None,
) -> Floats | None:
    """Return P(harmful) of every text by `predict_from_texts` trained on the other folds; None without `split_folds`.

    This is what can be read off a text alone: of rationales, how well they give the label away. ``more`` are further
    texts of the same items. *Shape:* (texts,)
    """
    truth = np.asarray(gold, dtype=bool)
    # A text without words counts as a word of its own: it tells something, too.
    columns = [
        np.array([text if holds_words([text]) else "nothing_left" for text in column], dtype=object)
        for column in (texts, *more)
    ]
    baseline = Baseline(np.stack(columns, axis=1), predict_from_texts)
    scores = np.zeros(len(truth))
    folds = split_folds(truth, groups)
    for train, rest in folds:
        scores[rest] = baseline.score(truth, train, rest)
    return scores if folds else None


def estimate_recovered(texts: Sequence[str], gold: Sequence[bool]) -> Estimate | None:
    """Return the share of texts whose label `cross_validate_texts` gets right, with its 95 % Wilson interval."""
    scores = cross_validate_texts(texts, gold)
    if scores is None:
        return None
    return share(int(np.sum(decide(scores) == np.asarray(gold, dtype=bool))), len(scores))


def _fit(model: Any, train: object, gold: Sequence[bool], rows: object) -> Floats:
    model.fit(train, np.asarray(gold, dtype=bool))
    probabilities: Floats = model.predict_proba(rows)[:, 1]
    return probabilities
