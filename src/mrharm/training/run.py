"""Train a detector on a dataset by a recipe, into a run folder; the same call resumes a run that was stopped.

Imports no PyTorch, so that what cannot be trained is refused at once.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrharm._version import __version__
from mrharm.errors import InputError
from mrharm.hub import pick_device, process_count
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress, no_progress
from mrharm.rationales.staleness import describe_stale
from mrharm.recipe import Recipe, WhichStages, dump_recipe, load_recipe
from mrharm.runs import CARD, DETECTOR, RECIPE, RUN, read_run
from mrharm.store import exclusive_lock, write_failures, write_json, write_text
from mrharm.training.rationale_stage import require_rationales

if TYPE_CHECKING:
    import torch

    from mrharm.records import Rationale
    from mrharm.training.stage_data import StageContext
    from mrharm.verdicts.detector import Detector

STAGE = "train"
REPLACED = ".replaced"  # in the run folder: what --overwrite is deleting


def train(
    dataset: Dataset | Path | str,
    recipe: Recipe | str,
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
    the same weights on a CPU. Under ``torchrun`` every process calls this and takes a part of each batch.

    Args:
        recipe: one, or what `load_recipe` takes: its name, or a YAML file.
        stages: ``both``; ``label`` for a student that never saw a rationale; ``joint`` for one stage whose target is
            the rationale and then the label, with the label stage's settings (the paper's ablation of two stages).
        overwrite, report_to: delete the run in ``out`` first; the Trainer's reporters, such as ``tensorboard``.
        say, progress: called with each line for a person; show the pictures read and the steps of each stage.

    Raises:
        InputError: ``out`` holds another run, another process trains there, or the dataset lacks a split or what the
            stages teach.
        DataError: ``out`` holds a run whose ``run.json`` is damaged.
        ModelUnavailableError: pretrained weights cannot be loaded.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    out, first = Path(out), os.environ.get("RANK", "0") == "0"
    say = say if first else lambda line: None
    rationales = {} if stages == "label" else require_rationales(dataset, recipe)
    _check_recipe(recipe, stages)
    identity = _identify_run(dataset, recipe, stages)
    if first:
        _check_folder(out, identity, recipe, overwrite)
    for sentence in describe_stale(dataset, [*dataset.split(TRAIN), *dataset.split(VALIDATION)]):
        say(f"note: {sentence}")
    with exclusive_lock(out, STAGE) if first else nullcontext():
        torch_device = _training_device(device)  # loads PyTorch, as nothing is refused any more
        wait = _barrier(torch_device)
        if first:
            _claim_folder(out, identity, recipe, overwrite)
        wait()  # no process goes on before the first one has claimed the folder
        from mrharm.training.stage_data import StageContext

        context = StageContext(dataset, recipe, out, torch_device, say, progress, report_to)
        detector = _train_and_save(context, stages, rationales, first=first)
        wait()
    return detector


def _train_and_save(
    context: StageContext, stages: WhichStages, rationales: dict[str, Rationale], *, first: bool
) -> Detector:
    """Train the stages that are not done; the ``first`` process saves the detector in the run folder."""
    from mrharm.training.stages import train_detector
    from mrharm.verdicts.detector import Detector

    out = context.out
    if read_run(out).get("done") and (out / DETECTOR / CARD).exists():
        context.say(f"{out}: already trained")
        return Detector.from_pretrained(out, device=str(context.device))
    detector, results, failures = train_detector(context, stages, rationales)
    if first:
        write_failures(out, failures, stage=STAGE)
        recipe = dump_recipe(context.recipe)
        detector = detector.with_card(detector.save_pretrained(out / DETECTOR, recipe=recipe))
        _update_run(out, {**results, "done": True})
    return detector


def _identify_run(dataset: Dataset, recipe: Recipe, stages: WhichStages) -> dict[str, Any]:
    """Return what a run folder must say to be gone on with, beside the recipe."""
    return {
        "dataset": dataset.info.name,
        "dataset_sha256": dataset.fingerprint(),
        "stages": stages,
        "seed": recipe.seed,
    }


def _check_recipe(recipe: Recipe, stages: WhichStages) -> None:
    """Raise InputError where a batch cannot be divided among the processes of a torchrun, or where one stage joins both
    targets and the label does not begin with words.
    """
    for name in ("rationale", "label") if stages == "both" else ("label",):
        size, processes = getattr(recipe.stages, name).batch_size, process_count()
        if size % processes:
            raise InputError(
                f"stages.{name}.batch_size {size} cannot be divided among {processes} processes; choose a multiple: "
                f"--set stages.{name}.batch_size={math.ceil(size / processes) * processes}"
            )
    template = recipe.templates.label
    if stages == "joint" and not template.partition("{label}")[0].strip():
        raise InputError(
            f"templates.label {template!r} does not begin with words, by which a student of one stage could tell where "
            "its rationale ends; expected a template such as 'The answer is: {label}'"
        )


def _check_folder(out: Path, identity: dict[str, Any], recipe: Recipe, overwrite: bool) -> None:
    """Raise InputError where ``out`` holds another run, or files of another kind."""
    if not (out / RUN).exists():
        if out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
            raise InputError(f"{out}: not empty and not a run; choose another --out")
    elif not overwrite:
        run = read_run(out)
        differing = [name for name, value in identity.items() if run.get(name) != value]
        # Not by its text: an older recipe lacks the fields that came since.
        if (out / RECIPE).exists() and load_recipe(str(out / RECIPE)) != recipe:
            differing.append("recipe")
        if differing:
            raise InputError(
                f"{out}: holds a run with another {', '.join(differing)}; choose another --out, or use --overwrite"
            )


def _claim_folder(out: Path, identity: dict[str, Any], recipe: Recipe, overwrite: bool) -> None:
    """Make ``out``, which is locked by now, the folder of this run."""
    _check_folder(out, identity, recipe, overwrite)  # again: another process may have trained there until now
    if (out / REPLACED).exists():
        shutil.rmtree(out / REPLACED)
    if overwrite and (out / RUN).exists():
        _remove_run(out)
    names = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow")
    versions = {"mrharm": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in names}
    if not (out / RUN).exists():
        # This file makes the folder ours, so it comes first: a kill before it leaves nothing, after it a run.
        _update_run(out, {**identity, "versions": versions})
    elif read_run(out).get("versions") != versions:
        _update_run(out, {"resumed_with": versions})
    write_text(out / RECIPE, dump_recipe(recipe))


def _remove_run(out: Path) -> None:
    """Remove what is in a run folder but its lock, which is held.

    Deleting takes long, so that all is moved aside first, ``recipe.yaml`` and then ``run.json`` last: a kill at any
    moment leaves what the same command goes on with, a run or a folder with nothing but hidden files.
    """
    aside = out / REPLACED
    paths = [path for path in out.iterdir() if path.name != f".{STAGE}.lock"]
    aside.mkdir()
    for path in sorted(paths, key=lambda path: (path.name in (RECIPE, RUN), path.name)):
        path.replace(aside / path.name)
    shutil.rmtree(aside)


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
    if process_count() == 1:
        return lambda: None
    from accelerate import PartialState

    state = PartialState(cpu=True, backend="gloo") if device.type == "cpu" else PartialState()
    wait: Callable[[], None] = state.wait_for_everyone
    return wait


def _update_run(out: Path, values: dict[str, Any]) -> None:
    written = read_run(out) if (out / RUN).exists() else {}
    write_json(out / RUN, {**written, **values})
