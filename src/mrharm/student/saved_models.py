"""Save and load a detector's models in one folder: one configuration, one processor, shared tensors stored once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mrharm.errors import DataError
from mrharm.student.config import MrHarmConfig
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor

SHARED = "shared.safetensors"


def save_models(
    folder: Path, models: dict[str, MrHarmForConditionalGeneration], processor: MrHarmProcessor
) -> None:
    """Write ``config.json``, the processor, ``NAME.safetensors`` a model and ``shared.safetensors``.

    The models, by name, are all of one configuration; tensors that are bit-equal in all of several are shared.
    """
    folder.mkdir(parents=True, exist_ok=True)
    next(iter(models.values())).config.save_pretrained(folder)
    processor.save_pretrained(folder)
    states = {name: unique_tensors(model) for name, model in models.items()}
    first, *rest = states.values()
    shared = {
        key: first[key]
        for key in sorted(first)
        if rest and all(key in state and torch.equal(first[key], state[key]) for state in rest)
    }
    save_file(shared, folder / SHARED)
    for name, state in states.items():
        distinct = {key: tensor for key, tensor in state.items() if key not in shared}
        save_file(distinct, folder / f"{name}.safetensors")


def load_models(
    folder: Path, names: Sequence[str]
) -> tuple[dict[str, MrHarmForConditionalGeneration], MrHarmProcessor]:
    """Load what `save_models` wrote: name -> model, and their processor.

    Raises:
        DataError: a file is missing or broken, or tensors do not fit the configuration.
    """
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shared = load_file(folder / SHARED)
        processor = MrHarmProcessor.from_pretrained(folder)
        models = {}
        for name in names:
            models[name] = MrHarmForConditionalGeneration(MrHarmConfig.from_dict(dict(values)))
            load_unique(models[name], {**shared, **load_file(folder / f"{name}.safetensors")})
        return models, processor
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: not a complete detector ({error})") from None


def unique_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state with tied tensors once, contiguous, on the CPU, as safetensors needs it."""
    pointers: set[int] = set()
    tensors = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in pointers and tensor.numel():
            continue
        pointers.add(tensor.data_ptr())
        tensors[name] = tensor.detach().cpu().contiguous()
    return tensors


def load_unique(model: MrHarmForConditionalGeneration, state: dict[str, Tensor]) -> None:
    """Load the tensors of `unique_tensors`; only the second names of tied tensors may be missing.

    Raises:
        DataError: tensors are missing or unexpected; the message names some.
    """
    missing, unexpected = model.load_state_dict(state, strict=False)
    tied = set(model.state_dict()) - set(unique_tensors(model))
    if unexpected or set(missing) - tied:
        raise DataError(f"tensors missing: {sorted(set(missing) - tied)[:3]}, unexpected: {unexpected[:3]}")
