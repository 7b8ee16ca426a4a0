from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Label, Rationale
from mrharm.student.interface import StudentInput
from mrharm.training.examples import ExampleBuilder, measure_limits
from mrharm.training.label_stage import label_target, match_written_labels
from mrharm.training.rationale_stage import (
    rationale_target,
    require_rationales,
    usable_rationales,
    validate_rationales,
)
from mrharm.training.stage_data import describe_coverage
from tests.conftest import make_squares
from tests.student.conftest import tiny_student
from tests.training.helpers import tiny


def with_statuses(folder, statuses):
    """The squares with the given statuses on their rationales, in turn."""
    make_squares(folder)
    rows = [json.loads(line) for line in (folder / "rationales.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["status"] = statuses[number % len(statuses)]
    (folder / "rationales.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(folder)


def test_the_gate_lets_through_what_was_checked_and_off_takes_all_that_explains(tmp_path):
    dataset = with_statuses(
        tmp_path / "d", ["ok", "deleaked", "unchecked", "leaks_label", "refused", "empty"]
    )
    on, off = usable_rationales(dataset, tiny()), usable_rationales(dataset, tiny(gate="off"))
    assert {row.status for row in on.values()} == {"ok", "deleaked"}
    assert {row.status for row in off.values()} == {"ok", "deleaked", "unchecked", "leaks_label"}


def test_without_rationales_the_error_names_abduce_and_the_label_stage(tmp_path):
    dataset = Dataset(make_squares(tmp_path / "d", rationales=False))
    with pytest.raises(InputError, match=r"mrharm abduce .*--stages label"):
        require_rationales(dataset, tiny())


def test_unchecked_rationales_under_a_closed_gate_name_the_mend(tmp_path):
    dataset = with_statuses(tmp_path / "d", ["unchecked"])
    with pytest.raises(InputError, match=r"--set gate=off"):
        require_rationales(dataset, tiny())


def build(dataset, recipe, target, texts=(), targets=()):
    processor = tiny_student()[1]
    limits = measure_limits(recipe, processor, list(texts), list(targets))
    builder = ExampleBuilder(dataset, recipe, processor, limits, usable_rationales(dataset, recipe))
    return builder.build(target, "train")


def test_some_rationales_are_used_and_the_coverage_is_said(tmp_path):
    dataset = with_statuses(tmp_path / "d", ["ok", "unchecked"])
    examples, coverage = build(dataset, tiny(), "rationale")
    assert (coverage.memes, len(examples), coverage.held_back, coverage.without_rationale) == (48, 24, 24, 0)


def test_severity_answers_without_severities_are_counted(squares):
    dataset = Dataset(squares)
    harmful = [meme for meme in dataset.split("train") if meme.label.harmful]
    for meme in harmful:
        dataset.memes[dataset.memes.index(meme)] = meme.model_copy(update={"label": Label(harmful=True)})
    _, coverage = build(dataset, tiny(answers="severity"), "label")
    assert coverage.severity_unknown == len(harmful) > 0
    assert "without a severity" in describe_coverage("label", "train", coverage, 0)


def test_targets_follow_the_templates_and_answers():
    label = Label(harmful=True, severity="somewhat")
    why = Rationale(meme_id="1", text=" The words mock. ", teacher="test")
    assert label_target(tiny(), label) == "The answer is: harmful"
    assert label_target(tiny(answers="severity"), label) == "The answer is: somewhat harmful"
    assert rationale_target(tiny(), why) == "Output: The words mock."
    assert rationale_target(tiny(rationale_case="lower"), why) == "Output: the words mock."


def test_automatic_limits_leave_texts_whole_and_fixed_ones_say_what_is_cut(squares):
    dataset = Dataset(squares)
    texts = [meme.text for meme in dataset.split("train")]
    targets = [f"Output: {dataset.rationales[meme.id].text}" for meme in dataset.split("train")]
    _, uncut = build(dataset, tiny(), "rationale", texts, targets)
    assert (uncut.text_cut, uncut.target_cut) == (0, 0)
    examples, cut = build(dataset, tiny(lengths__text=3, lengths__rationale=5), "rationale", texts, targets)
    assert (cut.text_cut, cut.target_cut) == (48, 48)
    assert {len(example.target_ids) for example in examples} == {5}
    assert {example.target_ids[-1] for example in examples} == {1}  # the end token


def test_a_rationales_loss_is_a_mean_of_tokens_or_of_batches():
    batches = [{"labels": torch.tensor([[5, -100, -100]])}, {"labels": torch.tensor([[5, 6, 1]])}]
    losses = {1: 1.0, 3: 2.0}

    def model(labels):
        return SimpleNamespace(loss=losses[int((labels >= 0).sum())])

    assert validate_rationales(model, batches) == {"loss": 7 / 4}
    assert validate_rationales(model, batches, mean_of="batches") == {"loss": 3 / 2}


class Writer:
    """A student that writes the texts it is given."""

    def __init__(self, texts):
        self.texts = texts

    def text_tokens(self, text):
        return 4

    def write(self, inputs, max_new_tokens):
        return self.texts


def test_a_written_label_matches_only_to_the_letter():
    targets = ["The answer is: very harmful", "The answer is: somewhat harmful"]
    targets += ["The answer is: not harmful", "Output: why. The answer is: not harmful"]
    written = ["The answer is: very harmful", "The answer is: very harmful"]
    written += ["The answer is: harmless", "The answer is: not harmful"]
    share = match_written_labels(
        Writer(written), [StudentInput("x")] * 4, targets, tiny(answers="severity"), 4
    )
    assert share == 2 / 4
