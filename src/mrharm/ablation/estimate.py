"""How long a grid will take: told from the runs that are there, else from a few real optimiser steps."""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mrharm.ablation.arms import ARMS, REFERENCE
from mrharm.ablation.run import Job, RunRow
from mrharm.ablation.variant import Variant, make_variant
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.recipe import make_recipe
from mrharm.training.run import train

_BATCHES, _LOOKED_AT, _STEPS = 4, 16, 8  # of the probe: training batches, validation memes, steps a stage


@dataclass(frozen=True)
class Estimate:
    """Hours of a grid's runs that are still to be made, and how that is known."""

    runs: int
    hours: float
    known_by: str

    def __str__(self) -> str:
        long = f"{self.hours:.1f} hours" if self.hours >= 1 else f"{math.ceil(60 * self.hours)} minutes"
        return f"{self.runs} runs to make, about {long} ({self.known_by})"


def estimate(jobs: Sequence[Job], rows: Mapping[str, RunRow], workers: int) -> Estimate:
    """What is left of a grid, by the seconds a step took in earlier runs, or by a short probe."""
    left = [job for job in jobs if job.key not in rows]
    if not left:
        return Estimate(0, 0.0, "all are there")
    if rows:
        seconds = sum(job.steps * _seconds_a_step(job.arm.name, rows.values()) for job in left)
        known_by = f"by the {len(rows)} that are there"
    else:
        rationale, label = probe(left[0])
        seconds = sum(_probed(job, rationale, label) for job in left)
        known_by = f"by timing {_STEPS} steps of each stage, without looks at validation and judging"
    return Estimate(len(left), seconds / min(workers, len(left)) / 3600, known_by)


def probe(job: Job) -> tuple[float, float]:
    """Seconds that a step of the rationale stage and one of the label stage take, on a few of the job's memes."""
    whole = make_variant(Dataset(job.root), job.recipe, ARMS[REFERENCE], job.size, job.seed)
    stages = job.recipe.stages
    count = _BATCHES * max(stages.rationale.batch_size, stages.label.batch_size)
    few = [
        *[meme for meme in whole.split(TRAIN) if meme.id in whole.rationales][:count],
        *[meme for meme in whole.split(VALIDATION) if meme.id in whole.rationales][:_LOOKED_AT],
    ]
    steps = {"stages.rationale.steps": _STEPS, "stages.label.steps": _STEPS}
    recipe = make_recipe(job.recipe.model_dump(mode="json"), steps)
    ends: dict[str, list[float]] = defaultdict(list)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(
                Variant(job.root, few, whole.rationales),
                recipe,
                Path(folder) / "probe",
                device="cpu",
                progress=lambda what, done, total: ends[what].append(time.monotonic()),
            )
    finally:
        torch.set_num_threads(threads)
    # The median leaves out the gaps in which the validation split was looked at or a checkpoint written.
    rationale, label = (float(np.median(np.diff(ends[f"stage {name}"]))) for name in ("rationale", "label"))
    return rationale, label


def _seconds_a_step(arm: str, rows: Collection[RunRow]) -> float:
    """By the arm's own runs where there are some, else by all."""
    like = [row for row in rows if row.arm == arm] or rows
    return float(np.mean([row.seconds / row.steps for row in like]))


def _probed(job: Job, rationale: float, label: float) -> float:
    stages = job.recipe.stages
    if job.arm.stages == "both":
        return (stages.rationale.steps or 0) * rationale + (stages.label.steps or 0) * label
    # One stage's targets are as long as rationales, and a little longer.
    return (stages.label.steps or 0) * (label if job.arm.stages == "label" else rationale)
