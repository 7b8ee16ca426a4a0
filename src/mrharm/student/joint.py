"""The student of one stage: one target, a rationale and then the label, which follows the rationale it wrote."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mrharm.student.fused_t5 import FusedT5Student, Prefixes
from mrharm.student.interface import StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor


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


class JointStudent(FusedT5Student):
    """Writes its rationale, greedily, and answers after it: a label's score is its log-probability given the meme and
    that rationale (the paper's ablation "without two-stage training", which joins both in one target).

    ``part``: which part of the generated text `write` returns; other arguments as of a `FusedT5Student`.
    """

    reads_rationale = True

    def __init__(
        self,
        model: MrHarmForConditionalGeneration,
        processor: MrHarmProcessor,
        target: JointTarget,
        part: Literal["rationale", "label"] = "label",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(model, processor, device, dtype)
        self._target = target
        self._part = part
        opening = target.label_template.partition("{label}")[0].strip()
        self._opening = self.processor.tokenize_target(opening)[:-1]

    @torch.inference_mode()
    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """Generate the rationale, or the label after it: an empty text where it came to no label."""
        more = len(self._opening) + (max_new_tokens if self._part == "label" else 0)
        rows = [(ids, self._find_end(ids)) for ids in self._generate_ids(inputs, self._target.tokens + more)]
        return self.processor.decode(
            [ids[:end] if self._part == "rationale" else ids[end:] for ids, end in rows]
        )

    def prefixes(self, inputs: Sequence[StudentInput]) -> Prefixes:
        """Return the token ids of each input's rationale: the one it carries, else the one the model writes."""
        template = self._target.rationale_template
        carried = [shown.rationale for shown in inputs]
        # The opening's length more, so that a label begun at the limit is recognised.
        limit = self._target.tokens + len(self._opening)
        written = self._generate_ids(inputs, limit) if None in carried else [[]] * len(inputs)
        return [
            ids[: self._find_end(ids)]
            if rationale is None
            else self.processor.tokenize_target(template.format(rationale=rationale), self._target.tokens)[
                :-1
            ]
            for rationale, ids in zip(carried, written, strict=True)
        ]

    def _generate_ids(self, inputs: Sequence[StudentInput], limit: int) -> list[list[int]]:
        """Generate token ids greedily, without start, end and padding tokens."""
        special = {self.processor.tokenizer.eos_token_id, self.processor.tokenizer.pad_token_id}
        rows = self.generate(inputs, limit)[:, 1:].tolist()
        return [list(itertools.filterfalse(special.__contains__, row)) for row in rows]

    def _find_end(self, ids: Sequence[int]) -> int:
        """Return where the rationale ends: before the label's first words, or at its limit, end token left out."""
        width, limit = len(self._opening), min(len(ids), self._target.tokens - 1)
        places = (place for place in range(limit + 1) if list(ids[place : place + width]) == self._opening)
        return next(places, limit)
