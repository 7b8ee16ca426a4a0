from __future__ import annotations

import pytest
import yaml

from mrharm.errors import InputError
from mrharm.recipe import (
    ANSWERS,
    dump_recipe,
    load_recipe,
    make_recipe,
    parse_overrides,
    recipe_key,
    recipe_names,
)
from mrharm.records import Label


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_is_named_after_its_file_and_survives_a_dump(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.name == name
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(str(path)) == recipe


def test_the_paper_recipe_keeps_the_official_limits():
    paper = load_recipe("paper")
    assert (paper.lengths.text, paper.lengths.rationale) == (40, 40)
    assert (paper.stages.rationale.epochs, paper.stages.label.epochs) == (10, 30)
    assert paper.stages.rationale.learning_rate == paper.stages.label.learning_rate == 5e-5
    assert (paper.picture.fit, paper.picture.statistics, paper.picture.augment) == (
        "crop",
        "half",
        "randaugment",
    )
    assert (paper.gate, paper.decoding, paper.precision) == ("off", "greedy", "fp32")
    assert (paper.stages.rationale.keep, paper.stages.label.keep) == ("lowest_batch_loss", "highest_match")
    assert (paper.optimiser, paper.max_grad_norm, paper.batches) == ("transformers", None, "random")
    assert (paper.weight_decay, paper.warmup, paper.student.dropout) == (0.01, 0.1, 0.1)
    assert (paper.rationale_case, paper.odd_text, paper.seed) == ("lower", "posted", 0)
    assert paper.answers == ANSWERS["severity"]


LATER = ("optimiser", "max_grad_norm", "batches", "rationale_case")


def test_a_recipe_resolved_before_a_field_came_loads_equal_and_keeps_its_key(tmp_path):
    recipe = load_recipe("tiny")
    values = {key: value for key, value in recipe.model_dump(mode="json").items() if key not in LATER}
    older = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (tmp_path / "older.yaml").write_text(older)
    assert load_recipe(str(tmp_path / "older.yaml")) == recipe
    assert recipe_key(recipe) == older
    assert recipe_key(load_recipe("tiny", {"batches": "random"})) != older


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "x", "stagse": {}}, "stagse: unknown key"),
        ({"name": "x", "stages": {"label": {"epochs": 0}}}, "stages.label.epochs"),
        ({"name": "x", "answers": "moods"}, "answers"),
        ({"name": "x", "templates": {"label": "The answer is"}}, "must contain {label}"),
        ({"name": "x", "answers": [{"word": "bad", "harmful": True}]}, "one harmful and one harmless"),
        ({"name": "x", "stages": {"rationale": {"keep": "highest_accuracy"}}}, "a rationale has no accuracy"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_key_named(values, key):
    with pytest.raises(InputError, match=key):
        make_recipe(values)


def test_overrides_reach_into_the_recipe_and_a_misspelt_one_is_refused():
    recipe = load_recipe(
        "tiny", parse_overrides(["stages.label.epochs=3", "gate=off", "reads=[text, caption]"])
    )
    assert (recipe.stages.label.epochs, recipe.gate, recipe.reads) == (3, "off", ("text", "caption"))
    with pytest.raises(InputError, match=r"stages\.label\.epoch: unknown key"):
        load_recipe("tiny", {"stages.label.epoch": 3})
    with pytest.raises(InputError, match="KEY=VALUE"):
        parse_overrides(["gate"])


def test_no_such_recipe_lists_those_there_are():
    with pytest.raises(InputError, match="mr-harm, paper"):
        load_recipe("grand")


def test_without_a_vision_tower_there_is_no_fusion():
    recipe = load_recipe("tiny", {"student.vision_tower": "none"})
    assert (recipe.student.fusion, recipe.student.train_vision) == ("none", False)


def test_a_label_is_answered_by_its_severity_where_the_answers_have_one():
    severity = load_recipe("paper")
    assert severity.answer_for(Label(harmful=True, severity="somewhat")).word == "somewhat harmful"
    assert severity.answer_for(Label(harmful=False, severity="none")).word == "not harmful"
    assert severity.answer_for(Label(harmful=True)).harmful
    assert load_recipe("tiny").answer_for(Label(harmful=True, severity="very")).word == "harmful"
