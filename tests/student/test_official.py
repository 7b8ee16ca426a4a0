from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from mrharm.errors import DataError, InputError
from mrharm.student.backbones import TEXT_TOWERS, TextTower
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.official import _T5_FIELDS, load_official, our_name
from tests.student.conftest import REFERENCE


@pytest.fixture(scope="module")
def io() -> dict[str, torch.Tensor]:
    tensors = load_file(REFERENCE.with_suffix(".safetensors"))
    return {name.removeprefix("io."): tensor for name, tensor in tensors.items() if name.startswith("io.")}


@pytest.fixture(scope="module")
def student() -> MrHarmForConditionalGeneration:
    return load_official(REFERENCE)


@pytest.fixture(scope="module")
def greedy() -> list[list[int]]:
    return json.loads(REFERENCE.with_suffix(".json").read_text())["gen"]


def test_the_reference_student_gives_the_same_encoder_output_logits_and_loss(student, io):
    before_last = {}
    hook = student.encoder.final_layer_norm.register_forward_hook(
        lambda _m, _i, out: before_last.update(x=out)
    )
    with torch.no_grad():
        out = student(
            input_ids=io["input_ids"],
            attention_mask=io["attention_mask"],
            image_features=io["image_features"],
            labels=io["labels"],
        )
    hook.remove()
    torch.testing.assert_close(before_last["x"], io["encoder_last"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.logits, io["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.loss, io["loss"][0], atol=1e-5, rtol=0)


def test_greedy_outputs_are_the_references_row_by_row_and_in_one_padded_batch(student, io, greedy):
    batches = [(slice(row, row + 1), int(io["attention_mask"][row].sum())) for row in range(len(greedy))]
    for rows, length in [*batches, (slice(None), None)]:
        ids = student.generate(
            io["input_ids"][rows, :length],
            attention_mask=io["attention_mask"][rows, :length],
            image_features=io["image_features"][rows],
            max_length=12,
        )
        assert ids.tolist() == greedy[rows]


def test_beams_see_the_picture_of_their_own_row(student, io):
    def beams(rows: slice) -> torch.Tensor:
        return student.generate(
            io["input_ids"][rows],
            attention_mask=io["attention_mask"][rows],
            image_features=io["image_features"][rows],
            max_length=6,
            num_beams=3,
        )

    batched = beams(slice(0, 3))
    alone = [beams(slice(row, row + 1))[0].tolist() for row in range(3)]
    width = batched.shape[1]
    assert batched.tolist() == [row + [0] * (width - len(row)) for row in alone]


def test_saved_and_loaded_again_it_is_bit_equal(student, io, tmp_path):
    student.save_pretrained(tmp_path)
    again = MrHarmForConditionalGeneration.from_pretrained(tmp_path).eval()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    unnamed = {"_name_or_path": ""}
    assert again.config.to_dict() | unnamed == student.config.to_dict() | unnamed
    with torch.no_grad():
        arguments = {
            "input_ids": io["input_ids"],
            "image_features": io["image_features"],
            "labels": io["labels"],
        }
        assert torch.equal(student(**arguments).logits, again(**arguments).logits)


def lightning_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch, **rest: object) -> Path:
    """Write the reference student as Lightning 1.3 saves the official code's module: callbacks keyed by their class."""
    module = ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    weights = load_file(REFERENCE.with_suffix(".safetensors"))
    student = {name: tensor for name, tensor in weights.items() if not name.startswith("io.")}
    state = {f"text_transformer.{name}": tensor for name, tensor in student.items()}
    state["image_transformer.vision_model.embeddings.class_embedding"] = torch.zeros(20)
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "1.3.8",
        "callbacks": {
            module.ModelCheckpoint: {"monitor": "val/the_metric", "best_model_score": torch.ones(())}
        },
        "optimizer_states": [{"state": {0: {"step": 7, "exp_avg": torch.zeros(2)}}, "param_groups": []}],
        "lr_schedulers": [{"last_epoch": 7, "lr_lambdas": [None, None]}],
        "state_dict": OrderedDict(state),
        "hparams_name": "config",
        "hyper_parameters": {"config": {"mode": "label", "num_gpus": [0], "max_steps": None}},
        **rest,
    }
    with monkeypatch.context() as patch:
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
            patch.setitem(sys.modules, name, module)
        torch.save(content, path)
    path.with_suffix(".json").write_text(REFERENCE.with_suffix(".json").read_text())
    return path


def test_a_lightning_checkpoint_of_the_official_code_gives_the_same_student(student, tmp_path, monkeypatch):
    again = load_official(lightning_checkpoint(tmp_path / "last.ckpt", monkeypatch))
    assert again.state_dict().keys() == student.state_dict().keys()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_without_a_configuration_the_checkpoints_settings_name_the_text_tower(student, tmp_path, monkeypatch):
    settings = {"config": {"tokenizer": "made-up/t5-tiny", "vit": "made-up/clip"}}
    path = lightning_checkpoint(tmp_path / "last.ckpt", monkeypatch, hyper_parameters=settings)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"last\.json: no such file"):
        load_official(path)
    values = json.loads(REFERENCE.with_suffix(".json").read_text())["config"]
    config = {key: values[key] for key in _T5_FIELDS if key != "vocab_size" and key in values}
    monkeypatch.setitem(TEXT_TOWERS, "made-up", TextTower(config, "made-up/t5-tiny", values["vocab_size"]))
    again = load_official(path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in student.state_dict().items())


class Trap:
    """A pickle that would call a function with the given arguments when it is read."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_code_in_place_of_weights_is_refused_and_does_not_run(tmp_path, monkeypatch):
    trap = Trap(Path.write_text, tmp_path / "ran", "executed")
    path = lightning_checkpoint(tmp_path / "trap.ckpt", monkeypatch, state_dict=trap)
    with pytest.raises(DataError, match=r"trap\.ckpt: cannot be read as weights"):
        load_official(path)
    assert not (tmp_path / "ran").exists()


def test_a_refusal_names_the_code_and_no_way_around(tmp_path, monkeypatch):
    trap = Trap(os.mkdir, tmp_path / "ran")
    path = lightning_checkpoint(tmp_path / "trap.ckpt", monkeypatch, callbacks=trap)
    with pytest.raises(DataError, match=r"cannot be read as weights \(it would run \w+\.mkdir\)"):
        load_official(path)


@pytest.mark.parametrize("call", [os.mkdir, Path.mkdir, importlib.import_module])
def test_code_beside_the_weights_does_not_run(tmp_path, monkeypatch, call):
    (tmp_path / "module_of_the_file.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    argument = "module_of_the_file" if call is importlib.import_module else tmp_path / "ran"
    path = lightning_checkpoint(tmp_path / "trap.ckpt", monkeypatch, callbacks=Trap(call, argument))
    with contextlib.suppress(
        DataError
    ):  # a name that PyTorch never allows is refused, others are read as nothing
        load_official(path)
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_a_missing_configuration_and_a_missing_tensor_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_official(tmp_path / "nothing")
    weights = load_file(REFERENCE.with_suffix(".safetensors"))
    save_file(weights, tmp_path / "lone.safetensors")
    with pytest.raises(InputError, match=r"lone\.json"):
        load_official(tmp_path / "lone")
    weights.pop("encoder.ca_block.1.proj_q.weight")
    save_file(weights, tmp_path / "cut.safetensors")
    (tmp_path / "cut.json").write_text(REFERENCE.with_suffix(".json").read_text())
    with pytest.raises(DataError, match=r"block\.1\.fusion\.query\.weight"):
        load_official(tmp_path / "cut")


def test_official_names_map_onto_ours():
    assert our_name("encoder.ca_block.7.proj_v.bias") == "encoder.block.7.fusion.value.bias"
    assert our_name("ca.proj_o.weight") == "encoder.last_fusion.output.weight"
    assert (
        our_name("decoder.block.0.layer.0.SelfAttention.k.weight")
        == "decoder.block.0.layer.0.SelfAttention.k.weight"
    )
