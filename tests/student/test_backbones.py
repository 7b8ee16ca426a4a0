"""Hub weights cannot be had here: tiny random checkpoints in the hub's own layout go through the same code."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, T5Config, T5ForConditionalGeneration

from mrharm.errors import DataError, InputError, ModelUnavailableError
from mrharm.recipe import PictureRecipe
from mrharm.student.backbones import TEXT_TOWERS, VISION_TOWERS, build_student, train_tokenizer
from tests.student.conftest import TEXTS, tiny_recipe


@pytest.fixture(scope="module")
def flan(tmp_path_factory):
    """A Flan-T5 in small: gated, and with a head that is not its embeddings."""
    folder = tmp_path_factory.mktemp("flan")
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4}
    config = T5Config(vocab_size=len(tokenizer), feed_forward_proj="gated-gelu", **sizes)
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.config.tie_word_embeddings = False
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    values = json.loads((folder / "config.json").read_text())
    values.pop("scale_decoder_outputs", None)  # what the hub's own files hold
    (folder / "config.json").write_text(json.dumps({**values, "tie_word_embeddings": False}))
    return folder, state


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": 50}, vision_config={**sizes, "image_size": 32, "patch_size": 16}
    )
    model = CLIPModel(config)
    model.save_pretrained(folder)
    CLIPImageProcessor(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]).save_pretrained(folder)
    return folder, model


def test_pretrained_towers_are_loaded_whole_and_the_untied_head_is_kept(flan, clip):
    recipe = tiny_recipe(
        text_tower="flan-t5-base",
        text_weights=str(flan[0]),
        vision_tower="clip-vit-b32",
        vision_weights=str(clip[0]),
        train_vision=False,
    )
    _, processor = build_student(recipe, PictureRecipe(statistics="half", fit="crop"), [])
    assert processor.picture is not None
    assert (processor.picture.mean, processor.picture.fit) == ((0.5, 0.5, 0.5), "crop")
    model, processor = build_student(recipe, PictureRecipe(), [])
    ours = model.state_dict()
    for name, tensor in flan[1].items():
        assert torch.equal(ours[name], tensor), name
    assert not torch.equal(ours["lm_head.weight"], ours["shared.weight"])
    assert not model.config.scale_decoder_outputs
    theirs = clip[1].vision_model.state_dict()
    for name, tensor in theirs.items():
        assert torch.equal(ours[f"encoder.vision.{name}"], tensor), name
    assert processor.picture is not None
    assert (processor.picture.side, processor.picture.mean) == (32, (0.1, 0.2, 0.3))
    for layer in model.fusion_layers():
        assert torch.equal(layer.value.weight, layer.key.weight)
    # Features are the tower's last hidden state, class token included.
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = clip[1].eval().vision_model(pixels).last_hidden_state
        torch.testing.assert_close(model.eval().encoder.see(pixels), expected)
    assert expected.shape == (2, 5, 24)


def test_a_hub_out_of_reach_names_the_model_and_the_two_ways_out():
    with pytest.raises(ModelUnavailableError) as error:
        build_student(tiny_recipe(text_tower="flan-t5-small"), PictureRecipe(), [])
    for words in ("google/flan-t5-small", "student.text_weights=DIR", "HF_HOME"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tower", "name", "parameters"),
    [
        ("vision", "clip-vit-b32", 87.5e6),
        ("vision", "clip-vit-b16", 85.8e6),
        ("vision", "clip-vit-l14", 303.2e6),
        ("text", "flan-t5-small", 77.0e6),
        ("text", "flan-t5-base", 247.6e6),
        ("text", "flan-t5-large", 783.2e6),
    ],
)
def test_towers_have_the_published_sizes(tower, name, parameters):
    recipe = tiny_recipe(**{"vision_tower": "none", f"{tower}_tower": name})
    with torch.device("meta"):
        model, _ = build_student(recipe, PictureRecipe(), TEXTS, random_weights=True)
    module = model.encoder.vision if tower == "vision" else model
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(parameters, rel=2e-3)


def test_an_unknown_tower_is_refused_with_the_rows_there_are():
    with pytest.raises(InputError, match=", ".join(TEXT_TOWERS)):
        build_student(tiny_recipe(text_tower="t6"), PictureRecipe(), [])
    with pytest.raises(InputError, match=", ".join(VISION_TOWERS)):
        build_student(tiny_recipe(vision_tower="eye"), PictureRecipe(), [])


def test_a_tokenizer_trained_on_the_data_loses_no_text():
    tokenizer = train_tokenizer(TEXTS, 300)
    for text in ("you smell wonderful", "zebra, é — 你好 🙂", "The answer is: harmful"):
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text
    assert tokenizer("x").input_ids[-1] == tokenizer.eos_token_id == 1
    assert tokenizer.pad_token_id == 0


def test_pretrained_weights_that_are_not_whole_are_refused(flan, tmp_path):
    shutil.copytree(flan[0], tmp_path / "cut")
    weights = load_file(tmp_path / "cut" / "model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith("decoder.block.1.")}
    save_file(weights, tmp_path / "cut" / "model.safetensors", metadata={"format": "pt"})
    recipe = tiny_recipe(text_tower="flan-t5-base", text_weights=str(tmp_path / "cut"), vision_tower="none")
    with pytest.raises(DataError, match=r"tensors are not there \(decoder\.block\.1\."):
        build_student(recipe, PictureRecipe(), [])
