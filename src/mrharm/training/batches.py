"""Examples -> batches: ordered so that a batch holds alike lengths, padded to the batch and no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mrharm.student.interface import StudentInput
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.augment import augment
from mrharm.training.data import Example

_POOL = 16  # batches sorted together: enough for alike lengths, few enough to stay random


class Pictures(Protocol):
    """Where pixels or features come from, by path."""

    def get(self, path: Path) -> Any:
        """The picture's pixels, or its features."""


class LengthSampler(Sampler[int]):
    """A random order in which every run of ``batch_size`` items has alike lengths.

    The order depends on (seed, epoch) alone, so that a resumed run goes on in the very order it left.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self.epoch])
        order = rng.permutation(len(self._lengths))
        pool = self._batch_size * _POOL
        batches: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(order), pool):
            some = order[start : start + pool]
            some = some[np.argsort(self._lengths[some], kind="stable")]
            batches.extend(some[at : at + self._batch_size] for at in range(0, len(some), self._batch_size))
        # The one batch that may be short comes last: in the middle it would shift every batch after it.
        short = [batch for batch in batches if len(batch) < self._batch_size]
        whole = [batch for batch in batches if len(batch) == self._batch_size]
        for index in rng.permutation(len(whole)):
            yield from whole[index].tolist()
        for batch in short:
            yield from batch.tolist()


class ExampleSet(Dataset[tuple[Example, StudentInput]]):
    """Examples with their pictures, varied anew each epoch where the recipe says so."""

    def __init__(
        self,
        examples: Sequence[Example],
        pictures: Pictures | None,
        *,
        features: bool = False,
        augmentation: str = "none",
        seed: int = 0,
    ) -> None:
        self.examples = examples
        self._pictures = pictures
        self._features = features
        self._augmentation = augmentation
        self._seed = seed
        self.epoch = 0

    def with_examples(self, examples: Sequence[Example]) -> ExampleSet:
        """Other examples whose pictures come from the same place."""
        return ExampleSet(
            examples,
            self._pictures,
            features=self._features,
            augmentation=self._augmentation,
            seed=self._seed,
        )

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Example, StudentInput]:
        example = self.examples[index]
        if example.picture is None or self._pictures is None:
            return example, StudentInput("")
        picture = self._pictures.get(example.picture)
        if self._features:
            return example, StudentInput("", features=picture)
        rng = np.random.default_rng([self._seed, self.epoch, index])
        return example, StudentInput("", pixels=augment(picture, self._augmentation, rng))


class Collator:
    """Items -> the arguments of the student's ``forward``, labels included."""

    def __init__(self, processor: MrHarmProcessor) -> None:
        self._processor = processor

    def __call__(self, items: Sequence[tuple[Example, StudentInput]]) -> dict[str, Tensor]:
        """*Shapes:* input_ids, attention_mask (batch, text); labels (batch, target), -100 where padded; pictures as in
        `MrHarmProcessor.batch_pictures`.
        """
        examples = [example for example, _ in items]
        return {
            **self._processor.batch_text([example.input_ids for example in examples]),
            **self._processor.batch_pictures([shown for _, shown in items]),
            "labels": self._processor.pad([example.target_ids for example in examples], -100),
        }


def in_batches(items: ExampleSet, size: int) -> Iterator[list[int]]:
    """Indices in batches of alike text length, every item once: the order for looking, not for learning."""
    order = sorted(range(len(items)), key=lambda index: len(items.examples[index].input_ids))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The batch's tensors on ``device``."""
    return {name: tensor.to(device) for name, tensor in batch.items()}
