"""Which memes are copies of one another, by id, picture, near-same picture and text; and which share a template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from mrharm.audit.pictures import list_posted
from mrharm.audit.reading import Contents, Item
from mrharm.memes.fingerprints import NEAR, TEMPLATE, PictureFacts, find_near_pairs

SAME_WORDS = 0.5  # shared share of the words of two near-same pictures that makes them one meme

KINDS = ("meme", "id", "picture", "near_picture", "text")


@dataclass
class Copies:
    """Which memes are copies of one another. ``groups``: kind -> group number of each item (-1: no copy).

    Two memes are the same ``meme`` when they share the id, or the picture byte for byte, or a near-same picture and
    most words, or the text where a picture that could tell them apart is not known. Two known pictures that differ
    make two memes of one text: confounder pairs are made like that. A ``template`` is a picture of several memes.
    """

    groups: dict[str, NDArray[np.int64]]
    items: list[Item] = field(repr=False)

    def pair_copies(
        self, split: Sequence[Item], other: Sequence[Item], kind: str = "meme"
    ) -> list[tuple[Item, list[Item]]]:
        """Return the items of ``split`` that have copies in ``other``, each with these."""
        groups = self.groups[kind]
        members: dict[int, list[Item]] = defaultdict(list)
        for item in other:
            members[int(groups[item.number])].append(item)
        members.pop(-1, None)
        pairs = [(item, members.get(int(groups[item.number]), [])) for item in split]
        return [(item, copies) for item, copies in pairs if copies]

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """A group number for each item, a new one where it has no copy; copies stay in one fold. *Shape:* (items,)"""
        groups = self.groups["meme"]
        return np.where(groups >= 0, groups, len(groups) + np.arange(len(groups)))

    def list_groups(self, kind: str, items: Iterable[Item] | None = None) -> list[list[Item]]:
        """Return the groups of two items or more, among ``items`` or all; the largest group first."""
        members: dict[int, list[Item]] = defaultdict(list)
        for item in self.items if items is None else items:
            members[int(self.groups[kind][item.number])].append(item)
        members.pop(-1, None)
        return sorted((group for group in members.values() if len(group) > 1), key=len, reverse=True)


def find_copies(contents: Contents, facts: Mapping[str, PictureFacts]) -> Copies:
    """Group the dataset's memes by every kind of sameness."""
    items = contents.items
    posted = list_posted(items, facts)
    clean = [facts.get(item.clean_image or "", picture) for item, picture in zip(items, posted, strict=True)]
    near = find_near_pairs(posted, NEAR)
    ids = _list_sharing([item.published_id for item in items])
    pictures = _list_sharing([picture.sha256 for picture in posted])
    texts = _list_sharing([item.text for item in items])
    # Of near-same pictures, words tell copies from templates; of one text, pictures do, where all of them open.
    reposts = [pair for pair in near if _share_words(*(items[number].text for number in pair))]
    retold = [members for members in texts if any(posted[number].failure for number in members)]
    linked: dict[str, Sequence[Sequence[int]]] = {
        "id": ids,
        "picture": pictures,
        "near_picture": [*near, *pictures],
        "text": texts,
        "meme": [*reposts, *retold, *ids, *pictures],
        "template": find_near_pairs(clean, TEMPLATE),
    }
    return Copies({kind: _number_groups(len(items), links) for kind, links in linked.items()}, items)


def _share_words(text: str, other: str) -> bool:
    words, others = set(text.split()), set(other.split())
    return not words or not others or len(words & others) >= SAME_WORDS * len(words | others)


def _list_sharing(keys: Iterable[Hashable | None]) -> list[list[int]]:
    """Return the numbers of the items that share a key with another, a list for each key; an empty one is no key."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key:
            members[key].append(number)
    return [numbers for numbers in members.values() if len(numbers) > 1]


def _number_groups(count: int, links: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """Return a group number for each item that is linked with another, directly or over several; -1 for the rest."""
    joined: DisjointSet[int] = DisjointSet(range(count))
    for linked in links:
        for number in linked[1:]:
            joined.merge(linked[0], number)
    groups = np.full(count, -1)
    for group, members in enumerate(joined.subsets()):
        if len(members) > 1:
            groups[list(members)] = group
    return groups
