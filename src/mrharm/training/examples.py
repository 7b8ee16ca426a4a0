"""Training examples and their batches: what the student reads, what it should answer, and how much of it was cut.

Up to `Example` everything is records, texts and paths; from there on token ids and pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from mrharm.memes.dataset import Dataset
from mrharm.recipe import Length, Recipe, StageName
from mrharm.records import Label, Meme, Rationale
from mrharm.student.interface import StudentInput, compose_text
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.label_stage import label_target
from mrharm.training.pictures import FeatureStore, PixelStore
from mrharm.training.rationale_stage import rationale_target

LONGEST = 512  # tokens; T5 was pretrained on 512
_UNCUT_SHARE = 0.995  # of the texts stay whole under an automatic limit
_UNLIMITED = 100_000  # tokens
_POOL = 16  # batches sorted at once: enough for similar lengths, few enough to stay random


@dataclass(frozen=True)
class Example:
    """One training example: the composed text, and token ids read and answered, end tokens included.

    ``picture`` is None where there is none, or the student takes none.
    """

    meme_id: str
    text: str
    input_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    picture: Path | None
    harmful: bool


@dataclass
class Coverage:
    """How much of a split a stage can use, and how much of it was cut at the token limits: numbers of memes.

    Fields:
        memes, used: in the split, and of them in the stage.
        without_rationale, held_back: left out for want of a rationale, or of one that passed the gate and is not stale.
        unlabelled: left out for want of a label.
        severity_unknown: taught the first answer on their side, as the label has no severity.
        text_cut, target_cut: longer than the limit.
        missing: part that the recipe reads -> memes without it.
    """

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
    """Token limits of a text and of a rationale in training, end tokens included."""

    text: int
    rationale: int


def measure_limits(
    recipe: Recipe, processor: MrHarmProcessor, texts: list[str], targets: list[str]
) -> Limits:
    """Return the recipe's limits; an automatic limit leaves 99.5 % of the training texts whole, up to 512 tokens."""

    def choose_limit(limit: Length, lengths: Iterator[int]) -> int:
        if limit != "auto":
            return limit
        ordered = sorted(lengths) or [LONGEST]
        return min(ordered[math.ceil(_UNCUT_SHARE * len(ordered)) - 1], LONGEST)

    return Limits(
        choose_limit(recipe.lengths.text, (len(processor.tokenize(text, _UNLIMITED)) for text in texts)),
        choose_limit(recipe.lengths.rationale, (len(processor.tokenize_target(text)) for text in targets)),
    )


@dataclass(frozen=True)
class ExampleBuilder:
    """Builds the examples of a dataset; ``rationales``: meme id -> the rationale that teaches."""

    dataset: Dataset
    recipe: Recipe
    processor: MrHarmProcessor
    limits: Limits
    rationales: dict[str, Rationale]

    def build(self, target: StageName, split: str) -> tuple[list[Example], Coverage]:
        """Build a split's examples for one kind of target, in file order, and count what was left out or cut."""
        coverage, examples = Coverage(), []
        recipe, tokenize = self.recipe, self.processor.tokenize_target
        for meme in self.dataset.split(split):
            coverage.memes += 1
            rationale = self.rationales.get(meme.id)
            if meme.label is None:
                coverage.unlabelled += 1
            elif target == "label":
                severity = recipe.answer_for(meme.label).severity
                coverage.severity_unknown += severity not in (None, meme.label.severity)
                target_ids = tokenize(label_target(recipe, meme.label))
                examples.append(self._build_example(meme, meme.label, target_ids, coverage))
            elif rationale:
                text = rationale_target(recipe, rationale)
                target_ids = tokenize(text, self.limits.rationale)
                coverage.target_cut += len(tokenize(text)) > len(target_ids)
                examples.append(self._build_example(meme, meme.label, target_ids, coverage))
            elif meme.id in self.dataset.rationales:
                coverage.held_back += 1
            else:
                coverage.without_rationale += 1
        return examples, coverage

    def _build_example(
        self, meme: Meme, label: Label, target_ids: Sequence[int], coverage: Coverage
    ) -> Example:
        processor, evidence = self.processor, self.dataset.evidence.get(meme.id)
        text, missing = compose_text(self.recipe.reads, meme, evidence, odd_text=self.recipe.odd_text)
        picture = None
        if processor.picture is not None:
            clean = evidence.clean_image if evidence else None
            # `StageDataBuilder` checks that the picture is inside the dataset folder.
            name = clean if self.recipe.picture.shown == "clean" else meme.image
            picture = self.dataset.root / name if name else None
            missing = missing if name else (*missing, "image")
        for part in missing:
            coverage.missing[part] = coverage.missing.get(part, 0) + 1
        input_ids = processor.tokenize(text, self.limits.text)
        coverage.text_cut += len(processor.tokenize(text, _UNLIMITED)) > len(input_ids)
        return Example(meme.id, text, tuple(input_ids), tuple(target_ids), picture, label.harmful)


@dataclass(eq=False)
class LengthSampler(Sampler[int]):
    """A random order in which every run of ``batch_size`` items has similar lengths.

    The order depends on (seed, epoch) alone, so that a resumed run continues in the order it left.
    """

    lengths: Sequence[int]
    batch_size: int
    seed: int
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        lengths, size = np.array(self.lengths), self.batch_size
        order = rng.permutation(len(lengths))
        batches: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(order), size * _POOL):
            pool = order[start : start + size * _POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches.extend(pool[at : at + size] for at in range(0, len(pool), size))
        # The one batch that may be short comes last: in the middle it would shift every batch after it.
        short = [batch for batch in batches if len(batch) < size]
        full = [batch for batch in batches if len(batch) == size]
        for index in rng.permutation(len(full)):
            yield from full[index].tolist()
        for batch in short:
            yield from batch.tolist()


@dataclass(eq=False)
class ExampleSet(TorchDataset[tuple[Example, StudentInput]]):
    """Examples with their pictures, varied in each epoch as ``augmentation`` says."""

    examples: Sequence[Example]
    pictures: PixelStore | FeatureStore
    augmentation: str
    seed: int
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Example, StudentInput]:
        example = self.examples[index]
        if example.picture is None:
            return example, StudentInput(example.text)
        if isinstance(self.pictures, FeatureStore):
            return example, StudentInput(example.text, features=self.pictures.get(example.picture))
        rng = np.random.default_rng([self.seed, self.epoch, index])
        pixels = self.pictures.get_varied(example.picture, self.augmentation, rng)
        return example, StudentInput(example.text, pixels)


def collate(processor: MrHarmProcessor, items: Sequence[tuple[Example, StudentInput]]) -> dict[str, Tensor]:
    """Join items into the arguments of the student's ``forward``, labels included.

    *Shapes:* input_ids, attention_mask (batch, text); labels (batch, target), -100 where padded; pictures as in
    `MrHarmProcessor.batch_pictures`.
    """
    return {
        **processor.batch_text([example.input_ids for example, _ in items]),
        **processor.batch_pictures([shown for _, shown in items]),
        "labels": processor.pad([example.target_ids for example, _ in items], -100),
    }
