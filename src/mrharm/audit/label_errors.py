"""Labels that the rest of the data contradicts, by confident learning; a list for a person to look at.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 2021). Written here in
a few lines because the library that carries it, cleanlab, is under the AGPL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrharm.audit.copies import Copies
from mrharm.audit.findings import Example, Finding, LabelError, examples
from mrharm.audit.reading import Contents
from mrharm.audit.shortcuts import FEWEST, FOLDS, Folds, Signal, folds_apart
from mrharm.metrics.ranking import auroc_of
from mrharm.progress import Progress, counting

LISTED = 200  # suspects in the report
LEAST_AUROC = 0.6  # of the out-of-fold scores: below, what they contradict means nothing


def find_label_errors(
    contents: Contents, copies: Copies, available: dict[str, Signal], progress: Progress
) -> tuple[list[Finding], list[LabelError]]:
    """Suspect labels, most suspect first.

    P(harmful) of each labelled meme comes from models that saw neither it nor its copies: the mean over words (text and
    caption) and, where there are pictures, pixels.
    """
    items = [item for item in contents.items if item.harmful is not None]
    gold = np.array([bool(item.harmful) for item in items])
    signals = [
        available[name]
        for name in (
            next((one for one in ("text_caption", "text", "caption") if one in available), ""),
            "pixels",
        )
        if name in available
    ]
    if len(items) < FEWEST or min(gold.sum(), (~gold).sum()) < FOLDS or not signals:
        return [], []
    numbers = np.array([item.number for item in items])
    folds = folds_apart(numbers, gold.tolist(), copies.group_names(items))
    if not folds:
        return [], []
    probabilities = _out_of_fold(contents, folds, signals, progress)[numbers]
    if auroc_of(gold, probabilities).value(len(gold)) < LEAST_AUROC:
        return [
            Finding(
                code="label-errors-unknown",
                level="note",
                message="surface signals say too little of the labels to tell which may be wrong",
            )
        ], []
    suspects = confident_errors(gold, probabilities)
    errors = [
        LabelError(
            meme=items[index].id,
            split=items[index].splits[0],
            harmful=bool(gold[index]),
            probability=round(float(probabilities[index]), 4),
        )
        for index in suspects
    ]
    if not errors:
        return [], []
    return [
        Finding(
            code="label-errors",
            level="note",
            message=f"{len(errors):,} of {len(items):,} labels are contradicted by the rest of the data; look at them",
            count=len(errors),
            of=len(items),
            examples=examples(
                [
                    Example(
                        memes=(error.meme,),
                        what=f"labelled {'harmful' if error.harmful else 'harmless'}, P(harmful) "
                        f"{error.probability:.2f}",
                        text=items[index].text,
                    )
                    for error, index in zip(errors, suspects, strict=True)
                ]
            ),
        )
    ], errors[:LISTED]


def _out_of_fold(
    contents: Contents, folds: Folds, signals: Sequence[Signal], progress: Progress
) -> NDArray[np.float64]:
    """P(harmful) by item number. *Shape:* (items,); 0 for items that are in no fold."""
    gold = np.array([bool(item.harmful) for item in contents.items])
    total = np.zeros(len(gold))
    with counting(progress, "looking for label errors", len(folds) * len(signals)) as advance:
        for seen, unseen in folds:
            for signal in signals:
                total[unseen] += signal.predict(
                    signal.features[seen], gold[seen].tolist(), signal.features[unseen]
                )
                advance()
    return total / len(signals)


def confident_errors(gold: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> list[int]:
    """Indices of suspect labels, most suspect first.

    A label is suspect when the probability of the other side reaches what memes labelled so get on average (the
    per-class threshold of the paper) and its own side's does not. They are ranked by self-confidence.

    Args:
        gold: labels. *Shape:* (memes,)
        probabilities: out-of-fold P(harmful). *Shape:* (memes,)
    """
    own = np.where(gold, probabilities, 1 - probabilities)
    thresholds = {side: float(own[gold == side].mean()) for side in (True, False)}
    other = np.where(gold, thresholds[False], thresholds[True])
    mine = np.where(gold, thresholds[True], thresholds[False])
    suspect = (1 - own >= other) & (own < mine)
    order = np.argsort(own, kind="stable")
    return [int(index) for index in order if suspect[index]]
