"""The student of one stage: one target, a rationale and then the label, which follows what was written before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mrharm.errors import InputError
from mrharm.student.inputs import StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.two_stage import FusedStudent


def joint_target(rationale: Sequence[int], label: Sequence[int]) -> tuple[int, ...]:
    """Both targets' token ids, end tokens included -> one target's; without a rationale the label alone."""
    return (*rationale[:-1], *label)


class JointStudent(FusedStudent):
    """Writes its rationale, greedily, and answers after it: a label's score is its log-probability given the meme and
    that rationale (the paper's ablation "without two-stage training", which joins both in one target).

    Args:
        model, processor, device, dtype: as `FusedStudent`.
        rationale_template: what a rationale stands in, ``Output: {rationale}``.
        label_template: what a label stands in, ``The answer is: {label}``; by its first words the end of a rationale
            is known.
        tokens: of a rationale, at most.
        part: which part of what it writes `write` gives.

    Raises:
        InputError: the label's template does not begin with words.
    """

    reads_rationale = True

    def __init__(
        self,
        model: MrHarmForConditionalGeneration,
        processor: MrHarmProcessor,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        rationale_template: str,
        label_template: str,
        tokens: int,
        part: Literal["rationale", "label"] = "label",
    ) -> None:
        super().__init__(model, processor, device, dtype)
        self._template = rationale_template
        self._tokens = tokens
        self._part = part
        opening = label_template.partition("{label}")[0].strip()
        if not opening:
            raise InputError(
                f"templates.label {label_template!r} does not begin with words, by which a student of one stage could "
                "tell where its rationale ends; expected one such as 'The answer is: {label}'"
            )
        self._opening = processor.tokenize_target(opening)[:-1]

    @torch.inference_mode()
    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """The rationale, or the label it writes after it; an empty text where it never came to one."""
        more = len(self._opening) + (max_new_tokens if self._part == "label" else 0)
        written = self._write(self._arguments(inputs), self._tokens + more)
        ends = [self._end(ids) for ids in written]
        if self._part == "rationale":
            return self.processor.decode([ids[:end] for ids, end in zip(written, ends, strict=True)])
        return self.processor.decode([ids[end:] for ids, end in zip(written, ends, strict=True)])

    def _before_label(
        self, inputs: Sequence[StudentInput], arguments: dict[str, Tensor]
    ) -> list[Sequence[int]]:
        given = [one.rationale for one in inputs]
        # So many more that a label begun at the limit is seen for what it is.
        most = self._tokens + len(self._opening)
        own = self._write(arguments, most) if None in given else [[]] * len(inputs)
        return [
            ids[: self._end(ids)]
            if text is None
            else self.processor.tokenize_target(self._template.format(rationale=text), self._tokens)[:-1]
            for text, ids in zip(given, own, strict=True)
        ]

    def _write(self, arguments: dict[str, Tensor], most: int) -> list[list[int]]:
        """What it writes, greedily, without start, end and padding."""
        ids = self.model.generate(**arguments, max_new_tokens=most, do_sample=False, num_beams=1)
        special = {self.processor.tokenizer.eos_token_id, self.processor.tokenizer.pad_token_id}
        return [[one for one in row[1:] if one not in special] for row in ids.tolist()]

    def _end(self, ids: Sequence[int]) -> int:
        """Where the rationale ends: before the label's first words, or at its limit, end token left out."""
        width, most = len(self._opening), min(len(ids), self._tokens - 1)
        places = (place for place in range(most + 1) if list(ids[place : place + width]) == self._opening)
        return next(places, most)
