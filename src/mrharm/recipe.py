"""Recipes: everything that makes a student, from its towers to its seed.

Strict YAML in, a frozen `Recipe` out; a resolved copy is written to every output folder. Keys that are left out keep
the defaults set here, and an unknown key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mrharm.errors import InputError
from mrharm.records import Label, Severity

Part = Literal["text", "caption", "entities", "demographics"]
StageName = Literal["rationale", "label"]
WhichStages = Literal["both", "label", "joint"]  # see `mrharm.training.run.train`
Length = Annotated[int, Field(ge=2)] | Literal["auto"]


class _RecipePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(_RecipePart):
    """One label string that the student may answer, and its meaning."""

    word: str = Field(min_length=1)
    harmful: bool
    severity: Severity | None = None


# Fields that stored results may be older than, see `recipe_key`.
_LATER = ("optimiser", "max_grad_norm", "batches", "rationale_case")

# Sets of answers by name; a recipe may also list its answers.
ANSWERS: dict[str, tuple[Answer, ...]] = {
    "harmful": (Answer(word="harmless", harmful=False), Answer(word="harmful", harmful=True)),
    "severity": (
        Answer(word="not harmful", harmful=False, severity="none"),
        Answer(word="somewhat harmful", harmful=True, severity="somewhat"),
        Answer(word="very harmful", harmful=True, severity="very"),
    ),
}


class StudentRecipe(_RecipePart):
    """The towers and their fusion. Tower names are rows of `mrharm.student.backbones`."""

    text_tower: str = "flan-t5-base"
    text_weights: str | None = Field(None, description="a local folder in place of the hub's weights")
    vision_tower: str = Field(
        "clip-vit-b32", description="a row, or none for a student that reads text alone"
    )
    vision_weights: str | None = Field(None, description="a local folder in place of the hub's weights")
    train_vision: bool = False
    fusion: Literal["every_block", "last", "none"] = "every_block"
    vocabulary: int = Field(
        4000, ge=300, description="tokens, for a text tower whose tokenizer is trained on the data"
    )
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _drop_unused_vision(cls, values: object) -> object:
        # Without a tower there is no fusion, and without a fusion a tower has no effect: either says both.
        if isinstance(values, dict) and "none" in (values.get("vision_tower"), values.get("fusion")):
            return {**values, "vision_tower": "none", "fusion": "none", "train_vision": False}
        return values


class PictureRecipe(_RecipePart):
    """How a picture becomes pixels."""

    shown: Literal["posted", "clean"] = Field("posted", description="the meme as posted, or without its text")
    fit: Literal["whole", "crop"] = Field("whole", description="pad to a square, or cut the middle square")
    statistics: Literal["tower", "half"] = Field(
        "tower", description="the tower's mean and spread, or 0.5/0.5"
    )
    augment: Literal["none", "light", "randaugment"] = Field(
        "none",
        description="training pictures: light shifts, or RandAugment(2, 9) of the picture before it is fitted",
    )


class Lengths(_RecipePart):
    """Token limits; auto leaves 99.5 % of the training texts whole, up to 512 tokens, which a detector always reads."""

    text: Length = "auto"
    rationale: Length = "auto"


class Templates(_RecipePart):
    """Templates of the two stages' target texts."""

    rationale: str = "Output: {rationale}"
    label: str = "The answer is: {label}"

    @field_validator("rationale", "label")
    @classmethod
    def _check_placeholder(cls, value: str, info: ValidationInfo) -> str:
        placeholder = f"{{{info.field_name}}}"
        if re.sub(r"\{\{|\}\}", "", value).count("{") != 1 or placeholder not in value:
            raise ValueError(f"must contain {placeholder}, once, and no other braces")
        return value


class StageRecipe(_RecipePart):
    """Settings of one stage of training."""

    epochs: int = Field(10, ge=1)
    steps: int | None = Field(None, ge=1, description="optimiser steps, in place of epochs")
    learning_rate: float = Field(5e-5, gt=0)
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(
        1, ge=1, description="batches a step, where one batch of the full size does not fit in memory"
    )
    keep: Literal["lowest_loss", "lowest_batch_loss", "highest_accuracy", "highest_match"] = Field(
        "lowest_loss",
        description="on validation: loss a token, or as a mean of batches; accuracy of the score, ties by loss, or of "
        "the answer written, ties keep the first",
    )
    evaluate_every: int = Field(1, ge=1, description="epochs between two validations")
    checkpoint_every: int | None = Field(
        None, ge=1, description="steps between two checkpoints; default: at every validation"
    )


class Stages(_RecipePart):
    """Reasoning distillation, then harmfulness inference (METHOD's stage 1 and 2)."""

    rationale: StageRecipe = StageRecipe()
    label: StageRecipe = StageRecipe(epochs=30, keep="highest_accuracy")

    @model_validator(mode="after")
    def _check_rationale_keep(self) -> Stages:
        if not self.rationale.keep.startswith("lowest"):
            raise ValueError(
                "rationale.keep must be lowest_loss or lowest_batch_loss: a rationale has no accuracy"
            )
        if self.label.keep == "lowest_batch_loss":
            raise ValueError(
                "label.keep must not be lowest_batch_loss: a label's loss is the score's, not a token's"
            )
        return self


class Recipe(_RecipePart):
    """Everything that makes a student. ``mrharm train --recipe NAME_OR_FILE --set stages.label.epochs=3``."""

    name: str = Field(min_length=1)
    student: StudentRecipe = StudentRecipe()
    reads: tuple[Part, ...] = ("text",)
    odd_text: Literal["plain", "posted"] = Field(
        "plain", description="plain: lookalike, invisible and stacked letters are read as what they look like"
    )
    answers: tuple[Answer, ...] = ANSWERS["harmful"]
    picture: PictureRecipe = PictureRecipe()
    templates: Templates = Templates()
    lengths: Lengths = Lengths()
    stages: Stages = Stages()
    gate: Literal["on", "off"] = Field(
        "on", description="on: only checked rationales teach; off: all rationales with text"
    )
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    optimiser: Literal["torch", "transformers"] = Field(
        "torch", description="whose AdamW; transformers' warm-up is rounded down, torch's up"
    )
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="gradients are clipped at this norm; null: not at all"
    )
    batches: Literal["similar", "random"] = Field("similar", description="of similar lengths, or of any")
    rationale_case: Literal["kept", "lower"] = Field("kept", description="of the letters taught in stage 1")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    decoding: Literal["score", "greedy"] = Field(
        "score", description="how a verdict follows from the student's answers"
    )
    seed: int = Field(0, ge=0, lt=2**32)

    @field_validator("answers", mode="before")
    @classmethod
    def _look_up_answers(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in ANSWERS:
                raise ValueError(f"must be {' or '.join(ANSWERS)}, or a list of answers")
            return ANSWERS[value]
        return value

    @field_validator("gate", mode="before")
    @classmethod
    def _undo_yaml_booleans(cls, value: object) -> object:
        # YAML reads a bare on or off as a boolean.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _check_answers(self) -> Recipe:
        if {answer.harmful for answer in self.answers} != {True, False}:
            raise ValueError("answers must hold at least one harmful and one harmless word")
        if len({answer.word for answer in self.answers}) != len(self.answers):
            raise ValueError("answers must differ")
        if not self.reads:
            raise ValueError("reads must name at least one part")
        return self

    def answer_for(self, label: Label) -> Answer:
        """Return the answer for a label: by severity where both have one, else by harm."""
        for answer in self.answers:
            if answer.harmful == label.harmful and answer.severity in (None, label.severity):
                return answer
        return next(answer for answer in self.answers if answer.harmful == label.harmful)


def recipe_names() -> list[str]:
    """List the recipes that ship with mrharm."""
    folder = resources.files("mrharm") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name_or_path: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """Load a shipped recipe by name, or a YAML file; ``overrides`` maps dotted keys to values.

    Raises:
        InputError: no such recipe, not YAML, or a wrong key or value; the message names the key and the mend.
    """
    path = Path(name_or_path)
    if name_or_path in recipe_names():
        text = (resources.files("mrharm") / "recipes" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    elif path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    else:
        raise InputError(f"no recipe {name_or_path!r}: neither a file nor one of {', '.join(recipe_names())}")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{name_or_path}: not YAML ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{name_or_path}: expected a mapping of recipe fields, got {type(values).__name__}")
    return make_recipe(values, overrides, where=name_or_path)


def make_recipe(
    values: dict[str, Any], overrides: dict[str, Any] | None = None, *, where: str = "recipe"
) -> Recipe:
    """Make a recipe of a mapping; raises InputError as `load_recipe` does."""
    for dotted, value in (overrides or {}).items():
        *parents, last = dotted.split(".")
        mapping = values
        for parent in parents:
            mapping = mapping.setdefault(parent, {})
            if not isinstance(mapping, dict):
                raise InputError(f"{where}: {dotted}: {parent} is not a mapping")
        mapping[last] = value
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            reason = f"{item['msg']}; got {item['input']!r}"[:200]
            reason = "unknown key" if item["type"] == "extra_forbidden" else reason
            lines.append(f"{'.'.join(map(str, item['loc'])) or '(recipe)'}: {reason}")
        raise InputError(f"{where}: " + "; ".join(lines)) from None


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """Parse ``["stages.label.epochs=3"]`` into ``{"stages.label.epochs": 3}``; values are read as YAML.

    Raises:
        InputError: a setting without an equals sign.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InputError(f"--set {setting}: expected KEY=VALUE, for example stages.label.epochs=3")
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(
                f"--set {setting}: {value!r} is not YAML; quote it if it is meant as text"
            ) from None
    return overrides


def dump_recipe(recipe: Recipe, *, without: Collection[str] = ()) -> str:
    """Write a recipe as YAML with every field resolved; `load_recipe` reads it back equal."""
    return yaml.safe_dump(
        recipe.model_dump(mode="json", exclude=set(without)), sort_keys=False, allow_unicode=True
    )


def recipe_key(recipe: Recipe) -> str:
    """Return the text of a recipe in keys of stored results: later fields are left out while they have their default,
    so that results from before them are found.
    """
    fields = Recipe.model_fields
    return dump_recipe(
        recipe, without=[name for name in _LATER if getattr(recipe, name) == fields[name].default]
    )
