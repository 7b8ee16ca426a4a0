"""Real text: labels-only and two-stage students from scratch on Harm-C's text and captions, beside TF-IDF.

    mrharm import harm-c DIR data/harm-c
    python -m benchmarks.harm_c data/harm-c --out runs/harm-c [--seeds 0 1 2] [--json]

Every seed's run is a folder under ``--out``; stopped, the same command goes on. The epoch is chosen on validation, the
figures are of the test split. Both students take the same number of optimiser steps.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.common import machine
from mrharm.baselines import Baseline, decide, predict_from_texts, predict_majority
from mrharm.cli.terminal import print_json
from mrharm.evaluation.clusters import cluster_ids
from mrharm.evaluation.scores import headline_row
from mrharm.memes.dataset import Dataset
from mrharm.recipe import Recipe, load_recipe
from mrharm.student.interface import compose_text
from mrharm.training.run import train

RECIPE = "text-caption"
FIGURES = ("accuracy", "macro_f1", "auroc")


def recipe_of(seed: int, steps: int | None) -> Recipe:
    """The recipe as it ships, on the published (unchecked) rationales; ``steps`` for the labels-only student."""
    overrides: dict[str, Any] = {"seed": seed, "gate": "off"}
    if steps is not None:
        overrides |= {"name": f"{RECIPE}-labels-only", "stages.label.steps": steps}
    return load_recipe(RECIPE, overrides)


def student(dataset: Dataset, which: str, seed: int, out: Path) -> dict[str, Any]:
    """One student's test figures."""
    settings = recipe_of(seed, None).stages
    memes = len(dataset.split("train"))
    steps = sum(
        stage.epochs * math.ceil(memes / stage.batch_size) for stage in (settings.rationale, settings.label)
    )
    recipe = recipe_of(seed, steps if which == "labels_only" else None)
    detector = train(
        dataset,
        recipe,
        out / f"{which}-{seed}",
        stages="label" if which == "labels_only" else "both",
        say=lambda line: print(f"{which} {seed}: {line}", file=sys.stderr, flush=True),
    )
    memes_to_judge = dataset.split("test")
    verdicts = detector.judge(memes_to_judge, evidence=dataset.evidence, rationales=False)
    gold = [bool(meme.label and meme.label.harmful) for meme in memes_to_judge]
    clusters = cluster_ids(memes_to_judge, [dataset.evidence.get(meme.id) for meme in memes_to_judge])
    return headline_row(
        gold, [verdict.harmful for verdict in verdicts], [verdict.score for verdict in verdicts], clusters
    )


def baselines(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Majority, and scikit-learn's default TF-IDF + logistic regression on the texts alone and with captions."""
    learn, test = dataset.split("train"), dataset.split("test")
    gold = np.array([bool(meme.label and meme.label.harmful) for meme in (*learn, *test)])
    train, judged = np.split(np.arange(len(gold)), [len(learn)])
    scores = {"majority": predict_majority(train, gold[train].tolist(), judged)}
    for name, reads in (("tfidf_text", ("text",)), ("tfidf_text_caption", ("text", "caption"))):
        texts = [
            compose_text(reads, meme, dataset.evidence.get(meme.id))[0].replace("caption: ", "")
            for meme in (*learn, *test)
        ]
        baseline = Baseline(np.array(texts, dtype=object), predict_from_texts)
        scores[name] = baseline.score(gold, train, judged)
    clusters = cluster_ids(test, [dataset.evidence.get(meme.id) for meme in test])
    return {
        name: headline_row(gold[judged].tolist(), decide(values).tolist(), values.tolist(), clusters)
        for name, values in scores.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    dataset = Dataset(options.dataset)
    result: dict[str, Any] = {"machine": machine("cpu"), "baselines": baselines(dataset)}
    for which in ("labels_only", "two_stage"):
        runs = [student(dataset, which, seed, options.out) for seed in options.seeds]
        mean = {name: float(np.mean([run[name] for run in runs])) for name in FIGURES}
        spread = (
            {name: float(np.std([run[name] for run in runs], ddof=1)) for name in FIGURES} if runs[1:] else {}
        )
        result[which] = {"seeds": options.seeds, "runs": runs, "mean": mean, "spread": spread}
    if options.json:
        print_json(result)
        return
    table = Table(
        title=f"{dataset.info.name}, test split (n = {len(dataset.split('test'))})", title_justify="left"
    )
    for column in ("", "accuracy", "macro-F1", "AUROC"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["baselines"].items():
        table.add_row(name, *(f"{100 * row[figure]:.1f}" for figure in FIGURES))
    for which in ("labels_only", "two_stage"):
        mean, spread = result[which]["mean"], result[which]["spread"]
        cells = (
            f"{100 * mean[figure]:.1f}" + (f" ± {100 * spread[figure]:.1f}" if spread else "")
            for figure in FIGURES
        )
        table.add_row(f"{which} ({len(options.seeds)} seeds)", *cells)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
