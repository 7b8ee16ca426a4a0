"""A local chat model: known by its content or revision, seen through by its configuration, loaded whole or not at all.

PyTorch and transformers are imported inside the functions, when there is a model to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.hub import load_or_explain, pick_device
from mrharm.rationales.teachers.chat_templates import Chats


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what turns messages into its tokens and its tokens into words."""

    model: Any
    front: Any  # the processor of a vision-language model, else the tokenizer
    tokenizer: Any
    chats: Chats
    stops: frozenset[int]  # tokens that end an answer
    longest: int | None  # tokens it can read and write in all


def read_config(source: str, place: dict[str, Any]) -> Any:
    """A model's configuration, without its weights.

    Raises:
        ModelUnavailableError: no such folder, and no hub in reach.
        InputError: of no family that transformers knows.
    """
    import transformers

    def load() -> Any:
        try:
            return transformers.AutoConfig.from_pretrained(source, **place)
        except ValueError as error:
            if not Path(source, "config.json").is_file():
                raise
            raise InputError(
                f"{source}: no family of models that transformers knows ({str(error)[:120]}); code that comes with a "
                "model is never run"
            ) from None

    return load_or_explain(source, load)


def sees(source: str, config: Any) -> bool:
    """Whether it is a vision-language model.

    Raises:
        InputError: a model that does not chat.
    """
    from transformers.models.auto import modeling_auto as auto

    seeing, reading = auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    # Some families have both kinds under one ``model_type``; the class that was saved tells.
    kind = (getattr(config, "architectures", None) or [""])[0]
    seer = kind in seeing.values() or (kind not in reading.values() and config.model_type in seeing)
    reader = kind in reading.values() or config.model_type in reading
    if not (seer or reader) or getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"{source}: a {config.model_type} model; expected an instruct model that writes text (Llama, Qwen, Gemma "
            "...) or one that sees and writes (Qwen-VL, LLaVA ...)"
        )
    return bool(seer)


def load(source: str, place: dict[str, Any], config: Any, device: str) -> Loaded:
    """The model on its device, in bf16 on a GPU that has it, else in fp32.

    Raises:
        ModelUnavailableError: no such folder, and no hub in reach; or a folder that is not whole.
        InputError: no chat template, no such device, or a package it wants is not installed.
        DataError: the weights are not whole, not of the kind the configuration names, or too large for the memory.
    """
    import torch
    import transformers

    seer, where = sees(source, config), pick_device(device)
    front_kind = transformers.AutoProcessor if seer else transformers.AutoTokenizer

    def load_front() -> tuple[Any, Any]:
        front = front_kind.from_pretrained(source, **place)
        return front, front.tokenizer if seer else front

    front, tokenizer = load_or_explain(source, load_front)
    chats = Chats(front, tokenizer, source)
    kind = transformers.AutoModelForImageTextToText if seer else transformers.AutoModelForCausalLM
    half = where.type == "cuda" and torch.cuda.is_bf16_supported()

    def load_weights() -> tuple[Any, Any]:
        model, info = kind.from_pretrained(
            source,
            dtype=torch.bfloat16 if half else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **place,
        )
        return model.eval().to(where), info

    model, info = load_or_explain(source, load_weights)
    missing = sorted(info["missing_keys"])
    if missing:
        raise DataError(
            f"{source}: {len(missing)} tensors are not there ({', '.join(missing[:3])} ...); expected the weights of "
            f"a {type(model).__name__}"
        )
    stops = _ids(model.generation_config.eos_token_id) | _ids(tokenizer.eos_token_id)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Not the maker's: sampling, and penalties that would make an answer depend on its batch.
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=sorted(stops) or None, pad_token_id=tokenizer.pad_token_id
    )
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return Loaded(model, front, tokenizer, chats, frozenset(stops), longest)


def _ids(tokens: int | list[int] | None) -> set[int]:
    return set() if tokens is None else {tokens} if isinstance(tokens, int) else set(tokens)
