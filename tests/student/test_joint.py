from __future__ import annotations

import numpy as np
import pytest
import torch

from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import StudentInput
from mrharm.student.joint import JointStudent, JointTarget, joint_target
from tests.student.conftest import ANSWERS, INPUTS, tiny_student

OUTPUT, ANSWER = "Output: {rationale}", "The answer is: {label}"
WRITTEN = "Output: you smell"


def make(part: str = "label", tokens: int = 8) -> JointStudent:
    return JointStudent(*tiny_student(), JointTarget(OUTPUT, ANSWER, tokens), part)


@pytest.fixture(scope="module")
def student() -> JointStudent:
    return make()


def carrying(shown: StudentInput, rationale: str) -> StudentInput:
    return StudentInput(shown.text, shown.pixels, rationale=rationale)


def test_one_target_holds_the_rationale_and_then_the_label_with_one_end():
    assert joint_target((5, 6, 1), (7, 8, 1)) == (5, 6, 7, 8, 1)
    assert joint_target((), (7, 8, 1)) == (7, 8, 1)


def test_a_score_is_the_log_probability_of_the_label_after_the_rationale(student):
    scores = student.score([carrying(INPUTS[0], "you smell")], ANSWERS)
    tokenize = student.processor.tokenize_target
    for column, answer in enumerate(ANSWERS):
        target = joint_target(tokenize(WRITTEN), tokenize(answer))
        labels = torch.tensor([target])
        labels[0, : len(tokenize(WRITTEN)) - 1] = -100  # what was written before is not scored
        shifted = student.model._shift_right(torch.tensor([target]))
        with torch.no_grad():
            loss = student.model(
                **student.processor(INPUTS[:1]), decoder_input_ids=shifted, labels=labels
            ).loss
        assert scores[0, column] == pytest.approx(-float(loss) * int((labels >= 0).sum()), rel=1e-5)


def test_without_a_given_rationale_the_score_follows_the_one_it_writes(student, monkeypatch):
    inputs = INPUTS[:3]
    unconditioned = student.score(inputs, ANSWERS)
    written = [student.processor.tokenize_target(text)[:-1] for text in ("Output: a", "Output: you", "")]
    monkeypatch.setattr(student, "_generate_ids", lambda inputs, limit: written)
    conditioned = student.score(inputs, ANSWERS)
    assert not np.allclose(unconditioned, conditioned)
    for row, text in enumerate(["a", "you"]):
        np.testing.assert_allclose(
            conditioned[row], student.score([carrying(INPUTS[row], text)], ANSWERS)[0], rtol=1e-4
        )
    plain = FusedT5Student(student.model, student.processor).score(inputs[2:], ANSWERS)
    np.testing.assert_allclose(conditioned[2:], plain, rtol=1e-4)  # nothing written: the label alone


def test_what_is_written_is_parted_where_the_label_begins(monkeypatch):
    parts = {  # text -> rationale, label
        "Output: you smell The answer is: harmful": ("output: you smell", "the answer is: harmful"),
        "The answer is: harmless": ("", "the answer is: harmless"),
        "Output: a rose": ("output: a rose", ""),
        "Output: you The answer is: a The answer is: b": ("output: you", "the answer is: a the answer is: b"),
    }
    for part, expected in zip(("rationale", "label"), zip(*parts.values(), strict=True), strict=True):
        student = make(part=part)
        rows = [student.processor.tokenize_target(text)[:-1] for text in parts]
        monkeypatch.setattr(student, "_generate_ids", lambda inputs, limit, rows=rows: rows)
        assert [text.lower() for text in student.write(INPUTS, 9)] == list(expected)


def test_what_it_writes_is_what_it_generates_without_start_end_and_padding(student):
    arguments = student.processor(INPUTS)
    ids = student.model.generate(**arguments, max_new_tokens=6, do_sample=False, num_beams=1)
    rows = student._generate_ids(INPUTS, 6)
    for row, (start, *line) in zip(rows, ids.tolist(), strict=True):
        content = line[: line.index(1)] if 1 in line else line
        assert start == 0 and row == [token_id for token_id in content if token_id != 0]


def test_the_gradient_is_taken_with_the_whole_memes_rationale_all_along_the_path(student):
    inputs = [carrying(INPUTS[0], "you smell"), carrying(INPUTS[2], "you")]
    scores = student.score(inputs, ANSWERS)
    for row, part in enumerate(student.attribute(inputs, ANSWERS, [True, False])):
        assert part.odds == pytest.approx(scores[row, 0] - scores[row, 1], abs=1e-4)


def test_a_rationale_that_reaches_its_limit_is_cut_before_the_label_and_not_within_its_first_words(
    monkeypatch,
):
    tokenize = tiny_student()[1].tokenize_target
    rationale, label = tokenize("Output: you smell wonderful")[:-1], tokenize("The answer is: harmful")
    for tokens in (len(rationale) + 1, len(rationale) - 1, 3):
        student = make("rationale", tokens)
        monkeypatch.setattr(
            student, "_generate_ids", lambda inputs, limit: [[*rationale, *label[:-1]][:limit]]
        )
        (prefix,) = student.prefixes(INPUTS[:1])
        assert list(prefix) == rationale[: tokens - 1]
        assert student.write(INPUTS[:1], tokens) == student.processor.decode([prefix])
