"""Memes changed in one thing, and how far verdicts on them move: what the probes share.

A change is made to the meme and to what is known of it alike: a detector reads both. What was read off a picture when
it was first judged is kept, so that both verdicts are given of the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.metrics.classification import accuracy_of, macro_f1_of
from mrharm.progress import Progress
from mrharm.records import Evidence, Meme, Record, Verdict
from mrharm.student.interface import compose_text

SAME = 1e-6  # a score that moves by less is that of the same input in another batch
SEEN_PARTS = ("caption", "entities", "demographics")  # what a text says of the picture


@dataclass(frozen=True)
class Case:
    """One judged meme: the meme, what is known of it, and its place in the `Judged` it came from."""

    place: int
    meme: Meme
    evidence: Evidence

    @property
    def words(self) -> str:
        """The meme's own words as a detector that reads them is given them."""
        return compose_text(("text",), self.meme, self.evidence, odd_text="posted")[0]

    def with_words(self, text: str) -> Case:
        """The same with other words; those drawn on the picture stay."""
        return replace(
            self,
            meme=self.meme.model_copy(update={"text": text}),
            evidence=self.evidence.model_copy(update={"text": text}),
        )

    def with_picture(self, path: str) -> Case:
        """The same with another file as its picture, posted and clean."""
        return replace(
            self,
            meme=self.meme.model_copy(update={"image": path}),
            evidence=self.evidence.model_copy(update={"clean_image": path}),
        )

    def seeing(self, other: Case | None) -> Case:
        """The same words with all that is seen in another's picture, or with nothing seen at all."""
        parts = {
            part: getattr(other.evidence, part) if other else None for part in (*SEEN_PARTS, "clean_image")
        }
        return replace(
            self,
            meme=self.meme.model_copy(update={"image": other.meme.image if other else None}),
            evidence=self.evidence.model_copy(update=parts),
        )


class Moved(Record):
    """What a change does to verdicts, each held against the verdict on the same meme unchanged.

    ``moved``: mean absolute move of P(harmful); ``drift``: the mean move, upwards positive; ``flipped``: share of
    decisions that change; ``reached``: share of memes whose score changes at all; ``accuracy`` and ``macro_f1``:
    against the labels of the unchanged memes; ``macro_f1_change``: macro-F1 after minus before, drawn together.
    """

    memes: int
    moved: Estimate
    drift: Estimate
    flipped: Estimate
    reached: Estimate
    accuracy: Estimate
    macro_f1: Estimate
    macro_f1_change: Estimate


class Decided(Record):
    """Accuracy and macro-F1 of decisions."""

    memes: int
    accuracy: Estimate
    macro_f1: Estimate


def cases_of(predictions: Predictions) -> list[Case]:
    """Every judged meme with what its verdict was given of: that of the dataset, and what was gathered on the way."""
    return [
        Case(
            place,
            meme,
            verdict.evidence
            or predictions.dataset.evidence.get(meme.id)
            or Evidence(meme_id=meme.id, text=meme.text),
        )
        for place, (meme, verdict) in enumerate(zip(predictions.memes, predictions.verdicts, strict=True))
    ]


def shown_place(predictions: Predictions, case: Case) -> str | None:
    """Where the picture lies that the detector is shown of a meme; None where it is shown none."""
    if not predictions.detector.takes_picture:
        return None
    return (
        case.evidence.clean_image if predictions.detector.card.picture_shown == "clean" else case.meme.image
    )


def can_be_judged(predictions: Predictions, case: Case) -> bool:
    """Whether the detector is given anything at all of this meme."""
    card = predictions.detector.card
    text, _ = compose_text(card.reads, case.meme, case.evidence, odd_text=card.odd_text)
    return bool(text) or shown_place(predictions, case) is not None


def judge_cases(
    predictions: Predictions,
    cases: Sequence[Case],
    *,
    root: Path | None = None,
    progress: Progress | None = None,
    what: str = "",
) -> list[Verdict]:
    """Verdicts on changed memes, in order; with ``progress``, told as each batch is judged."""
    verdicts: list[Verdict] = []
    for start in range(0, len(cases), BATCH):
        some = cases[start : start + BATCH]
        known = {case.meme.id: case.evidence for case in some}
        verdicts += predictions.judge_again([case.meme for case in some], evidence=known, root=root)
        if progress:
            progress(what, start + len(some), len(cases))
    return verdicts


def compare(
    gold: NDArray[np.bool_],
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    *,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Moved:
    """How far verdicts moved. All four go together; *Shape of gold and clusters:* (memes,)"""
    said, again = said_by(before), said_by(after)
    move = np.array([one.score for one in after]) - np.array([one.score for one in before])
    flipped = np.array([one != other for one, other in zip(said, again, strict=True)])
    found = bootstrap(
        {
            "moved": mean_of_values(np.abs(move)),
            "drift": mean_of_values(move),
            "flipped": mean_of_values(flipped, share=True),
            "reached": mean_of_values(np.abs(move) > SAME, share=True),
            "accuracy": accuracy_of(gold, again),
            "macro_f1": macro_f1_of(gold, again),
            "macro_f1_change": macro_f1_of(gold, again) - macro_f1_of(gold, said),
        },
        len(gold),
        seed=seed,
        clusters=clusters,
    )
    return Moved(memes=len(gold), **found)


def scores_of(
    gold: NDArray[np.bool_], said: NDArray[Any], *, clusters: NDArray[np.int64] | None = None, seed: int = 0
) -> Decided:
    """Accuracy and macro-F1 of decisions; None is wrong. *Shape of all:* (memes,)"""
    statistics = {"accuracy": accuracy_of(gold, said), "macro_f1": macro_f1_of(gold, said)}
    return Decided(memes=len(gold), **bootstrap(statistics, len(gold), seed=seed, clusters=clusters))


def said_by(verdicts: Sequence[Verdict]) -> NDArray[Any]:
    """What verdicts say: True, False or None. *Shape:* (memes,)"""
    return np.array([one.harmful for one in verdicts], dtype=object)
