"""A dataset -> what each stage learns from and is chosen on; pictures are decoded or seen once for all stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress
from mrharm.recipe import Recipe, StageName
from mrharm.records import Failure, Rationale
from mrharm.student.interface import StudentInput
from mrharm.student.joint import joint_target
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.batches import ExampleSet, Pictures
from mrharm.training.data import Coverage, Example, Limits, make_examples
from mrharm.training.pictures import FeatureStore, PixelStore
from mrharm.training.stages import StageData


class StageDataMaker:
    """What both stages share: pictures decoded or seen once, and the list of those that could not be."""

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        model: MrHarmForConditionalGeneration,
        processor: MrHarmProcessor,
        progress: Progress | None,
    ) -> None:
        self._dataset = dataset
        self._recipe = recipe
        self._processor = processor
        self._progress = progress
        self._broken: dict[Path, str] = {}
        self._known: set[Path] = set()
        # A tower that learns, or pictures that vary, must be seen anew each time.
        frozen = processor.picture is not None and not recipe.student.train_vision
        self._cached = frozen and recipe.picture.augment == "none"
        self._pixels = PixelStore(processor)
        self._features = FeatureStore(model, processor) if frozen else None
        self.failures: list[Failure] = []

    def stage_data(
        self, stage: StageName, limits: Limits, rationales: dict[str, Rationale], say: Callable[[str], None]
    ) -> tuple[StageData, dict[str, Coverage]]:
        """One stage's examples of both splits; memes whose picture cannot be read are left out and counted."""
        sets, coverages = {}, {}
        for split in (TRAIN, VALIDATION):
            examples, coverage = make_examples(
                self._dataset,
                self._recipe,
                self._processor,
                limits,
                stage,
                split,
                rationales,
            )
            self._check([example.picture for example in examples if example.picture], split)
            whole = [example for example in examples if example.picture not in self._broken]
            coverage.used = len(whole)
            _tell(stage, split, coverage, len(examples) - len(whole), say)
            if not whole:
                raise InputError(
                    f"{self._dataset.root}: no {split} meme can be used in stage {stage}; a stage learns from train "
                    "and is chosen on validation, never on test"
                    + (f" (have the {split} split's rationales written, too)" if stage == "rationale" else "")
                )
            sets[split], coverages[split] = self._examples(whole, split), coverage
        shown = [self._shown(sets[VALIDATION], index) for index in range(len(sets[VALIDATION]))]
        return StageData(sets[TRAIN], sets[VALIDATION], shown), coverages

    def _examples(self, examples: Sequence[Example], split: str) -> ExampleSet:
        features = self._by_features(split)
        pictures: Pictures | None = None
        if self._processor.picture is not None:
            pictures = self._features if features else self._pixels
        augmentation = self._recipe.picture.augment if split == TRAIN else "none"
        return ExampleSet(
            examples, pictures, features=features, augmentation=augmentation, seed=self._recipe.seed
        )

    def _shown(self, examples: ExampleSet, index: int) -> StudentInput:
        example, picture = examples[index]
        return dataclasses.replace(picture, text=example.text)

    def _by_features(self, split: str) -> bool:
        """Whether this split is read as features; validation pictures never vary, so a frozen tower sees them once."""
        return self._cached or (self._features is not None and split == VALIDATION)

    def _check(self, paths: list[Path], split: str) -> None:
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        self._known.update(new)
        if self._by_features(split):
            assert self._features is not None
            broken = self._features.prepare(new, progress=self._progress)
        else:
            broken = self._pixels.check(new, self._progress)
        self._broken.update(broken)
        self.failures += [Failure(item=path.name, stage="train", reason=why) for path, why in broken.items()]


def join_targets(labels: ExampleSet, rationales: ExampleSet) -> ExampleSet:
    """One target for both, rationale first; memes without a rationale learn their label alone."""
    explained = {example.meme_id: example.target_ids for example in rationales.examples}
    return labels.with_examples(
        [
            dataclasses.replace(
                example, target_ids=joint_target(explained.get(example.meme_id, ()), example.target_ids)
            )
            for example in labels.examples
        ]
    )


def _tell(stage: str, split: str, coverage: Coverage, unreadable: int, say: Callable[[str], None]) -> None:
    parts = [f"stage {stage}, {split}: {coverage.used} of {coverage.memes} memes"]
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
    say("; ".join(parts))
