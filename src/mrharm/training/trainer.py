"""Train one stage with transformers' Trainer: batches of similar lengths, validations, the best weights, checkpoints.

A checkpoint counts only with its manifest, which is written last: one that a kill cut short is skipped and removed.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from mrharm.hub import pick_dtype, process_count
from mrharm.recipe import StageRecipe
from mrharm.store import write_json
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.saved_models import load_unique, unique_tensors
from mrharm.training.adamw import TransformersAdamW
from mrharm.training.examples import ExampleSet, LengthSampler, collate
from mrharm.training.stage_data import StageContext, StageData, StagePlan

Validate = Callable[[MrHarmForConditionalGeneration], dict[str, float]]
BEST_WEIGHTS, BEST, RESULT = "best.safetensors", "best.json", "stage.json"
MANIFEST, VALIDATIONS = "complete.json", "looks.json"
_CHECKPOINTS_KEPT = 2


def train_stage(
    plan: StagePlan,
    data: StageData,
    model: MrHarmForConditionalGeneration,
    validate: Validate,
    context: StageContext,
) -> dict[str, float]:
    """Train ``model`` in place on one stage and leave it with the best weights; resumes from the last checkpoint.

    The stage's folder ends up with ``best.safetensors`` and ``stage.json`` (the validations, the step chosen).

    Returns:
        The validation figures of the step chosen.
    """
    folder, say = context.out / plan.folder, context.say
    result = folder / RESULT
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
    trainer = StageTrainer(plan, data, model, validate, context, validations)
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


class StageTrainer(Trainer):
    """Trains one stage in its folder and keeps its best weights in ``best.safetensors``.

    ``validate`` computes the figures of the validation split; ``validations`` holds those of each validation so far,
    with their ``step``, and new ones are appended.
    """

    control: TrainerControl

    def __init__(
        self,
        plan: StagePlan,
        data: StageData,
        model: MrHarmForConditionalGeneration,
        validate: Validate,
        context: StageContext,
        validations: list[dict[str, float]],
    ) -> None:
        recipe, settings = context.recipe, getattr(context.recipe.stages, plan.name)
        # transformers' bars and dictionaries would break into our progress.
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        # A stage starts from the same random state whatever ran before it in this process.
        set_seed(recipe.seed)
        self.folder = context.out / plan.folder
        self.examples = data.train
        lengths = [len(example.input_ids) + len(example.target_ids) for example in data.train.examples]
        if recipe.batches == "random":
            lengths = [0] * len(lengths)  # to the sampler, all are similar
        self.sampler = LengthSampler(lengths, settings.batch_size, recipe.seed)
        self.validations = validations
        self._keep = settings.keep
        self._validate = validate
        super().__init__(
            model=model,
            args=training_arguments(self.folder, settings, data.train, context),
            train_dataset=data.train,
            eval_dataset=data.validation,
            data_collator=partial(collate, data.processor),
            optimizer_cls_and_kwargs=(TransformersAdamW, {"lr": settings.learning_rate})
            if recipe.optimiser == "transformers"
            else None,
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(StageCallback(self, partial(context.progress, f"stage {plan.name}")))
        # Our forward takes **kwargs for T5's sake; the loss is the mean over the batch's tokens, as the paper's is.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: object = None) -> LengthSampler:
        """Return the order of the training examples, for the Trainer's batches."""
        return self.sampler

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Compute the validation figures; keep the weights when they are the best yet.

        Every process evaluates the whole split, which is small; the first one keeps the weights.
        """
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            metrics = {f"eval_{name}": value for name, value in self._validate(model).items()}
        model.train(was_training)
        step = self.state.global_step
        # After a resume, a step may be validated a second time.
        earlier = [row for row in self.validations if row["step"] != step]
        self.validations[:] = [*earlier, {"step": step, **metrics}]
        if self.args.should_save and self._is_better(metrics):
            aside = self.folder / f".{BEST_WEIGHTS}"
            save_file(unique_tensors(model), aside)
            aside.replace(self.folder / BEST_WEIGHTS)
            write_json(self.folder / BEST, {"step": step, **metrics})
        # Without this word, the Trainer validates an epoch's last step a second time.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _is_better(self, metrics: dict[str, float]) -> bool:
        path = self.folder / BEST
        if not path.exists():
            return True
        best = json.loads(path.read_text(encoding="utf-8"))
        if self._keep == "highest_match":  # ties keep the first, as in the official code
            return bool(metrics["eval_match"] > best["eval_match"])
        if self._keep == "highest_accuracy" and metrics["eval_accuracy"] != best["eval_accuracy"]:
            return bool(metrics["eval_accuracy"] > best["eval_accuracy"])
        return bool(metrics["eval_loss"] < best["eval_loss"])


class StageCallback(TrainerCallback):
    """Sets the epoch, validates after the last step, completes checkpoints, and shows progress.

    ``show`` is called with the steps done and the steps of the stage.
    """

    def __init__(self, trainer: StageTrainer, show: Callable[[int, int], None]) -> None:
        self._trainer = trainer
        self._show = show

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch by the step count: exact also after a resume in the middle of one."""
        examples, sampler = self._trainer.examples, self._trainer.sampler
        batches = math.ceil(len(sampler) / (args.train_batch_size * args.world_size))
        steps_an_epoch = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        examples.epoch = state.global_step // steps_an_epoch
        sampler.set_epoch(examples.epoch)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Validate after the last step, whatever the interval."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        if state.is_world_process_zero:
            self._show(state.global_step, state.max_steps)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Complete the checkpoint once every process has written its random state; remove all but the newest two."""
        wait = PartialState().wait_for_everyone
        wait()
        if args.should_save:
            folder = self._trainer.folder
            checkpoint = folder / f"checkpoint-{state.global_step}"
            # A pickle that no code here reads; the resolved recipe is in the run folder.
            (checkpoint / "training_args.bin").unlink(missing_ok=True)
            write_json(checkpoint / VALIDATIONS, self._trainer.validations)
            seal(checkpoint)
            for outdated in list_checkpoints(folder)[:-_CHECKPOINTS_KEPT]:
                shutil.rmtree(outdated, ignore_errors=True)
        wait()


def seal(folder: Path) -> None:
    """Flush every file to disk and list it with its size in ``complete.json``: now the checkpoint counts."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            sizes[str(path.relative_to(folder))] = path.stat().st_size
    write_json(folder / MANIFEST, sizes)


def is_complete(folder: Path) -> bool:
    """Whether every file of a checkpoint's manifest is there with its size."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def list_checkpoints(stage_folder: Path) -> list[Path]:
    """Return every checkpoint folder, oldest first, complete or not."""
    folders = [path for path in stage_folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name[11:]))


def last_complete(stage_folder: Path, say: Callable[[str], None]) -> Path | None:
    """Return the newest complete checkpoint, or None; newer incomplete ones are reported and removed."""
    for path in reversed(list_checkpoints(stage_folder)):
        if is_complete(path):
            return path
        say(f"{path}: incomplete checkpoint (files are missing or cut short); skipped")
        shutil.rmtree(path, ignore_errors=True)
    return None


class StageArguments(TrainingArguments):
    """A stage's settings as the Trainer takes them, for one GPU a process."""

    @property
    def n_gpu(self) -> int:
        """At most one: several GPUs without torchrun would become a DataParallel with another batch size, unasked."""
        return min(super().n_gpu, 1)


def training_arguments(
    folder: Path, stage: StageRecipe, examples: ExampleSet, context: StageContext
) -> StageArguments:
    """Make the Trainer's arguments: linear warm-up and decay to 0; each process takes its part of a batch."""
    recipe, on_cpu = context.recipe, context.device.type == "cpu"
    steps_an_epoch = max(math.ceil(math.ceil(len(examples) / stage.batch_size) / stage.accumulate), 1)
    interval = steps_an_epoch * stage.evaluate_every
    warmup = recipe.warmup  # a share, of which the Trainer rounds the steps up
    if recipe.optimiser == "transformers":
        warmup = int((stage.steps or steps_an_epoch * stage.epochs) * recipe.warmup)
    return StageArguments(
        output_dir=str(folder),
        num_train_epochs=stage.epochs,
        max_steps=stage.steps or -1,
        per_device_train_batch_size=stage.batch_size // process_count(),
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=warmup,
        max_grad_norm=recipe.max_grad_norm or 0.0,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=stage.checkpoint_every or interval,
        logging_steps=max(interval // 5, 1),
        logging_nan_inf_filter=False,
        use_cpu=on_cpu,
        seed=recipe.seed,
        data_seed=recipe.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu,
        # Without a picture, a process's batch leaves the fusion's parameters without gradients.
        ddp_find_unused_parameters=any(example.picture is None for example in examples.examples),
        ddp_backend="gloo" if on_cpu and process_count() > 1 else None,
        bf16=pick_dtype(recipe.precision, context.device) == torch.bfloat16,
        report_to=context.report_to,
    )
