from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration

from mrharm.recipe import PictureRecipe, StudentRecipe
from mrharm.student.backbones import build_student
from mrharm.student.config import MrHarmConfig
from mrharm.student.fusion import FusionLayer
from mrharm.student.interface import StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from tests.student.conftest import TEXTS, tiny_student


def batch(processor, pictures):
    rng = np.random.default_rng(0)
    side = processor.picture.side
    return processor(
        [
            StudentInput(text, rng.integers(0, 255, (side, side, 3), dtype=np.uint8) if shown else None)
            for text, shown in zip(TEXTS, pictures, strict=False)
        ]
    )


def test_at_paper_size_it_has_13_fusions_15_36_m_new_and_262_9_m_trainable_parameters():
    with torch.device("meta"):
        model, _ = build_student(StudentRecipe(), PictureRecipe(), TEXTS, random_weights=True)
    fusions = model.fusion_layers()
    assert len(fusions) == 13
    assert sum(p.numel() for layer in fusions for p in layer.parameters()) == 13 * 1_181_568
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 262_938_240
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == pytest.approx(
        87.5e6, rel=1e-3
    )


def test_the_fusion_is_the_papers_formula():
    torch.manual_seed(0)
    layer = FusionLayer(8, 6)
    hidden, image = torch.randn(2, 5, 8), torch.randn(2, 7, 6)
    query = hidden @ layer.query.weight.T + layer.query.bias
    key = image @ layer.key.weight.T + layer.key.bias
    value = image @ layer.value.weight.T + layer.value.bias
    attention = torch.softmax(torch.einsum("bth,bph->btp", query, key) / 4**0.5, -1)
    attended = torch.einsum("btp,bph->bth", attention, value) @ layer.output.weight.T + layer.output.bias
    torch.testing.assert_close(layer(hidden, image), hidden + attended)


def test_it_starts_as_t5_starts_so_that_the_first_loss_is_that_of_guessing():
    model, processor = tiny_student()
    for layer in model.fusion_layers():
        assert torch.equal(layer.value.weight, layer.key.weight)
        assert torch.equal(layer.value.bias, layer.key.bias)
        assert not torch.equal(layer.query.bias, layer.key.bias)
    torch.manual_seed(1)
    reference = T5ForConditionalGeneration(T5Config(**{**model.config.to_dict(), "model_type": "t5"}))
    ours, theirs = dict(model.named_parameters()), dict(reference.named_parameters())
    for name, tensor in theirs.items():
        if name != "lm_head.weight" and tensor.numel() > 1000:
            assert float(ours[name].detach().std()) == pytest.approx(float(tensor.detach().std()), rel=0.1), (
                name
            )
    arguments = batch(processor, [True] * 4)
    with torch.no_grad():
        loss = model(**arguments, labels=torch.randint(3, 300, (4, 9))).loss
    assert float(loss) == pytest.approx(np.log(model.config.vocab_size), rel=0.15)


@pytest.mark.parametrize(("fusion", "modules"), [("every_block", 3), ("last", 1)])
def test_fusion_after_every_block_or_after_the_last(fusion, modules, tmp_path):
    model, processor = tiny_student(fusion=fusion)
    assert len(model.fusion_layers()) == modules
    arguments = batch(processor, [True, True])
    labels = torch.tensor([[5, 6, 1], [7, 1, -100]])
    with torch.no_grad():
        logits = model(**arguments, labels=labels).logits
        arguments["pixel_values"] = arguments["pixel_values"].flip(0)
        swapped = model(**arguments, labels=labels).logits
    assert not torch.equal(logits, swapped)
    model.save_pretrained(tmp_path)
    again = MrHarmForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(**arguments, labels=labels).logits, swapped)


@pytest.mark.parametrize("changes", [{"fusion": "none"}, {"vision_tower": "none"}])
def test_without_a_fusion_or_a_tower_there_is_neither_and_no_picture_is_asked_for(changes):
    model, processor = tiny_student(**changes)
    assert model.fusion_layers() == [] and model.encoder.vision is None and processor.picture is None
    shown = StudentInput(TEXTS[0], np.zeros((64, 64, 3), dtype=np.uint8))
    assert set(processor([shown])) == {"input_ids", "attention_mask"}


def test_a_meme_without_a_picture_is_read_as_text_alone_also_beside_memes_with_one():
    model, processor = tiny_student()
    labels = torch.tensor([[5, 6, 1], [7, 8, 1]])
    mixed = batch(processor, [True, False])
    with torch.no_grad():
        batched = model(**mixed, labels=labels).logits[1]
        alone = model(
            input_ids=mixed["input_ids"][1:], attention_mask=mixed["attention_mask"][1:], labels=labels[1:]
        ).logits[0]
    torch.testing.assert_close(batched, alone)


def test_a_frozen_vision_tower_learns_nothing_and_one_that_is_trained_gets_gradients():
    model, processor = tiny_student(train_vision=True)
    model.train()
    assert model.encoder.vision.training
    model(**batch(processor, [True, True]), labels=torch.tensor([[5, 1], [6, 1]])).loss.backward()
    assert all(p.grad is not None for p in model.encoder.vision.parameters())
    model, processor = tiny_student(train_vision=False)
    model.train()
    assert not model.encoder.vision.training
    before = {name: tensor.clone() for name, tensor in model.encoder.vision.state_dict().items()}
    model(**batch(processor, [True, True]), labels=torch.tensor([[5, 1], [6, 1]])).loss.backward()
    assert all(p.grad is None for p in model.encoder.vision.parameters())
    assert all(torch.equal(before[name], now) for name, now in model.encoder.vision.state_dict().items())


def test_precomputed_features_stand_in_for_pixels_in_forward_and_generate():
    model, processor = tiny_student(train_vision=False)
    arguments = batch(processor, [True, True])
    with torch.no_grad():
        features = model.encoder.see(arguments["pixel_values"])
    computed = {**arguments, "image_features": features}
    computed.pop("pixel_values")
    labels = torch.tensor([[5, 6, 1], [7, 8, 1]])
    with torch.no_grad():
        torch.testing.assert_close(
            model(**computed, labels=labels).logits, model(**arguments, labels=labels).logits
        )
    assert torch.equal(model.generate(**computed, max_length=6), model.generate(**arguments, max_length=6))


def test_fusion_attention_is_a_distribution_over_patches_for_every_token():
    model, processor = tiny_student()
    arguments = batch(processor, [True, True])
    attention = model.fusion_attention(**arguments)
    assert attention.shape == (*arguments["input_ids"].shape, 16)
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:2]))


def test_a_wrong_fusion_and_a_fusion_with_nothing_to_fuse_are_refused():
    with pytest.raises(Exception, match="every_block, last or none"):
        MrHarmConfig(fusion="sometimes", vision_width=4)
    with pytest.raises(Exception, match="fusion='none'"):
        MrHarmConfig(fusion="last")


def test_blanks_of_memes_without_a_picture_do_not_reach_a_tower_that_learns():
    model, processor = tiny_student()
    model.train()
    labels = torch.tensor([[5, 1]] * 4)
    pictured = batch(processor, [True, True])
    mixed = batch(processor, [True, True, False, False])
    statistics = {}
    for name, arguments in (("pictured", pictured), ("mixed", mixed)):
        twin, _ = tiny_student()
        twin.train()(**arguments, labels=labels[: len(arguments["input_ids"])])
        statistics[name] = {key: value for key, value in twin.state_dict().items() if "running" in key}
    assert statistics["pictured"]
    for key, value in statistics["pictured"].items():
        assert torch.equal(value, statistics["mixed"][key]), key


def test_transformers_auto_classes_know_it_and_loading_says_nothing(tmp_path, capfd):
    model, processor = tiny_student()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    capfd.readouterr()
    assert isinstance(AutoModelForSeq2SeqLM.from_pretrained(tmp_path), MrHarmForConditionalGeneration)
    MrHarmProcessor.from_pretrained(tmp_path)
    assert "model of type" not in capfd.readouterr().err
