"""A tiny student with a picture, random but seeded; and the path of the reference student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mrharm.recipe import PictureRecipe, StudentRecipe
from mrharm.student.backbones import build_student
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor

TEXTS = [
    "you smell wonderful",
    "The answer is: harmful",
    "The answer is: harmless",
    "Output: a rose, sweet",
] * 3
ANSWERS = ["The answer is: harmful", "The answer is: harmless"]
# A tiny student of random weights in the official layout, with inputs and expected outputs: see the README beside it.
REFERENCE = Path(__file__).parent / "reference" / "tiny"


def tiny_recipe(**changes: object) -> StudentRecipe:
    return StudentRecipe.model_validate(
        {"text_tower": "tiny", "vision_tower": "tiny", "train_vision": True, "vocabulary": 300, **changes}
    )


def tiny_student(**changes: object) -> tuple[MrHarmForConditionalGeneration, MrHarmProcessor]:
    torch.manual_seed(0)
    model, processor = build_student(tiny_recipe(**changes), PictureRecipe(), TEXTS)
    return model.eval(), processor


def pixels(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


INPUTS = [
    StudentInput("you smell", pixels(0)),
    StudentInput("you smell wonderful, like a rose", pixels(1)),
    StudentInput("you smell wonderful"),
    StudentInput("", pixels(2)),
]


@pytest.fixture(scope="session")
def student() -> FusedT5Student:
    return FusedT5Student(*tiny_student())
