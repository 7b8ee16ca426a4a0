"""Arms of an ablation as data: each says what it changes in the method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN
from mrharm.recipe import Part, Recipe, WhichStages
from mrharm.synthetic.truth import has_truth

REFERENCE = "two-stage"
UNCONDITIONED = "rationales.unconditioned.v1.jsonl"  # rationales of a teacher that was not told the label


@dataclass(frozen=True)
class Arm:
    """A way to train the student that differs from the method in one thing, which ``what`` tells people.

    Attributes:
        rationales: what takes the place of the dataset's rationales: ``unconditioned``, or a row of
            `mrharm.ablation.variants.REPLACEMENTS`.
        words: the most words of each rationale; None for all.
        share: share of the training memes' rationales that teach.
        settings: recipe overrides.
        adds: parts the student reads beside those of the recipe.
        version: raised when the arm comes to mean another student, so that rows of the older meaning are passed over.
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


_NO_PICTURE = {"student.vision_tower": "none"}

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(REFERENCE, "the method: abductive rationales, then labels"),
        Arm("labels-only", "without reasoning distillation, as many steps", stages="label"),
        Arm("one-stage", "rationale and label joined in one target", stages="joint", version=3),
        Arm("no-picture", "without visual features", settings=_NO_PICTURE),
        # The paper's student without multimodal fusion is told of the picture by its caption alone.
        Arm(
            "no-fusion",
            "the picture's caption in place of the picture",
            settings=_NO_PICTURE,
            adds=("caption",),
        ),
        # Without its cross-attention a T5 encoder has no other way to a picture; one fusion, after the last block, is
        # the least of it: the text is read blind and meets the picture at the end.
        Arm("late-fusion", "the picture fused once, after the encoder", settings={"student.fusion": "last"}),
        Arm("shuffled", "rationales of other memes of the same label", rationales="shuffled"),
        Arm("label-only", "a sentence that says the label, as the rationale", rationales="label_only"),
        Arm("unconditioned", "rationales by a teacher not told the label", rationales="unconditioned"),
        Arm("leaking", "rationales that state their label at the end", rationales="leaking"),
        Arm("words-8", "the first 8 words of each rationale", words=8),
        Arm("words-16", "the first 16 words of each rationale", words=16),
        Arm("kept-25", "a quarter of the rationales", share=0.25),
        Arm("kept-50", "half of the rationales", share=0.5),
    )
}


def select_arms(names: str) -> list[Arm]:
    """Return the arms of ``all`` or of names with commas between; always with the reference, which comes first.

    Raises:
        InputError: no such arm; the message lists the arms.
    """
    selected = list(ARMS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in selected if name not in ARMS]:
        raise InputError(f"no arm called {', '.join(unknown)}; the arms are: {', '.join(ARMS)}")
    return [arm for name, arm in ARMS.items() if name in selected or name == REFERENCE]


def split_possible(arms: Sequence[Arm], dataset: Dataset, recipe: Recipe) -> tuple[list[Arm], dict[str, str]]:
    """Separate the arms that can differ on this dataset and recipe from the rest, arm's name -> why it cannot."""
    reasons = {arm.name: reason for arm in arms if (reason := _why_impossible(arm, dataset, recipe))}
    return [arm for arm in arms if arm.name not in reasons], reasons


def _why_impossible(arm: Arm, dataset: Dataset, recipe: Recipe) -> str | None:
    if arm.name == "late-fusion" and recipe.student.fusion != "every_block":
        return f"recipe {recipe.name} does not fuse after every block as it is"
    if "student.vision_tower" in arm.settings and recipe.student.vision_tower == "none":
        return f"recipe {recipe.name} sees no picture as it is"
    if arm.adds and not any(row.caption for row in dataset.evidence.values()):
        return f"no captions; `mrharm gather {dataset.root} --captions ...` makes them"
    if arm.rationales == "unconditioned" and not (
        (dataset.root / UNCONDITIONED).exists() or all(has_truth(meme) for meme in dataset.split(TRAIN))
    ):
        return f"no {UNCONDITIONED}; `mrharm abduce {dataset.root} --teacher T --prompt unconditioned.v1` writes it"
    return None
