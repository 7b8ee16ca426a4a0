"""Tiny random captioning models in the layout of the hub's: a BLIP and a Florence-2, tokenizers made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BartTokenizer,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

from mrharm.evidence.captions import Described
from mrharm.records import Meme

LOUD = 12.0
WORDS = [
    "a",
    "the",
    "cat",
    "dog",
    "on",
    "mat",
    "red",
    "blue",
    "square",
    "you",
    "smell",
    "nice",
    "and",
    "is",
    "of",
]
SIZES = [(40, 30), (1, 1), (3, 50), (3, 3), (200, 2)]


def described(image: Image.Image | None, name: str = "m") -> Described:
    return Described(Meme(id=name, image="images/m.png", text="you smell of cheese"), image)


def colours(count: int = 5) -> list[Described]:
    """Pictures of odd sizes, each of another colour."""
    shades = ("red", "teal", "gold", "navy", "pink")
    return [described(Image.new("RGB", SIZES[n % 5], shades[n % 5]), f"m{n}") for n in range(count)]


def make_blip(folder: Path) -> Path:
    """A BLIP of two layers with 32-pixel pictures."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *WORDS]
    tokenizer = BertTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        bos_token="[DEC]",
        additional_special_tokens=["[ENC]"],
    )
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "encoder_hidden_size": 32, "max_position_embeddings": 128}
    text |= {"bos_token_id": 5, "eos_token_id": 3, "pad_token_id": 0, "sep_token_id": 3}
    config = BlipConfig(
        text_config={**sizes, **text},
        vision_config={**sizes, "image_size": 32, "patch_size": 16, "initializer_range": 0.02},
    )
    _save(BlipForConditionalGeneration, config, folder)
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def make_florence(folder: Path) -> Path:
    """A Florence-2 of one layer a side, 64-pixel pictures, five tokens each."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(
        ["a cat on a mat", "Describe in detail what is shown in the image."] * 5, trainer
    )
    learned = json.loads(core.to_str())["model"]
    tokenizer = BartTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        extra_special_tokens={"image_token": "<image>"},
    )
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    vision = {"window_size": 2, "projection_dim": 32, "drop_path_rate": 0.0, "depths": [1, 1, 1, 1]}
    vision |= {"embed_dim": [8, 16, 16, 16], "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2]}
    text = {"model_type": "bart", "vocab_size": len(tokenizer), "d_model": 32, **ids}
    for side in ("encoder", "decoder"):
        text |= {f"{side}_layers": 1, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 64}
    config = Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id, **ids
    )
    _save(Florence2ForConditionalGeneration, config, folder)
    pictures = CLIPImageProcessorPil(
        size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=5
    )
    Florence2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder


def _save(kind: Any, config: Any, folder: Path) -> None:
    """Random weights, large enough that another picture makes another caption."""
    torch.manual_seed(1)
    model = kind(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(LOUD)
    model.save_pretrained(folder)


MAKERS = {"blip": make_blip, "florence2": make_florence}
