"""Records -> examples: what the student reads, what it should answer, and how much of either was cut.

The seam between data and tensors: up to here everything is text and paths, from here on token ids and pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN
from mrharm.rationales.stale import stale_rationales
from mrharm.recipe import Recipe, StageName
from mrharm.records import Meme, Rationale
from mrharm.student.interface import compose_text
from mrharm.student.processor import MrHarmProcessor

_LONGEST = 512  # tokens; T5 was pretrained on 512
_WHOLE_SHARE = 0.995  # of the texts stay whole under an automatic limit
_GATED = ("ok", "deleaked")
_NEVER = ("refused", "empty")


@dataclass(frozen=True)
class Example:
    """One training example: a text and its token ids in, token ids out, and where its picture lies."""

    meme_id: str
    text: str
    input_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    picture: Path | None
    harmful: bool


@dataclass
class Coverage:
    """How much of a split a stage can use, and how much of it was cut at the token limits."""

    memes: int = 0
    used: int = 0
    without_rationale: int = 0
    held_back: int = 0
    unlabelled: int = 0
    severity_unknown: int = 0
    text_cut: int = 0
    target_cut: int = 0
    missing: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Token limits in force, end token included."""

    text: int
    rationale: int


def usable_rationales(dataset: Dataset, recipe: Recipe) -> dict[str, Rationale]:
    """Meme id -> the rationale that may teach, as the recipe's gate says.

    ``gate: on`` takes only what a gate has passed (ok, deleaked), and no rationale that was written for other words
    than its meme has now; ``gate: off`` takes everything that explains, also what was imported unchecked. Refusals and
    empty answers never teach.
    """
    gated = recipe.gate == "on"
    stale = stale_rationales(dataset.memes, dataset.evidence, dataset.rationales) if gated else ()
    return {
        meme_id: rationale
        for meme_id, rationale in dataset.rationales.items()
        if rationale.text.strip()
        and (rationale.status in _GATED and meme_id not in stale if gated else rationale.status not in _NEVER)
    }


def require_rationales(dataset: Dataset, recipe: Recipe) -> dict[str, Rationale]:
    """`usable_rationales`, of which the training split has some.

    Raises:
        InputError: the dataset has none, or the recipe's gate lets none through; the message says how to go on.
    """
    usable = usable_rationales(dataset, recipe)
    if any(meme.id in usable for meme in dataset.split(TRAIN)):
        return usable
    if not dataset.rationales:
        raise InputError(
            f"{dataset.root}: no rationales to distil; have a teacher write them (`mrharm abduce {dataset.root} "
            "--teacher ...`), or train on labels alone with --stages label"
        )
    raise InputError(
        f"{dataset.root}: none of {len(dataset.rationales)} rationales may teach under `gate: on` (they are unchecked, "
        "were held back, or were written for other words); have them checked or written again, take them as they are "
        "with --set gate=off, or train on labels alone with --stages label"
    )


def input_texts(dataset: Dataset, recipe: Recipe, memes: Sequence[Meme]) -> list[str]:
    """What the student reads of each meme, as composed from the recipe's parts."""
    return [
        compose_text(recipe.reads, meme, dataset.evidence.get(meme.id), odd_text=recipe.odd_text)[0]
        for meme in memes
    ]


def target_text(recipe: Recipe, stage: StageName, meme: Meme, rationale: Rationale | None) -> str | None:
    """What the student should answer in a stage, or None where the dataset cannot say."""
    if stage == "rationale":
        return recipe.templates.rationale.format(rationale=rationale.text.strip()) if rationale else None
    return recipe.templates.label.format(label=recipe.answer_for(meme.label).word) if meme.label else None


def measure_limits(
    recipe: Recipe, processor: MrHarmProcessor, texts: list[str], targets: list[str]
) -> Limits:
    """The recipe's limits; an automatic one leaves 99.5 % of the training split's texts whole, up to 512 tokens."""

    def automatic(lengths: list[int]) -> int:
        if not lengths:
            return _LONGEST
        return min(sorted(lengths)[math.ceil(_WHOLE_SHARE * len(lengths)) - 1], _LONGEST)

    text, rationale = recipe.lengths.text, recipe.lengths.rationale
    if text == "auto":
        text = automatic([len(processor.tokenize(one, 100_000)) for one in texts])
    if rationale == "auto":
        rationale = automatic([len(processor.tokenize_target(one)) for one in targets])
    return Limits(text, rationale)


def make_examples(
    dataset: Dataset,
    recipe: Recipe,
    processor: MrHarmProcessor,
    limits: Limits,
    stage: StageName,
    split: str,
    rationales: dict[str, Rationale],
) -> tuple[list[Example], Coverage]:
    """One split's examples for one stage, in file order, and what could not be used or was cut."""
    coverage = Coverage()
    examples = []
    for meme in dataset.split(split):
        coverage.memes += 1
        target = target_text(recipe, stage, meme, rationales.get(meme.id))
        if meme.label is None:
            coverage.unlabelled += 1
            continue
        if target is None:
            held_back = meme.id in dataset.rationales
            coverage.held_back += held_back
            coverage.without_rationale += not held_back
            continue
        coverage.severity_unknown += stage == "label" and recipe.answer_for(meme.label).severity not in (
            None,
            meme.label.severity,
        )
        text, missing = compose_text(
            recipe.reads, meme, dataset.evidence.get(meme.id), odd_text=recipe.odd_text
        )
        picture = _picture(dataset, recipe, meme)
        if processor.picture is not None and picture is None:
            missing = (*missing, "image")
        for part in missing:
            coverage.missing[part] = coverage.missing.get(part, 0) + 1
        limit = limits.rationale if stage == "rationale" else None
        input_ids, target_ids = (
            processor.tokenize(text, limits.text),
            processor.tokenize_target(target, limit),
        )
        coverage.text_cut += (
            len(input_ids) == limits.text and len(processor.tokenize(text, 100_000)) > limits.text
        )
        coverage.target_cut += limit is not None and len(processor.tokenize_target(target)) > limit
        coverage.used += 1
        wanted = picture if processor.picture is not None else None
        examples.append(
            Example(meme.id, text, tuple(input_ids), tuple(target_ids), wanted, meme.label.harmful)
        )
    return examples, coverage


def _picture(dataset: Dataset, recipe: Recipe, meme: Meme) -> Path | None:
    if recipe.picture.shown == "clean":
        evidence = dataset.evidence.get(meme.id)
        return dataset.root / evidence.clean_image if evidence and evidence.clean_image else None
    return dataset.image_path(meme)
