"""What a detector writes, held against what people wrote of the same memes (HatReD)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.probes.bertscore import bertscore
from mrharm.probes.rouge import rouge_l
from mrharm.records import Meme, Record

PEOPLE = "people"  # what the importer of HatReD writes as a rationale's teacher


class Likeness(Record):
    """Likeness to gold rationales, 0 to 1: ``own`` to those of the same meme, ``other`` to those of another meme, and
    ``gain``, own minus other: what it says of this meme rather than of any.
    """

    own: Estimate
    other: Estimate
    gain: Estimate


class AgainstGold(Record):
    """Rationales held against people's, over the memes that have some. ``bertscore``: where an encoder was named."""

    memes: int
    references: int
    rouge_l: Likeness
    bertscore: Likeness | None = None
    encoder: str | None = None


def gold_of(meme: Meme, dataset: Dataset) -> list[str]:
    """What people wrote of why a meme has its label; nothing for a meme of which they wrote none."""
    texts = meme.extra.get("gold_rationales")
    if isinstance(texts, list):
        return [text for text in texts if isinstance(text, str) and text.strip()]
    row = dataset.rationales.get(meme.id)
    return [row.text] if row and row.teacher == PEOPLE and row.text.strip() else []


def against_gold(
    written: Sequence[str],
    gold: Sequence[Sequence[str]],
    *,
    clusters: NDArray[np.int64] | None = None,
    encoder: Path | None = None,
    seed: int = 0,
) -> AgainstGold | None:
    """Likeness of rationales to people's; None where fewer than two memes have some.

    Of several references the likest counts, for the meme's own and for the other's alike.

    Args:
        written: the detector's rationales.
        gold: people's, for each; an empty list where there are none.
        clusters: of the intervals, as `bootstrap`. *Shape:* (rationales,)
        encoder: a local encoder for BERTScore.
        seed: of whose gold rationales stand for the other meme, and of the intervals.

    Raises:
        ModelUnavailableError: no encoder can be read from the folder named.
    """
    kept = [(text, list(some)) for text, some in zip(written, gold, strict=True) if some]
    if len(kept) < 2:
        return None
    numbers = np.arange(len(gold)) if clusters is None else clusters
    numbers = numbers[[bool(some) for some in gold]]
    texts, own = [text for text, _ in kept], [some for _, some in kept]
    # A cycle through all in random order: everyone's other is somebody else, and each is the other once.
    order = np.random.default_rng(seed).permutation(len(kept))
    others = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    other = [own[others[index]] for index in range(len(kept))]
    rouge = [[rouge_l(text, some) for text, some in zip(texts, golds, strict=True)] for golds in (own, other)]
    by_encoder = [bertscore(encoder, texts, golds) for golds in (own, other)] if encoder else []
    return AgainstGold(
        memes=len(kept),
        references=sum(map(len, own)),
        rouge_l=_likeness(np.array(rouge[0]), np.array(rouge[1]), numbers, seed),
        bertscore=_likeness(by_encoder[0], by_encoder[1], numbers, seed) if by_encoder else None,
        encoder=encoder.resolve().name if encoder else None,
    )


def _likeness(
    own: NDArray[np.float64], other: NDArray[np.float64], clusters: NDArray[np.int64], seed: int
) -> Likeness:
    statistics = {
        "own": mean_of_values(own),
        "other": mean_of_values(other),
        "gain": mean_of_values(own - other),
    }
    return Likeness(**bootstrap(statistics, len(own), seed=seed, clusters=clusters))
