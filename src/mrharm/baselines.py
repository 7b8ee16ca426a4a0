"""What a student must beat: the majority, words alone, pixels alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]
FOLDS, FEWEST = 5, 50
_SIDE = 32  # pixels: scenes are recognisable, and a linear model has 3,072 numbers to look at


def majority(train: Sequence[bool], count: int) -> tuple[list[bool], list[float]]:
    """The commoner label of the training split, for everything; harmless on a tie."""
    share = float(np.mean(train))
    return [share > 0.5] * count, [share] * count


def text_only(train_texts: Sequence[str], train: Sequence[bool], texts: Sequence[str]) -> Floats:
    """P(harmful) by scikit-learn's default TF-IDF and logistic regression. *Shape:* (texts,)"""
    return _fit(make_pipeline(TfidfVectorizer(), LogisticRegression()), list(train_texts), train, list(texts))


def cross_validated(
    texts: Sequence[str],
    gold: Sequence[bool],
    *more: Sequence[str],
    groups: Sequence[object] | None = None,
) -> Floats | None:
    """P(harmful) of every text by `text_only` trained on the other folds; None where there are too few to tell.

    What can be read off a text alone: of rationales, how well they give the label away. ``more`` are further texts of
    the same items, each told apart by a TF-IDF table of its own. Items of one of the ``groups`` stand in one fold.
    *Shape:* (texts,)
    """
    truth = np.asarray(gold, dtype=bool)
    if len(truth) < FEWEST or min(truth.sum(), (~truth).sum()) < FOLDS:
        return None
    if groups is not None and len(set(groups)) < FOLDS:
        return None
    # A text without words stands as a word of its own: it tells something, too.
    columns = [
        np.array([text if re.search(r"\w\w", text) else "nothing_left" for text in column], dtype=object)
        for column in (texts, *more)
    ]
    scores = np.zeros(len(truth))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    for seen, unseen in kind(FOLDS, shuffle=True, random_state=0).split(truth, truth, groups):
        words = [TfidfVectorizer().fit(column[seen]) for column in columns]
        learnt, asked = (
            hstack([one.transform(column[part]) for one, column in zip(words, columns, strict=True)], "csr")
            for part in (seen, unseen)
        )
        if len(set(truth[seen].tolist())) < 2:  # one group holds all of a side
            return None
        scores[unseen] = _fit(LogisticRegression(), learnt, truth[seen].tolist(), asked)
    return scores


def read_off(texts: Sequence[str], gold: Sequence[bool]) -> Estimate | None:
    """Share of texts whose label `cross_validated` gets right, with its 95 % Wilson interval."""
    scores = cross_validated(texts, gold)
    if scores is None:
        return None
    right = int(np.sum((scores >= 0.5) == np.asarray(gold, dtype=bool)))
    return share(right, len(scores))


def numbers_only(train_numbers: Floats, train: Sequence[bool], numbers: Floats, seed: int = 0) -> Floats:
    """P(harmful) by gradient-boosted trees over a table of numbers (sizes, lengths, principal components).

    *Shape of the tables:* (memes, columns); not-a-number is a missing value.
    """
    # The trees cannot bin a column without two different numbers; such a column says nothing anyway.
    varied = [len(np.unique(column[np.isfinite(column)])) > 1 for column in train_numbers.T]
    if not any(varied):
        return np.full(len(numbers), float(np.mean(train)))
    model = HistGradientBoostingClassifier(random_state=seed)
    return _fit(model, train_numbers[:, varied], train, numbers[:, varied])


def principal_components(pixels: Pixels, count: int = 64, seed: int = 0) -> Floats:
    """Flattened pictures -> their first principal components after standardising. *Shape:* (pictures, count)"""
    reduce = make_pipeline(StandardScaler(), PCA(min(count, *pixels.shape), random_state=seed))
    # Where all pictures are alike there is no variance to have shares of; nobody reads those shares.
    with np.errstate(invalid="ignore"):
        found: Floats = reduce.fit_transform(pixels)
    return found


def image_only(
    train_pictures: Sequence[Path], train: Sequence[bool], pictures: Sequence[Path], seed: int = 0
) -> dict[str, Floats]:
    """`pixels_only` of picture files; raises ImageError where one cannot be read."""
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        seen, unseen = (np.stack(list(pool.map(small, paths))) for paths in (train_pictures, pictures))
    return pixels_only(seen, train, unseen, seed)


def pixels_only(
    seen: Pixels | Floats, train: Sequence[bool], unseen: Pixels | Floats, seed: int = 0
) -> dict[str, Floats]:
    """P(harmful) from 32 x 32 pixels alone (64 principal components), by a linear model and a forest.

    Two kinds of model, because a signal a linear one cannot see may still be there.

    *Shapes:* seen (train pictures, 3,072), as `small` makes them; unseen (pictures, 3,072) -> each (pictures,)
    """
    reduce = make_pipeline(StandardScaler(), PCA(min(64, *seen.shape), random_state=seed))
    with np.errstate(invalid="ignore"):  # as above
        reduce.fit(seen)
    seen, unseen = reduce.transform(seen), reduce.transform(unseen)
    return {
        "linear": _fit(LogisticRegression(max_iter=1000), seen, train, unseen),
        "forest": _fit(RandomForestClassifier(200, random_state=seed, n_jobs=2), seen, train, unseen),
    }


def _fit(model: Any, seen: object, gold: Sequence[bool], unseen: object) -> Floats:
    model.fit(seen, np.asarray(gold, dtype=bool))
    probabilities: Floats = model.predict_proba(unseen)[:, 1]
    return probabilities


def small(picture: Path) -> Pixels:
    """A picture's 32 x 32 pixels in a row, 0 to 1; raises ImageError. *Shape:* (3,072,)"""
    return np.asarray(open_image(picture).resize((_SIDE, _SIDE)), dtype=np.float32).ravel() / np.float32(255)
