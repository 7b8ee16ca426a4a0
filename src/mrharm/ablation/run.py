"""Run the grid of an ablation, arms x sizes x seeds: a process and a row a run; a stopped grid goes on where it was."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrharm.ablation.arms import ARMS, REFERENCE, Arm
from mrharm.ablation.variants import SUBSET_SEED, Variant, make_variant
from mrharm.errors import InputError, MrHarmError
from mrharm.evaluation.baseline_comparison import accuracy_by_baseline
from mrharm.evaluation.predictions import judge_split
from mrharm.evaluation.scores import headline_row
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.progress import Progress, no_progress
from mrharm.recipe import Recipe, StageRecipe, make_recipe, recipe_key
from mrharm.records import Failure, Record
from mrharm.store import JsonlStore, content_key, exclusive_lock, read_appended, write_failures
from mrharm.synthetic.truth import has_truth, measure_true_share
from mrharm.training.rationale_stage import require_rationales
from mrharm.training.run import train

STAGE, RUNS = "ablate", "runs.jsonl"
MORE_SPLITS = ("composition", "lexical")  # splits of the generated benchmark that are judged, too
_TIMED_MEMES, _TIMED_STEPS = 64, 8  # of each split, and of each stage, where no run tells how long one takes


class RunRow(Record):
    """One run, a row of ``runs.jsonl``.

    Attributes:
        key: hash of everything that made the run.
        size: training memes.
        splits: split -> the figures of `mrharm.evaluation.scores.headline_row` and of `accuracy_by_baseline`, whose
            words alone learn from all training memes of the dataset, whatever the arm learns from.
        truth: on generated memes, `measure_true_share` of the test rationales; without ``names_relation``, by an
            earlier rule, for which a rationale that names no relation was false.
        steps: optimiser steps in all.
        seconds: of training and judging.
    """

    key: str
    arm: str
    size: int
    seed: int
    splits: dict[str, dict[str, Any]]
    truth: dict[str, float] | None = None
    steps: int
    seconds: float


@dataclass(frozen=True)
class Grid:
    """The runs of an ablation: every arm with every size and every seed from 0 to ``seeds`` - 1.

    ``sizes``: numbers of training memes; None for all. ``split``: what the figures are of.
    """

    arms: Sequence[Arm]
    sizes: Sequence[int] | None = None
    seeds: int = 1
    split: str = "test"


@dataclass(frozen=True)
class Job:
    """A run to be made, with everything its process needs; ``keep``: whether its folder stays afterwards."""

    root: Path
    out: Path
    arm: Arm
    size: int
    seed: int
    recipe: Recipe
    split: str
    key: str
    keep: bool

    @property
    def name(self) -> str:
        """Name the run in messages."""
        return f"{self.arm.name}-{self.size}-{self.seed}"

    @property
    def folder(self) -> Path:
        """Return the run folder, which no run of another recipe or dataset has."""
        return self.out / "runs" / f"{self.name}-{self.key[:8]}"

    @property
    def steps(self) -> int:
        """Return the optimiser steps of all stages."""
        stages = self.recipe.stages
        return (stages.rationale.steps or 0) * (self.arm.stages == "both") + (stages.label.steps or 0)


def make_jobs(dataset: Dataset, recipe: Recipe, out: Path, grid: Grid, *, keep: bool = False) -> list[Job]:
    """List a grid's runs, seeds outermost, so that a grid that is stopped early has runs of every arm.

    Raises:
        InputError: no such split, more training memes than there are, no rationales to distil, or a recipe an arm
            cannot be made of.
    """
    for split in (grid.split, VALIDATION):
        dataset.split(split)
    require_rationales(dataset, recipe)
    memes = len(dataset.split(TRAIN))
    if grid.sizes and max(grid.sizes) > memes:
        raise InputError(f"{max(grid.sizes):,} training memes asked for, {memes:,} there; name smaller sizes")
    fingerprint = dataset.fingerprint()
    jobs = []
    for seed in range(grid.seeds):
        for size in grid.sizes or [memes]:
            for arm in grid.arms:
                arm_recipe = make_arm_recipe(recipe, arm, size, seed)
                key = _run_key(fingerprint, arm_recipe, arm, size, grid.split, all_memes=size == memes)
                jobs.append(Job(dataset.root, out, arm, size, seed, arm_recipe, grid.split, key, keep))
    return jobs


def read_rows(dataset: Dataset, recipe: Recipe, out: Path, split: str) -> dict[str, RunRow]:
    """Read the rows in ``out`` that this dataset, recipe and split made, by key; rows of others are passed over."""
    fingerprint, memes = dataset.fingerprint(), len(dataset.split(TRAIN))
    rows = {}
    for row in read_appended(out / RUNS, RunRow) if (out / RUNS).exists() else ():
        if arm := ARMS.get(row.arm):
            arm_recipe = make_arm_recipe(recipe, arm, row.size, row.seed)
            key = _run_key(fingerprint, arm_recipe, arm, row.size, split, all_memes=row.size == memes)
            if row.key == key:
                rows[key] = row
    return rows


def _run_key(fingerprint: str, recipe: Recipe, arm: Arm, size: int, split: str, *, all_memes: bool) -> str:
    parts = [fingerprint, recipe_key(recipe), arm.rationales, arm.words, arm.share, arm.stages, size, split]
    parts += [] if all_memes else [SUBSET_SEED]
    parts += [] if arm.version == 1 else [arm.version]
    return content_key(*parts)


def make_arm_recipe(recipe: Recipe, arm: Arm, memes: int, seed: int) -> Recipe:
    """Return an arm's recipe; every arm takes as many optimiser steps as the recipe's two stages together."""

    def count_steps(stage: StageRecipe) -> int:
        return stage.steps or stage.epochs * math.ceil(memes / (stage.batch_size * stage.accumulate))

    rationale, label = count_steps(recipe.stages.rationale), count_steps(recipe.stages.label)
    steps = {"stages.rationale.steps": rationale, "stages.label.steps": label}
    if arm.stages != "both":
        steps = {"stages.label.steps": rationale + label}
    changes = {"seed": seed, "name": f"{recipe.name}/{arm.name}", **steps, **arm.settings}
    if added := [part for part in arm.adds if part not in recipe.reads]:
        changes["reads"] = [*recipe.reads, *added]
    return make_recipe(recipe.model_dump(mode="json"), changes, where=arm.name)


def run_grid(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = no_progress,
    after: Callable[[], object] = lambda: None,
) -> list[Failure]:
    """Make the runs that have no row yet and append a row for each; return the failures, which are written, too.

    ``say`` is called with a line a run, ``after`` after each row, so that the rows so far can be reported.

    Raises:
        InputError: another ablation writes in ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    failures: list[Failure] = []
    with exclusive_lock(out, STAGE):
        store = JsonlStore(out / RUNS, RunRow, "key")
        waiting = [job for job in jobs if job.key not in store.done]
        done = len(jobs) - len(waiting)
        progress("runs", done, len(jobs))
        for job, result in _run_in_processes(waiting, workers):
            done += 1
            if isinstance(result, RunRow):
                # First the folder, then the row: a kill between them costs this one run, and leaves no weights.
                if not job.keep:
                    shutil.rmtree(job.folder)
                store.append(result)
                figures = result.splits[job.split]
                say(
                    f"{job.name}: accuracy {figures['accuracy']:.3f}, macro-F1 {figures['macro_f1']:.3f} "
                    f"({result.seconds:.0f} s)"
                )
            else:
                failures.append(Failure(item=job.name, stage=STAGE, reason=result))
                say(f"{job.name}: failed: {result}")
            progress("runs", done, len(jobs))
            after()
        write_failures(out, failures, stage=STAGE)
    return failures


def _run_in_processes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, RunRow | str]]:
    """Yield each job with its row, or with why there is none, as they are done.

    `mrharm.workers.map_items` would not do: a training takes minutes to hours, so that a process that dies must cost
    its own run alone, and a process whose parent was killed must not go on writing in the run's folder.
    """
    context = get_context("spawn")  # forking a process that holds threads can hang
    waiting = list(reversed(jobs))
    running: dict[Any, tuple[Job, Any]] = {}  # the end of a pipe that a process answers through -> its job
    result: RunRow | str
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, sender), daemon=True)
                process.start()
                sender.close()  # so that the pipe ends with the process, if it dies without an answer
                running[receiver] = job, process
            answering: list[Any] = connection.wait(list(running))
            for pipe in answering:
                job, process = running.pop(pipe)
                try:
                    result = pipe.recv()
                except EOFError:
                    result = "its process was killed (by the system, for want of memory? try fewer --workers)"
                pipe.close()
                process.join()
                yield job, result
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _work(job: Job, sender: Any) -> None:
    """Run a job in this process, on one thread: a model this small does not keep two cores busy."""
    torch.set_num_threads(1)

    def exit_with_parent() -> None:
        if parent := parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # the parent gets it, too, and reports it
        sender.send(run_job(job))


def run_job(job: Job) -> RunRow | str:
    """Train and judge; return the row, or why there is none: a run that fails takes no other run with it."""
    try:
        return _train_and_judge(job)
    except MrHarmError as error:
        return str(error)
    except Exception as error:  # a model that runs out of memory, say
        return f"{type(error).__name__}: {error}"


def _train_and_judge(job: Job) -> RunRow:
    start = time.monotonic()
    dataset = Dataset(job.root)
    variant = make_variant(dataset, job.recipe, job.arm, job.size, job.seed)
    detector = train(variant, job.recipe, job.folder, stages=job.arm.stages, device="cpu")
    figures: dict[str, dict[str, Any]] = {}
    truth = None
    names = {meme.split for meme in dataset.memes}
    for split in (job.split, *(name for name in MORE_SPLITS if name in names and name != job.split)):
        with_rationales = split == job.split and job.arm.stages != "label"
        predictions = judge_split(detector, dataset, split, rationales=with_rationales)
        figures[split] = headline_row(
            predictions.gold.tolist(),
            predictions.predicted.tolist(),
            predictions.scores.tolist(),
            predictions.clusters,
        ) | accuracy_by_baseline(predictions)
        if with_rationales and all(has_truth(meme) for meme in predictions.memes):
            truth = measure_true_share(predictions.memes, predictions.verdicts)
    return RunRow(
        key=job.key,
        arm=job.arm.name,
        size=len(variant.split(TRAIN)),
        seed=job.seed,
        splits=figures,
        truth=truth,
        steps=job.steps,
        seconds=round(time.monotonic() - start, 1),
    )


@dataclass(frozen=True)
class TimeEstimate:
    """Runs still to be made, and the hours they will take; ``basis``: what that is derived from."""

    runs: int
    hours: float
    basis: str

    def __str__(self) -> str:
        time_left = f"{self.hours:.1f} hours" if self.hours >= 1 else f"{math.ceil(60 * self.hours)} minutes"
        return f"{self.runs} runs to make, about {time_left} ({self.basis})"


def estimate_hours(jobs: Sequence[Job], rows: Mapping[str, RunRow], workers: int) -> TimeEstimate:
    """Estimate how long a grid takes, from the seconds a step took in earlier runs, else by timing a few steps."""
    waiting = [job for job in jobs if job.key not in rows]
    if not waiting:
        return TimeEstimate(0, 0.0, "all are there")
    if rows:
        step = sum(row.seconds for row in rows.values()) / sum(row.steps for row in rows.values())
        basis = f"by the {len(rows)} that are there"
    else:
        step = _time_step(waiting[0])
        basis = f"by timing {_TIMED_STEPS} steps of each stage, without validating and judging"
    seconds = step * sum(job.steps for job in waiting)
    return TimeEstimate(len(waiting), seconds / min(workers, len(waiting)) / 3600, basis)


def _time_step(job: Job) -> float:
    """Train on a few memes; return the seconds of a step, the mean of the rationale stage's and the label stage's."""
    variant = make_variant(Dataset(job.root), job.recipe, ARMS[REFERENCE], job.size, job.seed)
    few = []
    for split in (TRAIN, VALIDATION):
        few += [meme for meme in variant.split(split) if meme.id in variant.rationales][:_TIMED_MEMES]
    changes: dict[str, Any] = {}
    for stage in ("rationale", "label"):
        # As many epochs between two validations leaves these out of the timing.
        changes |= {f"stages.{stage}.{name}": _TIMED_STEPS for name in ("steps", "evaluate_every")}
    recipe = make_recipe(job.recipe.model_dump(mode="json"), changes)
    step_ends: dict[str, list[float]] = defaultdict(list)

    def note_time(what: str, done: int, total: int) -> None:
        step_ends[what].append(time.monotonic())

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in each run
    with tempfile.TemporaryDirectory() as folder:
        few_memes = Variant(job.root, few, variant.rationales)
        train(few_memes, recipe, Path(folder) / "timing", device="cpu", progress=note_time)
    torch.set_num_threads(threads)
    # The median leaves out the gap in which a checkpoint was written.
    return float(np.mean([np.median(np.diff(step_ends[f"stage {name}"])) for name in ("rationale", "label")]))
