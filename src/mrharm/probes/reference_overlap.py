"""Compare a detector's rationales with those that people wrote of the same memes (HatReD): ROUGE-L and BERTScore.

PyTorch and transformers are imported only when BERTScore is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mrharm.control_tokens import ControlTokens
from mrharm.errors import InputError, MrHarmError
from mrharm.hub import load_or_explain, load_weights
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.probes.run import NotMeasurableError
from mrharm.records import Meme, Record

if TYPE_CHECKING:
    from torch import Tensor

PEOPLE = "people"  # what the importer of HatReD writes as a rationale's teacher
BATCH = 32
LONGEST = 512  # tokens; what is beyond is cut
_WORD = re.compile(r"\w+")


class Likeness(Record):
    """Likeness of rationales to people's, 0 to 1.

    Attributes:
        own, other: to those of the same meme, and to those of another one.
        gain: own minus other: what a rationale tells of this meme rather than of any.
    """

    own: Estimate
    other: Estimate
    gain: Estimate


class AgainstGold(Record):
    """Rationales compared with people's.

    Attributes:
        memes, references: that have rationales by people, and how many rationales these are.
        bertscore: None without an encoder.
        encoder: the name of its folder.
    """

    memes: int
    references: int
    rouge_l: Likeness
    bertscore: Likeness | None = None
    encoder: str | None = None


def gold_rationales(meme: Meme, dataset: Dataset) -> list[str]:
    """Return what people wrote of why a meme has its label; an empty list where they wrote nothing."""
    texts = meme.extra.get("gold_rationales")
    if isinstance(texts, list):
        return [text for text in texts if isinstance(text, str) and text.strip()]
    row = dataset.rationales.get(meme.id)
    return [row.text] if row and row.teacher == PEOPLE and row.text.strip() else []


def compare_with_gold(
    rationales: Sequence[str],
    gold: Sequence[Sequence[str]],
    clusters: NDArray[np.int64],
    *,
    encoder: Path | None = None,
    seed: int = 0,
) -> AgainstGold:
    """Measure the likeness of rationales to people's; of several references the most alike one counts.

    ``encoder``: a folder with an encoder for BERTScore. *Length of all:* memes

    Raises:
        NotMeasurableError: people wrote of fewer than two of the memes.
        ModelUnavailableError: no encoder can be read from the folder.
    """
    places = [place for place, references in enumerate(gold) if references]
    if len(places) < 2:
        raise NotMeasurableError("no two of these memes have a rationale written by people")
    texts, same = [rationales[place] for place in places], [list(gold[place]) for place in places]
    # The other meme is the next one in a random circle through all, so that each is another's other meme once.
    order = np.random.default_rng(seed).permutation(len(places))
    following = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    different = [same[following[number]] for number in range(len(places))]

    def measure(score: Callable[[Sequence[str], Sequence[Sequence[str]]], NDArray[np.float64]]) -> Likeness:
        scores = {"own": score(texts, same), "other": score(texts, different)}
        statistics = {"gain": scores["own"] - scores["other"], **scores}
        means = {name: mean_of_values(values) for name, values in statistics.items()}
        return Likeness(**bootstrap(means, len(places), seed=seed, clusters=clusters[places]))

    return AgainstGold(
        memes=len(places),
        references=sum(map(len, same)),
        rouge_l=measure(lambda *pairs: np.array([rouge_l(*pair) for pair in zip(*pairs, strict=True)])),
        bertscore=measure(partial(bertscore, encoder)) if encoder else None,
        encoder=encoder.resolve().name if encoder else None,
    )


def rouge_l(candidate: str, references: Sequence[str]) -> float:
    """Compute the best ROUGE-L F-measure against any of the references, 0 to 1; 0 where there is none.

    F1 of precision and recall of the longest common subsequence of words (Lin, "ROUGE: A Package for Automatic
    Evaluation of Summaries", 2004, sentence level, beta = 1). Words are runs of letters and digits of any script, in
    lower case, unstemmed: a package would bring a stemmer and a tokenizer that drops all letters but a to z.
    """
    words = _WORD.findall(candidate.lower())
    best = 0.0
    for reference in references:
        reference_words = _WORD.findall(reference.lower())
        # Precision is common / len(words), recall common / len(reference_words); their harmonic mean in one step.
        if length := len(words) + len(reference_words):
            best = max(best, 2 * _count_common(words, reference_words) / length)
    return best


def _count_common(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence, from the usual table, a row at a time."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, compared in enumerate(second, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == compared else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def bertscore(
    folder: Path, candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Compute the best BERTScore F1 of each candidate against any of its references. *Shape:* (candidates,)

    Each token is matched with the most similar one of the other text, by the cosine of their embeddings in the last
    layer; precision is the mean over the candidate's tokens, recall over the reference's (Zhang et al., "BERTScore:
    Evaluating Text Generation with BERT", ICLR 2020), neither weighted by frequency nor rescaled against a baseline.
    Special tokens are left out. Figures of different encoders are not comparable. A candidate or a reference without a
    token, or no reference, scores 0.

    ``folder``: an encoder and its tokenizer as transformers saves them (BERT, RoBERTa, DeBERTa, T5 ...).

    Raises:
        ModelUnavailableError: no encoder can be read from the folder.
        DataError: its weights are incomplete.
    """
    texts = list(dict.fromkeys([*candidates, *(text for some in references for text in some)]))
    embeddings = dict(zip(texts, _embed(folder, texts), strict=True))
    best = [
        max((_f1(embeddings[text], embeddings[reference]) for reference in some), default=0.0)
        for text, some in zip(candidates, references, strict=True)
    ]
    return np.array(best, dtype=np.float64)


def check_encoder(folder: Path) -> None:
    """Embed a word with an encoder, so that one that cannot be used is refused before hours of work.

    Raises:
        InputError: it cannot; the message says why and the mend.
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
    # Cosines may be negative, and the harmonic mean is of positive numbers.
    return 2 * precision * recall / (precision + recall) if min(precision, recall) > 0 else 0.0


def _embed(folder: Path, texts: Sequence[str]) -> list[Tensor]:
    """Return unit embeddings of each text's tokens, special ones left out. *Shape of each:* (tokens, d)"""
    import torch

    model, tokenizer = _load_encoder(folder)
    controls = ControlTokens(tokenizer)
    # RoBERTa counts two positions more than it takes.
    positions = getattr(model.config, "max_position_embeddings", LONGEST + 2) - 2
    embeddings: list[Tensor] = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            [controls.escape(text) for text in texts[start : start + BATCH]],
            padding=True,
            truncation=True,
            max_length=min(LONGEST, tokenizer.model_max_length, positions),
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = batch.pop("special_tokens_mask").bool()
        with torch.inference_mode():
            states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        states = torch.nn.functional.normalize(states.float(), dim=-1)
        masks = batch["attention_mask"].bool() & ~special
        embeddings += [state[mask] for state, mask in zip(states, masks, strict=True)]
    return embeddings


def _load_encoder(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    def load() -> tuple[Any, Any]:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        return config, AutoTokenizer.from_pretrained(folder, local_files_only=True)

    config, tokenizer = load_or_explain(str(folder), load, "--encoder FOLDER")
    # A pooler and a decoder are not used, and often not saved.
    unused = ("pooler", "decoder") if config.is_encoder_decoder else ("pooler",)
    model = load_weights(str(folder), AutoModel, torch.device("cpu"), unused, local_files_only=True)
    return model.get_encoder() if config.is_encoder_decoder else model, tokenizer
