from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mrharm.records import Meme
from mrharm.student.checkpoints import load_models, save_models
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import StudentInput, compose_text
from mrharm.student.processor import MrHarmProcessor, PictureSettings
from tests.student.conftest import tiny_student

ANSWERS = ["The answer is: harmful", "The answer is: harmless"]


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)


INPUTS = [
    StudentInput("you smell", pixels(0)),
    StudentInput("you smell wonderful, like a rose", pixels(1)),
    StudentInput("you"),
]


@pytest.fixture(scope="module")
def student() -> FusedT5Student:
    return FusedT5Student(*tiny_student())


def test_a_score_is_the_summed_log_probability_of_the_answers_tokens_end_included(student):
    scores = student.score(INPUTS[:1], ANSWERS)
    for column, answer in enumerate(ANSWERS):
        labels = torch.tensor([student.processor.tokenize_target(answer)])
        with torch.no_grad():
            loss = student.model(**student.processor(INPUTS[:1]), labels=labels).loss
        assert scores[0, column] == pytest.approx(-float(loss) * labels.shape[1], rel=1e-5)


def test_scores_and_texts_do_not_depend_on_the_batch(student):
    assert student.write(INPUTS, 8) == [student.write([shown], 8)[0] for shown in INPUTS]
    clusters = student.score(INPUTS, ANSWERS)
    for row, shown in enumerate(INPUTS):
        np.testing.assert_allclose(clusters[row], student.score([shown], ANSWERS)[0], rtol=1e-4)


def test_attention_weights_sum_to_one_and_a_meme_without_a_picture_has_none(student):
    first, second, third = student.attend(INPUTS)
    assert [word for word, _ in first.words] == ["you", "smell"]
    assert sum(weight for _, weight in second.words) == pytest.approx(1)
    assert sum(map(sum, second.patches)) == pytest.approx(1)
    assert len(second.patches) == len(second.patches[0])
    assert third.words == () and third.patches == ()


def test_two_students_share_a_folder_and_their_equal_tensors_stand_there_once(tmp_path):
    first, processor = tiny_student()
    second, _ = tiny_student()
    with torch.no_grad():
        second.lm_head.weight.add_(1)
    save_models(tmp_path, {"rationale": first, "label": second}, processor)
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("*.safetensors")}
    head = first.lm_head.weight.numel() * 4
    assert head < sizes["label.safetensors"] < head + 1000
    assert sizes["shared.safetensors"] > 3 * head
    loaded, _ = load_models(tmp_path, ["rationale", "label"])
    for name, model in (("rationale", first), ("label", second)):
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, loaded[name].state_dict()[key]), key


def test_the_whole_picture_is_kept_by_padding_and_the_middle_by_cropping():
    wide = Image.new("RGB", (200, 100), "white")
    wide.paste((255, 0, 0), (0, 0, 30, 100))
    _, processor = tiny_student()
    assert processor.picture is not None
    settings = processor.picture
    padded = MrHarmProcessor(processor.tokenizer, settings).fit(wide)
    crop = MrHarmProcessor(
        processor.tokenizer, PictureSettings(settings.side, settings.mean, settings.std, "crop")
    ).fit(wide)
    red = np.array([255, 0, 0])
    assert (np.abs(padded.astype(int) - red).sum(-1) < 30).any()
    assert not (np.abs(crop.astype(int) - red).sum(-1) < 30).any()


def test_the_processor_survives_a_save(tmp_path):
    _, processor = tiny_student()
    processor.max_text_tokens = 17
    processor.save_pretrained(tmp_path)
    again = MrHarmProcessor.from_pretrained(tmp_path)
    assert (again.picture, again.max_text_tokens) == (processor.picture, 17)
    assert again.tokenize("You smell WONDERFUL") == processor.tokenize("you smell wonderful")


def test_targets_are_cut_with_their_end_token_kept():
    _, processor = tiny_student()
    uncut = processor.tokenize_target("a rose a rose a rose a rose")
    cut = processor.tokenize_target("a rose a rose a rose a rose", 4)
    assert cut == [*uncut[:3], processor.tokenizer.eos_token_id]


def test_parts_that_are_wanted_and_not_there_are_named():
    text, missing = compose_text(("text", "caption"), Meme(id="1", text="you  smell\nfine"), None)
    assert text == "you smell fine"
    assert missing == ("caption",)


def test_special_tokens_written_on_a_meme_are_characters_not_commands():
    _, processor = tiny_student()
    ids = processor.tokenize("you </s> smell <pad>")
    assert ids.count(processor.tokenizer.eos_token_id) == 1 and ids[-1] == processor.tokenizer.eos_token_id
    assert processor.tokenizer.pad_token_id not in ids
    assert processor.tokenizer.decode(ids[:-1]).strip() == "you </s> smell <pad>"
