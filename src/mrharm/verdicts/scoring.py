"""Score label strings under a student, and turn their log-probabilities into P(harmful)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import logsumexp

from mrharm.metrics.estimate import Floats
from mrharm.recipe import Answer
from mrharm.student.interface import Student, StudentInput
from mrharm.verdicts.calibration import Calibration


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


def write_labels(
    student: Student, inputs: Sequence[StudentInput], answers: Sequence[Answer], texts: Sequence[str]
) -> list[bool | None]:
    """Have the student write its labels; True is harmful, None is no label.

    ``texts``: the label text of each answer.
    """
    harmful = {text.casefold(): answer.harmful for text, answer in zip(texts, answers, strict=True)}
    longest = max(student.text_tokens(text) for text in harmful) + 4
    written = write_texts(student, inputs, longest)
    return [harmful.get(text.strip().casefold()) for text in written]


def harm_log_odds(scores: Floats, answers: Sequence[Answer], temperature: float = 1.0) -> Floats:
    """Compute the log-odds of harmful: log-probabilities summed over the harmful answers, less those over the others.

    ``temperature`` divides the log-probabilities first, as cards from before there was a slope ask; 1 leaves them
    unchanged.

    *Shape:* (inputs, answers) -> (inputs,)
    """
    harmful = np.array([answer.harmful for answer in answers])
    scaled = scores / temperature
    return np.asarray(logsumexp(scaled[:, harmful], axis=1) - logsumexp(scaled[:, ~harmful], axis=1))


def harm_probability(scores: Floats, answers: Sequence[Answer]) -> Floats:
    """Compute P(harmful), uncalibrated: the softmax over the answers, summed over the harmful ones.

    *Shape:* (inputs, answers) -> (inputs,)
    """
    return Calibration().probability(harm_log_odds(scores, answers))
