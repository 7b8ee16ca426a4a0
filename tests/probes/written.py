"""Verdicts with rationales made up for a test, around a real dataset folder and a random tiny detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from mrharm.evaluation.predictions import Predictions
from mrharm.records import Evidence, Meme, Rationale
from mrharm.verdicts.detector import Detector
from tests.evaluation import runs


@cache
def detector() -> Detector:
    """Reads a text and a picture; random."""
    return runs.random_detector(sees=True)


def predictions(
    folder: Path,
    memes: Sequence[Meme],
    decisions: Sequence[bool | None],
    rationales: Sequence[str | None],
    *,
    scores: Sequence[float] | None = None,
    captions: Sequence[str] | None = None,
    gold: Iterable[Rationale] = (),
) -> Predictions:
    """What a detector that decides and writes so would hand to a probe."""
    captioned = captions or [None] * len(memes)
    return runs.predictions(
        folder,
        memes,
        decisions,
        scores,
        evidence=[
            Evidence(meme_id=meme.id, caption=text) for meme, text in zip(memes, captioned, strict=True)
        ],
        rationales=rationales,
        gold=gold,
        detector=detector(),
    )
