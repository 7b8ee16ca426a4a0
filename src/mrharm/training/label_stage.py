"""Stage 2, harmfulness inference: the label the student answers, and how it is validated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrharm.recipe import Recipe
from mrharm.records import Label
from mrharm.student.interface import Student, StudentInput
from mrharm.verdicts.calibration import negative_log_likelihood
from mrharm.verdicts.scoring import harm_probability, score_answers, write_texts


def label_target(recipe: Recipe, label: Label) -> str:
    """Return the text the student should answer about a meme."""
    return recipe.templates.label.format(label=recipe.answer_for(label).word)


def validate_labels(
    student: Student, inputs: Sequence[StudentInput], gold: Sequence[bool], recipe: Recipe, batch_size: int
) -> dict[str, float]:
    """Compute the decision's accuracy on the validation split, and the mean negative log-likelihood of gold labels."""
    answers = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers]
    scores = score_answers(student, inputs, answers, batch_size)
    probability = harm_probability(scores, recipe.answers)
    accuracy = float(((probability >= 0.5) == np.array(gold)).mean())
    return {"accuracy": accuracy, "loss": negative_log_likelihood(probability, gold)}


def match_written_labels(
    student: Student, inputs: Sequence[StudentInput], targets: Sequence[str], recipe: Recipe, batch_size: int
) -> float:
    """Compute the share of the validation split whose label, written greedily, equals the target's to the letter."""
    opening = recipe.templates.label.partition("{label}")[0].strip()

    def label_of(text: str) -> str:
        # After the last opening words, as the official code compares: also of a target with a rationale before it.
        return (text.rpartition(opening)[2] if opening else text).strip()

    longest = max(
        student.text_tokens(recipe.templates.label.format(label=answer.word)) for answer in recipe.answers
    )
    written = write_texts(student, inputs, longest + 4, batch_size)
    matches = [label_of(text) == label_of(target) for text, target in zip(written, targets, strict=True)]
    return sum(matches) / len(matches)
