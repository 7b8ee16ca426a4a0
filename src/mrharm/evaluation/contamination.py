"""Contamination of a split: memes a detector learned from or was chosen on have better figures than new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.memes.dataset import in_split
from mrharm.memes.splits import TRAIN, normalised_text
from mrharm.runs import RUN, read_run

Role = Literal["train", "validation"]


def role_of(predictions: LabelledVerdicts) -> Role | None:
    """Return the role of the split judged where detectors of this dataset learn from it or are chosen on it."""
    roles: tuple[Role, ...] = ("train", "validation")
    return next((role for role in roles if predictions.dataset.split_name(role) == predictions.split), None)


def trained_on(folder: Path) -> str | None:
    """Return the name of the dataset a run was trained on, by an evaluation's folder; None outside of a run."""
    for run in (folder, folder.parent.parent):
        if (run / RUN).is_file():
            return str(read_run(run).get("dataset") or "") or None
    return None


def count_train_texts(predictions: LabelledVerdicts) -> int:
    """Count the memes with the same words, but for case and spaces, as a meme of the train split."""
    if role_of(predictions) == TRAIN:
        return len(predictions.memes)
    train = predictions.dataset.split_name(TRAIN)
    train_texts = {normalised_text(meme) for meme in predictions.dataset.memes if in_split(meme, train)} - {
        ""
    }
    return sum(normalised_text(meme) in train_texts for meme in predictions.memes)
