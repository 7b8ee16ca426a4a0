"""BERTScore with an encoder from a local folder. PyTorch and transformers are imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import DataError, InputError, ModelUnavailableError, MrHarmError
from mrharm.hub import load_or_explain

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32
LONGEST = 512  # tokens; what is beyond is cut


def bertscore(
    folder: Path, candidates: Sequence[str], references: Sequence[Sequence[str]], *, device: str = "cpu"
) -> NDArray[np.float64]:
    """The best BERTScore F1 of each candidate against any of its references. *Shape:* (candidates,)

    Each token is matched with the most similar one of the other text, by the cosine of their embeddings in the last
    layer; precision is the mean over the candidate's tokens, recall over the reference's (Zhang et al., "BERTScore:
    Evaluating Text Generation with BERT", ICLR 2020), neither weighted by frequency nor rescaled against a baseline.
    Special tokens are left out. Figures of different encoders are not comparable. A candidate or a reference without a
    token, or no reference, scores 0.

    Args:
        folder: an encoder and its tokenizer as transformers saves them (BERT, RoBERTa, DeBERTa, T5 ...).
        candidates: what was written.
        references: what people wrote, one or more texts for each candidate.
        device: where to run.

    Raises:
        ModelUnavailableError: no encoder can be read from the folder.
        DataError: its weights are not whole.
        InputError: the numbers of candidates and references differ.
    """
    if len(candidates) != len(references):
        raise InputError(
            f"{len(candidates)} candidates and references for {len(references)}; expected one list for each"
        )
    texts = list(dict.fromkeys([*candidates, *(text for some in references for text in some)]))
    embedded = dict(zip(texts, _embed(folder, texts, device), strict=True))
    return np.array(
        [
            max((_f1(embedded[one], embedded[other]) for other in some), default=0.0)
            for one, some in zip(candidates, references, strict=True)
        ],
        dtype=np.float64,
    )


def check_encoder(folder: Path) -> None:
    """Read an encoder and embed a word with it, before hours of work rest on it.

    Raises:
        InputError: that cannot be done; the message says why and the mend.
    """
    try:
        bertscore(folder, ["you"], [["you"]])
    except MrHarmError as error:
        raise InputError(f"no BERTScore by this encoder: {error}") from None


def _f1(candidate: Tensor, reference: Tensor) -> float:
    if not len(candidate) or not len(reference):
        return 0.0
    similarity = candidate @ reference.T
    precision = float(similarity.amax(1).mean())
    recall = float(similarity.amax(0).mean())
    # Cosines may be negative: a mean of the two that is not positive has no harmonic mean worth the name.
    return 2 * precision * recall / (precision + recall) if min(precision, recall) > 0 else 0.0


def _embed(folder: Path, texts: Sequence[str], device: str) -> list[Tensor]:
    """Unit embeddings of each text's tokens, special ones left out. *Shape of each:* (tokens, d)"""
    import torch

    model, tokenizer = _load(folder, device)
    # RoBERTa counts two positions more than it takes.
    positions = getattr(model.config, "max_position_embeddings", LONGEST + 2) - 2
    found: list[Tensor] = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            list(texts[start : start + BATCH]),
            padding=True,
            truncation=True,
            max_length=min(LONGEST, tokenizer.model_max_length, positions),
            return_special_tokens_mask=True,
            return_tensors="pt",
        ).to(device)
        special = batch.pop("special_tokens_mask").bool()
        with torch.inference_mode():
            states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        states = torch.nn.functional.normalize(states.float(), dim=-1).cpu()
        kept = (batch["attention_mask"].bool() & ~special).cpu()
        found += [state[mask] for state, mask in zip(states, kept, strict=True)]
    return found


def _load(folder: Path, device: str) -> tuple[Any, Any]:
    import transformers

    if not folder.is_dir():
        raise ModelUnavailableError(
            f"{folder}: no such folder; BERTScore wants an encoder and its tokenizer, saved there"
        )

    def load() -> tuple[Any, Any, Any]:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, info = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        return model, tokenizer, info

    model, tokenizer, info = load_or_explain(str(folder), load, "--encoder FOLDER")
    decodes = model.config.is_encoder_decoder
    # A pooler and a decoder are left out, and often not saved; the rest would be random and say nothing.
    unread = ("pooler", "decoder") if decodes else ("pooler",)
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(unread))
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} tensors are not there ({', '.join(missing[:3])} ...); expected the weights of "
            f"a {type(model).__name__}"
        )
    encoder = model.get_encoder() if decodes else model
    return encoder.to(device).eval(), tokenizer
