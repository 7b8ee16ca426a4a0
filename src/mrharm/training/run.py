"""A dataset and a recipe -> a run folder with a Detector in it; the same call goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from transformers import set_seed

from mrharm import __version__
from mrharm.errors import InputError
from mrharm.hub import pick_device
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.recipe import Recipe, StageName, dump_recipe
from mrharm.records import Failure, Rationale
from mrharm.store import write_failures, write_json, write_text
from mrharm.student.backbones import build_student
from mrharm.student.hardware import pick_dtype
from mrharm.student.inputs import StudentInput
from mrharm.student.joint import JointStudent, joint_target
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.student.seat import FusedStudent, Student
from mrharm.training.batches import ExampleSet, Pictures
from mrharm.training.examples import (
    Coverage,
    Example,
    Limits,
    input_texts,
    make_examples,
    measure_limits,
    require_rationales,
    target_text,
)
from mrharm.training.pictures import FeatureStore, PixelStore
from mrharm.training.stages import FOLDERS, StageData, train_stage
from mrharm.training.trainer import Progress
from mrharm.verdicts.calibration import fit_temperature
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import CARD, Detector
from mrharm.verdicts.scoring import score_answers
from mrharm.verdicts.seats import JOINT

WhichStages = Literal["both", "label", "joint"]
RECIPE, RUN, DETECTOR = "recipe.yaml", "run.json", "detector"


def train(
    dataset: Dataset | Path | str,
    recipe: Recipe,
    out: Path | str,
    *,
    stages: WhichStages = "both",
    device: str = "auto",
    overwrite: bool = False,
    report_to: str = "none",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Detector:
    """Train a student on a dataset: reasoning distillation, then harmfulness inference; then calibrate a Detector.

    The run folder holds ``recipe.yaml`` (resolved), ``run.json`` (dataset hash, versions, coverage), ``stage1/``,
    ``stage2/`` and ``detector/``. Stopped at any moment, the same call goes on from the last whole checkpoint, to the
    same weights on a CPU. Under ``torchrun`` every process calls this; the first one writes.

    Args:
        dataset: a dataset folder; it must have a train and a validation split.
        recipe: everything that makes the student.
        out: the run folder.
        stages: ``both``; ``label`` for a student that never saw a rationale; ``joint`` for one stage whose target is
            the rationale and then the label, with the label stage's settings (the paper's ablation of two stages).
        device: ``auto``, ``cpu``, ``cuda``...
        overwrite: throw away what is in ``out`` and begin anew.
        report_to: ``none``, ``tensorboard``, ``wandb``, ``mlflow``: the Trainer's reporters.
        say: called with each line worth telling a person.
        progress: called with (what, done, of how many).

    Raises:
        InputError: ``out`` holds another run, or the dataset cannot feed the stages asked for.
        ModelUnavailableError: pretrained weights could not be had.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(Path(dataset))
    out = Path(out)
    first = _is_first_process()
    say = say if first else lambda line: None
    order: list[StageName] = ["rationale", "label"] if stages == "both" else ["label"]
    rationales = require_rationales(dataset, recipe) if stages != "label" else {}
    where = _training_device(device)
    wait = _everyone(where)
    if first:
        _claim(out, dataset, recipe, stages, overwrite)
    wait()  # nobody goes on before the first process has claimed the folder
    if read_run(out).get("done") and (out / DETECTOR / CARD).exists():
        say(f"{out}: already trained")
        return Detector.from_pretrained(out, device=str(where))

    set_seed(recipe.seed)
    train_memes = dataset.split(TRAIN)
    texts = input_texts(dataset, recipe, train_memes)
    learnt: tuple[StageName, ...] = ("label",) if stages == "label" else ("rationale", "label")
    targets = {
        stage: [
            target
            for meme in train_memes
            if (target := target_text(recipe, stage, meme, rationales.get(meme.id))) is not None
        ]
        for stage in learnt
    }
    words = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers]
    model, processor = build_student(
        recipe.student,
        recipe.picture,
        [text.lower() for text in texts] + [one for stage in learnt for one in targets[stage]] + words * 2,
    )
    model.to(where)
    limits = measure_limits(recipe, processor, texts, targets.get("rationale", []))
    processor.max_text_tokens = limits.text

    def seat(model: MrHarmForConditionalGeneration) -> Student:
        if stages != "joint":
            return FusedStudent(model, processor, where)
        return JointStudent(
            model,
            processor,
            where,
            rationale_template=recipe.templates.rationale,
            label_template=recipe.templates.label,
            tokens=limits.rationale,
        )

    seat(model)  # templates that do not suit are said now, not at the first look
    shared = _Shared(dataset, recipe, model, processor, progress)
    bf16 = pick_dtype(recipe.precision, where) == torch.bfloat16
    results: dict[str, object] = {}
    states: dict[str, dict[str, torch.Tensor]] = {}
    validation: tuple[list[StudentInput], list[bool]] = ([], [])
    for stage in order:
        data, coverage = shared.stage_data(stage, limits, rationales, say)
        if stages == "joint":
            # Chosen, as the label stage is, by the labels of the validation split.
            explained, its = shared.stage_data("rationale", limits, rationales, say)
            results["rationale_coverage"] = {name: dataclasses.asdict(one) for name, one in its.items()}
            data = dataclasses.replace(data, train=_joined(data.train, explained.train))
        results[stage] = train_stage(
            stage,
            data,
            recipe,
            model,
            processor,
            out / FOLDERS[stage],
            device=where,
            bf16=bf16,
            say=say,
            progress=progress,
            report_to=report_to,
            seat=seat,
        )
        results[f"{stage}_coverage"] = {name: dataclasses.asdict(one) for name, one in coverage.items()}
        states[stage] = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        if stage == "label":
            validation = list(data.shown), [example.harmful for example in data.validation.examples]
    if stages == "joint":
        states = {JOINT: states["label"]}
    if first:
        write_failures(out, shared.failures, stage="train")
        _note(
            out,
            {
                "results": results,
                "limits": dataclasses.asdict(limits),
                "failed_pictures": len(shared.failures),
            },
        )
    detector = _make_detector(out, recipe, states, model, processor, limits, validation, where, first)
    if first:
        _note(out, {"done": True})
    wait()
    return detector


def read_run(out: Path | str) -> dict[str, Any]:
    """What ``run.json`` says of a run: dataset, versions, coverage, the validation figures of the steps chosen."""
    values: dict[str, Any] = json.loads((Path(out) / RUN).read_text(encoding="utf-8"))
    return values


class _Shared:
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


def _joined(labels: ExampleSet, rationales: ExampleSet) -> ExampleSet:
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


def _make_detector(
    out: Path,
    recipe: Recipe,
    states: dict[str, dict[str, torch.Tensor]],
    model: MrHarmForConditionalGeneration,
    processor: MrHarmProcessor,
    limits: Limits,
    validation: tuple[list[StudentInput], list[bool]],
    device: torch.device,
    first: bool,
) -> Detector:
    models = {}
    for name, state in states.items():
        twin = MrHarmForConditionalGeneration(model.config)
        twin.load_state_dict(state)
        models[name] = twin.eval()
    card = DetectorCard(
        recipe=recipe.name,
        reads=recipe.reads,
        picture_shown=recipe.picture.shown,
        odd_text=recipe.odd_text,
        answers=recipe.answers,
        label_template=recipe.templates.label,
        rationale_template=recipe.templates.rationale,
        rationale_tokens=0 if set(states) == {"label"} else limits.rationale,
        decoding=recipe.decoding,
        students=tuple(states),
        seed=recipe.seed,
    )
    detector = Detector.from_models(card, models, processor, device=device)
    shown, gold = validation
    scores = score_answers(detector.label_student, shown, card.label_texts())
    detector = detector.with_temperature(fit_temperature(scores, recipe.answers, gold))
    if first:
        detector.save_pretrained(out / DETECTOR, recipe=dump_recipe(recipe))
    return detector


def _claim(out: Path, dataset: Dataset, recipe: Recipe, stages: str, overwrite: bool) -> None:
    """Make the run folder this run's, or find that it is already."""
    identity = {
        "dataset": dataset.info.name,
        "dataset_sha256": dataset.fingerprint(),
        "stages": stages,
        "seed": recipe.seed,
    }
    if overwrite and (out / RUN).exists():
        shutil.rmtree(out)
    if (out / RUN).exists():
        there = json.loads((out / RUN).read_text(encoding="utf-8"))
        other = [name for name, value in identity.items() if there.get(name) != value]
        if (out / RECIPE).exists() and (out / RECIPE).read_text(encoding="utf-8") != dump_recipe(recipe):
            other.append("recipe")
        if other:
            raise InputError(
                f"{out}: holds a run with another {', '.join(other)}; choose another --out, or say --overwrite"
            )
        if there.get("versions") != _versions():
            _note(out, {"resumed_with": _versions()})
    elif out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
        raise InputError(f"{out}: not empty and not a run; choose another --out")
    else:
        # This file makes the folder ours, so it comes first: a kill before it leaves nothing, after it a run.
        _note(out, {**identity, "versions": _versions()})
    write_text(out / RECIPE, dump_recipe(recipe))


def _training_device(name: str) -> torch.device:
    device = pick_device(name)
    mine = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda" and device.index not in (None, mine):
        raise InputError(
            f"--device {name}: training takes the first GPU it sees; choose it with CUDA_VISIBLE_DEVICES={device.index}"
        )
    return device


def _everyone(device: torch.device) -> Callable[[], None]:
    """Waits for the other processes of a torchrun, whose process group it sets up; alone, it does nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return lambda: None
    state = PartialState(cpu=True, backend="gloo") if device.type == "cpu" else PartialState()
    wait: Callable[[], None] = state.wait_for_everyone
    return wait


def _note(out: Path, values: dict[str, object]) -> None:
    path = out / RUN
    there = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**there, **values})


def _versions() -> dict[str, str]:
    found = {"mrharm": __version__, "python": platform.python_version()}
    for name in ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _tell(stage: str, split: str, coverage: Coverage, unreadable: int, say: Callable[[str], None]) -> None:
    parts = [f"stage {stage}, {split}: {coverage.used} of {coverage.memes} memes"]
    for count, what in (
        (coverage.without_rationale, "without a rationale"),
        (coverage.held_back, "with a rationale held back by the gate"),
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


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
