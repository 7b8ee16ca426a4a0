"""Which memes are copies of one another, by id, picture, near-same picture and text; and which share a template."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.audit.reading import Contents, Item
from mrharm.memes.fingerprints import NEAR, TEMPLATE, PictureFacts, find_near_pairs

SAME_WORDS = 0.5  # shared share of the words of two near-same pictures that makes them one meme

KINDS = ("id", "picture", "near_picture", "text", "meme")


@dataclass
class Copies:
    """Who is a copy of whom. ``groups``: kind -> group number of each item (-1: alone), by item number.

    Two memes are the same ``meme`` when they share the id, or the picture byte for byte, or a near-same picture and
    most words, or the text where a picture that could tell them apart is not known. Two known pictures that differ
    make two memes of one text: confounder pairs are made like that.
    """

    groups: dict[str, NDArray[np.int64]]
    templates: NDArray[np.int64]
    items: list[Item] = field(repr=False)

    def seen_in(self, split: Sequence[Item], other: Sequence[Item], kind: str = "meme") -> list[Item]:
        """The items of ``split`` that have a copy in ``other``."""
        groups = self.groups[kind]
        there = {int(groups[item.number]) for item in other} - {-1}
        return [item for item in split if int(groups[item.number]) in there]

    def group_names(self, items: Sequence[Item]) -> list[int]:
        """A group number for each item, its own where it has no copy: what keeps copies in one fold."""
        groups = self.groups["meme"]
        return [
            int(groups[item.number]) if groups[item.number] >= 0 else len(self.items) + item.number
            for item in items
        ]


def find_copies(contents: Contents, facts: dict[str, PictureFacts]) -> Copies:
    """Group the dataset's memes by every kind of sameness."""
    items = contents.items
    posted = [facts.get(item.meme.image or "") for item in items]
    clean = [
        facts.get((item.evidence.clean_image if item.evidence else None) or "") or look
        for item, look in zip(items, posted, strict=True)
    ]
    near = find_near_pairs(posted, NEAR)
    groups = {
        "id": _by_key([item.published_id for item in items]),
        "picture": _by_key([look.sha256 if look else None for look in posted]),
        "near_picture": _by_pairs(
            len(items), near, _by_key([look.sha256 if look else None for look in posted])
        ),
        "text": _by_key([item.text or None for item in items]),
    }
    groups["meme"] = _same_memes(items, posted, near, groups)
    return Copies(groups, _by_pairs(len(items), find_near_pairs(clean, TEMPLATE)), items)


def _same_memes(
    items: list[Item],
    looks: list[PictureFacts | None],
    near: list[tuple[int, int]],
    groups: dict[str, NDArray[np.int64]],
) -> NDArray[np.int64]:
    joined: DisjointSet[int] = DisjointSet(range(len(items)))
    for kind in ("id", "picture"):
        for members in members_of(groups[kind]).values():
            _join(joined, members)
    for members in members_of(groups["text"]).values():
        if any(looks[number] is None or looks[number].failure for number in members):  # type: ignore[union-attr]
            _join(joined, members)
    for one, other in near:
        if _share_words(items[one].text, items[other].text):
            joined.merge(one, other)
    return _numbered(len(items), joined)


def _join(joined: DisjointSet[int], members: Sequence[int]) -> None:
    for member in members[1:]:
        joined.merge(members[0], member)


def _share_words(one: str, other: str) -> bool:
    words, others = set(one.split()), set(other.split())
    return not words or not others or len(words & others) >= SAME_WORDS * len(words | others)


def _by_key(keys: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """A group number for each item that shares its key with another, -1 for the rest."""
    counts = Counter(key for key in keys if key is not None)
    numbers: dict[Hashable, int] = {}
    return np.array(
        [
            numbers.setdefault(key, len(numbers)) if key is not None and counts[key] > 1 else -1
            for key in keys
        ],
        dtype=np.int64,
    )


def _by_pairs(
    count: int, pairs: Iterable[tuple[int, int]], also: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    joined: DisjointSet[int] = DisjointSet(range(count))
    for one, other in pairs:
        joined.merge(one, other)
    for members in members_of(also).values() if also is not None else ():
        _join(joined, members)
    return _numbered(count, joined)


def _numbered(count: int, joined: DisjointSet[int]) -> NDArray[np.int64]:
    return _by_key([joined[number] if joined.subset_size(number) > 1 else None for number in range(count)])


def members_of(groups: NDArray[np.int64]) -> dict[int, list[int]]:
    """Group number -> the numbers of its items."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups.tolist()):
        if group >= 0:
            members[group].append(number)
    return members
