"""Text and vision towers, a row each, and the student that a recipe's pair makes.

A row with a hub name loads pretrained weights; the ``tiny`` rows start from scratch, with a tokenizer of the dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from mrharm.errors import InputError
from mrharm.hub import load_or_explain, load_weights
from mrharm.recipe import PictureRecipe, StudentRecipe
from mrharm.student.config import MrHarmConfig
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor, PictureSettings

T = TypeVar("T")

# Radford et al. 2021, the statistics CLIP was trained with.
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_NAME_IT = "--set student.text_weights=DIR or student.vision_weights=DIR"  # for a model that cannot be had


@dataclass(frozen=True)
class TextTower:
    """A T5: its configuration, hub name (None: from scratch), and the least size of its vocabulary."""

    config: dict[str, Any]
    hub: str | None = None
    vocabulary: int = 0


@dataclass(frozen=True)
class VisionTower:
    """A vision model: its configuration (with ``model_type``), picture side and statistics, hub name."""

    config: dict[str, Any]
    side: int
    hub: str | None = None
    mean: tuple[float, float, float] = _HALF
    std: tuple[float, float, float] = _HALF


def _t5(d_model: int, d_ff: int, layers: int, heads: int) -> dict[str, Any]:
    sizes = {"d_model": d_model, "d_ff": d_ff, "num_layers": layers, "num_heads": heads, "d_kv": 64}
    return {"feed_forward_proj": "gated-gelu", **sizes}


def _clip(hub: str, patch: int, width: int = 768, layers: int = 12, heads: int = 12) -> VisionTower:
    config = {
        "model_type": "clip_vision_model",
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "patch_size": patch,
        "image_size": 224,
    }
    return VisionTower(config, 224, hub, _CLIP_MEAN, _CLIP_STD)


TEXT_TOWERS: dict[str, TextTower] = {
    "tiny": TextTower({**_t5(128, 256, 2, 4), "d_kv": 32}),
    "flan-t5-small": TextTower(_t5(512, 1024, 8, 6), "google/flan-t5-small", 32128),
    "flan-t5-base": TextTower(_t5(768, 2048, 12, 12), "google/flan-t5-base", 32128),
    "flan-t5-large": TextTower(_t5(1024, 2816, 24, 16), "google/flan-t5-large", 32128),
}
VISION_TOWERS: dict[str, VisionTower] = {
    # Convolutions: from scratch on a few thousand pictures, a plain vision transformer learns far more slowly.
    "tiny": VisionTower(
        {
            "model_type": "resnet",
            "embedding_size": 16,
            "hidden_sizes": [24, 48, 96],
            "depths": [1, 1, 1],
            "layer_type": "basic",
        },
        64,
    ),
    "clip-vit-b32": _clip("openai/clip-vit-base-patch32", 32),
    "clip-vit-b16": _clip("openai/clip-vit-base-patch16", 16),
    "clip-vit-l14": _clip("openai/clip-vit-large-patch14", 14, 1024, 24, 16),
}


def build_student(
    recipe: StudentRecipe, picture: PictureRecipe, texts: Iterable[str], *, random_weights: bool = False
) -> tuple[MrHarmForConditionalGeneration, MrHarmProcessor]:
    """A recipe's towers -> a student ready to train, in fp32, and its processor.

    Args:
        texts: what a tokenizer is trained on, where the text tower brings none; inputs and targets alike.
        random_weights: build pretrained towers with random weights and a tokenizer trained on ``texts`` (measuring).

    Raises:
        InputError: no such tower.
        ModelUnavailableError: pretrained weights could not be had.
        DataError: pretrained weights are not whole.
    """
    text_row = _row(TEXT_TOWERS, recipe.text_tower, "text tower")
    vision_row = (
        None if recipe.vision_tower == "none" else _row(VISION_TOWERS, recipe.vision_tower, "vision tower")
    )
    text_source = None if random_weights else recipe.text_weights or text_row.hub
    vision_source = None if random_weights or vision_row is None else recipe.vision_weights or vision_row.hub
    tokenizer = (
        _load(text_source, AutoTokenizer) if text_source else train_tokenizer(texts, recipe.vocabulary)
    )
    config = MrHarmConfig(
        **_text_config(text_row, text_source, len(tokenizer)),
        vision_config=_vision_config(vision_row, vision_source),
        fusion=recipe.fusion,
        train_vision=recipe.train_vision,
    )
    config.dropout_rate = recipe.dropout
    cpu, fp32 = torch.device("cpu"), torch.float32
    if text_source:
        new = ("fusion", "encoder.vision.")
        model = load_weights(
            text_source, MrHarmForConditionalGeneration, cpu, new, _NAME_IT, config=config, dtype=fp32
        )
    else:
        model = MrHarmForConditionalGeneration(config)
    if vision_source:
        vision = model.encoder.vision
        tower = load_weights(vision_source, type(vision), cpu, (), _NAME_IT, config=vision.config, dtype=fp32)
        vision.load_state_dict(tower.state_dict())
    settings = _picture_settings(vision_row, vision_source, config, picture) if vision_row else None
    return model, MrHarmProcessor(tokenizer, settings)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer trained on ``texts`` (the processor lower-cases inputs; targets keep their case).

    Ids 0, 1, 2 are padding, end, unknown, as T5 has them; no text is ever unknown, down to its bytes.
    """
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )


def _load(source: str, kind: Any) -> Any:
    return load_or_explain(source, lambda: kind.from_pretrained(source), _NAME_IT)


def _row(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise InputError(f"no {what} called {name!r}; there are: {', '.join(table)}")
    return table[name]


def _text_config(row: TextTower, source: str | None, vocabulary: int) -> dict[str, Any]:
    if source is None:
        return {**row.config, "vocab_size": max(vocabulary, row.vocabulary)}
    values = _load(source, AutoConfig).to_dict()
    tied_head = values.get("scale_decoder_outputs", values.get("tie_word_embeddings", True))
    dropped = ("model_type", "architectures", "transformers_version", "tie_word_embeddings", "dtype")
    return {key: value for key, value in values.items() if key not in dropped} | {
        "tied_head": bool(tied_head)
    }


def _vision_config(row: VisionTower | None, source: str | None) -> dict[str, Any] | None:
    if row is None or source is None:
        return row.config if row else None
    config = _load(source, AutoConfig)
    values: dict[str, Any] = getattr(config, "vision_config", config).to_dict()
    return values


def _picture_settings(
    row: VisionTower, source: str | None, config: MrHarmConfig, picture: PictureRecipe
) -> PictureSettings:
    side, mean, std = getattr(config.vision_config, "image_size", row.side), row.mean, row.std
    file = Path(source or "") / "preprocessor_config.json"
    if source and file.is_file():
        values = json.loads(file.read_text(encoding="utf-8"))
        mean, std = tuple(values.get("image_mean", mean)), tuple(values.get("image_std", std))
    if picture.statistics == "half":
        mean = std = _HALF
    return PictureSettings(side if isinstance(side, int) else row.side, mean, std, picture.fit)
