"""Other rationales in place of the dataset's: words that are no reasons, or that give the label away.

Each is a pure function of the training and validation memes and their rationales.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.rationales.prompting import label_words
from mrharm.records import Meme, Rationale, read_records
from mrharm.synthetic.teacher import explain_without_outcome
from mrharm.synthetic.truth import is_known

Rationales = dict[str, Rationale]
UNCONDITIONED = "rationales.unconditioned.v1.jsonl"


def as_given(memes: Sequence[Meme], given: Mapping[str, Rationale], seed: int) -> Rationales:
    """The dataset's own."""
    return {meme.id: given[meme.id] for meme in memes if meme.id in given}


def shuffled(memes: Sequence[Meme], given: Mapping[str, Rationale], seed: int) -> Rationales:
    """Each meme gets the rationale of another of its label and split: as much text, as telling, no reasons."""
    groups: dict[tuple[str | None, bool], list[str]] = defaultdict(list)
    for meme in memes:
        if meme.id in given and meme.label:
            groups[meme.split, meme.label.harmful].append(meme.id)
    rng = random.Random(seed)
    mixed: Rationales = {}
    for ids in groups.values():
        if len(ids) < 2:
            continue  # there is no other's to have
        order = rng.sample(ids, len(ids))
        # One step along a random circle: nobody keeps their own.
        for one, other in zip(order, [*order[1:], order[0]], strict=True):
            mixed[one] = given[one].model_copy(update={"text": given[other].text})
    return {meme.id: mixed[meme.id] for meme in memes if meme.id in mixed}


def label_only(memes: Sequence[Meme], given: Mapping[str, Rationale], seed: int) -> Rationales:
    """A sentence that says the label, and nothing else."""
    return {
        meme.id: given[meme.id].model_copy(update={"text": f"this meme is {label_words(meme.label)}."})
        for meme in memes
        if meme.id in given and meme.label
    }


def leaking(memes: Sequence[Meme], given: Mapping[str, Rationale], seed: int) -> Rationales:
    """The dataset's own, and a sentence that says the label at the end, as the published rationales have it."""
    return {
        meme.id: given[meme.id].model_copy(
            update={"text": f"{given[meme.id].text} therefore, this meme is {label_words(meme.label)}."}
        )
        for meme in memes
        if meme.id in given and meme.label
    }


def unconditioned(dataset: Dataset, memes: Sequence[Meme]) -> Rationales:
    """What a teacher writes who is not told the label.

    On generated memes: what is shown and said, without how the two meet. Elsewhere: what `mrharm abduce --prompt
    unconditioned.v1` wrote.

    Raises:
        InputError: neither is there.
    """
    path = dataset.root / UNCONDITIONED
    if path.exists():
        rows = {row.meme_id: row for row in read_records(path, Rationale)}
        return {meme.id: rows[meme.id] for meme in memes if meme.id in rows}
    if all(is_known(meme) for meme in memes):
        return {meme.id: explain_without_outcome(meme) for meme in memes}
    raise InputError(
        f"{path}: not there; `mrharm abduce {dataset.root} --teacher T --prompt unconditioned.v1` writes it"
    )


def first_words(rationales: Mapping[str, Rationale], count: int) -> Rationales:
    """Every rationale cut after ``count`` words."""
    return {
        name: row.model_copy(update={"text": " ".join(row.text.split()[:count])})
        for name, row in rationales.items()
    }


def some(
    memes: Sequence[Meme],
    rationales: Mapping[str, Rationale],
    share: float,
    seed: int,
    learnt_from: Collection[str],
) -> Rationales:
    """A share of the rationales of memes ``learnt_from``, by lot and for each label alike; the others' stay."""
    kept: Rationales = {}
    groups: dict[tuple[bool, bool], list[str]] = defaultdict(list)
    for meme in memes:
        if meme.id in rationales and meme.label:
            groups[meme.id in learnt_from, meme.label.harmful].append(meme.id)
    rng = random.Random(seed)
    for (learnt, _), ids in groups.items():
        count = max(1, round(share * len(ids))) if learnt else len(ids)
        kept.update({name: rationales[name] for name in rng.sample(ids, count)})
    return {meme.id: kept[meme.id] for meme in memes if meme.id in kept}
