"""Train one stage with transformers' Trainer: batches of similar lengths, validations, the best weights, checkpoints.

A checkpoint counts only with its manifest, which is written last: one that a kill cut short is skipped and removed.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mrharm.recipe import Recipe, StageRecipe
from mrharm.store import write_json
from mrharm.student.model import MrHarmForConditionalGeneration, unique_tensors
from mrharm.training.data import ExampleSet, LengthSampler

Validate = Callable[[MrHarmForConditionalGeneration], dict[str, float]]
BEST_WEIGHTS, BEST = "best.safetensors", "best.json"
MANIFEST, VALIDATIONS = "complete.json", "looks.json"
_CHECKPOINTS_KEPT = 2


class StageTrainer(Trainer):
    """Trains one stage in its folder and keeps its best weights in ``best.safetensors``.

    Args:
        keep: ``lowest_loss`` or ``highest_accuracy``; equal accuracies are ranked by the loss.
        validate: computes the figures of the validation split.
        validations: the figures of each validation so far, with their ``step``; new ones are appended.
    """

    def __init__(
        self,
        *,
        folder: Path,
        keep: str,
        validate: Validate,
        sampler: LengthSampler,
        validations: list[dict[str, float]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._folder = folder
        self._keep = keep
        self._validate = validate
        self._sampler = sampler
        self.validations = validations
        # Our forward takes **kwargs for T5's sake; the loss is the mean over the batch's tokens, as the paper's is.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the training batches, in the sampler's order."""
        loader = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size,
            sampler=self._sampler,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

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
            aside = self._folder / f".{BEST_WEIGHTS}"
            save_file(unique_tensors(model), aside)
            aside.replace(self._folder / BEST_WEIGHTS)
            write_json(self._folder / BEST, {"step": step, **metrics})
        return metrics

    def _is_better(self, metrics: dict[str, float]) -> bool:
        path = self._folder / BEST
        if not path.exists():
            return True
        best = json.loads(path.read_text(encoding="utf-8"))
        if self._keep == "highest_accuracy" and metrics["eval_accuracy"] != best["eval_accuracy"]:
            return bool(metrics["eval_accuracy"] > best["eval_accuracy"])
        return bool(metrics["eval_loss"] < best["eval_loss"])


class StageCallback(TrainerCallback):
    """Sets the epoch, validates after the last step, completes checkpoints, and shows progress.

    ``show`` is called with the steps done and the steps of the stage.
    """

    def __init__(
        self,
        folder: Path,
        validations: list[dict[str, float]],
        examples: ExampleSet,
        sampler: LengthSampler,
        show: Callable[[int, int], None],
    ) -> None:
        self._folder = folder
        self._validations = validations
        self._examples = examples
        self._sampler = sampler
        self._show = show

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch by the step count: exact also after a resume in the middle of one."""
        batches = math.ceil(len(self._sampler) / (args.train_batch_size * args.world_size))
        steps_an_epoch = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        self._examples.epoch = state.global_step // steps_an_epoch
        self._sampler.set_epoch(self._examples.epoch)

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
            checkpoint = self._folder / f"checkpoint-{state.global_step}"
            # A pickle that no code here reads; the resolved recipe is in the run folder.
            (checkpoint / "training_args.bin").unlink(missing_ok=True)
            write_json(checkpoint / VALIDATIONS, self._validations)
            seal(checkpoint)
            for outdated in list_checkpoints(self._folder)[:-_CHECKPOINTS_KEPT]:
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
    folder: Path,
    recipe: Recipe,
    stage: StageRecipe,
    examples: ExampleSet,
    device: torch.device,
    **options: Any,
) -> StageArguments:
    """Make the Trainer's arguments of a stage: its AdamW, gradients clipped at norm 1, linear warm-up and decay to 0.

    ``folder``: where checkpoints go. ``options``: further arguments of the Trainer (``bf16``, ``report_to``).
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    batches = math.ceil(len(examples) / (stage.batch_size * world))
    interval = max(math.ceil(batches / stage.accumulate), 1) * stage.evaluate_every
    on_cpu = device.type == "cpu"
    return StageArguments(
        output_dir=str(folder),
        num_train_epochs=stage.epochs,
        max_steps=stage.steps or -1,
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,
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
        ddp_backend="gloo" if on_cpu and world > 1 else None,
        **options,
    )
