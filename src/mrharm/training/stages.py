"""The two stages as data, and how one of them is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from mrharm.progress import Progress
from mrharm.recipe import Recipe, StageName
from mrharm.store import write_json
from mrharm.student.checkpoints import load_unique
from mrharm.student.interface import Student, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.training import checkpoints
from mrharm.training.batches import Collator, ExampleSet, LengthSampler, in_batches, to_device
from mrharm.training.trainer import BEST, BEST_WEIGHTS, Pace, StageTrainer, training_arguments
from mrharm.verdicts.calibration import harm_probability, negative_log_likelihood, score_answers

FOLDERS: dict[StageName, str] = {"rationale": "stage1", "label": "stage2"}
RESULT = "stage.json"
_LOOK_BATCH = 64


@dataclass(frozen=True)
class StageData:
    """What one stage learns from and is chosen on; ``shown``: validation inputs, in its order."""

    train: ExampleSet
    validation: ExampleSet
    shown: Sequence[StudentInput]


def train_stage(
    stage: StageName,
    data: StageData,
    recipe: Recipe,
    model: MrHarmForConditionalGeneration,
    processor: MrHarmProcessor,
    folder: Path,
    *,
    device: torch.device,
    bf16: bool,
    say: Callable[[str], None],
    progress: Progress | None = None,
    report_to: str = "none",
    seat: Callable[[MrHarmForConditionalGeneration], Student],
) -> dict[str, float]:
    """Train ``model`` in place on one stage and leave it with the best weights; goes on from the last whole checkpoint.

    ``folder`` ends up with ``best.safetensors`` and ``stage.json`` (the looks, the step chosen). ``seat``: gives the
    model a seat in which it can be asked for labels.

    Returns:
        The validation figures of the step chosen.
    """
    result = folder / RESULT
    settings = getattr(recipe.stages, stage)
    if result.exists():
        say(f"stage {stage}: already done")
        load_unique(model, load_file(folder / BEST_WEIGHTS))
        chosen: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))["chosen"]
        return chosen
    folder.mkdir(parents=True, exist_ok=True)
    # Progress is ours to show; transformers' own bars and dictionaries would stand between its lines.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    last = checkpoints.last_whole(folder, say)
    looks: list[dict[str, float]] = []
    if last is None:
        for stale in (BEST, BEST_WEIGHTS):
            (folder / stale).unlink(missing_ok=True)
    else:
        say(f"stage {stage}: going on from {last.name}")
        looks = json.loads((last / "looks.json").read_text(encoding="utf-8"))
    # A stage starts from the same random state whatever ran before it in this process.
    set_seed(recipe.seed)
    lengths = [len(example.input_ids) + len(example.target_ids) for example in data.train.examples]
    sampler = LengthSampler(lengths, settings.batch_size, recipe.seed)

    def look(current: MrHarmForConditionalGeneration) -> dict[str, float]:
        if stage == "rationale":
            return _look_at_rationales(current, data, processor, device)
        return _look_at_labels(seat(current), data, recipe)

    trainer = StageTrainer(
        folder=folder,
        keep=settings.keep,
        look=look,
        sampler=sampler,
        seen=looks,
        model=model,
        args=training_arguments(
            folder,
            settings,
            examples=len(data.train),
            seed=recipe.seed,
            weight_decay=recipe.weight_decay,
            warmup=recipe.warmup,
            bf16=bf16,
            report_to=report_to,
            on_cpu=device.type == "cpu",
            some_without_picture=any(example.picture is None for example in data.train.examples),
        ),
        train_dataset=data.train,
        eval_dataset=data.validation,
        data_collator=Collator(processor),
        callbacks=[Pace(data.train, sampler, f"stage {stage}", progress)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    trainer.accelerator.wait_for_everyone()
    best: dict[str, float] = json.loads((folder / BEST).read_text(encoding="utf-8"))
    load_unique(model, load_file(folder / BEST_WEIGHTS))
    if trainer.args.should_save:
        write_json(result, {"chosen": best, "looks": trainer.looks, "log": trainer.state.log_history})
        for path in checkpoints.checkpoints(folder):
            shutil.rmtree(path, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return best


def _look_at_rationales(
    model: MrHarmForConditionalGeneration,
    data: StageData,
    processor: MrHarmProcessor,
    device: torch.device,
) -> dict[str, float]:
    """Mean token cross-entropy of the validation split's rationales."""
    collate = Collator(processor)
    total, tokens = 0.0, 0
    for batch in in_batches(data.validation, _LOOK_BATCH):
        arguments = to_device(collate([data.validation[index] for index in batch]), device)
        count = int((arguments["labels"] >= 0).sum())
        total += float(model(**arguments).loss) * count
        tokens += count
    return {"loss": total / max(tokens, 1)}


def _look_at_labels(student: Student, data: StageData, recipe: Recipe) -> dict[str, float]:
    """Accuracy of the decision on the validation split, and the mean negative log-likelihood of the gold decision."""
    answers = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers]
    scores = score_answers(student, data.shown, answers, _LOOK_BATCH)
    gold = np.array([example.harmful for example in data.validation.examples])
    probability = harm_probability(scores, recipe.answers)
    accuracy = float(((probability >= 0.5) == gold).mean())
    return {"accuracy": accuracy, "loss": negative_log_likelihood(probability, gold)}
