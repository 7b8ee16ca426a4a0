"""The grid of an ablation: arms x sizes x seeds, each run in a process, a row each, going on where it stopped."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mrharm.errors import InputError, MrHarmError
from mrharm.evaluation.ablations.arms import Arm
from mrharm.evaluation.judged import Progress, quiet
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN
from mrharm.recipe import Recipe, dump_recipe, make_recipe
from mrharm.records import Failure, Record, read_records
from mrharm.store import JsonlStore, alone, content_key, write_failures

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
    size: int | None
    seed: int
    recipe: Recipe
    split: str
    key: str
    keep: bool

    @property
    def name(self) -> str:
        """What the run's folder is called."""
        return f"{self.arm.name}-{self.size or 'all'}-{self.seed}"


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
        InputError: a recipe an arm cannot be made of.
    """
    jobs = []
    fingerprint = dataset.fingerprint()
    memes = len(dataset.split(TRAIN))
    for seed in range(seeds):
        for size in list(sizes) if sizes else [None]:
            for arm in arms:
                made = recipe_for(recipe, arm, size or memes, seed)
                what = [
                    fingerprint,
                    dump_recipe(made),
                    arm.rationales,
                    arm.words,
                    arm.share,
                    arm.stages,
                    size,
                    split,
                ]
                jobs.append(Job(dataset.root, out, arm, size, seed, made, split, content_key(*what), keep))
    return jobs


def recipe_for(recipe: Recipe, arm: Arm, memes: int, seed: int) -> Recipe:
    """An arm's recipe: every arm takes as many optimiser steps in all as the two stages of the recipe together."""
    rationale, label = (_steps(getattr(recipe.stages, name), memes) for name in ("rationale", "label"))
    steps = {"stages.rationale.steps": rationale, "stages.label.steps": label}
    if arm.stages != "both":
        steps = {"stages.label.steps": rationale + label}
    values = recipe.model_dump(mode="json")
    changed = {"seed": seed, "name": f"{recipe.name}/{arm.name}", **steps, **arm.settings}
    return make_recipe(values, changed, where=arm.name)


def _steps(stage: Any, memes: int) -> int:
    per_epoch = math.ceil(memes / (stage.batch_size * stage.accumulate))
    return int(stage.steps or stage.epochs * per_epoch)


def done_rows(out: Path) -> dict[str, RunRow]:
    """Key -> row of the runs that are there."""
    path = out / RUNS
    return {row.key: row for row in read_records(path, RunRow)} if path.exists() else {}


def run_grid(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = quiet,
) -> list[Failure]:
    """Make the runs that are not there yet, and append a row for each; those that fail are returned, and kept.

    Raises:
        InputError: another ablation is at work in ``out``.
        MrHarmError: a process was killed; the same call goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    failures: list[Failure] = []
    with alone(out, STAGE):
        store = JsonlStore(out / RUNS, RunRow, "key")
        waiting = [job for job in jobs if job.key not in store.done]
        done = len(jobs) - len(waiting)
        progress("runs", done, len(jobs))
        for job, result in _in_processes(waiting, workers):
            done += 1
            if isinstance(result, RunRow):
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
        write_failures(out, failures, stage=STAGE)
    return failures


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, RunRow | str]]:
    """Each job's row, or why there is none, as they are done."""
    if not jobs:
        return
    source = iter(jobs)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_one_thread, initargs=(os.getpid(),)
    ) as pool:
        flying: dict[Future[RunRow | str], Job] = {}
        try:
            while True:
                while len(flying) < workers and (job := next(source, None)) is not None:
                    flying[pool.submit(run_job, job)] = job
                if not flying:
                    return
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    yield flying.pop(future), future.result()
        except BrokenProcessPool:
            raise MrHarmError(
                "a training process was killed (by the system, where memory is short); run the same command again, "
                "with fewer --workers where it happens again"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_parent = 0


def _one_thread(parent: int) -> None:
    """So small a model cannot keep two cores busy alone."""
    import torch

    global _parent
    _parent = parent
    torch.set_num_threads(1)


def run_job(job: Job) -> RunRow | str:
    """Train, judge, and remove the weights; a named error is the run's failure and takes no other run with it."""
    try:
        return _run(job)
    except InputError as error:
        return str(error)
    except MrHarmError as error:
        return f"{type(error).__name__}: {error}"


def _run(job: Job) -> RunRow:
    from mrharm.evaluation.ablations.variant import make_variant
    from mrharm.evaluation.judged import judge_split
    from mrharm.evaluation.truth import share_true
    from mrharm.metrics import score_summary
    from mrharm.training.run import train

    start = time.monotonic()
    dataset = Dataset(job.root)
    variant = make_variant(dataset, job.arm, job.size, job.seed)
    folder = job.out / "runs" / job.name
    detector = train(
        variant, job.recipe, folder, stages=job.arm.stages, device="cpu", progress=_end_with_parent
    )
    splits: dict[str, dict[str, Any]] = {}
    truth = None
    there = {meme.split for meme in dataset.memes}
    for split in (job.split, *(name for name in MORE_SPLITS if name in there and name != job.split)):
        writes = split == job.split and job.arm.stages != "label"
        judged = judge_split(detector, dataset, split, rationales=writes, progress=_end_with_parent)
        splits[split] = score_summary(judged.gold.tolist(), judged.said.tolist(), judged.scores.tolist())
        if writes and all("truth" in meme.extra for meme in judged.memes):
            truth = share_true(judged.memes, judged.verdicts)
    if not job.keep:
        shutil.rmtree(folder)
    stages = job.recipe.stages
    steps = (stages.rationale.steps or 0) * (job.arm.stages == "both") + (stages.label.steps or 0)
    return RunRow(
        key=job.key,
        arm=job.arm.name,
        size=len(variant.split(TRAIN)),
        seed=job.seed,
        splits=splits,
        truth=truth,
        steps=steps,
        seconds=round(time.monotonic() - start, 1),
    )


def _end_with_parent(what: str, done: int, total: int) -> None:
    """A killed ablation leaves nobody writing in its folder."""
    if _parent and os.getppid() != _parent:
        os._exit(1)
