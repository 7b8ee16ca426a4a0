"""The data of each stage; pictures are decoded, or turned into features, once for all stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mrharm.errors import ImageError, InputError
from mrharm.images import place_in
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress
from mrharm.recipe import StageName
from mrharm.records import Failure
from mrharm.student.interface import StudentInput
from mrharm.student.joint import joint_target
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.training.data import Coverage, Example, ExampleBuilder, ExampleSet
from mrharm.training.pictures import FeatureStore, PixelStore

Coverages = dict[StageName, dict[str, Coverage]]


@dataclass(frozen=True)
class StageData:
    """What one stage learns from and is chosen on."""

    train: ExampleSet
    validation: ExampleSet

    @cached_property
    def inputs(self) -> list[StudentInput]:
        """The validation split as the student is shown it."""
        items = [self.validation[index] for index in range(len(self.validation))]
        return [dataclasses.replace(picture, text=example.text) for example, picture in items]

    @property
    def gold(self) -> list[bool]:
        """The labels of the validation split."""
        return [example.harmful for example in self.validation.examples]


class StageDataBuilder:
    """Builds the data of stages from one store of pictures, and lists the pictures that cannot be read.

    Args:
        examples: builds the examples of the dataset.
        model: whose frozen tower computes features.
        say: called with a line on each split's coverage.
        progress: shows the pictures that are read.
    """

    def __init__(
        self,
        examples: ExampleBuilder,
        model: MrHarmForConditionalGeneration,
        say: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._examples = examples
        self._recipe = examples.recipe
        self._takes_picture = examples.processor.picture is not None
        self._say = say
        self._progress = progress
        self._broken: dict[Path, str] = {}
        self._checked: set[Path] = set()
        self._pixels = PixelStore(examples.processor)
        # A tower that learns gives other features after every step.
        frozen = self._takes_picture and not self._recipe.student.train_vision
        self._features = FeatureStore(model, examples.processor) if frozen else None
        self.failures: list[Failure] = []

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
            joined = _join_targets(data.train.examples, explained.train.examples)
            data = dataclasses.replace(data, train=self._example_set(joined, TRAIN))
        return data, coverages

    def _build_target(self, target: StageName) -> tuple[StageData, dict[str, Coverage]]:
        sets, coverages = {}, {}
        for split in (TRAIN, VALIDATION):
            examples, coverage = self._examples.build(target, split)
            self._check_pictures([example.picture for example in examples if example.picture], split)
            readable = [example for example in examples if example.picture not in self._broken]
            coverage.used = len(readable)
            self._say(describe_coverage(target, split, coverage, len(examples) - len(readable)))
            if not readable:
                raise InputError(
                    f"{self._examples.dataset.root}: no {split} meme can be used in stage {target}; a stage learns "
                    "from train and is chosen on validation, never on test"
                    + (
                        f" (have the {split} split's rationales written, too)"
                        if target == "rationale"
                        else ""
                    )
                )
            sets[split], coverages[split] = self._example_set(readable, split), coverage
        return StageData(sets[TRAIN], sets[VALIDATION]), coverages

    def _example_set(self, examples: Sequence[Example], split: str) -> ExampleSet:
        features = self._feature_store(split)
        pictures = (features or self._pixels) if self._takes_picture else None
        augmentation = self._recipe.picture.augment if split == TRAIN else "none"
        return ExampleSet(
            examples,
            pictures,
            features=features is not None,
            augmentation=augmentation,
            seed=self._recipe.seed,
        )

    def _feature_store(self, split: str) -> FeatureStore | None:
        """Return the store of a split that is read as features; training pictures that vary are read as pixels."""
        varies = split == TRAIN and self._recipe.picture.augment != "none"
        return None if varies else self._features

    def _check_pictures(self, paths: list[Path], split: str) -> None:
        """Read every picture once, and list those that cannot be read."""
        new = [path for path in dict.fromkeys(paths) if path not in self._checked]
        self._checked.update(new)
        outside = {path: reason for path in new if (reason := self._describe_outside(path))}
        inside = [path for path in new if path not in outside]
        broken = (self._feature_store(split) or self._pixels).prepare(inside, self._progress) | outside
        self._broken.update(broken)
        self.failures += [
            Failure(item=path.name, stage="train", reason=reason) for path, reason in broken.items()
        ]

    def _describe_outside(self, path: Path) -> str | None:
        """Return why a picture is not read, if its path leaves the dataset folder."""
        try:
            place_in(self._examples.dataset.root, str(path.absolute()))
        except ImageError as error:
            return str(error)
        return None


def _join_targets(labels: Sequence[Example], rationales: Sequence[Example]) -> list[Example]:
    explained = {example.meme_id: example.target_ids for example in rationales}
    return [
        dataclasses.replace(
            example, target_ids=joint_target(explained.get(example.meme_id, ()), example.target_ids)
        )
        for example in labels
    ]


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
