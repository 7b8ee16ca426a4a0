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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrharm import baselines
from mrharm.errors import InputError, MrHarmError
from mrharm.evaluation.clusters import cluster_ids
from mrharm.evaluation.scores import headline_row
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.progress import Progress, no_progress
from mrharm.recipe import Recipe, dump_recipe, load_recipe
from mrharm.records import Meme, Verdict
from mrharm.reports.demo_page import write_demo_report
from mrharm.store import content_key, write_json, write_records
from mrharm.synthetic import truth
from mrharm.synthetic.teacher import GeneratedTeacher

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

Say = Callable[[str], None]
SPLITS = ("test", "composition", "lexical")
_WORKERS = 2
_BATCH = 128
_THREADS = max(1, min(2, (os.cpu_count() or 2) // 2))
_SHOWN = 12


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does: memes in train, validation and test together, and optimiser steps a stage."""

    memes: int
    rationale_steps: int
    label_steps: int


FULL = DemoSize(memes=4000, rationale_steps=1200, label_steps=300)
QUICK = DemoSize(memes=240, rationale_steps=60, label_steps=20)


def run_demo(
    out: Path, *, quick: bool = False, seed: int = 0, say: Say = print, progress: Progress = no_progress
) -> dict[str, Any]:
    """Run the demo into ``out``; return the contents of ``out/report.json``.

    Raises:
        InputError: ``out`` holds a demo of another size or seed, or something that is no demo.
    """
    size = QUICK if quick else FULL
    recipe = content_key(dump_recipe(_load_recipe(seed, {})))
    _claim_folder(out, {"quick": quick, "seed": seed, "size": asdict(size), "recipe": recipe})
    if (out / "report.json").exists() and (out / "report.html").exists():
        say(f"{out}: already done; delete it, or choose another --out, to run the demo again")
        done: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
        return done
    clock = _Clock(out / "seconds.json")
    say("1/5  drawing memes whose harm is in neither the words nor the picture alone")
    dataset = _draw_memes(out / "memes", size, seed)
    clock.lap("memes")
    steps = size.rationale_steps + size.label_steps
    say(f"2/5  training a student on labels only, {steps:,} steps, in a separate process")
    say(
        f"3/5  training a student in two stages, {size.rationale_steps:,} steps on rationales, "
        f"{size.label_steps:,} on labels"
    )
    labels_only, two_stage = _train_both(dataset, out, size, seed, progress)
    clock.lap("training")
    say("4/5  predicting memes that neither was trained on")
    tables, verdicts = _predict_splits(dataset, labels_only, two_stage, progress)
    clock.lap("judging")
    report: dict[str, Any] = {
        **tables,
        "rationale_truth": truth.measure_true_share(dataset.split("test"), verdicts),
        "greedy_agreement": _measure_greedy_agreement(two_stage, dataset),
        "memes": dataset.info.splits,
        "steps": {"labels_only": steps, "two_stage": steps},
        "seed": seed,
        "quick": quick,
    }
    write_records(out / "verdicts.test.jsonl", verdicts)
    clock.lap("checks")
    report["seconds_by_part"] = clock.laps
    report["seconds"] = round(sum(clock.laps.values()), 1)
    report["peak_memory_mb"] = peak_memory_mb()
    say("5/5  writing the report")
    write_json(out / "report.json", report)
    write_demo_report(out / "report.html", report, _draw_examples(dataset, verdicts, seed))
    return report


def peak_memory_mb() -> int:
    """Return an upper bound of the memory in use at any moment, in MB: this process's peak plus its largest child's."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    this_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round((this_process + child) * unit / 1e6)


def _train_both(
    dataset: Dataset, out: Path, size: DemoSize, seed: int, progress: Progress
) -> tuple[Detector, Detector]:
    """Train the labels-only and the two-stage student in parallel: so small a model does not use two cores."""
    import torch  # not before the folder is known to be the demo's

    from mrharm.training.run import train
    from mrharm.verdicts.detector import Detector

    labels_only, two_stage = out / "labels-only", out / "two-stage"
    steps = {
        "stages.rationale.steps": size.rationale_steps,
        "stages.label.steps": size.label_steps,
    }
    labels_process = get_context("spawn").Process(
        target=_train_labels_only,
        args=(dataset.root, labels_only, sum(steps.values()), seed, os.getpid()),
        daemon=True,
    )
    labels_process.start()
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        explained = train(dataset, _load_recipe(seed, steps), two_stage, device="cpu", progress=progress)
        labels_process.join()
    finally:
        torch.set_num_threads(threads)
        labels_process.terminate()
    if labels_process.exitcode:
        raise MrHarmError(
            f"the labels-only student's process ended with {labels_process.exitcode}; run the same command again"
        )
    return Detector.from_pretrained(labels_only, device="cpu"), explained


def _train_labels_only(root: Path, out: Path, steps: int, seed: int, parent: int) -> None:
    """Train in a process that ends with its parent, so that a killed demo leaves no process writing in its folder."""

    def watch(what: str, done: int, total: int) -> None:
        if os.getppid() != parent:
            os._exit(1)

    import torch

    from mrharm.training.run import train

    torch.set_num_threads(_THREADS)
    recipe = _load_recipe(seed, {"name": "tiny-labels-only", "stages.label.steps": steps})
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


def _draw_memes(folder: Path, size: DemoSize, seed: int) -> Dataset:
    if (folder / "dataset.json").exists():
        return Dataset(folder)
    options = ImportOptions(memes=size.memes, seed=seed, workers=_WORKERS)
    return import_memes("generated", None, folder, options, GeneratedTeacher().explain)


def _load_recipe(seed: int, overrides: dict[str, Any]) -> Recipe:
    return load_recipe("tiny", {"seed": seed, **overrides})


def _predict_splits(
    dataset: Dataset, labels_only: Detector, two_stage: Detector, progress: Progress
) -> tuple[dict[str, Any], list[Verdict]]:
    """Return a table for each split, and the two-stage student's verdicts on the test split."""
    everything = [meme for split in SPLITS for meme in dataset.split(split)]
    by_baseline = _score_baselines(dataset, everything)
    tables: dict[str, Any] = {}
    test_verdicts: list[Verdict] = []
    done = 0
    for split in SPLITS:
        memes = dataset.split(split)
        truths = _gold(memes)
        clusters = cluster_ids(memes, [dataset.evidence.get(meme.id) for meme in memes])
        rows: dict[str, Any] = {}
        for name, score_of in by_baseline.items():
            scores = [score_of[meme.id] for meme in memes]
            rows[name] = headline_row(truths, baselines.decide(np.array(scores)).tolist(), scores, clusters)
        for name, detector in (("labels_only", labels_only), ("two_stage", two_stage)):
            verdicts = detector.judge(
                memes,
                root=dataset.root,
                evidence=dataset.evidence,
                batch_size=_BATCH,
                rationales=split == "test",
            )
            done += len(memes)
            progress("predicting", done, 2 * len(everything))
            rows[name] = headline_row(
                truths,
                [verdict.harmful for verdict in verdicts],
                [verdict.score for verdict in verdicts],
                clusters,
            )
        if split == "test":
            test_verdicts = verdicts
        tables[split] = rows
    return tables, test_verdicts


def _score_baselines(dataset: Dataset, judged: Sequence[Meme]) -> dict[str, dict[str, float]]:
    """Fit the baselines on train; return name -> meme id -> P(harmful) of the judged memes."""
    train, validation = dataset.split("train"), dataset.split("validation")
    memes = [*train, *validation, *judged]
    gold = np.array(_gold(memes))
    learnt, rest = np.split(np.arange(len(memes)), [len(train)])
    texts = baselines.Baseline(np.array(_texts(memes), dtype=object), baselines.predict_from_texts)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        pixels = np.stack(list(pool.map(baselines.read_pixels, _pictures(dataset, memes))))
    # Of two kinds of model on pixels, the one that does better on validation speaks for the picture.
    kinds = [
        baselines.Baseline(pixels, predict).score(gold, learnt, rest)
        for predict in (baselines.predict_linearly, baselines.predict_by_forest)
    ]
    truth = gold[rest][: len(validation)]
    best = max(kinds, key=lambda scores: int(np.sum(baselines.decide(scores[: len(truth)]) == truth)))
    scores = {
        "majority": baselines.predict_majority(learnt, gold[learnt].tolist(), rest),
        "text_only": texts.score(gold, learnt, rest),
        "image_only": best,
    }
    ids = [meme.id for meme in judged]
    return {
        name: dict(zip(ids, values[len(validation) :].tolist(), strict=True))
        for name, values in scores.items()
    }


def _measure_greedy_agreement(detector: Detector, dataset: Dataset) -> float:
    """Return the share of test memes whose written label is the one that scores higher."""
    memes, root = dataset.split("test"), dataset.root
    written = detector.judge(memes, root=root, batch_size=_BATCH, rationales=False, greedy=True)
    # Of two answers the likelier one has a P above 0.5, at any temperature.
    return sum(verdict.harmful == (verdict.score > 0.5) for verdict in written) / len(memes)


def _draw_examples(dataset: Dataset, verdicts: Sequence[Verdict], seed: int) -> list[dict[str, Any]]:
    """Return a dozen random test memes with their verdicts, then a dozen random mistakes."""
    rng = random.Random(seed)
    pairs = list(zip(dataset.split("test"), verdicts, strict=True))
    drawn = rng.sample(pairs, min(_SHOWN, len(pairs)))
    ids = {meme.id for meme, _ in drawn}
    wrong = [
        (meme, verdict)
        for meme, verdict in pairs
        if meme.label and verdict.harmful != meme.label.harmful and meme.id not in ids
    ]
    wrong = rng.sample(wrong, min(_SHOWN, len(wrong)))
    return [
        {
            "group": group,
            "picture": dataset.root / (meme.image or ""),
            "text": meme.text,
            "verdict": verdict,
            "harmful": bool(meme.label and meme.label.harmful),
            "right": bool(meme.label and verdict.harmful == meme.label.harmful),
            "check": truth.check_rationale(verdict.rationale or "", meme.extra["truth"]),
            "caption": meme.extra["truth"]["caption"],
        }
        for group, pairs in (("drawn", drawn), ("wrong", wrong))
        for meme, verdict in pairs
    ]


def _texts(memes: Sequence[Meme]) -> list[str]:
    return [meme.text or "" for meme in memes]


def _gold(memes: Sequence[Meme]) -> list[bool]:
    return [bool(meme.label and meme.label.harmful) for meme in memes]


def _pictures(dataset: Dataset, memes: Sequence[Meme]) -> list[Path]:
    return [dataset.root / (meme.image or "") for meme in memes]
