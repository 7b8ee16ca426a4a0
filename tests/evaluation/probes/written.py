"""Verdicts with rationales made up for a test, around a real dataset folder and a random tiny detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch

from mrharm.evaluation.judged import Judged
from mrharm.recipe import ANSWERS, PictureRecipe, StudentRecipe
from mrharm.records import Evidence, Meme, Rationale, Verdict
from mrharm.student.backbones import build_student
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import Detector
from tests.evaluation.audit.helpers import write_dataset


@cache
def detector() -> Detector:
    """Reads a text and a picture; random."""
    torch.manual_seed(0)
    recipe = StudentRecipe.model_validate({"text_tower": "tiny", "vision_tower": "tiny", "vocabulary": 300})
    texts = ["you smell wonderful", "The answer is: harmful", "The answer is: harmless", "Output: a rose"] * 3
    model, processor = build_student(recipe, PictureRecipe(), texts)
    card = DetectorCard(
        recipe="test",
        reads=("text",),
        picture_shown="original",
        answers=ANSWERS["harmful"],
        label_template="The answer is: {label}",
        rationale_template="Output: {rationale}",
        rationale_tokens=8,
        decoding="scores",
        students=("label", "rationale"),
        seed=0,
    )
    return Detector.from_models(card, {"label": model, "rationale": model}, processor)


def judged(
    folder: Path,
    memes: Sequence[Meme],
    said: Sequence[bool | None],
    rationales: Sequence[str | None],
    *,
    scores: Sequence[float] | None = None,
    captions: Sequence[str] | None = None,
    gold: Iterable[Rationale] = (),
) -> Judged:
    """What a detector that decides and writes so would hand to a probe."""
    dataset = write_dataset(folder, memes, rationales=gold)
    verdicts = [
        Verdict(
            meme_id=meme.id,
            harmful=decision,
            score=scores[place] if scores else 0.9 if decision else 0.1,
            threshold=0.5,
            decision="flag" if decision else "allow",
            rationale=text,
            evidence=Evidence(meme_id=meme.id, caption=captions[place] if captions else None),
            detector="test",
            recipe="test",
            created_at="2025-01-01T00:00:00+00:00",
        )
        for place, (meme, decision, text) in enumerate(zip(memes, said, rationales, strict=True))
    ]
    return Judged(detector(), dataset, "test", tuple(memes), tuple(verdicts))
