"""Recipes small enough to train in seconds, and a script that trains and may be killed at a chosen point."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

from mrharm.recipe import Recipe, make_recipe

_STAGE = {"learning_rate": 1e-3, "batch_size": 16, "checkpoint_every": 2}
TINY: dict[str, Any] = {
    "name": "test",
    "student": {"text_tower": "tiny", "vision_tower": "tiny", "train_vision": True, "vocabulary": 300},
    "picture": {"augment": "light"},
    "stages": {
        "rationale": {"epochs": 3, **_STAGE},
        "label": {"epochs": 2, "keep": "highest_accuracy", **_STAGE},
    },
    "precision": "fp32",
}


def tiny(**overrides: Any) -> Recipe:
    return make_recipe(
        copy.deepcopy(TINY), {key.replace("__", "."): value for key, value in overrides.items()}, where="test"
    )


def weights(run: Path) -> dict[str, str]:
    """File -> SHA-256 of a run's detector weights and its kept stage weights."""
    paths = [*sorted((run / "detector").glob("*.safetensors")), *sorted(run.glob("stage*/best.safetensors"))]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
