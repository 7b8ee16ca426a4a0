from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mrharm.records import Evidence, Meme
from mrharm.student.interface import compose_text
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.saved_models import load_models, save_models
from tests.student.conftest import ANSWERS, INPUTS, tiny_student


def test_a_score_is_the_summed_log_probability_of_the_answers_tokens_end_included(student):
    scores = student.score(INPUTS[:1], ANSWERS)
    for column, answer in enumerate(ANSWERS):
        labels = torch.tensor([student.processor.tokenize_target(answer)])
        with torch.no_grad():
            loss = student.model(**student.processor(INPUTS[:1]), labels=labels).loss
        assert scores[0, column] == pytest.approx(-float(loss) * labels.shape[1], rel=1e-5)


def test_scores_and_texts_do_not_depend_on_the_batch(student):
    assert student.write(INPUTS, 8) == [student.write([shown], 8)[0] for shown in INPUTS]
    batched = student.score(INPUTS, ANSWERS)
    for row, shown in enumerate(INPUTS):
        np.testing.assert_allclose(batched[row], student.score([shown], ANSWERS)[0], rtol=1e-4)


def test_attention_weights_sum_to_one_and_a_meme_without_a_picture_has_none(student):
    first, second, third, _ = student.attend(INPUTS)
    assert [word for word, _ in first.words] == ["you", "smell"]
    assert sum(weight for _, weight in second.words) == pytest.approx(1)
    assert sum(map(sum, second.patches)) == pytest.approx(1)
    assert len(second.patches) == len(second.patches[0])
    assert third.words == () and third.patches == ()


def test_two_students_share_a_folder_and_their_equal_tensors_are_stored_once(tmp_path):
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
    cropping = replace(settings, fit="crop")
    for picture, shows_red in ((settings, True), (cropping, False)):
        fitted = MrHarmProcessor(processor.tokenizer, picture).fit(wide).astype(int)
        assert (np.abs(fitted - [255, 0, 0]).sum(-1) < 30).any() == shows_red


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


def test_a_text_that_is_too_long_loses_the_end_of_its_longest_part_and_no_part_wholly():
    _, processor = tiny_student()
    evidence = Evidence(meme_id="1", caption="a rose")
    text, _ = compose_text(("text", "caption"), Meme(id="1", text="you smell wonderful " * 30), evidence)
    whole = processor.tokenize(text, 1000)
    caption = processor.tokenize(" | caption: a rose")
    cut = processor.tokenize(text, 40)
    assert len(cut) == 40 and whole[-len(caption) :] == caption == cut[-len(caption) :]
    assert cut[: 40 - len(caption)] == whole[: 40 - len(caption)]
    # Where both are long, both are cut alike.
    both = text.replace("a rose", "a rose " * 30)
    assert processor.tokenize(both, 41)[:20] == whole[:20]
    assert processor.tokenize(both, 41)[20:26] == caption[:6]


def test_parts_that_the_recipe_reads_and_the_meme_lacks_are_named():
    text, missing = compose_text(("text", "caption"), Meme(id="1", text="you  smell\nfine"), None)
    assert text == "you smell fine"
    assert missing == ("caption",)


def test_special_tokens_written_on_a_meme_are_characters_not_commands():
    _, processor = tiny_student()
    ids = processor.tokenize("you </s> smell <pad>")
    assert ids.count(processor.tokenizer.eos_token_id) == 1 and ids[-1] == processor.tokenizer.eos_token_id
    assert processor.tokenizer.pad_token_id not in ids
    assert processor.tokenizer.decode(ids[:-1]).strip() == "you </s> smell <pad>"
