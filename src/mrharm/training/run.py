"""Train a detector on a dataset by a recipe, into a run folder; the same call resumes a run that was stopped."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import set_seed

from mrharm._version import __version__
from mrharm.errors import InputError
from mrharm.hub import pick_device
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress, no_progress
from mrharm.rationales.stale import describe_stale
from mrharm.recipe import Recipe, StageName, WhichStages, dump_recipe
from mrharm.records import Rationale
from mrharm.runs import CARD, DETECTOR, RECIPE, RUN, read_run
from mrharm.store import write_failures, write_json, write_text
from mrharm.student.backbones import build_student
from mrharm.student.interface import compose_text
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.training.data import (
    ExampleBuilder,
    Limits,
    measure_limits,
    require_rationales,
    target_text,
)
from mrharm.training.stage_data import StageData, StageDataBuilder
from mrharm.training.stages import FOLDERS, PLANS, StageContext, StagePlan, train_stage
from mrharm.verdicts.calibration import fit_temperature
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.scoring import score_answers

Weights = dict[str, torch.Tensor]


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
    progress: Progress = no_progress,
) -> Detector:
    """Train a student on a dataset: reasoning distillation, then harmfulness inference; then calibrate a Detector.

    The run folder holds ``recipe.yaml`` (resolved), ``run.json`` (dataset hash, versions, coverage), ``stage1/``,
    ``stage2/`` and ``detector/``. Stopped at any moment, the same call goes on from the last complete checkpoint, to
    the same weights on a CPU. Under ``torchrun`` every process calls this; the first one writes.

    Args:
        dataset: a dataset folder; it must have a train and a validation split.
        recipe: everything that makes the student.
        out: the run folder.
        stages: ``both``; ``label`` for a student that never saw a rationale; ``joint`` for one stage whose target is
            the rationale and then the label, with the label stage's settings (the paper's ablation of two stages).
        overwrite: delete the run in ``out`` and start again.
        report_to: ``none``, ``tensorboard``, ``wandb``, ``mlflow``: the Trainer's reporters.
        say, progress: called with each line for a person; show the pictures read and the steps of each stage.

    Raises:
        InputError: ``out`` holds another run, or the dataset cannot feed the stages.
        ModelUnavailableError: pretrained weights cannot be loaded.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(Path(dataset))
    out, plans, first = Path(out), PLANS[stages], _is_first_process()
    say = say if first else lambda line: None
    rationales = {} if stages == "label" else require_rationales(dataset, recipe)
    for sentence in describe_stale(dataset, [*dataset.split(TRAIN), *dataset.split(VALIDATION)]):
        say(f"note: {sentence}")
    torch_device = _training_device(device)
    wait = _barrier(torch_device)
    if first:
        _claim_folder(out, dataset, recipe, stages, overwrite)
    wait()  # no process goes on before the first one has claimed the folder
    if read_run(out).get("done") and (out / DETECTOR / CARD).exists():
        say(f"{out}: already trained")
        return Detector.from_pretrained(out, device=str(torch_device))
    set_seed(recipe.seed)
    model, examples = _build_student(dataset, recipe, rationales)
    model.to(torch_device)
    card = _make_card(recipe, plans, examples.limits)
    context = StageContext(recipe, card, examples.processor, torch_device, say, progress, report_to)
    # Unsuitable templates are refused now, not at the first validation.
    context.label_student(plans[-1], model)
    weights, validation = _train_stages(plans, examples, model, out, context)
    detector = _calibrate_detector(weights, model, validation, context)
    if first:
        detector = detector.with_card(detector.save_pretrained(out / DETECTOR, recipe=dump_recipe(recipe)))
        _update_run(out, {"done": True})
    wait()
    return detector


def _build_student(
    dataset: Dataset, recipe: Recipe, rationales: dict[str, Rationale]
) -> tuple[MrHarmForConditionalGeneration, ExampleBuilder]:
    """Build the student, its tokenizer trained on the training split where its tower brings none, and its examples.

    ``rationales``: those that teach, by meme id.
    """
    memes = dataset.split(TRAIN)
    texts = [
        compose_text(recipe.reads, meme, dataset.evidence.get(meme.id), odd_text=recipe.odd_text)[0]
        for meme in memes
    ]
    targets: dict[StageName, list[str]] = {"rationale": [], "label": []}
    for name, target_texts in targets.items():
        answered = (target_text(recipe, name, meme, rationales.get(meme.id)) for meme in memes)
        target_texts.extend(text for text in answered if text is not None)
    # Every answer twice, so that the tokenizer knows those that the split does not hold.
    answers = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers] * 2
    corpus = [*(text.lower() for text in texts), *targets["rationale"], *targets["label"], *answers]
    model, processor = build_student(recipe.student, recipe.picture, corpus)
    limits = measure_limits(recipe, processor, texts, targets["rationale"])
    processor.max_text_tokens = limits.text
    return model, ExampleBuilder(dataset, recipe, processor, limits, rationales)


def _make_card(recipe: Recipe, plans: Sequence[StagePlan], limits: Limits) -> DetectorCard:
    """Make the card of a detector before it is calibrated."""
    explains = any("rationale" in plan.targets for plan in plans)
    return DetectorCard(
        recipe=recipe.name,
        reads=recipe.reads,
        picture_shown=recipe.picture.shown,
        odd_text=recipe.odd_text,
        answers=recipe.answers,
        label_template=recipe.templates.label,
        rationale_template=recipe.templates.rationale,
        rationale_tokens=limits.rationale if explains else 0,
        decoding=recipe.decoding,
        students=tuple(plan.model for plan in plans),
        seed=recipe.seed,
    )


def _train_stages(
    plans: Sequence[StagePlan],
    examples: ExampleBuilder,
    model: MrHarmForConditionalGeneration,
    out: Path,
    context: StageContext,
) -> tuple[dict[str, Weights], StageData]:
    """Train the stages in order on one model, and write their results to ``run.json``.

    Returns:
        Model name -> weights; and the data of the last stage.
    """
    builder = StageDataBuilder(examples, model, context.say, context.progress)
    weights: dict[str, Weights] = {}
    results: dict[str, object] = {}
    for plan in plans:
        data, coverages = builder.build(plan.targets)
        results[plan.name] = train_stage(plan, data, model, out / FOLDERS[plan.name], context)
        for target, splits in coverages.items():
            results[f"{target}_coverage"] = {
                split: dataclasses.asdict(coverage) for split, coverage in splits.items()
            }
        weights[plan.model] = {
            name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()
        }
    if _is_first_process():
        write_failures(out, builder.failures, stage="train")
        limits = dataclasses.asdict(examples.limits)
        _update_run(out, {"results": results, "limits": limits, "failed_pictures": len(builder.failures)})
    return weights, data


def _calibrate_detector(
    weights: dict[str, Weights],
    model: MrHarmForConditionalGeneration,
    validation: StageData,
    context: StageContext,
) -> Detector:
    """Make the detector of each stage's weights, its temperature fitted on the validation split."""
    models = {}
    for name, state in weights.items():
        models[name] = MrHarmForConditionalGeneration(model.config)
        models[name].load_state_dict(state)
        models[name].eval()
    detector = Detector.from_models(context.card, models, context.processor, device=context.device)
    scores = score_answers(detector.label_student, validation.inputs, context.card.label_texts())
    temperature = fit_temperature(scores, context.recipe.answers, validation.gold)
    return detector.with_temperature(temperature)


def _claim_folder(out: Path, dataset: Dataset, recipe: Recipe, stages: str, overwrite: bool) -> None:
    """Make ``out`` the folder of this run, or check that it is.

    Raises:
        InputError: it holds another run, or files of another kind.
    """
    identity = {
        "dataset": dataset.info.name,
        "dataset_sha256": dataset.fingerprint(),
        "stages": stages,
        "seed": recipe.seed,
    }
    if overwrite and (out / RUN).exists():
        shutil.rmtree(out)
    if (out / RUN).exists():
        run = read_run(out)
        differing = [name for name, value in identity.items() if run.get(name) != value]
        if (out / RECIPE).exists() and (out / RECIPE).read_text(encoding="utf-8") != dump_recipe(recipe):
            differing.append("recipe")
        if differing:
            raise InputError(
                f"{out}: holds a run with another {', '.join(differing)}; choose another --out, or use --overwrite"
            )
        if run.get("versions") != _versions():
            _update_run(out, {"resumed_with": _versions()})
    elif out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
        raise InputError(f"{out}: not empty and not a run; choose another --out")
    else:
        # This file makes the folder ours, so it comes first: a kill before it leaves nothing, after it a run.
        _update_run(out, {**identity, "versions": _versions()})
    write_text(out / RECIPE, dump_recipe(recipe))


def _training_device(name: str) -> torch.device:
    device = pick_device(name)
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda" and device.index not in (None, rank):
        raise InputError(
            f"--device {name}: training takes the first GPU it sees; choose it with CUDA_VISIBLE_DEVICES={device.index}"
        )
    return device


def _barrier(device: torch.device) -> Callable[[], None]:
    """Set up the process group of a torchrun; returns a function that waits for all processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return lambda: None
    state = PartialState(cpu=True, backend="gloo") if device.type == "cpu" else PartialState()
    wait: Callable[[], None] = state.wait_for_everyone
    return wait


def _update_run(out: Path, values: dict[str, object]) -> None:
    path = out / RUN
    written = read_run(out) if path.exists() else {}
    write_json(path, {**written, **values})


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow")
    versions = {"mrharm": __version__, "python": platform.python_version()}
    return versions | {name: version(name) for name in names}


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
