"""Report an evaluation: its figures, its probes, sentences for both, and the files that hold them."""

from __future__ import annotations

import json
import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrharm.evaluation.evaluate import Evaluation, predict_split, read_report
from mrharm.evaluation.evaluate import evaluate as compute_evaluation
from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.evaluation.saved_predictions import PAGE, REPORT, evaluation_folder
from mrharm.memes.dataset import Dataset
from mrharm.probes.run import NO_PROBES, Probing, run_probes, select_probes
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, Saliency
from mrharm.reports.evaluation_page import SHOWN_MISTAKES, MistakeSaliency, write_page
from mrharm.reports.render import render_markdown
from mrharm.reports.summary import describe_probe, summarise
from mrharm.reports.tables import tabulate_evaluation
from mrharm.store import JsonlStore, content_key, exclusive_lock, read_appended, write_json, write_text
from mrharm.verdicts.batch import judge_all
from mrharm.verdicts.card import DetectorCard, model_card
from mrharm.verdicts.inputs import JudgeOptions, SaliencyKind

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

MODEL_CARD, SALIENCY = "model-card.md", "saliency.jsonl"
KIND: SaliencyKind = "gradient"


class SaliencyRow(Record):
    """A line of ``saliency.jsonl``: what moved a verdict, stored so that writing the page again computes nothing."""

    key: str
    meme_id: str
    saliency: Saliency


@dataclass(frozen=True)
class Destination:
    """Where a report goes, and what its page shows besides.

    folder: for report.json, model-card.md, probes.jsonl and saliency.jsonl.
    page: the HTML file; None for none.
    ablation: the folder of an ablation whose answers, plot and tables the page shows.
    command: what reproduces every figure, for the foot of the page.
    """

    folder: Path
    page: Path | None = None
    ablation: Path | None = None
    command: str = ""


def evaluate(
    run: str | Path,
    dataset: Dataset | str | Path,
    split: str = "test",
    *,
    probes: str = "all",
    device: str = "auto",
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate a run's detector on a split, and write into the run what ``mrharm evaluate`` writes there.

    Args:
        split: by its name or role; a split of another dataset than the run's goes to ``evaluations/``.
        probes: ``all``, ``none``, or names with commas between.
        device, progress: as `Detector.from_pretrained` takes it; called with what is done.

    Raises:
        InputError: no run, no dataset, no such split or probe, or nothing in the split can be predicted.
    """
    run, names = Path(run), select_probes(probes)
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    folder = evaluation_folder(run, dataset, dataset.split_name(split))
    line = ["mrharm", "evaluate", str(run), str(dataset.root), "--split", split, "--probes", probes]
    destination = Destination(folder, folder / PAGE, command=shlex.join(line))
    from mrharm.verdicts.detector import Detector

    detector = Detector.from_pretrained(run, device=device)
    predictions = predict_split(detector, dataset, split, folder=folder, progress=progress)
    figures = compute_evaluation(predictions, detector.card, folder=folder)
    return report_evaluation(
        figures, predictions, detector, destination, probing=Probing(names), progress=progress
    )


def report_evaluation(
    evaluation: Evaluation,
    verdicts: LabelledVerdicts,
    detector: Detector,
    destination: Destination | None = None,
    *,
    probing: Probing = NO_PROBES,
    progress: Progress = no_progress,
) -> Evaluation:
    """Run probes, describe them and the figures in ``words``, and write the report; return it all.

    Args:
        evaluation: the figures (`evaluate`).
        verdicts: what they are of.
        detector: judges changed memes for probes, and explains the worst mistakes.
        destination: where the report goes; None to write nothing.
        probing: which probes to run.
        progress: called with how far each probe is.
    """
    folder, seed = destination.folder if destination else None, evaluation.draws_seed
    with exclusive_lock(folder, "evaluate") if folder else nullcontext():
        records, skipped = run_probes(
            verdicts, detector, probing, seed=seed, folder=folder, progress=progress
        )
    probes = {name: _describe(name, record) for name, record in records.items()}
    evaluation = evaluation.model_copy(update={"probes": probes, "skipped": skipped})
    evaluation = evaluation.model_copy(update={"words": summarise(evaluation)})
    if destination:
        write_report(evaluation, verdicts, detector, destination)
    return evaluation


def add_probe(
    name: str, record: Record, verdicts: LabelledVerdicts, detector: Detector, destination: Destination
) -> None:
    """Write a report anew with one more probe, such as the marks of an LLM judge."""
    evaluation = read_report(destination.folder / REPORT)
    probes = {**evaluation.probes, name: _describe(name, json.loads(record.model_dump_json()))}
    write_report(evaluation.model_copy(update={"probes": probes}), verdicts, detector, destination)


def write_report(
    evaluation: Evaluation, verdicts: LabelledVerdicts, detector: Detector, destination: Destination
) -> None:
    """Write report.json, model-card.md and, where the destination has one, the page."""
    folder = destination.folder
    with exclusive_lock(folder, "evaluate"):
        write_json(folder / REPORT, evaluation.model_dump(mode="json"))
        write_text(folder / MODEL_CARD, render_model_card(evaluation, detector.card))
        if destination.page:
            saliency = explain_mistakes(evaluation, verdicts, detector, folder)
    if destination.page:
        write_page(
            evaluation,
            verdicts,
            destination.page,
            explained=MistakeSaliency(saliency, detector.frame),
            ablation=destination.ablation,
            command=destination.command,
        )


def render_model_card(evaluation: Evaluation, card: DetectorCard) -> str:
    """Render what the detector is (`mrharm.verdicts.card.model_card`), how it was evaluated, and its limits."""
    tables = tabulate_evaluation(evaluation)
    return render_markdown("model-card.md.jinja", found=evaluation, about=model_card(card), tables=tables)


def explain_mistakes(
    evaluation: Evaluation, verdicts: LabelledVerdicts, detector: Detector, folder: Path
) -> dict[str, Saliency]:
    """Compute meme id -> what moved the worst wrong decisions; what the folder stores is not computed again."""
    memes = {meme.id: meme for meme in verdicts.memes}
    verdict_keys = {verdict.meme_id: verdict.key for verdict in verdicts.verdicts}
    shown = [mistake.meme_id for mistake in evaluation.mistakes[:SHOWN_MISTAKES]]
    keys = {meme_id: content_key(detector.key, verdict_keys[meme_id], KIND) for meme_id in shown}
    stored = {row.key: row.saliency for row in read_appended(folder / SALIENCY, SaliencyRow)}
    saliency = {meme_id: stored[key] for meme_id, key in keys.items() if key in stored}
    missing = [memes[meme_id] for meme_id in shown if meme_id not in saliency]
    options = JudgeOptions(
        evidence=verdicts.dataset.evidence,
        root=verdicts.dataset.root,
        rationales=False,
        saliency=KIND,
        gather=False,
    )
    store = JsonlStore(folder / SALIENCY, SaliencyRow, "key")
    # A picture deleted after prediction costs its own card the heat map, and no other card.
    for verdict in judge_all(detector, missing, options, failures=[]):
        if verdict.saliency:
            saliency[verdict.meme_id] = verdict.saliency
            store.append(
                SaliencyRow(key=keys[verdict.meme_id], meme_id=verdict.meme_id, saliency=verdict.saliency)
            )
    return saliency


def _describe(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a probe's record as report.json holds it: its figures, and ``words`` that describe them."""
    return {**record, "words": list(describe_probe(name, record))}
