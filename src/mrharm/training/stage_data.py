"""What a stage is given: its plan, what all stages share, and its data; pictures are read once for all stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from mrharm.errors import ImageError, InputError
from mrharm.images import place_in
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress
from mrharm.recipe import Recipe, StageName
from mrharm.records import Failure
from mrharm.student.interface import StudentInput
from mrharm.student.joint import joint_target
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.examples import Coverage, ExampleBuilder, ExampleSet, collate
from mrharm.training.pictures import FeatureStore, PixelStore

Coverages = dict[StageName, dict[str, Coverage]]


@dataclass(frozen=True)
class StagePlan:
    """One stage: what is taught, and the model of the detector that comes of it.

    Fields:
        name: whose settings the stage has.
        folder: in the run folder.
        targets: what a target text holds, in order; a stage that teaches labels is chosen by its labels.
        model: name of the trained weights in the detector.
    """

    name: StageName
    folder: str
    targets: tuple[StageName, ...]
    model: str


@dataclass(frozen=True)
class StageContext:
    """What all stages of a run share.

    Fields:
        out: the run folder.
        say: called with each line for a person.
        report_to: the Trainer's reporters.
    """

    dataset: Dataset
    recipe: Recipe
    out: Path
    device: torch.device
    say: Callable[[str], None]
    progress: Progress
    report_to: str


@dataclass(frozen=True)
class StageData:
    """What one stage learns from and is chosen on."""

    train: ExampleSet
    validation: ExampleSet
    processor: MrHarmProcessor

    @cached_property
    def inputs(self) -> list[StudentInput]:
        """The validation split as the student is shown it."""
        return [self.validation[index][1] for index in range(len(self.validation))]

    @property
    def gold(self) -> list[bool]:
        """The labels of the validation split."""
        return [example.harmful for example in self.validation.examples]

    @property
    def target_texts(self) -> list[str]:
        """What the student should answer on the validation split."""
        return self.processor.decode([example.target_ids for example in self.validation.examples])

    def validation_batches(
        self, batch_size: int, device: torch.device, *, by_length: bool = True
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the validation split in batches of similar text lengths, or in file order, as the student's ``forward``
        takes them.
        """
        examples = self.validation.examples
        order = list(range(len(examples)))
        if by_length:
            order.sort(key=lambda index: len(examples[index].input_ids))
        for start in range(0, len(order), batch_size):
            items = [self.validation[index] for index in order[start : start + batch_size]]
            batch = collate(self.processor, items)
            yield {name: tensor.to(device) for name, tensor in batch.items()}


class StageDataBuilder:
    """Builds the data of stages from one store of pictures, and lists the pictures that cannot be read.

    ``model``: whose frozen tower computes image features.
    """

    def __init__(
        self, examples: ExampleBuilder, model: MrHarmForConditionalGeneration, context: StageContext
    ) -> None:
        self._examples = examples
        self._context = context
        self._broken: dict[Path, str] = {}
        recipe, pixels = context.recipe, PixelStore(examples.processor)
        self._pictures: dict[str, PixelStore | FeatureStore] = {TRAIN: pixels, VALIDATION: pixels}
        # A tower that learns gives other features after every step; training pictures that vary are read as pixels.
        if examples.processor.picture is not None and not recipe.student.train_vision:
            features = FeatureStore(model, examples.processor)
            self._pictures[VALIDATION] = features
            self._pictures[TRAIN] = features if recipe.picture.augment == "none" else pixels

    @property
    def failures(self) -> list[Failure]:
        """The pictures that cannot be read."""
        return [
            Failure(item=path.name, stage="train", reason=reason) for path, reason in self._broken.items()
        ]

    def build(self, targets: Sequence[StageName]) -> tuple[StageData, Coverages]:
        """Build both splits for a stage that teaches ``targets``, and count what each could use.

        Memes whose picture cannot be read are left out and counted. A stage with two targets joins them in one,
        rationale first; its memes without a rationale learn their label alone.

        Raises:
            InputError: no meme of a split can be used.
        """
        *earlier, last = targets
        data, coverage = self._build_target(last)
        coverages: Coverages = {last: coverage}
        for target in earlier:
            explained, coverages[target] = self._build_target(target)
            rationales = {example.meme_id: example.target_ids for example in explained.train.examples}
            data.train.examples = [
                replace(
                    example,
                    target_ids=joint_target(rationales.get(example.meme_id, ()), example.target_ids),
                )
                for example in data.train.examples
            ]
        return data, coverages

    def _build_target(self, target: StageName) -> tuple[StageData, dict[str, Coverage]]:
        sets, coverages, recipe = {}, {}, self._context.recipe
        for split, augmentation in ((TRAIN, recipe.picture.augment), (VALIDATION, "none")):
            examples, coverage = self._examples.build(target, split)
            self._read_pictures([example.picture for example in examples if example.picture], split)
            readable = [example for example in examples if example.picture not in self._broken]
            coverage.used = len(readable)
            self._context.say(describe_coverage(target, split, coverage, len(examples) - len(readable)))
            if not readable:
                mend = f" (have the {split} split's rationales written, too)" if target == "rationale" else ""
                raise InputError(
                    f"{self._context.dataset.root}: no {split} meme can be used in stage {target}; a stage learns "
                    f"from train and is chosen on validation, never on test{mend}"
                )
            sets[split] = ExampleSet(readable, self._pictures[split], augmentation, recipe.seed)
            coverages[split] = coverage
        return StageData(sets[TRAIN], sets[VALIDATION], self._examples.processor), coverages

    def _read_pictures(self, paths: Sequence[Path], split: str) -> None:
        """Read a split's pictures, and list those that cannot be read or are outside the dataset folder."""
        readable = []
        for path in dict.fromkeys(paths):
            try:
                place_in(self._context.dataset.root, str(path.absolute()))
                readable.append(path)
            except ImageError as error:
                self._broken[path] = str(error)
        self._broken |= self._pictures[split].prepare(readable, self._context.progress)


def describe_coverage(target: str, split: str, coverage: Coverage, unreadable: int) -> str:
    """Describe in a line how much of a split a stage uses."""
    parts = [f"stage {target}, {split}: {coverage.used} of {coverage.memes} memes"]
    for count, what in (
        (coverage.without_rationale, "without a rationale"),
        (coverage.held_back, "with a rationale held back by the gate or written for other words"),
        (coverage.unlabelled, "unlabelled"),
        (unreadable, "with a picture that cannot be read (failures.jsonl)"),
        (coverage.severity_unknown, "without a severity, taught the first answer on their side"),
        (coverage.text_cut, "with their text cut at the token limit"),
        (coverage.target_cut, "with their rationale cut at the token limit"),
        *((count, f"without {part}") for part, count in coverage.missing.items()),
    ):
        if count:
            parts.append(f"{count} {what}")
    return "; ".join(parts)
