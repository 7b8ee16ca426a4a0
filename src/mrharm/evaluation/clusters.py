"""Clusters of memes that depend on one another: of one generated quad, or with the same words or picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, filterfalse

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.records import Evidence, Meme, meme_text
from mrharm.synthetic.truth import quad_of
from mrharm.texts import fold

# A key that more memes share than this share of all, or this number (a quad's four and a few more), joins none.
COMMON_SHARE, COMMON_MEMES = 0.05, 8


def cluster_ids(memes: Sequence[Meme], evidence: Sequence[Evidence | None]) -> NDArray[np.int64]:
    """Number the clusters of memes of one generated quad, with the same words or with the same picture file.

    A detector that decides one of them rightly is likelier to decide the rest rightly (or, of confounders, wrongly):
    resampled one by one they would make intervals too narrow. What more than a twentieth of the memes share (a
    placeholder for a picture, say) joins none.

    Args:
        memes: in any order.
        evidence: of each meme, None where there is none.

    Returns:
        A number for each meme, the same within a cluster. *Shape:* (memes,)
    """
    keys = [_cluster_keys(meme, read) for meme, read in zip(memes, evidence, strict=True)]
    counts = Counter(chain.from_iterable(keys))
    most = max(COMMON_SHARE * len(keys), COMMON_MEMES)
    common = {key for key, count in counts.items() if count > most}
    return join_by_keys([list(filterfalse(common.__contains__, keys_of_meme)) for keys_of_meme in keys])


def join_by_keys(keys: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Number items by their keys: those with a key in common, directly or through others, get the same number."""
    joined: DisjointSet[int] = DisjointSet(range(len(keys)))
    first: dict[str, int] = {}
    for place, keys_of_item in enumerate(keys):
        for key in keys_of_item:
            joined.merge(first.setdefault(key, place), place)
    return np.array([joined[place] for place in range(len(keys))], dtype=np.int64)


def _cluster_keys(meme: Meme, evidence: Evidence | None) -> list[str]:
    picture = evidence.image_sha256 if evidence else None
    keys = {"quad": quad_of(meme), "words": fold(meme_text(meme, evidence) or ""), "picture": picture}
    return [f"{kind} {name}" for kind, name in keys.items() if name]
