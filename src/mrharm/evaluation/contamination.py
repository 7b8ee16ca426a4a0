"""What a detector may have seen of a split before: figures of such memes are kinder than those of new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mrharm.evaluation.predictions import Predictions
from mrharm.memes.dataset import in_split
from mrharm.memes.splits import TRAIN, normalised_text
from mrharm.runs import RUN, read_run

Role = Literal["train", "validation"]


def role_of(predictions: Predictions) -> Role | None:
    """Whether the split judged is the one that detectors of this dataset learn from, or are chosen on."""
    roles: tuple[Role, ...] = ("train", "validation")
    return next((role for role in roles if predictions.dataset.split_name(role) == predictions.split), None)


def trained_on(folder: Path) -> str | None:
    """The name of the dataset a run was trained on, by the folder of one of its evaluations; None outside of a run."""
    for run in (folder, folder.parent.parent):
        if (run / RUN).is_file():
            return str(read_run(run).get("dataset") or "") or None
    return None


def seen_words(predictions: Predictions) -> int:
    """How many of the memes have the very words, but for case and spaces, of a meme of the train split."""
    if role_of(predictions) == TRAIN:
        return len(predictions.memes)
    train = predictions.dataset.split_name(TRAIN)
    known = {normalised_text(meme) for meme in predictions.dataset.memes if in_split(meme, train)} - {""}
    return sum(normalised_text(meme) in known for meme in predictions.memes)
