"""Score label strings under a student, and turn their log-probabilities into P(harmful)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.recipe import Answer
from mrharm.student.interface import Student, StudentInput

Floats = NDArray[np.float64]


def batch_by_length(student: Student, inputs: Sequence[StudentInput], batch_size: int) -> Iterator[list[int]]:
    """Yield batches of indices of similar text lengths, longest first, so that too large a batch fails at once."""
    lengths = [student.text_tokens(shown.text) for shown in inputs]
    order = sorted(range(len(inputs)), key=lambda index: -lengths[index])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def score_answers(
    student: Student, inputs: Sequence[StudentInput], answers: Sequence[str], batch_size: int = 32
) -> Floats:
    """Sum the token log-probabilities of every answer for every input. *Shape:* (inputs, answers)"""
    scores = np.zeros((len(inputs), len(answers)))
    for batch in batch_by_length(student, inputs, batch_size):
        scores[batch] = student.score([inputs[index] for index in batch], answers)
    return scores


def write_texts(
    student: Student, inputs: Sequence[StudentInput], max_new_tokens: int, batch_size: int = 32
) -> list[str]:
    """Generate a text for every input, greedily."""
    texts = [""] * len(inputs)
    for batch in batch_by_length(student, inputs, batch_size):
        written = student.write([inputs[index] for index in batch], max_new_tokens)
        for index, text in zip(batch, written, strict=True):
            texts[index] = text
    return texts


def harm_probability(scores: Floats, answers: Sequence[Answer], temperature: float = 1.0) -> Floats:
    """Compute P(harmful): the softmax over the answers' log-probabilities, summed over the harmful ones.

    ``temperature`` divides the log-probabilities (Guo et al., ICML 2017); 1 leaves them unchanged.

    *Shape:* (inputs, answers) -> (inputs,)
    """
    scaled = scores / temperature
    weights = np.exp(scaled - scaled.max(1, keepdims=True))
    harmful = np.array([answer.harmful for answer in answers])
    result: Floats = weights[:, harmful].sum(1) / weights.sum(1)
    return result
