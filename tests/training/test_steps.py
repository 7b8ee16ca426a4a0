"""The step rules of two recipes, written out in plain PyTorch over the reference student."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mrharm.progress import no_progress
from mrharm.recipe import Recipe, load_recipe
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.official import load_official
from mrharm.training.examples import Example, ExampleSet, LengthSampler
from mrharm.training.pictures import FeatureStore
from mrharm.training.stage_data import StageContext, StageData, StagePlan
from mrharm.training.trainer import train_stage
from tests.student.conftest import REFERENCE, tiny_student

STEPS, MEMES, BATCH, RATE, DECAY = 15, 10, 4, 1e-3, 0.01
WIDTH = 12  # to which the official code's batches are padded here, as to 40 there
VOCABULARY, PATCHES, D_IMAGE = 61, 5, 20


class Features(FeatureStore):
    """Random image features, a picture each."""

    def __init__(self) -> None:
        pass

    def get(self, path: Path) -> np.ndarray:
        rng = np.random.default_rng(int(path.name))
        return rng.normal(size=(PATCHES, D_IMAGE)).astype(np.float32)


def make_examples() -> list[Example]:
    rng = np.random.default_rng(0)
    rows = [
        [(*rng.integers(2, VOCABULARY, rng.integers(2, WIDTH)).tolist(), 1) for _ in range(2)]
        for _ in range(MEMES)
    ]
    return [
        Example(str(index), "", text, target, Path(str(index)), True)
        for index, (text, target) in enumerate(rows)
    ]


EXAMPLES = make_examples()


@pytest.fixture
def student(tmp_path: Path) -> Callable[[], MrHarmForConditionalGeneration]:
    """The reference student without dropout, whose draws two rules would not share."""
    shutil.copy(REFERENCE.with_suffix(".safetensors"), tmp_path / "tiny.safetensors")
    values = json.loads(REFERENCE.with_suffix(".json").read_text())
    values["config"]["dropout_rate"] = 0.0
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    return lambda: load_official(tmp_path / "tiny").train()


def recipe_of(name: str, **changes: object) -> Recipe:
    stage = {"steps": STEPS, "batch_size": BATCH, "learning_rate": RATE}
    settings = {f"stages.rationale.{key}": value for key, value in stage.items()}
    return load_recipe(name, {"precision": "fp32", **settings, **changes})


def train(recipe: Recipe, model: MrHarmForConditionalGeneration, out: Path) -> dict[str, torch.Tensor]:
    """Train by a recipe's rationale stage; the weights of the last step, which its validation says are the best."""
    pictures = Features()
    sets = [ExampleSet(EXAMPLES, pictures, "none", recipe.seed) for _ in range(2)]
    data = StageData(*sets, tiny_student()[1])
    plan = StagePlan("rationale", "stage1", ("rationale",), "rationale")
    context = StageContext(None, recipe, out, torch.device("cpu"), print, no_progress, "none")
    losses = iter(range(100, 0, -1))
    train_stage(plan, data, model, lambda _: {"loss": next(losses)}, context)
    return {name: weight.detach() for name, weight in model.named_parameters()}


def batches(lengths: list[int]) -> Iterator[dict[str, torch.Tensor]]:
    """Each step's batch, padded to a fixed width, in the order that the sampler draws for these lengths."""
    sampler = LengthSampler(lengths, BATCH, seed=0)
    for epoch in range(math.ceil(STEPS / math.ceil(MEMES / BATCH))):
        sampler.set_epoch(epoch)
        order = list(sampler)
        for start in range(0, MEMES, BATCH):
            rows = [EXAMPLES[index] for index in order[start : start + BATCH]]
            texts, targets = (
                torch.tensor([[*row, *[0] * (WIDTH - len(row))] for row in ids])
                for ids in zip(*((row.input_ids, row.target_ids) for row in rows), strict=True)
            )
            features = [Features().get(row.picture) for row in rows]
            yield {
                "input_ids": texts,
                "attention_mask": (texts != 0).long(),
                "image_features": torch.from_numpy(np.stack(features)),
                "labels": targets.masked_fill(targets == 0, -100),
            }


def rate_at(step: int, warmup: int) -> float:
    """Linear warm-up, then linear decay to 0; the first step, 0, is taken at the rate of 0."""
    return RATE * (step / warmup if step < warmup else (STEPS - step) / (STEPS - warmup))


def decays(name: str) -> bool:
    return "bias" not in name and not name.endswith("norm.weight")


def official_rule(model: MrHarmForConditionalGeneration) -> dict[str, torch.Tensor]:
    """No clipping; AdamW of transformers 4: eps before the bias correction, decay last; int() warm-up."""
    first, second = ({name: 0.0 for name, _ in model.named_parameters()} for _ in range(2))
    for step, batch in enumerate(batches([0] * MEMES)):
        model.zero_grad()
        model(**batch).loss.backward()
        rate, t = rate_at(step, int(STEPS * 0.1)), step + 1
        with torch.no_grad():
            for name, weight in model.named_parameters():
                first[name] = 0.9 * first[name] + 0.1 * weight.grad
                second[name] = 0.999 * second[name] + 0.001 * weight.grad**2
                size = rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                weight -= size * first[name] / (second[name].sqrt() + 1e-8)
                if decays(name):
                    weight -= rate * DECAY * weight
    return {name: weight.detach() for name, weight in model.named_parameters()}


def our_rule(model: MrHarmForConditionalGeneration) -> dict[str, torch.Tensor]:
    """Clipped at norm 1; AdamW of torch: decay before the step, eps after the bias correction; warm-up rounded up."""
    first, second = ({name: 0.0 for name, _ in model.named_parameters()} for _ in range(2))
    lengths = [len(example.input_ids) + len(example.target_ids) for example in EXAMPLES]
    for step, batch in enumerate(batches(lengths)):
        model.zero_grad()
        model(**batch).loss.backward()
        rate, t = rate_at(step, math.ceil(STEPS * 0.1)), step + 1
        with torch.no_grad():
            norm = torch.stack([weight.grad.norm() for weight in model.parameters()]).norm()
            for name, weight in model.named_parameters():
                grad = weight.grad * min(1.0, 1 / (float(norm) + 1e-6))
                if decays(name):
                    weight -= rate * DECAY * weight
                first[name] = 0.9 * first[name] + 0.1 * grad
                second[name] = 0.999 * second[name] + 0.001 * grad**2
                mean, square = first[name] / (1 - 0.9**t), second[name] / (1 - 0.999**t)
                weight -= rate * mean / (square.sqrt() + 1e-8)
    return {name: weight.detach() for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("name", "rule"), [("paper", official_rule), ("mr-harm", our_rule)])
def test_a_recipe_takes_the_steps_of_its_rule(student, tmp_path, name, rule):
    trained, expected = train(recipe_of(name), student(), tmp_path / "out"), rule(student())
    assert trained.keys() == expected.keys()
    for key, weight in expected.items():
        if key.endswith("key.bias"):
            continue  # a softmax does not see it: its gradient is 0 but for rounding, which Adam scales up
        torch.testing.assert_close(trained[key], weight, atol=2e-6, rtol=0, msg=key)


@pytest.mark.parametrize("key", ["optimiser", "max_grad_norm", "batches"])
def test_each_part_of_the_rule_counts(student, tmp_path, key):
    ours = recipe_of("mr-harm", **{key: getattr(load_recipe("paper"), key)})
    trained, expected = train(ours, student(), tmp_path / "out"), our_rule(student())
    assert max(float((trained[key] - expected[key]).abs().max()) for key in expected) > 1e-4


def test_each_epoch_is_validated_once_and_among_equal_matches_the_first_is_kept(student, tmp_path):
    recipe = recipe_of("paper", **{"stages.label.epochs": 3, "stages.label.batch_size": 16})
    sets = [ExampleSet(EXAMPLES, Features(), "none", recipe.seed) for _ in range(2)]
    data = StageData(*sets, tiny_student()[1])
    plan = StagePlan("label", "stage2", ("label",), "label")
    context = StageContext(None, recipe, tmp_path, torch.device("cpu"), print, no_progress, "none")
    figures = iter([(0.5, 3.0), (0.75, 2.0), (0.75, 1.0)])
    chosen = train_stage(
        plan, data, student(), lambda _: dict(zip(("match", "loss"), next(figures), strict=True)), context
    )
    assert chosen == {"step": 2, "eval_match": 0.75, "eval_loss": 2.0}
