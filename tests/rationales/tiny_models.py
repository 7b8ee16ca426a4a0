"""Tiny random chat models in the layout of the hub's: one that reads text, one that sees too; tokenizers made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

LOUD = 16.0  # random weights so large that another question has another answer
START, END, PAD, IMAGE, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|pad|>", "<image>", "<unk>"

# How instruct models mark turns: with tokens; with tokens, but no system's message; in plain words.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHATML
)
DROPS_SYSTEM = CHATML.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
PLAIN = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% elif m['role'] == 'system' %}<<SYS>>\n{{ m['content'] }}\n<</SYS>>\n\n"
    "{% else %} {{ m['content'] }} \n{% endif %}{% endfor %}"
)

_TEXT = [
    "the words and the picture of a meme say that you smell of old cheese",
    "a cat on a mat, a dog in the red house: it mocks the club of round hats",
    "system user assistant explain why without saying so",
    "INST im_start im_end image SYS",
] * 3


def make_reader(folder: Path, template: str | None = CHATML) -> Path:
    """A Llama of two layers that chats."""
    tokenizer = make_tokenizer(template)
    _save(LlamaForCausalLM, LlamaConfig(**_sizes(tokenizer)), folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_seer(folder: Path, template: str = CHATML) -> Path:
    """A LLaVA of two layers a side: 32-pixel pictures, four tokens each."""
    tokenizer = make_tokenizer(template)
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "projection_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    text = {"model_type": "llama", **_sizes(tokenizer)}
    image = tokenizer.convert_tokens_to_ids(IMAGE)
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=image, vision_feature_layer=-1
    )
    _save(LlavaForConditionalGeneration, config, folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return folder


def make_tokenizer(
    template: str | None = CHATML, normalizer: normalizers.Normalizer | None = None
) -> PreTrainedTokenizerFast:
    """BPE over bytes; a ``normalizer`` acts before the tokens of control are looked for, as SentencePiece's does."""
    core = Tokenizer(models.BPE())
    if normalizer is not None:
        core.normalizer = normalizer
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=[UNKNOWN], show_progress=False
    )
    core.train_from_iterator(_TEXT, trainer)
    controls = [AddedToken(token, normalized=normalizer is not None) for token in (PAD, START, END, IMAGE)]
    core.add_special_tokens(controls)
    core.add_tokens([AddedToken("</think>", normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="right",  # as some are saved that must be filled up on the left to write
        extra_special_tokens={"image_token": IMAGE},
        chat_template=template,
    )


def _sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _save(kind: Any, config: Any, folder: Path) -> None:
    torch.manual_seed(1)
    model = kind(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(LOUD)
    model.save_pretrained(folder)
