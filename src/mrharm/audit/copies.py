"""Which memes are copies of one another, by id, picture, near-same picture and text; and which share a template."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.audit.reading import Contents, Item
from mrharm.memes.fingerprints import NEAR, TEMPLATE, PictureFacts, find_near_pairs

SAME_WORDS = 0.5  # shared share of the words of two near-same pictures that makes them one meme

KINDS = ("id", "picture", "near_picture", "text", "meme")


@dataclass
class Copies:
    """Which memes are copies of one another. ``groups``: kind -> group number of each item (-1: no copy).

    Two memes are the same ``meme`` when they share the id, or the picture byte for byte, or a near-same picture and
    most words, or the text where a picture that could tell them apart is not known. Two known pictures that differ
    make two memes of one text: confounder pairs are made like that.
    """

    groups: dict[str, NDArray[np.int64]]
    templates: NDArray[np.int64]
    items: list[Item] = field(repr=False)

    def find_copied(self, split: Sequence[Item], other: Sequence[Item], kind: str = "meme") -> list[Item]:
        """Return the items of ``split`` that have a copy in ``other``."""
        groups = self.groups[kind]
        shared = {int(groups[item.number]) for item in other} - {-1}
        return [item for item in split if int(groups[item.number]) in shared]

    def assign_groups(self, items: Sequence[Item]) -> list[int]:
        """Return a group number for each item, a new one where it has no copy: what keeps copies in one fold."""
        groups = self.groups["meme"]
        return [
            int(groups[item.number]) if groups[item.number] >= 0 else len(self.items) + item.number
            for item in items
        ]

    def list_groups(self, groups: NDArray[np.int64]) -> list[list[Item]]:
        """Return the items of each group, the largest group first."""
        members = list_members(groups).values()
        return sorted(([self.items[number] for number in group] for group in members), key=len, reverse=True)


def find_copies(contents: Contents, facts: Mapping[str, PictureFacts]) -> Copies:
    """Group the dataset's memes by every kind of sameness."""
    items = contents.items
    posted = [facts.get(item.meme.image or "") for item in items]
    clean = [
        facts.get(item.clean_image or "") or picture for item, picture in zip(items, posted, strict=True)
    ]
    near = find_near_pairs(posted, NEAR)
    ids = _group_by_key([item.published_id for item in items])
    pictures = _group_by_key([picture.sha256 if picture else None for picture in posted])
    texts = _group_by_key([item.text or None for item in items])
    # Of near-same pictures, words tell copies from templates; of one text, pictures do, where all of them open.
    reposts = [
        (first, second) for first, second in near if _share_words(items[first].text, items[second].text)
    ]
    retold = _list_retold(texts, posted)
    groups = {
        "id": ids,
        "picture": pictures,
        "near_picture": _group_linked(len(items), near, pictures),
        "text": texts,
        "meme": _group_linked(len(items), [*reposts, *retold], ids, pictures),
    }
    return Copies(groups, _group_linked(len(items), find_near_pairs(clean, TEMPLATE)), items)


def _list_retold(texts: NDArray[np.int64], pictures: Sequence[PictureFacts | None]) -> list[list[int]]:
    """Return the groups of one text of which not every picture opens."""
    opened = np.array([picture is not None and not picture.failure for picture in pictures], dtype=bool)
    return [members for members in list_members(texts).values() if not opened[members].all()]


def _share_words(text: str, other: str) -> bool:
    words, others = set(text.split()), set(other.split())
    return not words or not others or len(words & others) >= SAME_WORDS * len(words | others)


def _group_by_key(keys: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """Return a group number for each item that shares its key with another, -1 for the rest."""
    counts = Counter(key for key in keys if key is not None)
    numbers: dict[Hashable, int] = {}
    return np.array(
        [
            numbers.setdefault(key, len(numbers)) if key is not None and counts[key] > 1 else -1
            for key in keys
        ],
        dtype=np.int64,
    )


def _group_linked(
    count: int, linked: Iterable[Sequence[int]], *groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return a group number for each item that is linked with another, directly or over several; -1 for the rest."""
    joined: DisjointSet[int] = DisjointSet(range(count))
    for members in chain(linked, *(list_members(numbers).values() for numbers in groups)):
        for member in members[1:]:
            joined.merge(members[0], member)
    return _group_by_key([joined[item] if joined.subset_size(item) > 1 else None for item in range(count)])


def count_repeats(groups: NDArray[np.int64]) -> int:
    """Count the items of groups beyond the first of each."""
    return int((groups >= 0).sum()) - len(np.unique(groups[groups >= 0]))


def list_members(groups: NDArray[np.int64]) -> dict[int, list[int]]:
    """Return group number -> the numbers of its items."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups.tolist()):
        if group >= 0:
            members[group].append(number)
    return members
