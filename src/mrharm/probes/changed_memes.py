"""Change memes in one thing, judge them again and measure how far verdicts move: what several probes do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
PICTURE_PARTS = ("caption", "entities", "demographics")  # parts of a text that describe the picture


@dataclass(frozen=True)
class Case:
    """A judged meme with its evidence, and its place in the `Predictions` it came from.

    A change is made to the meme and to its evidence alike, as a detector reads both.
    """

    place: int
    meme: Meme
    evidence: Evidence

    @property
    def text(self) -> str:
        """The words as a detector reads them."""
        return compose_text(("text",), self.meme, self.evidence, odd_text="posted")[0]

    def with_text(self, text: str) -> Case:
        """Replace the words; those drawn on the picture stay."""
        return replace(
            self,
            meme=self.meme.model_copy(update={"text": text}),
            evidence=self.evidence.model_copy(update={"text": text}),
        )

    def with_picture(self, path: str) -> Case:
        """Replace the picture file, posted and clean."""
        return replace(
            self,
            meme=self.meme.model_copy(update={"image": path}),
            evidence=self.evidence.model_copy(update={"clean_image": path}),
        )

    def with_picture_of(self, donor: Case | None) -> Case:
        """Replace the picture and what describes it by a donor's; without a donor, take both away."""
        parts = {
            part: getattr(donor.evidence, part) if donor else None for part in (*PICTURE_PARTS, "clean_image")
        }
        return replace(
            self,
            meme=self.meme.model_copy(update={"image": donor.meme.image if donor else None}),
            evidence=self.evidence.model_copy(update=parts),
        )


@dataclass(frozen=True)
class Change:
    """A change of a picture or a text by a number in ``unit``, one for each of three strengths."""

    apply: Callable[..., Any]
    strengths: tuple[float, float, float]
    unit: str


class VerdictChange(Record):
    """What a change does to the verdicts on memes, each compared with the verdict on the same meme unchanged.

    Attributes:
        moved: mean absolute move of P(harmful).
        drift: mean move, upwards positive.
        flipped: share of decisions that change.
        reached: share of memes whose score changes at all.
        accuracy, macro_f1: after the change, by the labels of the unchanged memes.
        macro_f1_change: macro-F1 after minus before, resampled in pairs.
    """

    memes: int
    moved: Estimate
    drift: Estimate
    flipped: Estimate
    reached: Estimate
    accuracy: Estimate
    macro_f1: Estimate
    macro_f1_change: Estimate


class DecisionScores(Record):
    """Accuracy and macro-F1 of decisions."""

    memes: int
    accuracy: Estimate
    macro_f1: Estimate


def make_cases(predictions: Predictions) -> list[Case]:
    """Return every judged meme with the evidence its verdict rests on, so that a changed meme keeps the same words."""
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


def shown_picture(predictions: Predictions, case: Case) -> str | None:
    """Return the path of the picture that the detector is shown of a meme; None where it is shown none."""
    if not predictions.detector.takes_picture:
        return None
    return (
        case.evidence.clean_image if predictions.detector.card.picture_shown == "clean" else case.meme.image
    )


def has_input(predictions: Predictions, case: Case) -> bool:
    """Tell whether the detector is given a text or a picture of this meme."""
    card = predictions.detector.card
    text, _ = compose_text(card.reads, case.meme, case.evidence, odd_text=card.odd_text)
    return bool(text) or shown_picture(predictions, case) is not None


def judge_cases(
    predictions: Predictions,
    cases: Sequence[Case],
    *,
    root: Path | None = None,
    progress: Progress | None = None,
    what: str = "",
) -> list[Verdict]:
    """Judge changed memes, in order; ``progress`` is called with ``what`` after each batch."""
    verdicts: list[Verdict] = []
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        evidence = {case.meme.id: case.evidence for case in batch}
        verdicts += predictions.judge_again([case.meme for case in batch], evidence=evidence, root=root)
        if progress:
            progress(what, start + len(batch), len(cases))
    return verdicts


def compare_verdicts(
    predictions: Predictions,
    changed: Sequence[Case],
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    *,
    seed: int = 0,
) -> VerdictChange:
    """Measure how far verdicts moved: ``before`` on every meme unchanged, ``after`` on the changed ones."""
    places = [case.place for case in changed]
    unchanged = [before[place] for place in places]
    gold, old, new = predictions.gold[places], decisions_of(unchanged), decisions_of(after)
    move = np.array([verdict.score for verdict in after]) - [verdict.score for verdict in unchanged]
    flipped = (old != new).astype(bool)
    figures = bootstrap(
        {
            "moved": mean_of_values(np.abs(move)),
            "drift": mean_of_values(move),
            "flipped": mean_of_values(flipped, share=True),
            "reached": mean_of_values(np.abs(move) > SAME, share=True),
            "accuracy": accuracy_of(gold, new),
            "macro_f1": macro_f1_of(gold, new),
            "macro_f1_change": macro_f1_of(gold, new) - macro_f1_of(gold, old),
        },
        len(gold),
        seed=seed,
        clusters=predictions.clusters[places],
    )
    return VerdictChange(memes=len(gold), **figures)


def score_decisions(
    predictions: Predictions, verdicts: Sequence[Verdict], *, seed: int = 0
) -> DecisionScores:
    """Compute accuracy and macro-F1 of a verdict on each meme; a verdict without a label is wrong."""
    gold, decisions = predictions.gold, decisions_of(verdicts)
    statistics = {"accuracy": accuracy_of(gold, decisions), "macro_f1": macro_f1_of(gold, decisions)}
    figures = bootstrap(statistics, len(gold), seed=seed, clusters=predictions.clusters)
    return DecisionScores(memes=len(gold), **figures)


def decisions_of(verdicts: Sequence[Verdict]) -> NDArray[Any]:
    """Return the decisions of verdicts: True, False, or None for no label. *Shape:* (memes,)"""
    return np.array([verdict.harmful for verdict in verdicts], dtype=object)
