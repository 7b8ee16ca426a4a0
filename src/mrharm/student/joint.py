"""The student of one stage: one target, a rationale and then the label, which follows the rationale it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mrharm.errors import InputError
from mrharm.records import Saliency
from mrharm.student.interface import Attribution, Frame, Pixels, StudentInput
from mrharm.student.two_stage import Prefixes, TwoStageStudent


def joint_target(rationale: Sequence[int], label: Sequence[int]) -> tuple[int, ...]:
    """Join both targets' token ids, end tokens included, into one target; without a rationale the label alone."""
    return (*rationale[:-1], *label)


@dataclass(frozen=True)
class JointTarget:
    """How a rationale and a label make one target.

    Fields:
        rationale_template: what a rationale stands in, ``Output: {rationale}``.
        label_template: what a label stands in, ``The answer is: {label}``; its first words end a rationale.
        tokens: limit of a rationale, end token included.
    """

    rationale_template: str
    label_template: str
    tokens: int


class JointStudent:
    """Writes its rationale, greedily, and answers after it: a label's score is its log-probability given the meme and
    that rationale (the paper's ablation "without two-stage training", which joins both in one target).

    Args:
        student: the model, its processor and device; every call is passed on to it.
        target: how a rationale and a label make one target.
        part: which part of the generated text `write` returns.

    Raises:
        InputError: the label's template does not begin with words.
    """

    reads_rationale = True

    def __init__(
        self, student: TwoStageStudent, target: JointTarget, part: Literal["rationale", "label"] = "label"
    ) -> None:
        self._student = student
        self._target = target
        self._part = part
        self.model = student.model
        self.processor = student.processor
        opening = target.label_template.partition("{label}")[0].strip()
        if not opening:
            raise InputError(
                f"templates.label {target.label_template!r} does not begin with words, by which a student of one stage "
                "could tell where its rationale ends; expected a template such as 'The answer is: {label}'"
            )
        self._opening = self.processor.tokenize_target(opening)[:-1]

    @property
    def takes_picture(self) -> bool:
        """Whether a picture changes the student's answers."""
        return self._student.takes_picture

    @property
    def frame(self) -> Frame | None:
        """The square its patches divide; None where it takes no picture."""
        return self._student.frame

    def fit(self, image: Image.Image) -> Pixels:
        """Fit an RGB picture to the square. *Shape:* (side, side, 3)"""
        return self._student.fit(image)

    def text_tokens(self, text: str) -> int:
        """Count the tokens of a text, end token included."""
        return self._student.text_tokens(text)

    def cuts(self, text: str) -> bool:
        """Whether a text has more tokens than the processor's limit."""
        return self._student.cuts(text)

    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """Return the fusion's attention, as `TwoStageStudent.attend` does."""
        return self._student.attend(inputs)

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Teacher-force every answer after the rationale of each input. *Shape:* (batch, answers)"""
        return self._student.score(inputs, answers, self._rationale_ids(inputs))

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        """Integrated gradients of the decision, with the meme's rationale all along the path."""
        return self._student.attribute(inputs, answers, harmful, self._rationale_ids(inputs))

    @torch.inference_mode()
    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """Generate the rationale, or the label after it: an empty text where it came to no label."""
        more = len(self._opening) + (max_new_tokens if self._part == "label" else 0)
        rows = self._generate_ids(inputs, self._target.tokens + more)
        ends = [self._find_end(ids) for ids in rows]
        if self._part == "rationale":
            return self.processor.decode([ids[:end] for ids, end in zip(rows, ends, strict=True)])
        return self.processor.decode([ids[end:] for ids, end in zip(rows, ends, strict=True)])

    def _rationale_ids(self, inputs: Sequence[StudentInput]) -> Prefixes:
        """Return the token ids of each input's rationale: the one it carries, else the one the model writes."""
        carried = [shown.rationale for shown in inputs]
        # The opening's length more, so that a label begun at the limit is recognised.
        limit = self._target.tokens + len(self._opening)
        written = self._generate_ids(inputs, limit) if None in carried else [[]] * len(inputs)
        return [
            ids[: self._find_end(ids)] if rationale is None else self._tokenize_rationale(rationale)
            for rationale, ids in zip(carried, written, strict=True)
        ]

    def _tokenize_rationale(self, rationale: str) -> list[int]:
        text = self._target.rationale_template.format(rationale=rationale)
        return self.processor.tokenize_target(text, self._target.tokens)[:-1]

    def _generate_ids(self, inputs: Sequence[StudentInput], limit: int) -> list[list[int]]:
        """Generate token ids greedily, without start, end and padding tokens."""
        special = {self.processor.tokenizer.eos_token_id, self.processor.tokenizer.pad_token_id}
        rows = self._student.generate(inputs, limit).tolist()
        return [_without(row[1:], special) for row in rows]

    def _find_end(self, ids: Sequence[int]) -> int:
        """Return where the rationale ends: before the label's first words, or at its limit, end token left out."""
        width, limit = len(self._opening), min(len(ids), self._target.tokens - 1)
        places = (place for place in range(limit + 1) if list(ids[place : place + width]) == self._opening)
        return next(places, limit)


def _without(ids: Sequence[int], special: set[int]) -> list[int]:
    return [token_id for token_id in ids if token_id not in special]
