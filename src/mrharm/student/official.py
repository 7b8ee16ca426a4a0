"""Load checkpoints in the layout of the paper's official code.

``NAME.safetensors`` or a Lightning ``.ckpt``, read by an unpickler that builds nothing but tensors and containers.
"""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import torch
import torch.serialization as serialization
from safetensors.torch import load_file
from torch import Tensor

from mrharm.errors import DataError, InputError
from mrharm.student.backbones import TEXT_TOWERS
from mrharm.student.config import MrHarmConfig
from mrharm.student.model import MrHarmForConditionalGeneration

_PROJECTIONS = {"q": "query", "k": "key", "v": "value", "o": "output"}
_T5_FIELDS = (
    *("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads"),
    *("relative_attention_num_buckets", "relative_attention_max_distance", "dropout_rate"),
    *("layer_norm_epsilon", "initializer_factor", "feed_forward_proj"),
    *("pad_token_id", "eos_token_id", "decoder_start_token_id"),
)


def our_name(official: str) -> str:
    """Translate a tensor's name from the official layout to our model's."""
    name = re.sub(r"^encoder\.ca_block\.(\d+)\.", r"encoder.block.\1.fusion.", official)
    name = re.sub(r"^ca\.", "encoder.last_fusion.", name)
    return re.sub(r"(fusion)\.proj_([qkvo])\.", lambda match: f"{match[1]}.{_PROJECTIONS[match[2]]}.", name)


def load_official(path: str | Path) -> MrHarmForConditionalGeneration:
    """Load a checkpoint in the official layout as our student, in evaluation mode.

    It has no vision tower: give it ``image_features``, the ``last_hidden_state`` of the frozen CLIP ViT-B/32 that a
    Lightning checkpoint also holds, unchanged, and that is left out here.

    Args:
        path: ``NAME``, ``NAME.safetensors`` or a Lightning ``.ckpt``. ``NAME.json`` in its folder holds the text
            tower's ``config``; without it, the tower is the one that the checkpoint's settings name.

    Raises:
        InputError: no such file, or no configuration in its folder or its settings.
        DataError: tensors are missing, unexpected, or of the wrong shape; the message names them.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".ckpt"):
        path = path.with_name(path.name + ".safetensors")
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected NAME.safetensors or NAME.ckpt")
    content = _read(path)
    weights = {our_name(name): tensor for name, tensor in _student_tensors(path, content).items()}
    fused = [re.match(r"encoder\.block\.(\d+)\.fusion\.key", name) for name in weights]
    if "encoder.last_fusion.key.weight" not in weights:
        raise DataError(
            f"{path}: no fusion weights (ca.proj_k.weight); this is not an official Mr.Harm checkpoint"
        )
    config = MrHarmConfig(
        **_read_config(path, content),
        fusion="every_block" if any(fused) else "last",
        vision_width=weights["encoder.last_fusion.key.weight"].shape[1],
    )
    model = MrHarmForConditionalGeneration(config)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise DataError(f"{path}: does not fit its configuration: {error}") from None
    return model.eval()


class _Inert:
    """Stands for whatever a checkpoint names; takes any arguments and state, and does nothing with them."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _load_plain(path: Path) -> Any:
    """Read a checkpoint with PyTorch's weights-only unpickler, which builds tensors and plain containers.

    Lightning 1.3 keys its callbacks by class. Each name that the unpickler does not know becomes an empty class made
    here: nothing is imported, looked up or called by a name in the file.
    """
    names = serialization.get_unsafe_globals_in_checkpoint(path)
    with serialization.safe_globals([(type(name, (_Inert,), {}), name) for name in names]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _read(path: Path) -> dict[str, Any]:
    """Read a file: tensors by name, in a Lightning checkpoint under ``state_dict`` beside everything else."""
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_plain(path)
        if not isinstance(content, dict):
            raise ValueError("no tensors by name")
        return content
    except Exception as error:  # on hostile bytes the unpickler raises a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):
            # PyTorch's message is how to load the file all the same, code included.
            code = re.search(r"GLOBAL (\S+)", str(error))
            reason = f"it would run {code[1]}" if code else "it holds more than tensors and plain data"
        raise DataError(f"{path}: cannot be read as weights ({reason})") from None


def _student_tensors(path: Path, content: dict[str, Any]) -> dict[str, Tensor]:
    """Return the student's tensors by their official names, without the prefix of the attribute that held the model."""
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise DataError(f"{path}: cannot be read as weights (no tensors by name under state_dict)")
    return {
        re.sub(r"^(text_transformer|model|t5|net)\.", "", name): tensor
        for name, tensor in state.items()
        if not name.startswith(("image_transformer.", "io."))
    }


def _read_config(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the text tower's configuration: of the file beside the checkpoint, else of the tower its settings name."""
    file = path.with_suffix(".json")
    try:
        if file.is_file():
            values = json.loads(file.read_text(encoding="utf-8"))
            config = values.get("config", values)
            return {name: config[name] for name in _T5_FIELDS if name in config}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{file}: not a configuration ({error})") from None
    hub_name: Any = content
    for key in ("hyper_parameters", "config", "tokenizer"):
        hub_name = hub_name.get(key, {}) if isinstance(hub_name, dict) else {}
    for tower in TEXT_TOWERS.values():
        if tower.hub and tower.hub == hub_name:
            return {**tower.config, "vocab_size": tower.vocabulary}
    raise InputError(f'{file}: no such file; expected the text tower\'s configuration under "config"')
