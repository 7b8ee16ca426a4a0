"""Build the students of a detector from its models, and return the models of its students."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mrharm.errors import InputError
from mrharm.student.interface import Student
from mrharm.student.joint import JointStudent, JointTarget
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.two_stage import TwoStageStudent
from mrharm.verdicts.card import DetectorCard

JOINT = "joint"  # the model of a detector trained in one stage, which explains and answers


def build_students(
    card: DetectorCard,
    models: Mapping[str, MrHarmForConditionalGeneration],
    processor: MrHarmProcessor,
    device: str | torch.device,
    dtype: torch.dtype,
) -> tuple[Student, Student | None]:
    """Build the student that gives labels, and the one that writes rationales where there is one.

    ``models``: ``label`` and perhaps ``rationale``, or ``joint`` alone.
    """
    if JOINT in models:
        target = JointTarget(card.rationale_template, card.label_template, card.rationale_tokens)
        label, rationale = (
            JointStudent(models[JOINT], processor, target, part, device, dtype)
            for part in ("label", "rationale")
        )
        return label, rationale
    students = {name: TwoStageStudent(model, processor, device, dtype) for name, model in models.items()}
    return students["label"], students.get("rationale")


def models_of(
    label: Student, rationale: Student | None
) -> tuple[dict[str, MrHarmForConditionalGeneration], MrHarmProcessor]:
    """Return the models and the processor that `build_students` was called with.

    Raises:
        InputError: a student of another kind, whose files mrharm does not know.
    """
    if isinstance(label, JointStudent):
        return {JOINT: label.model}, label.processor
    if not isinstance(label, TwoStageStudent):
        raise InputError(
            f"{type(label).__name__}: expected a student of mrharm; save another kind by its own means"
        )
    models = {"label": label.model}
    if isinstance(rationale, TwoStageStudent):
        models["rationale"] = rationale.model
    return models, label.processor
