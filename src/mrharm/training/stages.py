"""Plan the stages of a training, and train one of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from mrharm.hub import pick_dtype
from mrharm.progress import Progress
from mrharm.recipe import Recipe, StageName, WhichStages
from mrharm.store import write_json
from mrharm.student.checkpoints import load_unique
from mrharm.student.interface import Student
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.data import LengthSampler, collate
from mrharm.training.stage_data import StageData
from mrharm.training.trainer import (
    BEST,
    BEST_WEIGHTS,
    VALIDATIONS,
    StageCallback,
    StageTrainer,
    last_complete,
    list_checkpoints,
    training_arguments,
)
from mrharm.verdicts.calibration import negative_log_likelihood
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.scoring import harm_probability, score_answers
from mrharm.verdicts.students import JOINT, build_students

FOLDERS: dict[StageName, str] = {"rationale": "stage1", "label": "stage2"}
RESULT = "stage.json"
_VALIDATION_BATCH = 64


@dataclass(frozen=True)
class StagePlan:
    """One stage: what is taught, and the model of the detector that comes of it.

    Fields:
        name: whose settings and folder the stage has.
        targets: what a target text holds, in order; a stage that teaches labels is chosen by its labels.
        model: name of the trained weights in the detector.
    """

    name: StageName
    targets: tuple[StageName, ...]
    model: str


# Stages run in order on one model, each from the best weights of the one before; the last one gives the labels.
PLANS: dict[WhichStages, tuple[StagePlan, ...]] = {
    "both": (
        StagePlan("rationale", ("rationale",), "rationale"),
        StagePlan("label", ("label",), "label"),
    ),
    "label": (StagePlan("label", ("label",), "label"),),
    "joint": (StagePlan("label", ("rationale", "label"), JOINT),),
}


@dataclass(frozen=True)
class StageContext:
    """What all stages of a run share.

    Fields:
        card: the detector's, before calibration.
        say: called with each line for a person.
        report_to: the Trainer's reporters.
    """

    recipe: Recipe
    card: DetectorCard
    processor: MrHarmProcessor
    device: torch.device
    say: Callable[[str], None]
    progress: Progress
    report_to: str

    def label_student(self, plan: StagePlan, model: MrHarmForConditionalGeneration) -> Student:
        """Return the student that gives labels with a model: what is validated is what the detector will do.

        Raises:
            InputError: the templates do not suit the plan.
        """
        return build_students(self.card, {plan.model: model}, self.processor, self.device, torch.float32)[0]


def train_stage(
    plan: StagePlan,
    data: StageData,
    model: MrHarmForConditionalGeneration,
    folder: Path,
    context: StageContext,
) -> dict[str, float]:
    """Train ``model`` in place on one stage and leave it with the best weights; resumes from the last checkpoint.

    ``folder`` ends up with ``best.safetensors`` and ``stage.json`` (the validations, the step chosen).

    Returns:
        The validation figures of the step chosen.
    """
    result, say = folder / RESULT, context.say
    if result.exists():
        say(f"stage {plan.name}: already done")
        load_unique(model, load_file(folder / BEST_WEIGHTS))
        chosen: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))["chosen"]
        return chosen
    folder.mkdir(parents=True, exist_ok=True)
    last = last_complete(folder, say)
    validations: list[dict[str, float]] = []
    if last is None:
        for outdated in (BEST, BEST_WEIGHTS):
            (folder / outdated).unlink(missing_ok=True)
    else:
        say(f"stage {plan.name}: going on from {last.name}")
        validations = json.loads((last / VALIDATIONS).read_text(encoding="utf-8"))
    trainer = _make_trainer(plan, data, model, folder, context, validations)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    # The first process has written the best weights, which every process reads.
    trainer.accelerator.wait_for_everyone()
    best: dict[str, float] = json.loads((folder / BEST).read_text(encoding="utf-8"))
    load_unique(model, load_file(folder / BEST_WEIGHTS))
    if trainer.args.should_save:
        write_json(result, {"chosen": best, "looks": trainer.validations, "log": trainer.state.log_history})
        for path in list_checkpoints(folder):
            shutil.rmtree(path, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return best


def _make_trainer(
    plan: StagePlan,
    data: StageData,
    model: MrHarmForConditionalGeneration,
    folder: Path,
    context: StageContext,
    validations: list[dict[str, float]],
) -> StageTrainer:
    recipe = context.recipe
    settings = getattr(recipe.stages, plan.name)
    # transformers' bars and dictionaries would break into our progress.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # A stage starts from the same random state whatever ran before it in this process.
    set_seed(recipe.seed)
    lengths = [len(example.input_ids) + len(example.target_ids) for example in data.train.examples]
    sampler = LengthSampler(lengths, settings.batch_size, recipe.seed)

    def validate(current: MrHarmForConditionalGeneration) -> dict[str, float]:
        if "label" in plan.targets:
            return validate_labels(context.label_student(plan, current), data, recipe)
        return validate_rationales(current, data, context)

    trainer = StageTrainer(
        folder=folder,
        keep=settings.keep,
        validate=validate,
        sampler=sampler,
        validations=validations,
        model=model,
        args=training_arguments(
            folder,
            recipe,
            settings,
            data.train,
            context.device,
            bf16=pick_dtype(recipe.precision, context.device) == torch.bfloat16,
            report_to=context.report_to,
        ),
        train_dataset=data.train,
        eval_dataset=data.validation,
        data_collator=partial(collate, context.processor),
        callbacks=[
            StageCallback(
                folder,
                validations,
                data.train,
                sampler,
                partial(context.progress, f"stage {plan.name}"),
            )
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def validate_rationales(
    model: MrHarmForConditionalGeneration, data: StageData, context: StageContext
) -> dict[str, float]:
    """Compute the mean token cross-entropy of the validation split's rationales."""
    examples = data.validation.examples
    # Batches of similar text lengths, every example once.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].input_ids))
    total, tokens = 0.0, 0
    for start in range(0, len(order), _VALIDATION_BATCH):
        items = [data.validation[index] for index in order[start : start + _VALIDATION_BATCH]]
        batch = {
            name: tensor.to(context.device) for name, tensor in collate(context.processor, items).items()
        }
        count = int((batch["labels"] >= 0).sum())
        total += float(model(**batch).loss) * count
        tokens += count
    return {"loss": total / max(tokens, 1)}


def validate_labels(student: Student, data: StageData, recipe: Recipe) -> dict[str, float]:
    """Compute the decision's accuracy on the validation split, and the mean negative log-likelihood of gold labels."""
    answers = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers]
    scores = score_answers(student, data.inputs, answers, _VALIDATION_BATCH)
    gold = np.array(data.gold)
    probability = harm_probability(scores, recipe.answers)
    accuracy = float(((probability >= 0.5) == gold).mean())
    return {"accuracy": accuracy, "loss": negative_log_likelihood(probability, gold)}
