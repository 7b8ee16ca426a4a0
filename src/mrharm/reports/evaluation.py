"""Report an evaluation: its figures, its probes, sentences for both, and the files that hold them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.evaluation.evaluate import Evaluation, evaluate
from mrharm.evaluation.predictions import Predictions
from mrharm.evaluation.saved import REPORT
from mrharm.evaluation.scores import N_RESAMPLES
from mrharm.probes.run import NO_PROBES, Probing, run_probes
from mrharm.progress import Progress, no_progress
from mrharm.records import Record
from mrharm.reports.evaluation_page import write_page
from mrharm.reports.model_card import write_model_card
from mrharm.reports.summary import describe_probe, summarise
from mrharm.store import exclusive_lock, write_json


@dataclass(frozen=True)
class Destination:
    """Where a report goes, and what its page shows besides.

    folder: for report.json, model-card.md and probes.jsonl.
    page: the HTML file; None for none.
    ablation: the folder of an ablation whose answers, plot and tables the page shows.
    command: what reproduces every figure, for the foot of the page.
    """

    folder: Path
    page: Path | None = None
    ablation: Path | None = None
    command: str = ""


def report_evaluation(
    predictions: Predictions,
    destination: Destination | None = None,
    *,
    probing: Probing = NO_PROBES,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate predictions, run probes, describe both in ``words``, and write the report.

    Args:
        predictions: on labelled memes.
        destination: where the report goes; None to write nothing.
        probing: which probes to run.
        n_resamples: of the bootstrap.
        seed: of its draws, and of what probes draw.
        progress: called with how far each probe is.
    """
    folder = destination.folder if destination else None
    with exclusive_lock(folder, "evaluate") if folder else nullcontext():
        evaluation = evaluate(predictions, n_resamples=n_resamples, seed=seed, folder=folder)
        records, skipped = run_probes(predictions, probing, seed=seed, folder=folder, progress=progress)
    probes = {name: _describe(name, record) for name, record in records.items()}
    evaluation = evaluation.model_copy(update={"probes": probes, "skipped": skipped})
    evaluation = evaluation.model_copy(update={"words": summarise(evaluation)})
    if destination:
        write_report(evaluation, predictions, destination)
    return evaluation


def add_probe(evaluation: Evaluation, name: str, record: Record) -> Evaluation:
    """Return the evaluation with one more probe, such as the marks of an LLM judge."""
    probes = {**evaluation.probes, name: _describe(name, json.loads(record.model_dump_json()))}
    return evaluation.model_copy(update={"probes": probes})


def write_report(evaluation: Evaluation, predictions: Predictions, destination: Destination) -> None:
    """Write report.json, model-card.md and, where the destination has one, the page."""
    folder = destination.folder
    with exclusive_lock(folder, "evaluate"):
        write_json(folder / REPORT, evaluation.model_dump(mode="json"))
        write_model_card(evaluation, predictions.detector.card, folder)
    if destination.page:
        write_page(
            evaluation,
            predictions,
            destination.page,
            folder=folder,
            ablation=destination.ablation,
            command=destination.command,
        )


def _describe(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a probe's record as report.json holds it: its figures, and ``words`` that describe them."""
    return {**record, "words": list(describe_probe(name, record))}
