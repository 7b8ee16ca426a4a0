"""The arms of an ablation: what each changes, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrharm.errors import InputError
from mrharm.training.run import WhichStages

REFERENCE = "two-stage"


@dataclass(frozen=True)
class Arm:
    """One way to train the student.

    ``stages``: as `mrharm.training.run.train` takes them. ``rationales``: which kind stands in for the dataset's own.
    ``words``: of each rationale, at most. ``share``: of the training memes' rationales kept. ``settings``: recipe
    overrides.
    """

    name: str
    what: str
    stages: WhichStages = "both"
    rationales: str = "as_given"
    words: int | None = None
    share: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(REFERENCE, "the method: abductive rationales, then labels"),
        Arm("labels-only", "without reasoning distillation, as many steps", stages="label"),
        Arm("one-stage", "rationales and labels learned at once", stages="joint"),
        Arm("no-picture", "without visual features", settings={"student.vision_tower": "none"}),
        # Without its cross-attention a T5 encoder has no other way to a picture; one fusion, after the last block, is
        # the least of it: the text is read blind and meets the picture at the end.
        Arm("late-fusion", "the picture fused once, after the encoder", settings={"student.fusion": "last"}),
        Arm("shuffled", "rationales of other memes of the same label", rationales="shuffled"),
        Arm("label-only", "a sentence that says the label, as the rationale", rationales="label_only"),
        Arm(
            "unconditioned", "rationales by a teacher who was not told the label", rationales="unconditioned"
        ),
        Arm("leaking", "rationales that state their label at the end", rationales="leaking"),
        Arm("words-8", "the first 8 words of each rationale", words=8),
        Arm("words-16", "the first 16 words of each rationale", words=16),
        Arm("kept-25", "a quarter of the rationales", share=0.25),
        Arm("kept-50", "half of the rationales", share=0.5),
    )
}


def arms_named(names: str) -> list[Arm]:
    """``all``, or names with commas between them, the reference first.

    Raises:
        InputError: no such arm; the message lists those there are.
    """
    wanted = list(ARMS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in ARMS]:
        raise InputError(f"no arm called {', '.join(unknown)}; there are: {', '.join(ARMS)}")
    return [ARMS[name] for name in ARMS if name in wanted]
