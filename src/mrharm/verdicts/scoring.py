"""Label strings -> probabilities: teacher-forced log-probabilities, normalised over what the student may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.recipe import Answer
from mrharm.student.interface import Student, StudentInput

Floats = NDArray[np.float64]


def alike_lengths(student: Student, inputs: Sequence[StudentInput], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of alike text length, longest first, so that a batch too big for the memory fails at once."""
    lengths = [student.text_tokens(one.text) for one in inputs]
    order = sorted(range(len(inputs)), key=lambda index: -lengths[index])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def score_answers(
    student: Student,
    inputs: Sequence[StudentInput],
    answers: Sequence[str],
    batch_size: int = 32,
    advance: Callable[[int], None] | None = None,
) -> Floats:
    """Summed token log-probabilities of every answer for every input. *Shape:* (inputs, answers)"""
    scores = np.zeros((len(inputs), len(answers)))
    for batch in alike_lengths(student, inputs, batch_size):
        scores[batch] = student.score([inputs[index] for index in batch], answers)
        if advance:
            advance(len(batch))
    return scores


def write_texts(
    student: Student,
    inputs: Sequence[StudentInput],
    max_new_tokens: int,
    batch_size: int = 32,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """What the student writes for every input, greedily."""
    texts = [""] * len(inputs)
    for batch in alike_lengths(student, inputs, batch_size):
        written = student.write([inputs[index] for index in batch], max_new_tokens)
        for index, text in zip(batch, written, strict=True):
            texts[index] = text
        if advance:
            advance(len(batch))
    return texts


def harm_probability(scores: Floats, answers: Sequence[Answer], temperature: float = 1.0) -> Floats:
    """P(harmful): the softmax over the answers' log-probabilities, summed over the harmful ones.

    Args:
        scores: summed log-probabilities. *Shape:* (inputs, answers)
        answers: what each column says.
        temperature: divides the log-probabilities (Guo et al., ICML 2017); 1 leaves them as the student gave them.

    Returns:
        *Shape:* (inputs,)
    """
    scaled = scores / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    weights = np.exp(scaled)
    harmful = np.array([answer.harmful for answer in answers])
    result: Floats = weights[:, harmful].sum(1) / weights.sum(1)
    return result


def argmax_harmful(scores: Floats, answers: Sequence[Answer]) -> list[bool]:
    """What the likeliest single answer says: what greedy decoding would say where it says a label at all."""
    return [answers[index].harmful for index in scores.argmax(1)]
