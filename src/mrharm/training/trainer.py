"""transformers' Trainer, taught four things: our sampler, our looks at the validation split, whole checkpoints only,
and the best weights kept aside.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mrharm.progress import Progress
from mrharm.recipe import StageRecipe
from mrharm.store import write_json
from mrharm.student.model import MrHarmForConditionalGeneration, unique_tensors
from mrharm.training import checkpoints
from mrharm.training.batches import ExampleSet, LengthSampler

Look = Callable[[MrHarmForConditionalGeneration], dict[str, float]]
BEST_WEIGHTS, BEST = "best.safetensors", "best.json"


class StageTrainer(Trainer):
    """Trains one stage in its folder; the best weights so far lie in ``best.safetensors``."""

    def __init__(
        self,
        *,
        folder: Path,
        keep: str,
        look: Look,
        sampler: LengthSampler,
        seen: list[dict[str, float]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._folder = folder
        self._keep = keep
        self._look = look
        self._sampler = sampler
        self._saving = False
        self.looks = seen
        # Our forward takes **kwargs for T5's sake; the loss is the mean over the batch's tokens, as the paper's is.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self._sampler

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Look at the validation split; keep the weights when they are the best yet.

        Every process looks at the whole split, which is small; the first one keeps the weights.
        """
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            metrics = {f"eval_{name}": value for name, value in self._look(model).items()}
        model.train(was_training)
        step = self.state.global_step
        self.looks[:] = [*(row for row in self.looks if row["step"] != step), {"step": step, **metrics}]
        if self.args.should_save and self._is_better(metrics):
            self._save_best(model, metrics)
        return metrics

    def _is_better(self, metrics: dict[str, float]) -> bool:
        path = self._folder / BEST
        if not path.exists():
            return True
        return _rank(self._keep, metrics) > _rank(self._keep, json.loads(path.read_text(encoding="utf-8")))

    def _save_best(self, model: nn.Module, metrics: dict[str, float]) -> None:
        aside = self._folder / f".{BEST_WEIGHTS}"
        save_file(unique_tensors(model), aside)
        aside.replace(self._folder / BEST_WEIGHTS)
        write_json(self._folder / BEST, {"step": self.state.global_step, **metrics})

    def _get_output_dir(self, trial: Any = None) -> str:
        return str(self._folder / checkpoints.ASIDE if self._saving else self._folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        self._saving = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._saving = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            # A pickle that nothing here reads; the resolved recipe lies beside the run.
            (self._folder / checkpoints.ASIDE / name / "training_args.bin").unlink(missing_ok=True)
            write_json(self._folder / checkpoints.ASIDE / name / "looks.json", self.looks)
            checkpoints.move_in(self._folder, name)
        self.accelerator.wait_for_everyone()


class Pace(TrainerCallback):
    """Tells sampler and examples the epoch, looks once more at the end, and reports progress."""

    def __init__(
        self, examples: ExampleSet, sampler: LengthSampler, stage: str, progress: Progress | None
    ) -> None:
        self._examples = examples
        self._sampler = sampler
        self._stage = stage
        self._progress = progress

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch by the step count: exact also after a resume in the middle of one."""
        steps_an_epoch = math.ceil(len(self._sampler) / (args.train_batch_size * args.world_size))
        steps_an_epoch = max(math.ceil(steps_an_epoch / args.gradient_accumulation_steps), 1)
        self._examples.epoch = state.global_step // steps_an_epoch
        self._sampler.set_epoch(self._examples.epoch)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A stage always ends with a look."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        if self._progress and state.is_world_process_zero:
            self._progress(self._stage, state.global_step, state.max_steps)


def _rank(keep: str, metrics: dict[str, float]) -> tuple[float, ...]:
    """Higher is better; equal accuracies are told apart by the loss."""
    loss = -metrics["eval_loss"]
    return (metrics["eval_accuracy"], loss) if keep == "highest_accuracy" else (loss,)


def training_arguments(
    folder: Path,
    stage: StageRecipe,
    *,
    examples: int,
    seed: int,
    weight_decay: float,
    warmup: float,
    bf16: bool,
    report_to: str,
    on_cpu: bool,
    some_without_picture: bool,
) -> TrainingArguments:
    """A stage's settings as transformers knows them: AdamW, linear warm-up, linear decay to 0."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    steps_an_epoch = max(math.ceil(math.ceil(examples / (stage.batch_size * world)) / stage.accumulate), 1)
    looks = steps_an_epoch * stage.evaluate_every
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=stage.epochs,
        max_steps=stage.steps or -1,
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=weight_decay,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        max_grad_norm=1.0,
        warmup_steps=warmup,
        lr_scheduler_type="linear",
        eval_strategy="steps",
        eval_steps=looks,
        save_strategy="steps",
        save_steps=stage.checkpoint_every or looks,
        logging_steps=max(looks // 5, 1),
        logging_nan_inf_filter=False,
        bf16=bf16,
        use_cpu=on_cpu,
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=report_to,
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        ddp_find_unused_parameters=some_without_picture,
        ddp_backend="gloo" if on_cpu and world > 1 else None,
    )
    # Several GPUs without torchrun would become a DataParallel with another batch size, unasked.
    assert arguments.device is not None
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
