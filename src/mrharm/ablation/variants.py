"""Variants of a dataset, one an arm: fewer training memes and replaced rationales, with the same pictures."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from mrharm.ablation.arms import UNCONDITIONED, Arm
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.rationales.prompting import label_words
from mrharm.recipe import Recipe
from mrharm.records import Meme, Rationale, read_records
from mrharm.store import content_key
from mrharm.synthetic.teacher import explain_without_outcome
from mrharm.synthetic.truth import has_truth, quad_of
from mrharm.training.rationale_stage import usable_rationales

SUBSET_SEED = 20_231_211  # the same training memes for every arm and seed, smaller subsets within larger ones

Rationales = Mapping[str, Rationale]  # by meme id


class Variant(Dataset):
    """A dataset in its folder with other memes and rationales (by meme id) than the folder's files hold."""

    def __init__(self, root: Path, memes: list[Meme], rationales: Rationales) -> None:
        super().__init__(root)
        self.memes = memes
        self.rationales = dict(rationales)

    def fingerprint(self) -> str:
        """Hash the folder's files and what this variant changes, so that no run is taken for one of another variant."""
        texts = {meme_id: row.text for meme_id, row in self.rationales.items()}
        return content_key(super().fingerprint(), [meme.id for meme in self.memes], texts)


def make_variant(dataset: Dataset, recipe: Recipe, arm: Arm, size: int, seed: int) -> Variant:
    """Return the dataset as an arm learns from it, with ``size`` training memes.

    Only rationales that pass the recipe's gate are used.

    Raises:
        InputError: the dataset has fewer training memes, or lacks the rationales the arm needs.
    """
    train = dataset.split(TRAIN)
    subset = {meme.id for meme in select_subset(train, size)}
    left_out = {meme.id for meme in train} - subset
    memes = [meme for meme in dataset.memes if meme.id not in left_out]
    if arm.stages == "label":
        return Variant(dataset.root, memes, {})
    learnt = [meme for meme in train if meme.id in subset] + dataset.split(VALIDATION)
    if arm.rationales == "unconditioned":
        rationales = read_unconditioned(dataset, learnt)
    else:
        rationales = REPLACEMENTS[arm.rationales](learnt, usable_rationales(dataset, recipe), seed)
    if arm.words is not None:
        rationales = cut_to_words(rationales, arm.words)
    if arm.share < 1:
        rationales = draw_share(learnt, rationales, arm.share, seed, training=subset)
    return Variant(dataset.root, memes, rationales)


def select_subset(memes: Sequence[Meme], size: int) -> list[Meme]:
    """Draw ``size`` memes with the labels in their proportions; a smaller subset is part of a larger one.

    Generated memes are drawn by quad, two texts crossed with two pictures: in half a quad the words or the picture
    alone would tell the label, which in the quad they do not.

    Raises:
        InputError: there are fewer memes.
    """
    if size > len(memes):
        raise InputError(f"{size:,} training memes asked for, {len(memes):,} there; name smaller sizes")
    quads: dict[str, list[Meme]] = defaultdict(list)
    for meme in memes:
        quad = quad_of(meme)
        quads[f"quad {quad}" if quad else f"meme {meme.id}"].append(meme)
    # Quads with the same labels are shuffled among themselves, and then merged by their relative places.
    by_labels: dict[str, list[str]] = defaultdict(list)
    for name, members in quads.items():
        by_labels[str(sorted(str(meme.label and meme.label.harmful) for meme in members))].append(name)
    ranked: list[tuple[float, str, str]] = []
    for number, names in enumerate(by_labels.values()):
        shuffled = random.Random(SUBSET_SEED + number).sample(names, len(names))
        for place, name in enumerate(shuffled):
            ranked += [((place + 0.5) / len(shuffled), name, meme.id) for meme in quads[name]]
    drawn = {meme_id for _, _, meme_id in sorted(ranked)[:size]}
    return [meme for meme in memes if meme.id in drawn]


def keep_rationales(memes: Sequence[Meme], rationales: Rationales, seed: int) -> Rationales:
    """Return the memes' rationales as they are."""
    return {meme.id: rationales[meme.id] for meme in memes if meme.id in rationales}


def shuffle_rationales(memes: Sequence[Meme], rationales: Rationales, seed: int) -> Rationales:
    """Give each meme the rationale of another one of its label and split: as much text, but no reasons."""
    groups: dict[tuple[str | None, bool], list[str]] = defaultdict(list)
    for meme in memes:
        if meme.id in rationales and meme.label:
            groups[meme.split, meme.label.harmful].append(meme.id)
    rng = random.Random(seed)
    shuffled: dict[str, Rationale] = {}
    for ids in groups.values():
        if len(ids) < 2:
            continue  # there is no other meme to take a rationale from
        # Each takes the next one's in a random circle, so that no meme gets its own.
        circle = rng.sample(ids, len(ids))
        for meme_id, donor in zip(circle, [*circle[1:], circle[0]], strict=True):
            shuffled[meme_id] = rationales[meme_id].model_copy(update={"text": rationales[donor].text})
    return {meme.id: shuffled[meme.id] for meme in memes if meme.id in shuffled}


def _rewrite(template: str, memes: Sequence[Meme], rationales: Rationales, seed: int) -> Rationales:
    """Rewrite each rationale by a template of its text and its meme's label."""
    return {
        meme.id: rationales[meme.id].model_copy(
            update={"text": template.format(text=rationales[meme.id].text, label=label_words(meme.label))}
        )
        for meme in memes
        if meme.id in rationales and meme.label
    }


# What takes the place of a dataset's rationales, by the name that stands in `Arm.rationales`.
REPLACEMENTS: dict[str, Callable[[Sequence[Meme], Rationales, int], Rationales]] = {
    "as_given": keep_rationales,
    "shuffled": shuffle_rationales,
    "label_only": partial(_rewrite, "this meme is {label}."),
    # As the published rationales have it.
    "leaking": partial(_rewrite, "{text} therefore, this meme is {label}."),
}


def read_unconditioned(dataset: Dataset, memes: Sequence[Meme]) -> Rationales:
    """Return rationales of a teacher that was not told the label.

    They are what `mrharm abduce --prompt unconditioned.v1` wrote; without that file, of generated memes, what is shown
    and said without how the two combine.

    Raises:
        InputError: there is neither.
    """
    path = dataset.root / UNCONDITIONED
    if path.exists():
        rows = {row.meme_id: row for row in read_records(path, Rationale)}
        return {meme.id: rows[meme.id] for meme in memes if meme.id in rows}
    if all(has_truth(meme) for meme in memes):
        return {meme.id: explain_without_outcome(meme) for meme in memes}
    raise InputError(
        f"{path}: no such file; `mrharm abduce {dataset.root} --teacher T --prompt unconditioned.v1` writes it"
    )


def cut_to_words(rationales: Rationales, count: int) -> Rationales:
    """Cut every rationale after ``count`` words."""
    return {
        meme_id: row.model_copy(update={"text": " ".join(row.text.split()[:count])})
        for meme_id, row in rationales.items()
    }


def draw_share(
    memes: Sequence[Meme], rationales: Rationales, share: float, seed: int, *, training: Collection[str]
) -> Rationales:
    """Draw a share of the training memes' rationales, of each label alike; other memes keep all of theirs."""
    groups: dict[tuple[bool, bool], list[str]] = defaultdict(list)
    for meme in memes:
        if meme.id in rationales and meme.label:
            groups[meme.id in training, meme.label.harmful].append(meme.id)
    rng = random.Random(seed)
    drawn: set[str] = set()
    for (is_training, _), ids in groups.items():
        count = max(1, round(share * len(ids))) if is_training else len(ids)
        drawn.update(rng.sample(ids, count))
    return {meme.id: rationales[meme.id] for meme in memes if meme.id in drawn}
