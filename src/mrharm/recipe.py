"""A recipe says everything that makes a student: towers, what it reads and answers, both stages, the seed.

Strict YAML in, a frozen `Recipe` out; the resolved copy lies beside every output. What is not named keeps the default
given here, and an unknown key is an error.
"""

from __future__ import annotations

import re
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
Length = Annotated[int, Field(ge=2)] | Literal["auto"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(_Part):
    """One label string the student may answer, and what it means."""

    word: str = Field(min_length=1)
    harmful: bool
    severity: Severity | None = None


# What a student answers, by name; a recipe may also spell out a list of its own.
ANSWERS: dict[str, tuple[Answer, ...]] = {
    "harmful": (Answer(word="harmless", harmful=False), Answer(word="harmful", harmful=True)),
    "severity": (
        Answer(word="not harmful", harmful=False, severity="none"),
        Answer(word="somewhat harmful", harmful=True, severity="somewhat"),
        Answer(word="very harmful", harmful=True, severity="very"),
    ),
}


class StudentRecipe(_Part):
    """Which towers, and how they are fused. Tower names are rows of `mrharm.student.backbones`."""

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
    def _picture_or_none(cls, values: object) -> object:
        # Said once: without a tower there is nothing to fuse, and unfused a tower is never looked through.
        if isinstance(values, dict) and "none" in (values.get("vision_tower"), values.get("fusion")):
            return {**values, "vision_tower": "none", "fusion": "none", "train_vision": False}
        return values


class PictureRecipe(_Part):
    """How a picture becomes pixels."""

    shown: Literal["posted", "clean"] = Field("posted", description="the meme as posted, or without its text")
    fit: Literal["whole", "crop"] = Field("whole", description="pad to a square, or cut the middle square")
    statistics: Literal["tower", "half"] = Field(
        "tower", description="the tower's mean and spread, or 0.5/0.5"
    )
    augment: Literal["none", "light", "randaugment"] = "none"


class Lengths(_Part):
    """Token limits; auto takes the training data's longest (99.5 % of them whole), up to a bound."""

    text: Length = "auto"
    rationale: Length = "auto"


class Templates(_Part):
    """Target texts of the two stages."""

    rationale: str = "Output: {rationale}"
    label: str = "The answer is: {label}"

    @field_validator("rationale", "label")
    @classmethod
    def _names_its_part(cls, value: str, info: ValidationInfo) -> str:
        part = f"{{{info.field_name}}}"
        if re.sub(r"\{\{|\}\}", "", value).count("{") != 1 or part not in value:
            raise ValueError(f"must contain {part}, once, and no other braces")
        return value


class StageRecipe(_Part):
    """One stage of training."""

    epochs: int = Field(10, ge=1)
    steps: int | None = Field(None, ge=1, description="optimiser steps, in place of epochs")
    learning_rate: float = Field(5e-5, gt=0)
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1, description="batches a step, where a whole one does not fit the memory")
    keep: Literal["lowest_loss", "highest_accuracy"] = "lowest_loss"
    evaluate_every: int = Field(1, ge=1, description="epochs between two looks at the validation split")
    checkpoint_every: int | None = Field(
        None, ge=1, description="steps between two checkpoints; default: every look"
    )


class Stages(_Part):
    """Reasoning distillation, then harmfulness inference (METHOD's stage 1 and 2)."""

    rationale: StageRecipe = StageRecipe()
    label: StageRecipe = StageRecipe(epochs=30, keep="highest_accuracy")

    @model_validator(mode="after")
    def _loss_for_rationales(self) -> Stages:
        if self.rationale.keep != "lowest_loss":
            raise ValueError("rationale.keep must be lowest_loss: a rationale has no accuracy")
        return self


class Recipe(_Part):
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
        "on", description="on: only checked rationales teach; off: all that have text"
    )
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    decoding: Literal["score", "greedy"] = Field("score", description="how a verdict is read off the student")
    seed: int = Field(0, ge=0, lt=2**32)

    @field_validator("answers", mode="before")
    @classmethod
    def _answers_by_name(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in ANSWERS:
                raise ValueError(f"must be {' or '.join(ANSWERS)}, or a list of answers")
            return ANSWERS[value]
        return value

    @field_validator("gate", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_booleans(cls, value: object) -> object:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _both_sides(self) -> Recipe:
        if {answer.harmful for answer in self.answers} != {True, False}:
            raise ValueError("answers must hold at least one harmful and one harmless word")
        if len({answer.word for answer in self.answers}) != len(self.answers):
            raise ValueError("answers must differ")
        if not self.reads:
            raise ValueError("reads must name at least one part")
        return self

    def answer_for(self, label: Label) -> Answer:
        """The answer that says ``label``: by severity where the answers have one and the label too, else by harm."""
        for answer in self.answers:
            if answer.harmful == label.harmful and answer.severity in (None, label.severity):
                return answer
        side = [answer for answer in self.answers if answer.harmful == label.harmful]
        return side[0]


def recipe_names() -> list[str]:
    """The recipes that ship with mrharm."""
    folder = resources.files("mrharm") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name_or_path: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name, or a YAML file; ``overrides`` maps dotted keys to values.

    Raises:
        InputError: no such recipe, not YAML, or a key or value is wrong; the message names the key and the mend.
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
    """A mapping -> recipe; raises InputError as `load_recipe` does."""
    for dotted, value in (overrides or {}).items():
        *parents, last = dotted.split(".")
        at = values
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise InputError(f"{where}: {dotted}: {parent} is not a mapping")
        at[last] = value
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or '(recipe)'}: "
            + (
                "unknown key"
                if item["type"] == "extra_forbidden"
                else f"{item['msg']}; got {item['input']!r}"[:200]
            )
            for item in error.errors()
        ]
        raise InputError(f"{where}: " + "; ".join(lines)) from None


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """``["stages.label.epochs=3"]`` -> ``{"stages.label.epochs": 3}``; values are read as YAML.

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


def dump_recipe(recipe: Recipe) -> str:
    """A recipe -> YAML with every field resolved; `load_recipe` reads it back equal."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
