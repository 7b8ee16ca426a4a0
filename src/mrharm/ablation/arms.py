"""The arms of an ablation: what each changes, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mrharm.ablation.variants import UNCONDITIONED
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN
from mrharm.recipe import Part, Recipe
from mrharm.synthetic.truth import is_known
from mrharm.training.run import WhichStages

REFERENCE = "two-stage"


@dataclass(frozen=True)
class Arm:
    """One way to train the student.

    ``stages``: as `mrharm.training.run.train` takes them. ``rationales``: which kind stands in for the dataset's own.
    ``words``: of each rationale, at most. ``share``: of the training memes' rationales kept. ``settings``: recipe
    overrides. ``adds``: what the student reads besides. ``version``: goes up when the arm comes to mean another
    student, so that rows of what it meant before are not taken for its own.
    """

    name: str
    what: str
    stages: WhichStages = "both"
    rationales: str = "as_given"
    words: int | None = None
    share: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    adds: tuple[Part, ...] = ()
    version: int = 1


_BLIND = {"student.vision_tower": "none"}

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(REFERENCE, "the method: abductive rationales, then labels"),
        Arm("labels-only", "without reasoning distillation, as many steps", stages="label"),
        Arm("one-stage", "rationale and label joined in one target", stages="joint", version=3),
        Arm("no-picture", "without visual features", settings=_BLIND),
        # The paper's student without multimodal fusion is told of the picture by its caption alone.
        Arm("no-fusion", "the picture's caption in place of the picture", settings=_BLIND, adds=("caption",)),
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
    """``all``, or names with commas between them; always with the reference, which comes first.

    Raises:
        InputError: no such arm; the message lists those there are.
    """
    wanted = list(ARMS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in ARMS]:
        raise InputError(f"no arm called {', '.join(unknown)}; there are: {', '.join(ARMS)}")
    return [arm for name, arm in ARMS.items() if name in wanted or name == REFERENCE]


def arms_possible(arms: Sequence[Arm], dataset: Dataset, recipe: Recipe) -> tuple[list[Arm], dict[str, str]]:
    """The arms that say something of this dataset and recipe, and why the others do not: arm's name -> reason."""
    reasons = {arm.name: why for arm in arms if (why := _why_not(arm, dataset, recipe))}
    return [arm for arm in arms if arm.name not in reasons], reasons


def _why_not(arm: Arm, dataset: Dataset, recipe: Recipe) -> str | None:
    if arm.name == "late-fusion" and recipe.student.fusion != "every_block":
        return f"recipe {recipe.name} does not fuse after every block as it is"
    if "student.vision_tower" in arm.settings and recipe.student.vision_tower == "none":
        return f"recipe {recipe.name} sees no picture as it is"
    if arm.adds and not any(row.caption for row in dataset.evidence.values()):
        return f"no captions; `mrharm gather {dataset.root} --captions ...` makes them"
    if arm.rationales == "unconditioned" and not (
        (dataset.root / UNCONDITIONED).exists() or all(is_known(meme) for meme in dataset.split(TRAIN))
    ):
        return f"no {UNCONDITIONED}; `mrharm abduce {dataset.root} --teacher T --prompt unconditioned.v1` writes it"
    return None
