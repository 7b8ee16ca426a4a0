"""Draw a validation split from train: stratified by label, copies of a meme kept together, the same for a seed.

Selecting on test inflates scores; a dataset that comes without a validation split therefore gets one, once, saved.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from mrharm.errors import InputError
from mrharm.records import Meme
from mrharm.texts import fold

TRAIN, VALIDATION = "train", "validation"

Stratum = tuple[bool, str | None]


def normalised_text(meme: Meme) -> str:
    """Return a meme's text folded: memes whose texts fold alike have the same text."""
    return fold(meme.text or "")


def add_validation(
    memes: list[Meme],
    share: float,
    seed: int,
    *,
    hashes: Mapping[str, str] | None = None,
    train: str = TRAIN,
) -> list[Meme]:
    """Move about ``share`` of the labelled train memes to ``validation``; every other meme stays as it is.

    Each label (with its severity, where there is one) gives its own share, and at least one meme where it has two.
    Copies, that is memes of the same normalised text or of the same picture (``hashes``: meme id -> SHA-256), move
    together or not at all, so a share can be missed where copies are many. The choice depends on ids and seed, not
    on the order of the rows.

    Raises:
        InputError: ``share`` is not between 0 and 0.5; 0 adds nothing.
    """
    if not 0 <= share <= 0.5:
        raise InputError(f"validation share: expected 0 to 0.5, got {share}; 0.1 is usual, 0 adds none")
    pool = [meme for meme in memes if meme.split == train]
    sizes = _count_strata(pool)
    if share == 0 or not sizes:
        return memes
    quota = {key: max(share * size, 1.0 if size > 1 else 0.0) for key, size in sizes.items()}

    def order(group: list[Meme]) -> str:
        return hashlib.sha256(f"{seed} {min(meme.id for meme in group)}".encode()).hexdigest()

    chosen = _draw(sorted(_group_copies(pool, hashes or {}), key=order), quota)
    return [meme.model_copy(update={"split": VALIDATION}) if meme.id in chosen else meme for meme in memes]


def _draw(groups: Iterable[list[Meme]], quota: Mapping[Stratum, float]) -> set[str]:
    """Draw each group that brings the strata it touches nearer to their quotas; return the ids of its memes."""
    drawn: Counter[Stratum] = Counter()
    chosen: set[str] = set()
    for group in groups:
        counts = _count_strata(group)
        before = sum((quota[key] - drawn[key]) ** 2 for key in counts)
        after = sum((quota[key] - drawn[key] - count) ** 2 for key, count in counts.items())
        if after < before:
            drawn += counts
            chosen.update(meme.id for meme in group)
    return chosen


def _count_strata(memes: Iterable[Meme]) -> Counter[Stratum]:
    """Count the labelled memes by label and severity."""
    return Counter((meme.label.harmful, meme.label.severity) for meme in memes if meme.label)


def _group_copies(memes: Iterable[Meme], hashes: Mapping[str, str]) -> list[list[Meme]]:
    """Group memes by shared text or picture, through any chain of copies."""
    from scipy.cluster.hierarchy import DisjointSet  # slow to import, and needed here alone

    by_id = {meme.id: meme for meme in memes}
    joined: DisjointSet[tuple[str, str]] = DisjointSet(("id", meme_id) for meme_id in by_id)
    for meme in by_id.values():
        picture = hashes.get(meme.id)
        for key in (("text", normalised_text(meme)), ("picture", picture or "")):
            if key[1]:
                joined.add(key)
                joined.merge(("id", meme.id), key)
    groups: dict[tuple[str, str], list[Meme]] = defaultdict(list)
    for meme in by_id.values():
        groups[joined["id", meme.id]].append(meme)
    return list(groups.values())
