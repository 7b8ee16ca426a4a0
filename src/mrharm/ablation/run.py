"""The grid of an ablation: arms x sizes x seeds, each run in a process, a row each, going on where it stopped."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch

from mrharm.ablation.arms import ARMS, Arm
from mrharm.ablation.variant import LOT, make_variant
from mrharm.errors import InputError, MrHarmError
from mrharm.evaluation.predictions import judge_split
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.metrics import score_summary
from mrharm.progress import Progress, no_progress
from mrharm.recipe import Recipe, dump_recipe, make_recipe
from mrharm.records import Failure, Record
from mrharm.store import JsonlStore, content_key, exclusive_lock, read_appended, write_failures
from mrharm.synthetic.truth import is_known, share_true
from mrharm.training.data import require_rationales
from mrharm.training.run import train

STAGE, RUNS = "ablate", "runs.jsonl"
MORE_SPLITS = ("composition", "lexical")  # of the generated benchmark: judged, too, where they are there


class RunRow(Record):
    """One run: its arm, its training memes, its seed, its figures by split, and how long it took.

    ``splits``: split -> `metrics.score_summary`'s figures. ``truth``: share of the rationales on generated test memes
    that name the right scene, tone, relation, and all three. ``key`` says everything that made it.
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
class Job:
    """One run to be made: everything a process needs."""

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
        """What people call the run."""
        return f"{self.arm.name}-{self.size}-{self.seed}"

    @property
    def folder(self) -> Path:
        """Where it is trained; of another recipe or dataset it is another folder."""
        return self.out / "runs" / f"{self.name}-{self.key[:8]}"

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return stage_steps(self.recipe, self.arm)


def make_jobs(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    arms: Sequence[Arm],
    sizes: Sequence[int] | None,
    seeds: int,
    *,
    split: str = "test",
    keep: bool = False,
) -> list[Job]:
    """The grid, seeds outermost, so that an ablation that is stopped says something of every arm.

    Raises:
        InputError: no such split, more training memes than there are, no rationales to distil, or a recipe an arm
            cannot be made of.
    """
    for needed in (split, VALIDATION):
        dataset.split(needed)
    require_rationales(dataset, recipe)
    memes = len(dataset.split(TRAIN))
    fingerprint = dataset.fingerprint()
    jobs = []
    for seed in range(seeds):
        for size in sizes or [memes]:
            if size > memes:
                raise InputError(f"{size:,} training memes wanted, {memes:,} there; name smaller sizes")
            for arm in arms:
                made = recipe_for(recipe, arm, size, seed)
                key = _key(fingerprint, made, arm, size, memes, split)
                jobs.append(Job(dataset.root, out, arm, size, seed, made, split, key, keep))
    return jobs


def rows_of(dataset: Dataset, recipe: Recipe, out: Path, split: str) -> dict[str, RunRow]:
    """Key -> row of the runs in ``out`` that this dataset, recipe and split made; those of others are passed over."""
    path, fingerprint, memes = out / RUNS, dataset.fingerprint(), len(dataset.split(TRAIN))
    found = {}
    for row in read_appended(path, RunRow) if path.exists() else ():
        arm = ARMS.get(row.arm)
        if arm and row.key == _key(
            fingerprint, recipe_for(recipe, arm, row.size, row.seed), arm, row.size, memes, split
        ):
            found[row.key] = row
    return found


def _key(fingerprint: str, recipe: Recipe, arm: Arm, size: int, memes: int, split: str) -> str:
    """What makes a run; of all ``memes`` there are no lot is drawn."""
    made = [fingerprint, dump_recipe(recipe), arm.rationales, arm.words, arm.share, arm.stages, size, split]
    version = [] if arm.version == 1 else [arm.version]
    return content_key(*made, *([LOT] if size < memes else []), *version)


def recipe_for(recipe: Recipe, arm: Arm, memes: int, seed: int) -> Recipe:
    """An arm's recipe: every arm takes as many optimiser steps in all as the two stages of the recipe together."""
    rationale, label = (_steps(getattr(recipe.stages, name), memes) for name in ("rationale", "label"))
    steps = {"stages.rationale.steps": rationale, "stages.label.steps": label}
    if arm.stages != "both":
        steps = {"stages.label.steps": rationale + label}
    values = recipe.model_dump(mode="json")
    changed = {"seed": seed, "name": f"{recipe.name}/{arm.name}", **steps, **arm.settings}
    if added := [part for part in arm.adds if part not in recipe.reads]:
        changed["reads"] = [*recipe.reads, *added]
    return make_recipe(values, changed, where=arm.name)


def stage_steps(recipe: Recipe, arm: Arm) -> int:
    """Optimiser steps a recipe of `recipe_for` takes in all."""
    stages = recipe.stages
    return (stages.rationale.steps or 0) * (arm.stages == "both") + (stages.label.steps or 0)


def _steps(stage: Any, memes: int) -> int:
    per_epoch = math.ceil(memes / (stage.batch_size * stage.accumulate))
    return int(stage.steps or stage.epochs * per_epoch)


def run_grid(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = no_progress,
    after: Callable[[], None] = lambda: None,
) -> list[Failure]:
    """Make the runs that are not there yet, and append a row for each; those that fail are returned, and kept.

    Args:
        jobs: what there is to run, in this order.
        out: where ``runs.jsonl`` and ``failures.jsonl`` go.
        workers: processes.
        say: called with a line a run.
        progress: called with (what, done, of how many).
        after: called after each row, so that what is there so far can be reported.

    Raises:
        InputError: another ablation is at work in ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    failures: list[Failure] = []
    with exclusive_lock(out, STAGE):
        store = JsonlStore(out / RUNS, RunRow, "key")
        waiting = [job for job in jobs if job.key not in store.done]
        done = len(jobs) - len(waiting)
        progress("runs", done, len(jobs))
        for job, result in _in_processes(waiting, workers):
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


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, RunRow | str]]:
    """Each job's row, or why there is none, as they are done; each in a process of its own, which may die alone."""
    # "spawn": forking a process that holds threads can hang.
    context = get_context("spawn")
    waiting = list(reversed(jobs))
    at_work: dict[Any, tuple[Job, Any]] = {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < workers:
                job = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, theirs, os.getpid()), daemon=True)
                process.start()
                theirs.close()  # so that a process that dies without a word ends the pipe
                at_work[ours] = job, process
            for end in connection.wait(list(at_work)):
                job, process = at_work.pop(end)
                result = _received(end)
                process.join()
                yield job, result
    finally:
        for _, process in at_work.values():
            process.terminate()
            process.join()


def _received(end: Any) -> RunRow | str:
    with end:
        try:
            result: RunRow | str = end.recv()
            return result
        except EOFError:
            return "its process was killed (by the system, where memory is short: try fewer --workers)"


def _work(job: Job, end: Any, parent: int) -> None:
    """One process: one thread, since so small a model cannot keep two cores busy alone."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # a killed ablation leaves nobody writing in its folder

    threading.Thread(target=watch, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # the parent was told, too, and says so
        end.send(run_job(job))


def run_job(job: Job) -> RunRow | str:
    """Train and judge; what goes wrong is this run's failure and takes no other run with it."""
    try:
        return _run(job)
    except MrHarmError as error:
        return str(error)
    except Exception as error:  # a model that runs out of memory, say; the grid goes on
        return f"{type(error).__name__}: {error}"


def _run(job: Job) -> RunRow:
    start = time.monotonic()
    dataset = Dataset(job.root)
    variant = make_variant(dataset, job.recipe, job.arm, job.size, job.seed)
    detector = train(variant, job.recipe, job.folder, stages=job.arm.stages, device="cpu")
    splits: dict[str, dict[str, Any]] = {}
    truth = None
    there = {meme.split for meme in dataset.memes}
    for split in (job.split, *(name for name in MORE_SPLITS if name in there and name != job.split)):
        writes = split == job.split and job.arm.stages != "label"
        predictions = judge_split(detector, dataset, split, rationales=writes)
        splits[split] = score_summary(
            predictions.gold.tolist(), predictions.predicted.tolist(), predictions.scores.tolist()
        )
        if writes and all(is_known(meme) for meme in predictions.memes):
            truth = share_true(predictions.memes, predictions.verdicts)
    return RunRow(
        key=job.key,
        arm=job.arm.name,
        size=len(variant.split(TRAIN)),
        seed=job.seed,
        splits=splits,
        truth=truth,
        steps=job.steps,
        seconds=round(time.monotonic() - start, 1),
    )
