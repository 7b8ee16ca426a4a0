"""Train a detector: stage 1 (`rationale_stage`), stage 2 (`label_stage`), or both targets in one; then calibrate it."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from transformers import set_seed

from mrharm.errors import ImageError, MissingInputError
from mrharm.hub import process_count
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.rationales.side_reader import SideReader, fit_side_reader
from mrharm.recipe import Recipe, WhichStages
from mrharm.records import Failure, Meme, Rationale
from mrharm.student.backbones import build_student
from mrharm.student.interface import StudentInput, compose_text
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.training.examples import LONGEST, ExampleBuilder, measure_limits
from mrharm.training.label_stage import label_target, match_written_labels, validate_labels
from mrharm.training.rationale_stage import rationale_target, validate_rationales
from mrharm.training.stage_data import StageContext, StageData, StageDataBuilder, StagePlan
from mrharm.training.trainer import train_stage
from mrharm.verdicts.calibration import fit_calibration
from mrharm.verdicts.card import JOINT, DetectorCard
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.familiarity import REFERENCES, Familiarity
from mrharm.verdicts.inputs import JudgeOptions
from mrharm.verdicts.scoring import harm_log_odds, score_answers

_VALIDATION_BATCH = 64


# Stages run in order on one model, each from the best weights of the one before; the last one gives the labels.
PLANS: dict[WhichStages, tuple[StagePlan, ...]] = {
    "both": (
        StagePlan("rationale", "stage1", ("rationale",), "rationale"),
        StagePlan("label", "stage2", ("label",), "label"),
    ),
    "label": (StagePlan("label", "stage2", ("label",), "label"),),
    "joint": (StagePlan("label", "stage2", ("rationale", "label"), JOINT),),
}


def train_detector(
    context: StageContext, stages: WhichStages, rationales: dict[str, Rationale]
) -> tuple[Detector, dict[str, Any], list[Failure]]:
    """Train the stages in order on one student, and calibrate the detector of the weights each ends with.

    ``rationales``: those that teach, by meme id.

    Returns:
        The detector; the results for ``run.json``; and the pictures that cannot be read.
    """
    recipe, plans = context.recipe, PLANS[stages]
    set_seed(recipe.seed)
    model, examples = _build_student(context.dataset, recipe, rationales)
    model.to(context.device)
    card = DetectorCard(
        recipe=recipe.name,
        reads=recipe.reads,
        picture_shown=recipe.picture.shown,
        odd_text=recipe.odd_text,
        answers=recipe.answers,
        label_template=recipe.templates.label,
        rationale_template=recipe.templates.rationale,
        rationale_tokens=0 if stages == "label" else examples.limits.rationale,
        decoding=recipe.decoding,
        students=tuple(plan.model for plan in plans),
        seed=recipe.seed,
    )
    builder = StageDataBuilder(examples, model, context)
    models: dict[str, MrHarmForConditionalGeneration] = {}
    results: dict[str, Any] = {}
    for plan in plans:
        data, coverages = builder.build(plan.targets)
        results[plan.name] = _train_stage(plan, data, model, card, context)
        for target, splits in coverages.items():
            results[f"{target}_coverage"] = {
                split: dataclasses.asdict(coverage) for split, coverage in splits.items()
            }
        models[plan.model] = MrHarmForConditionalGeneration(model.config)
        models[plan.model].load_state_dict(model.state_dict())
    detector = Detector.from_models(card, models, examples.processor, context.device)
    values = {
        "results": results,
        "limits": dataclasses.asdict(examples.limits),
        "processes": process_count(),
        # Memes a step: the processes divide a batch, and a step may take several.
        "effective_batch": {
            plan.name: settings.batch_size * settings.accumulate
            for plan in plans
            if (settings := getattr(recipe.stages, plan.name))
        },
        "failed_pictures": len(builder.failures),
    }
    detector.side_reader = _fit_side_reader(context.dataset, rationales)
    detector = _calibrate(detector, data, context)
    return _learn_familiar(detector, context), values, builder.failures


def _fit_side_reader(dataset: Dataset, rationales: dict[str, Rationale]) -> SideReader | None:
    """Fit what reads the side of a rationale on the training split's rationales and labels."""
    labels = {meme.id: meme.label.harmful for meme in dataset.split(TRAIN) if meme.label}
    taught = [name for name in labels if name in rationales]
    return fit_side_reader([rationales[name].text for name in taught], [labels[name] for name in taught])


def _calibrate(detector: Detector, data: StageData, context: StageContext) -> Detector:
    """Calibrate a detector on the labels of the last stage's validation split."""
    scores = score_answers(detector.label_student, data.inputs, detector.card.label_texts())
    fit = fit_calibration(harm_log_odds(scores, detector.card.answers), data.gold)
    if fit.at_bound:
        context.say(
            f"note: the calibration ended at its bound (slope {fit.slope:.3g}, bias {fit.bias:.3g}): "
            f"{len(data.gold):,} validation memes do not determine it; take scores as an order, not as probabilities"
        )
    return detector.with_card(detector.card.with_calibration(fit))


def _learn_familiar(detector: Detector, context: StageContext) -> Detector:
    """Return the Detector that knows what is familiar to it, from the memes as it will be shown them."""
    dataset = context.dataset
    options = JudgeOptions(evidence=dataset.evidence, root=dataset.root, gather=False)

    def prepare(memes: Sequence[Meme]) -> list[StudentInput]:
        shown = []
        for number, meme in enumerate(memes, 1):
            with contextlib.suppress(ImageError, MissingInputError):
                shown.append(detector.prepare(meme, options).shown)
            context.progress("familiar memes", number, len(memes))
        return shown

    train, rng = dataset.split(TRAIN), random.Random(context.recipe.seed)
    chosen = rng.sample(train, min(REFERENCES, len(train)))
    familiarity = Familiarity.fit(detector.label_student, prepare(chosen), prepare(dataset.split(VALIDATION)))
    detector.familiarity = familiarity
    return detector


def _build_student(
    dataset: Dataset, recipe: Recipe, rationales: dict[str, Rationale]
) -> tuple[MrHarmForConditionalGeneration, ExampleBuilder]:
    """Build the student, its tokenizer trained on the training split where its tower brings none, and its examples."""
    memes = dataset.split(TRAIN)
    texts = [
        compose_text(recipe.reads, meme, dataset.evidence.get(meme.id), odd_text=recipe.odd_text)[0]
        for meme in memes
    ]
    explanations = [rationale_target(recipe, rationales[meme.id]) for meme in memes if meme.id in rationales]
    labels = [label_target(recipe, meme.label) for meme in memes if meme.label]
    # Every answer twice, so that the tokenizer knows those that the split does not hold.
    answers = [recipe.templates.label.format(label=answer.word) for answer in recipe.answers] * 2
    corpus = [*(text.lower() for text in texts), *explanations, *labels, *answers]
    model, processor = build_student(recipe.student, recipe.picture, corpus)
    limits = measure_limits(recipe, processor, texts, explanations)
    # Few texts are cut in training, to save memory; a detector reads what T5 can, or words put first would hide words.
    processor.max_text_tokens = LONGEST if recipe.lengths.text == "auto" else limits.text
    return model, ExampleBuilder(dataset, recipe, processor, limits, rationales)


def _train_stage(
    plan: StagePlan,
    data: StageData,
    model: MrHarmForConditionalGeneration,
    card: DetectorCard,
    context: StageContext,
) -> dict[str, float]:
    """Train a stage, validated by the figures that its ``keep`` chooses by; returns those of the step chosen.

    Labels are scored, and written only for ``highest_match``, whatever the recipe's ``decoding``.
    """

    def validate(current: MrHarmForConditionalGeneration) -> dict[str, float]:
        settings = getattr(context.recipe.stages, plan.name)
        if settings.keep == "lowest_batch_loss":  # as many a batch as in training, in file order
            batches = data.validation_batches(settings.batch_size, context.device, by_length=False)
            return validate_rationales(current, batches, mean_of="batches")
        if "label" not in plan.targets:
            return validate_rationales(current, data.validation_batches(_VALIDATION_BATCH, context.device))
        detector = Detector.from_models(card, {plan.model: current}, data.processor, context.device)
        student, recipe = detector.label_student, context.recipe
        figures = validate_labels(student, data.inputs, data.gold, recipe, _VALIDATION_BATCH)
        if settings.keep == "highest_match":
            figures["match"] = match_written_labels(
                student, data.inputs, data.target_texts, recipe, _VALIDATION_BATCH
            )
        return figures

    return train_stage(plan, data, model, validate, context)
