"""Which student answers and which explains: a Detector's models -> seats, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from mrharm.errors import InputError
from mrharm.student.joint import JointStudent
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.two_stage import FusedStudent, Student
from mrharm.verdicts.card import DetectorCard

JOINT = "joint"  # the model of a detector trained in one stage, which explains and answers


def take_seats(
    card: DetectorCard,
    models: Mapping[str, MrHarmForConditionalGeneration],
    processor: MrHarmProcessor,
    device: str | torch.device,
    dtype: torch.dtype,
) -> tuple[Student, Student | None]:
    """Models by name (``label`` and perhaps ``rationale``, or ``joint`` alone) -> who answers, and who explains."""

    def joint(part: Literal["rationale", "label"]) -> JointStudent:
        return JointStudent(
            models[JOINT],
            processor,
            device,
            dtype,
            rationale_template=card.rationale_template,
            label_template=card.label_template,
            tokens=card.rationale_tokens,
            part=part,
        )

    if JOINT in models:
        return joint("label"), joint("rationale")
    seats = {name: FusedStudent(model, processor, device, dtype) for name, model in models.items()}
    return seats["label"], seats.get("rationale")


def models_in(
    label: Student, rationale: Student | None
) -> tuple[dict[str, MrHarmForConditionalGeneration], MrHarmProcessor]:
    """What `take_seats` was given.

    Raises:
        InputError: a student of another kind, which has files of its own.
    """
    if not isinstance(label, FusedStudent):
        raise InputError(f"{type(label).__name__}: only fused students are saved here")
    if isinstance(label, JointStudent):
        return {JOINT: label.model}, label.processor
    more = {"rationale": rationale.model} if isinstance(rationale, FusedStudent) else {}
    return {"label": label.model, **more}, label.processor
