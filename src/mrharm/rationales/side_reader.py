"""Learn from a teacher's rationales which side a rationale speaks for, where it does not state it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrharm.baselines import FEWEST, split_folds
from mrharm.metrics.estimate import Booleans, Floats
from mrharm.rationales.stated_side import stated_side
from mrharm.records import Record
from mrharm.store import read_json_record, write_json
from mrharm.texts import fold

FILE = "rationale-sides.json"
LEAST = math.log(0.95 / 0.05)  # log-odds: below, words that tell nothing could give a side
RIGHT = 0.99  # of the rationales that a reader gives a side, the share whose side has to be their label
_WORD = re.compile(r"\w\w+")


class SideReader(Record):
    """A logistic regression on the words of rationales: log-odds of harmful = bias + the weights of the words it holds.

    Fields:
        margin: the least log-odds, of either sign, at which words give a side.
        weights: word -> weight.
    """

    bias: float
    margin: float
    weights: dict[str, float]

    def read_side(self, text: str) -> bool | None:
        """Return the side that a rationale states (`stated_side`), else the one its words give; None for neither."""
        stated = stated_side(text)
        if stated is not None:
            return stated
        log_odds = self.bias + sum(self.weights.get(word, 0.0) for word in find_words(text))
        return None if abs(log_odds) < self.margin else log_odds > 0

    def save(self, folder: Path) -> None:
        """Write ``rationale-sides.json``."""
        write_json(folder / FILE, self.model_dump())

    @classmethod
    def load(cls, folder: Path) -> SideReader:
        """Read what `save` wrote; raises DataError where it is broken."""
        return read_json_record(folder / FILE, cls, "train the detector again")


def find_words(text: str) -> list[str]:
    """Return the different words of a text, of two letters or more, in order."""
    return list(dict.fromkeys(_WORD.findall(fold(text))))


def fit_side_reader(texts: Sequence[str], harmful: Sequence[bool]) -> SideReader | None:
    """Fit a reader on a teacher's rationales and the labels of their memes. *Shape of both:* (rationales,)

    Its margin is the least, from a P of 0.95 on, at which 99 % of the sides are right that readers fitted on the other
    folds read.

    Returns:
        The reader; None where there are too few rationales, or too few give their side away.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    gold = np.asarray(harmful, dtype=bool)
    folds = split_folds(gold)
    if not folds:
        return None
    vectorizer = CountVectorizer(analyzer=find_words, binary=True, min_df=2)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no word is in two of them
        return None
    held_out = np.zeros(len(gold))
    for train, rest in folds:
        model = LogisticRegression(max_iter=1000).fit(counts[train], gold[train])
        held_out[rest] = model.decision_function(counts[rest])
    margin = _choose_margin(held_out, gold)
    if margin is None:
        return None
    model = LogisticRegression(max_iter=1000).fit(counts, gold)
    weights = zip(vectorizer.get_feature_names_out().tolist(), model.coef_[0].tolist(), strict=True)
    return SideReader(
        bias=float(model.intercept_[0]),
        margin=margin,
        weights={word: round(weight, 6) for word, weight in weights},
    )


def _choose_margin(log_odds: Floats, gold: Booleans) -> float | None:
    """Return the least margin from which on sides are right often enough; None where too few reach it."""
    order = np.argsort(-np.abs(log_odds), kind="stable")
    right = np.cumsum((log_odds > 0)[order] == gold[order]) / np.arange(1, len(gold) + 1)
    enough = np.flatnonzero(right >= RIGHT)
    if not len(enough) or enough[-1] + 1 < FEWEST:
        return None
    return max(LEAST, float(np.abs(log_odds)[order[enough[-1]]]))
