from __future__ import annotations

import numpy as np
import pytest
import torch

from mrharm.student.attribution import PIECES, blank, integrated_gradients, log_odds
from mrharm.student.config import MrHarmConfig
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import Attribution, Frame, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor, PictureSettings
from tests.student.conftest import ANSWERS, INPUTS, pixels, tiny_student

HARMFUL = [True, False]


def check_complete(part: Attribution) -> None:
    total = sum(weight for _, weight in part.words) + float(part.patches.sum()) + part.rest
    assert total == pytest.approx(part.odds - part.blank_odds, abs=0.05)


def test_integrated_gradients_of_a_product_and_a_square_are_those_worked_out_by_hand():
    # Along a * (2, 3, 4): dF/dx = (3a, 2a, 8a), integrals (3/2, 1, 4), times (2, 3, 4).
    def function(rows, x):
        return x[:, 0] * x[:, 1] + x[:, 2] ** 2

    x = torch.tensor([[2.0, 3.0, 4.0], [1.0, 1.0, 1.0]])
    (gradients,) = integrated_gradients(function, [x], [torch.zeros(2, 3)])
    torch.testing.assert_close(gradients, torch.tensor([[3.0, 3.0, 16.0], [0.5, 0.5, 1.0]]))
    # From (0, 1) to (2, 3): dF/dx = (1 + 2a, 2a), integrals (2, 1), times (2, 2).
    (moved,) = integrated_gradients(
        function, [torch.tensor([[2.0, 3.0, 0.0]])], [torch.tensor([[0.0, 1.0, 0.0]])]
    )
    torch.testing.assert_close(moved, torch.tensor([[4.0, 2.0, 0.0]]))
    # Two inputs along one path: x * y from (0, 0) to (2, 5).
    pair = [torch.tensor([[2.0]]), torch.tensor([[[5.0]]])]
    parts = integrated_gradients(
        lambda rows, x, y: x[:, 0] * y[:, 0, 0], pair, [torch.zeros_like(tensor) for tensor in pair]
    )
    assert [tensor.item() for tensor in parts] == pytest.approx([5.0, 5.0])


def test_a_change_of_mind_in_a_thousandth_of_the_path_is_found():
    def function(rows, x):
        return 8 * torch.sigmoid(5000 * (x[:, 0] - 0.371)) + x[:, 1]

    x, start = torch.ones(3, 2), torch.zeros(3, 2)
    (gradients,) = integrated_gradients(function, [x], [start])
    torch.testing.assert_close(gradients, torch.tensor([[8.0, 1.0]] * 3), atol=0.1, rtol=0)
    (missed,) = integrated_gradients(function, [x], [start], halvings=0)
    assert (missed[:, 0] - 8).abs().min() > 1


def test_noise_that_no_cut_mends_ends_the_cutting():
    asked = []

    def function(rows, x):
        asked.append(len(rows))
        return x[:, 0] + torch.randn(len(rows))

    torch.manual_seed(0)
    integrated_gradients(function, [torch.ones(10, 1)], [torch.zeros(10, 1)])
    assert max(asked) <= PIECES * 10 and len(asked) <= 4 * 10


def test_the_parts_add_up_to_the_log_odds_that_the_students_scores_give(student):
    scores = student.score(INPUTS, ANSWERS)
    for row, part in enumerate(student.attribute(INPUTS, ANSWERS, HARMFUL)):
        assert part.odds == pytest.approx(scores[row, 0] - scores[row, 1], abs=1e-4)
        check_complete(part)


def test_the_blank_meme_is_the_one_with_unread_words_and_a_picture_of_its_mean_colour(student):
    first = student.attribute(INPUTS[:1], ANSWERS, HARMFUL)[0]
    unread = "<pad>" * (student.text_tokens("you smell") - 1)
    ids = student.processor.tokenizer(unread, split_special_tokens=False).input_ids
    arguments = student.processor([StudentInput("you smell", blank(INPUTS[0].pixels))])
    arguments["input_ids"] = torch.tensor([ids])
    with torch.no_grad():
        states = student.model.encoder(**arguments).last_hidden_state
        scores = student._score_answers(states, arguments["attention_mask"], ANSWERS, [()])
    assert first.blank_odds == pytest.approx(log_odds(scores, HARMFUL).item(), abs=1e-4)


def test_attribution_does_not_depend_on_the_batch(student):
    for batched, shown in zip(student.attribute(INPUTS, ANSWERS, HARMFUL), INPUTS, strict=True):
        alone = student.attribute([shown], ANSWERS, HARMFUL)[0]
        np.testing.assert_allclose(batched.patches, alone.patches, atol=1e-3)
        assert dict(batched.words) == pytest.approx(dict(alone.words), abs=1e-3)


def test_what_speaks_for_one_side_speaks_against_the_other_and_shares_do_not_say_which(student):
    harmful, harmless = (
        student.attribute(INPUTS[:1], ANSWERS, answers)[0] for answers in (HARMFUL, HARMFUL[::-1])
    )
    np.testing.assert_allclose(harmful.patches, -harmless.patches, atol=1e-5)
    assert dict(harmful.words) == pytest.approx({word: -part for word, part in harmless.words}, abs=1e-5)
    np.testing.assert_allclose(harmful.saliency().patches, harmless.saliency().patches, atol=1e-5)


def test_answers_on_one_side_are_added_up():
    scores = torch.tensor([[0.2, 0.3, 0.1]]).log()
    assert log_odds(scores, [True, True, False]).item() == pytest.approx(np.log(0.5 / 0.1))


def test_shares_are_absolute_and_sum_to_one_and_are_even_where_nothing_mattered():
    part = Attribution((("you", -3.0), ("stink", 1.0)), np.array([[1.0, -1.0], [0.0, 2.0]]), 0.5, 0.0, 0.0)
    assert part.saliency().words == (("you", 0.75), ("stink", 0.25))
    assert part.saliency().patches == ((0.25, 0.25), (0.0, 0.5))
    part = Attribution((("you", 0.0), ("shine", 0.0)), np.zeros((2, 2)), 0.0, 1.0, 1.0)
    assert part.saliency().words == (("you", 0.5), ("shine", 0.5))
    assert part.saliency().patches == ((0.25, 0.25), (0.25, 0.25))
    assert Attribution((), np.zeros((0, 0)), 0.0, 1.0, 1.0).saliency().patches == ()


def test_without_a_picture_there_are_words_only_and_a_picture_of_one_colour_did_nothing(student):
    flat = StudentInput("you smell", np.full((64, 64, 3), 90, dtype=np.uint8))
    np.testing.assert_array_equal(student.attribute([flat], ANSWERS, HARMFUL)[0].patches, 0)
    *_, wordy, picture = student.attribute(INPUTS, ANSWERS, HARMFUL)
    assert wordy.patches.size == 0 and len(wordy.saliency().words) == 3
    assert picture.words == () and picture.patches.shape == (4, 4)


def test_a_student_without_fusion_gives_its_words(student):
    blind = FusedT5Student(*tiny_student(vision_tower="none", fusion="none"))
    part = blind.attribute([StudentInput("you smell wonderful")], ANSWERS, HARMFUL)[0]
    assert [word for word, _ in part.words] == ["you", "smell", "wonderful"] and blind.frame is None
    check_complete(part)


def test_given_features_are_measured_from_zero(student):
    with torch.no_grad():
        features = student.model.encoder.see(student.processor.normalise([INPUTS[0].pixels]))[0].numpy()
    part = student.attribute([StudentInput("you smell", features=features)], ANSWERS, HARMFUL)[0]
    none = student.attribute([StudentInput("you smell", features=0 * features)], ANSWERS, HARMFUL)[0]
    assert part.blank_odds == pytest.approx(none.blank_odds, abs=1e-5)
    np.testing.assert_array_equal(none.patches, 0)
    check_complete(part)


def test_a_class_token_lies_nowhere_on_the_picture_and_keeps_its_part():
    _, processor = tiny_student()
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MrHarmConfig(
        d_model=32, d_ff=32, d_kv=16, num_layers=1, num_heads=2, vocab_size=len(processor.tokenizer),
        vision_config={"model_type": "clip_vision_model", "image_size": 32, "patch_size": 16, **vision},
    )  # fmt: skip
    settings = PictureSettings(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    student = FusedT5Student(
        MrHarmForConditionalGeneration(config), MrHarmProcessor(processor.tokenizer, settings)
    )
    part = student.attribute([StudentInput("you smell", pixels(0, 32))], ANSWERS, HARMFUL)[0]
    assert part.patches.shape == (2, 2) and part.rest != 0
    check_complete(part)
    assert student.frame == Frame(32, "whole", patch=16)


def test_a_letter_of_several_tokens_is_one_letter(student):
    for explain in (
        student.attend,
        lambda inputs: [part.saliency() for part in student.attribute(inputs, ANSWERS, HARMFUL)],
    ):
        (saliency,) = explain([StudentInput("café 😀 snøw", pixels(0))])
        assert [word for word, _ in saliency.words] == ["café", "😀", "snøw"]


def test_it_works_inside_a_callers_inference_mode_and_leaves_no_gradients(student):
    with torch.inference_mode():
        inside = student.attribute(INPUTS[:1], ANSWERS, HARMFUL)[0]
    assert inside.odds == student.attribute(INPUTS[:1], ANSWERS, HARMFUL)[0].odds
    assert all(parameter.grad is None for parameter in student.model.parameters())
