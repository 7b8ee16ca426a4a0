"""What stands beside a detector's figures on the same memes: the commoner label, and models that read words alone."""

from __future__ import annotations

import numpy as np

from mrharm.evaluation import baselines
from mrharm.evaluation.judged import Judged
from mrharm.evaluation.scores import DRAWS, headline
from mrharm.memes.dataset import in_split
from mrharm.memes.splits import TRAIN
from mrharm.metrics import Figure, Statistic, figures
from mrharm.records import Meme, Record
from mrharm.student.inputs import compose_text


class Beside(Record):
    """A baseline trained on the dataset's train split: its figures on the memes judged, and ``gains``: how much better
    the detector is, by the paired bootstrap.
    """

    name: str
    accuracy: Figure
    macro_f1: Figure
    auroc: Figure
    gains: dict[str, Figure]


def stand_beside(judged: Judged, *, draws: int = DRAWS, seed: int = 0) -> tuple[Beside, ...]:
    """The majority label, words alone, and words with the caption where both splits have captions.

    Nothing where the dataset has no labelled train split of both classes, or where it is the split judged.
    """
    dataset = judged.dataset
    train = dataset.split_name(TRAIN)
    learn = [meme for meme in dataset.memes if in_split(meme, train) and meme.label]
    gold = [bool(meme.label and meme.label.harmful) for meme in learn]
    if judged.split == train or len(set(gold)) < 2:
        return ()
    said, share = baselines.majority(gold, len(judged.memes))
    rows = [_row(judged, "majority", np.array(said, dtype=object), np.array(share), draws, seed)]
    parts: dict[str, tuple[str, ...]] = {"words alone": ("text",)}
    captioned = [bool(_text(judged, meme, ("caption",))) for meme in (*learn, *judged.memes)]
    if all(captioned):
        parts["words and caption"] = ("text", "caption")
    for name, reads in parts.items():
        seen = [_text(judged, meme, reads) for meme in learn]
        if not any(len(word) > 1 for text in seen for word in text.split()):
            continue  # a bag without words
        scores = baselines.text_only(seen, gold, [_text(judged, meme, reads) for meme in judged.memes])
        rows.append(_row(judged, name, (scores >= 0.5).astype(object), scores, draws, seed))
    return tuple(rows)


def _text(judged: Judged, meme: Meme, reads: tuple[str, ...]) -> str:
    return compose_text(reads, meme, judged.dataset.evidence.get(meme.id))[0]


def _row(judged: Judged, name: str, said: np.ndarray, scores: np.ndarray, draws: int, seed: int) -> Beside:
    theirs = headline(judged.gold, said, scores)
    ours = headline(judged.gold, judged.said, judged.scores)
    both: dict[str, Statistic] = {**theirs, **{f"gain {key}": ours[key] - theirs[key] for key in ours}}
    found = figures(both, len(judged.gold), draws=draws, seed=seed)
    gains = {key: found.pop(f"gain {key}") for key in ours}
    return Beside(name=name, gains=gains, **found)
