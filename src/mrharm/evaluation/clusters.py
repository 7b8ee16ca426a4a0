"""Memes that are no independent ones: made from one another, or with the same words or picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.evaluation.predictions import Predictions
from mrharm.records import Meme, Verdict, meme_text
from mrharm.texts import fold

COMMON, FEW = 0.05, 8  # of the memes, and a quad's four and a little more: shared by more, it is no kinship


def clusters_of(predictions: Predictions) -> NDArray[np.int64]:
    """A number for each meme, the same for memes of one generated quad, with the same words or the same picture file.

    A detector that gets one of them right is likelier to get the others right (or, of confounders, wrong): drawn one by
    one they would make intervals too narrow. What more than a twentieth of the memes share (a placeholder for a
    picture, say) makes none of them alike. *Shape:* (memes,)
    """
    names = [
        _names(meme, verdict) for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True)
    ]
    counts = Counter(name for own in names for name in own)
    most = max(COMMON * len(names), FEW)
    return number([[name for name in own if counts[name] <= most] for own in names])


def number(names: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """What items are called -> a number each, the same for those with a name in common, through others or not.

    *Length of both:* items
    """
    joined: DisjointSet[int] = DisjointSet(range(len(names)))
    first: dict[str, int] = {}
    for place, own in enumerate(names):
        for name in own:
            joined.merge(first.setdefault(name, place), place)
    return np.array([joined[place] for place in range(len(names))], dtype=np.int64)


def _names(meme: Meme, verdict: Verdict) -> list[str]:
    truth = meme.extra.get("truth")
    quad = truth.get("quad") if isinstance(truth, dict) else None
    words = fold(meme_text(meme, verdict.evidence) or "")
    picture = verdict.evidence.image_sha256 if verdict.evidence else None
    found = {"quad": quad, "words": words, "picture": picture}
    return [f"{kind} {name}" for kind, name in found.items() if name]
