"""A dataset and a recipe -> a run folder with a Detector in it; the same call goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from accelerate import PartialState
from transformers import set_seed

from mrharm._version import __version__
from mrharm.errors import InputError
from mrharm.hub import pick_device, pick_dtype
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress
from mrharm.rationales.stale import describe_stale
from mrharm.recipe import Recipe, StageName, dump_recipe
from mrharm.runs import CARD, DETECTOR, RECIPE, RUN, read_run
from mrharm.store import write_failures, write_json, write_text
from mrharm.student.backbones import build_student
from mrharm.student.interface import Student, StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor
from mrharm.training.data import (
    input_texts,
    measure_limits,
    require_rationales,
    target_text,
)
from mrharm.training.stage_data import StageDataMaker, join_targets
from mrharm.training.stages import FOLDERS, train_stage
from mrharm.verdicts.calibration import fit_temperature, score_answers
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.students import JOINT, build_students

WhichStages = Literal["both", "label", "joint"]


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
    for sentence in describe_stale(dataset, [*dataset.split(TRAIN), *dataset.split(VALIDATION)]):
        say(f"note: {sentence}")
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

    card = DetectorCard(
        recipe=recipe.name,
        reads=recipe.reads,
        picture_shown=recipe.picture.shown,
        odd_text=recipe.odd_text,
        answers=recipe.answers,
        label_template=recipe.templates.label,
        rationale_template=recipe.templates.rationale,
        rationale_tokens=0 if stages == "label" else limits.rationale,
        decoding=recipe.decoding,
        students=(JOINT,) if stages == "joint" else tuple(order),
        seed=recipe.seed,
    )

    def seat(model: MrHarmForConditionalGeneration) -> Student:
        """The seat in which the model will answer, so that it is chosen by what it will say."""
        name = JOINT if stages == "joint" else "label"
        return build_students(card, {name: model}, processor, where, torch.float32)[0]

    seat(model)  # templates that do not suit are said now, not at the first look
    maker = StageDataMaker(dataset, recipe, model, processor, progress)
    bf16 = pick_dtype(recipe.precision, where) == torch.bfloat16
    results: dict[str, object] = {}
    states: dict[str, dict[str, torch.Tensor]] = {}
    validation: tuple[list[StudentInput], list[bool]] = ([], [])
    for stage in order:
        data, coverage = maker.stage_data(stage, limits, rationales, say)
        if stages == "joint":
            # Chosen, as the label stage is, by the labels of the validation split.
            explained, its = maker.stage_data("rationale", limits, rationales, say)
            results["rationale_coverage"] = {name: dataclasses.asdict(one) for name, one in its.items()}
            data = dataclasses.replace(data, train=join_targets(data.train, explained.train))
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
        write_failures(out, maker.failures, stage="train")
        _note(
            out,
            {
                "results": results,
                "limits": dataclasses.asdict(limits),
                "failed_pictures": len(maker.failures),
            },
        )
    detector = _make_detector(out, recipe, card, states, model, processor, validation, where, first)
    if first:
        _note(out, {"done": True})
    wait()
    return detector


def _make_detector(
    out: Path,
    recipe: Recipe,
    card: DetectorCard,
    states: dict[str, dict[str, torch.Tensor]],
    model: MrHarmForConditionalGeneration,
    processor: MrHarmProcessor,
    validation: tuple[list[StudentInput], list[bool]],
    device: torch.device,
    first: bool,
) -> Detector:
    models = {}
    for name, state in states.items():
        twin = MrHarmForConditionalGeneration(model.config)
        twin.load_state_dict(state)
        models[name] = twin.eval()
    detector = Detector.from_models(card, models, processor, device=device)
    shown, gold = validation
    scores = score_answers(detector.label_student, shown, card.label_texts())
    detector = detector.with_temperature(fit_temperature(scores, recipe.answers, gold))
    if first:
        detector = detector.with_card(detector.save_pretrained(out / DETECTOR, recipe=dump_recipe(recipe)))
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


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
