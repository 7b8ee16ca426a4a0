"""The whole story on generated memes: draw, train with and without rationales, compare, report.

Memes and trained students stay in the demo's folder and are reused when a stopped demo goes on.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrharm.errors import InputError, MrHarmError
from mrharm.evaluation.baseline_comparison import MAJORITY, PIXELS, WORDS, compare_baselines
from mrharm.evaluation.predictions import BATCH, Predictions, judge_split
from mrharm.evaluation.scores import headline_row
from mrharm.memes.dataset import INFO, Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.progress import Progress, no_progress
from mrharm.recipe import load_recipe, recipe_key
from mrharm.reports.demo_page import write_demo_report
from mrharm.store import content_key, write_json, write_records
from mrharm.synthetic import truth
from mrharm.synthetic.teacher import GeneratedTeacher

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

Say = Callable[[str], None]
SPLITS = ("test", "composition", "lexical")
BASELINES = {"majority": MAJORITY, "text_only": WORDS, "image_only": PIXELS}
_THREADS = max(1, min(2, (os.cpu_count() or 2) // 2))
_SHOWN = 12
# What the teacher's rationales do with the relation of words and picture -> whether they name it.
KINDS = {"named": True, "inferred": False}


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does: memes in train, validation and test together, and optimiser steps a stage."""

    memes: int
    rationale_steps: int
    label_steps: int


# Split on validation: where half of the rationales only describe, 1,200 + 300 steps stay at chance (docs/results.md).
FULL = DemoSize(memes=4000, rationale_steps=600, label_steps=900)
QUICK = DemoSize(memes=240, rationale_steps=60, label_steps=20)


def run_demo(
    out: Path, *, quick: bool = False, seed: int = 0, say: Say = print, progress: Progress = no_progress
) -> dict[str, Any]:
    """Run the demo into ``out``; return the contents of ``out/report.json``.

    Raises:
        InputError: ``out`` holds a demo of another size or seed, or something that is no demo.
    """
    size = QUICK if quick else FULL
    recipe = content_key(recipe_key(load_recipe("tiny", {"seed": seed})))
    teacher = GeneratedTeacher()
    identity = {"quick": quick, "seed": seed, "size": asdict(size), "recipe": recipe, "teacher": teacher.name}
    _claim_folder(out, identity)
    if (out / "report.json").exists() and (out / "report.html").exists():
        say(f"{out}: already done; delete it, or choose another --out, to run the demo again")
        done: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
        return done
    clock = _Clock(out / "seconds.json")
    say("1/5  drawing memes whose harm is in neither the words nor the picture alone")
    folder = out / "memes"
    if (folder / INFO).exists():
        dataset = Dataset(folder)
    else:
        options = ImportOptions(memes=size.memes, seed=seed, workers=2)
        dataset = import_memes("generated", None, folder, options, teacher.explain)
    clock.lap("memes")
    steps = size.rationale_steps + size.label_steps
    say(f"2/5  training a student on labels only, {steps:,} steps, in a separate process")
    say(
        f"3/5  training a student in two stages, {size.rationale_steps:,} steps on rationales, "
        f"{size.label_steps:,} on labels"
    )
    students = _train_both(dataset, out, size, seed, progress)
    clock.lap("training")
    say("4/5  predicting memes that neither was trained on")
    tables, by_student = _measure_splits(dataset, students, progress)
    clock.lap("judging")
    on_test = by_student["two_stage"]
    report: dict[str, Any] = {
        **tables,
        "rationale_truth": truth.measure_true_share(on_test.memes, on_test.verdicts),
        "by_kind": _measure_kinds(by_student, teacher),
        "greedy_agreement": _measure_greedy_agreement(students["two_stage"], dataset),
        "memes": dataset.info.splits,
        "steps": {"labels_only": steps, "two_stage": steps},
        "seed": seed,
        "quick": quick,
    }
    write_records(out / "verdicts.test.jsonl", on_test.verdicts)
    clock.lap("checks")
    report["seconds_by_part"] = clock.laps
    report["seconds"] = round(sum(clock.laps.values()), 1)
    report["peak_memory_mb"] = peak_memory_mb()
    say("5/5  writing the report")
    write_json(out / "report.json", report)
    write_demo_report(out / "report.html", report, _draw_examples(on_test, seed))
    return report


def peak_memory_mb() -> int:
    """Return an upper bound of the memory in use at any moment, in MB: this process's peak plus its largest child's."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    this_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round((this_process + child) * unit / 1e6)


def _train_both(
    dataset: Dataset, out: Path, size: DemoSize, seed: int, progress: Progress
) -> dict[str, Detector]:
    """Train the labels-only and the two-stage student in parallel: so small a model does not use two cores."""
    import torch  # not before the folder is known to be the demo's

    from mrharm.training.run import train
    from mrharm.verdicts.detector import Detector

    labels_only, two_stage = out / "labels-only", out / "two-stage"
    recipe = load_recipe(
        "tiny",
        {
            "seed": seed,
            "stages.rationale.steps": size.rationale_steps,
            "stages.label.steps": size.label_steps,
        },
    )
    labels_process = get_context("spawn").Process(
        target=_train_labels_only,
        args=(dataset.root, labels_only, size.rationale_steps + size.label_steps, seed, os.getpid()),
        daemon=True,
    )
    labels_process.start()
    # With more threads, the two students would wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        explained = train(dataset, recipe, two_stage, device="cpu", progress=progress)
        labels_process.join()
    finally:
        torch.set_num_threads(threads)
        labels_process.terminate()
    if labels_process.exitcode:
        raise MrHarmError(
            f"the labels-only student's process ended with {labels_process.exitcode}; run the same command again"
        )
    return {"labels_only": Detector.from_pretrained(labels_only, device="cpu"), "two_stage": explained}


def _train_labels_only(root: Path, out: Path, steps: int, seed: int, parent: int) -> None:
    """Train in a process that ends with its parent, so that a killed demo leaves no process writing in its folder."""

    def watch(what: str, done: int, total: int) -> None:
        if os.getppid() != parent:
            os._exit(1)

    import torch

    from mrharm.training.run import train

    torch.set_num_threads(_THREADS)
    recipe = load_recipe("tiny", {"seed": seed, "name": "tiny-labels-only", "stages.label.steps": steps})
    train(root, recipe, out, stages="label", device="cpu", progress=watch)


class _Clock:
    """Seconds by part, added up over the runs of a stopped and resumed demo (a kill loses the current lap)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.laps: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(self.laps.get(name, 0.0) + now - self._last, 1)
        self._last = now
        write_json(self._path, self.laps)


def _claim_folder(out: Path, identity: dict[str, Any]) -> None:
    path = out / "demo.json"
    if path.exists():
        existing = json.loads(path.read_text(encoding="utf-8"))
        if existing != identity:
            raise InputError(f"{out}: holds another demo ({existing}); choose another --out, or delete it")
    elif out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
        raise InputError(f"{out}: not empty and not a demo; choose another --out")
    else:
        write_json(path, identity)


def _measure_splits(
    dataset: Dataset, students: Mapping[str, Detector], progress: Progress
) -> tuple[dict[str, Any], dict[str, Predictions]]:
    """Return split -> model -> its figures, and student -> its predictions on the test split."""
    tables: dict[str, Any] = {}
    on_test: dict[str, Predictions] = {}
    for split in SPLITS:
        rows: dict[str, Any] = {}
        for name, student in students.items():
            # Rationales take most of the time; those of the test split are checked and shown.
            explains = split == "test" and name == "two_stage"
            predictions = judge_split(student, dataset, split, rationales=explains, progress=progress)
            if split == "test":
                on_test[name] = predictions
            rows[name] = _score_row(predictions)
        figures = {row.name: row for row in compare_baselines(predictions)}
        for name, baseline in BASELINES.items():
            row = figures[baseline]
            rows[name] = {
                "accuracy": row.accuracy.value,
                "accuracy_ci": [row.accuracy.low, row.accuracy.high],
                "macro_f1": row.macro_f1.value,
                "auroc": row.auroc.value,
                "n": len(predictions.memes),
            }
        tables[split] = rows
    return tables, on_test


def _score_row(predictions: Predictions) -> dict[str, Any]:
    gold, predicted, scores = (
        values.tolist() for values in (predictions.gold, predictions.predicted, predictions.scores)
    )
    return headline_row(gold, predicted, scores, predictions.clusters)


def _measure_kinds(by_student: Mapping[str, Predictions], teacher: GeneratedTeacher) -> dict[str, Any]:
    """Return kind -> student -> its figures, and how true the two-stage student's rationales are there.

    A meme's kind: whether the teacher's rationale names how words and picture combine, or only describes them.
    """
    memes = by_student["two_stage"].memes
    names = [truth.find_named_relation(teacher.explain(meme).text) is not None for meme in memes]
    kinds: dict[str, Any] = {}
    for kind, named in KINDS.items():
        inside = [place for place, name in enumerate(names) if name == named]
        rows: dict[str, Any] = {}
        for student, predictions in by_student.items():
            chosen = predictions.select(inside)
            rows[student] = _score_row(chosen)
            if student == "two_stage":
                rows["rationale_truth"] = truth.measure_true_share(chosen.memes, chosen.verdicts)
        kinds[kind] = rows
    return kinds


def _measure_greedy_agreement(detector: Detector, dataset: Dataset) -> float:
    """Return the share of test memes whose written label is the one that scores higher."""
    memes = dataset.split("test")
    written = detector.judge(memes, root=dataset.root, batch_size=BATCH, rationales=False, greedy=True)
    even = float(detector.card.calibration.probability(0.0))  # P where both answers are as likely
    return sum(verdict.harmful == (verdict.score > even) for verdict in written) / len(memes)


def _draw_examples(predictions: Predictions, seed: int) -> list[dict[str, Any]]:
    """Return a dozen random test memes with their verdicts, then a dozen random mistakes among the others."""
    rng = random.Random(seed)
    count = len(predictions.memes)
    drawn = rng.sample(range(count), min(_SHOWN, count))
    right = [
        bool(predicted == gold)
        for predicted, gold in zip(predictions.predicted, predictions.gold, strict=True)
    ]
    mistakes = [place for place in range(count) if not right[place] and place not in drawn]
    wrong = rng.sample(mistakes, min(_SHOWN, len(mistakes)))
    examples = []
    for group, place in [*(("drawn", place) for place in drawn), *(("wrong", place) for place in wrong)]:
        meme, verdict = predictions.memes[place], predictions.verdicts[place]
        examples.append(
            {
                "group": group,
                "picture": predictions.dataset.root / (meme.image or ""),
                "text": meme.text,
                "verdict": verdict,
                "harmful": bool(predictions.gold[place]),
                "right": right[place],
                "check": truth.check_rationale(verdict.rationale or "", meme.extra["truth"]),
                "caption": meme.extra["truth"]["caption"],
            }
        )
    return examples
