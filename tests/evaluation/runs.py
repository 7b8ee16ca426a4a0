"""Runs that nobody trained: a random detector in a real run folder, and verdicts made up for a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from mrharm.evaluation.evaluate import Evaluation, evaluate, predict_split
from mrharm.evaluation.predictions import Predictions
from mrharm.evaluation.saved_predictions import evaluation_folder
from mrharm.memes.dataset import Dataset
from mrharm.metrics.estimate import N_RESAMPLES
from mrharm.probes.run import NO_PROBES, Probing, select_probes
from mrharm.recipe import ANSWERS, PictureRecipe, StudentRecipe
from mrharm.records import Evidence, Label, Meme, Rationale, Verdict
from mrharm.reports.evaluation import Destination, report_evaluation
from mrharm.store import write_json
from mrharm.student.backbones import build_student
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import club, write_dataset

TEXTS = ["you and the club", "The answer is: harmful", "The answer is: harmless", "Output: a kettle"] * 3


def random_detector(
    seed: int = 0, *, recipe: str = "random", decoding: str = "score", sees: bool = False
) -> Detector:
    """Reads a text alone, or with ``sees`` a picture, too; random."""
    torch.manual_seed(seed)
    tower = "tiny" if sees else "none"
    student = StudentRecipe.model_validate({"text_tower": "tiny", "vision_tower": tower, "vocabulary": 300})
    model, processor = build_student(student, PictureRecipe(), TEXTS)
    card = DetectorCard(
        recipe=recipe,
        reads=("text",),
        picture_shown="posted",
        answers=ANSWERS["harmful"],
        label_template="The answer is: {label}",
        rationale_template="Output: {rationale}",
        rationale_tokens=4,
        decoding=decoding,
        students=("label", "rationale"),
        seed=seed,
    )
    return Detector.from_models(card, {"label": model, "rationale": model}, processor)


def evaluate_run(
    run: Path,
    dataset: Dataset,
    split: str = "test",
    *,
    probes: str | Sequence[str] = "none",
    probe_memes: int = 500,
    seed: int = 0,
    out: Path | None = None,
    rationales: bool = True,
) -> Evaluation:
    """What `mrharm evaluate` does, without the page."""
    names = select_probes(probes)
    folder = out or evaluation_folder(run, dataset, dataset.split_name(split))
    detector = Detector.from_pretrained(run, device="cpu")
    predicted = predict_split(detector, dataset, split, folder=folder, rationales=rationales)
    figures = evaluate(predicted, detector.card, seed=seed, folder=folder)
    return report_evaluation(
        figures, predicted, detector, Destination(folder), probing=Probing(names, probe_memes)
    )


def report(
    predictions: Predictions, *, n_resamples: int = N_RESAMPLES, probing: Probing = NO_PROBES
) -> Evaluation:
    """Report predictions and write nothing."""
    detector = predictions.detector
    figures = evaluate(predictions, detector.card, n_resamples=n_resamples)
    return report_evaluation(figures, predictions, detector, probing=probing)


def make_run(folder: Path, dataset: Dataset, seed: int = 0, **options: str) -> Path:
    """A run folder as training on ``dataset`` leaves it.

    Its threshold halves the test split, as random scores lie close together.
    """
    detector = random_detector(seed, **options).with_temperature(20)
    scores = [one.score for one in detector.judge(dataset.split("test"), rationales=False, greedy=False)]
    detector = detector.with_card(detector.card.with_policy(float(np.median(scores))))
    detector.save_pretrained(folder / "detector")
    identity = {"dataset": dataset.info.name, "dataset_sha256": dataset.fingerprint(), "seed": seed}
    write_json(folder / "run.json", {**identity, "stages": "both", "done": True})
    return folder


def clubs(folder: Path, *, train: int = 40, test: int = 24, name: str = "clubs") -> Dataset:
    """Memes of words alone: half are harmful, and the word "dire" gives most of them away."""
    sizes = {"train": train, "validation": 4, "test": test}
    memes = [
        Meme(
            id=f"{split}-{number}",
            text=f"you and the {club(number)} club" + (" are dire" if number % 2 and number % 5 else ""),
            label=Label(
                harmful=number % 2 == 1,
                severity=("none", "very")[number % 2],
                targets=("community",) if number % 3 else (),
            ),
            split=split,
        )
        for split, size in sizes.items()
        for number in range(size)
    ]
    return write_dataset(folder, memes, name=name)


def predictions(
    folder: Path,
    memes: Sequence[Meme],
    said: Sequence[bool | None],
    scores: Sequence[float] | None = None,
    *,
    evidence: Sequence[Evidence | None] | None = None,
    rationales: Sequence[str | None] | None = None,
    gold: Iterable[Rationale] = (),
    detector: Detector | None = None,
) -> Predictions:
    """What a detector that decides so would hand over, on the test split of a dataset of these memes."""
    dataset = write_dataset(folder, memes, rationales=gold)
    verdicts = [
        Verdict(
            meme_id=meme.id,
            harmful=decision,
            score=scores[place] if scores else 0.9 if decision else 0.1,
            threshold=0.5,
            decision="flag" if decision else "allow",
            rationale=rationales[place] if rationales else None,
            evidence=evidence[place] if evidence else None,
            key=f"key-{meme.id}",
            detector="test",
            recipe="test",
            created_at="2025-01-01T00:00:00+00:00",
        )
        for place, (meme, decision) in enumerate(zip(memes, said, strict=True))
    ]
    return Predictions(
        detector=detector or random_detector(),
        dataset=dataset,
        split="test",
        memes=tuple(memes),
        verdicts=tuple(verdicts),
    )
