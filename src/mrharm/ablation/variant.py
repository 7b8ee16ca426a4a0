"""A dataset as one arm sees it: fewer training memes, other rationales, the same pictures."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mrharm.ablation import variants
from mrharm.ablation.arms import Arm
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.recipe import Recipe
from mrharm.records import Meme, Rationale
from mrharm.store import content_key
from mrharm.training.data import usable_rationales

LOT = 20_231_211  # of the training subsets: the same memes for every arm and seed, the smaller within the larger


class Variant(Dataset):
    """A dataset whose training memes and rationales are others than its folder's."""

    def __init__(self, root: Path, memes: list[Meme], rationales: dict[str, Rationale]) -> None:
        super().__init__(root)
        self.__dict__["memes"] = memes
        self.__dict__["rationales"] = rationales

    def fingerprint(self) -> str:
        """Of what this variant holds, so that a run of another one is not taken for its own."""
        texts = {name: row.text for name, row in self.rationales.items()}
        return content_key(super().fingerprint(), [meme.id for meme in self.memes], texts)


def make_variant(dataset: Dataset, recipe: Recipe, arm: Arm, size: int, seed: int) -> Variant:
    """The dataset as ``arm`` sees it with ``size`` training memes; only rationales that the recipe's gate passes count.

    Raises:
        InputError: it has fewer training memes, or not the rationales the arm needs.
    """
    train = dataset.split(TRAIN)
    chosen = {meme.id for meme in subset(train, size)}
    left_out = {meme.id for meme in train} - chosen
    memes = [meme for meme in dataset.memes if meme.id not in left_out]
    learnt = [meme for meme in train if meme.id in chosen] + dataset.split(VALIDATION)
    if arm.stages == "label":
        return Variant(dataset.root, memes, {})
    if arm.rationales == "unconditioned":
        rationales = variants.unconditioned(dataset, learnt)
    else:
        rationales = getattr(variants, arm.rationales)(learnt, usable_rationales(dataset, recipe), seed)
    if arm.words is not None:
        rationales = variants.first_words(rationales, arm.words)
    if arm.share < 1:
        rationales = variants.some(learnt, rationales, arm.share, seed, chosen)
    return Variant(dataset.root, memes, rationales)


def subset(memes: Sequence[Meme], size: int) -> list[Meme]:
    """``size`` memes, each label in its share; a smaller subset lies within a larger one.

    Generated memes are drawn by quad, two texts crossed with two pictures: half a quad would let words or picture alone
    tell the label, which the whole does not.

    Raises:
        InputError: there are fewer.
    """
    if size > len(memes):
        raise InputError(f"{size:,} training memes wanted, {len(memes):,} there; name smaller sizes")
    clusters: dict[str, list[Meme]] = defaultdict(list)
    for meme in memes:
        clusters[_quad(meme)].append(meme)
    alike: dict[str, list[list[Meme]]] = defaultdict(list)
    for some in clusters.values():
        alike[str(sorted(str(meme.label and meme.label.harmful) for meme in some))].append(some)
    ranked: list[tuple[float, str, str]] = []
    for number, groups in enumerate(alike.values()):
        order = random.Random(LOT + number).sample(groups, len(groups))
        ranked += [
            ((place + 0.5) / len(order), _quad(meme), meme.id)
            for place, some in enumerate(order)
            for meme in some
        ]
    kept = {name for _, _, name in sorted(ranked)[:size]}
    return [meme for meme in memes if meme.id in kept]


def _quad(meme: Meme) -> str:
    truth = meme.extra.get("truth")
    quad = truth.get("quad") if isinstance(truth, dict) else None
    return f"quad {quad}" if quad else f"meme {meme.id}"
