from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from mrharm.student.interface import StudentInput
from mrharm.training.examples import Example, LengthSampler, collate
from mrharm.training.pictures import _OPERATIONS, augment, randaugment
from tests.student.conftest import tiny_student

LENGTHS = np.random.default_rng(0).integers(3, 90, 1000).tolist()


def test_every_item_comes_once_an_epoch_in_an_order_of_seed_and_epoch_alone():
    sampler = LengthSampler(LENGTHS, 32, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(1000))
    assert first == list(LengthSampler(LENGTHS, 32, seed=1))
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthSampler(LENGTHS, 32, seed=2)) != first


def test_batches_hold_similar_lengths():
    def padding(order: list[int]) -> int:
        batches = [[LENGTHS[index] for index in order[at : at + 32]] for at in range(0, len(order), 32)]
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    shuffled = np.random.default_rng(0).permutation(1000).tolist()
    assert padding(list(LengthSampler(LENGTHS, 32, seed=0))) < 0.2 * padding(shuffled)


def test_a_batch_is_padded_to_itself_and_labels_ignore_padding():
    _, processor = tiny_student()
    items = [
        (Example("a", "", (5, 6, 1), (7, 1), None, True), StudentInput("")),
        (Example("b", "", (5, 1), (7, 8, 9, 1), None, False), StudentInput("")),
    ]
    batch = collate(processor, items)
    assert batch["input_ids"].tolist() == [[5, 6, 1], [5, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[7, 1, -100, -100], [7, 8, 9, 1]]
    assert "pixel_values" not in batch
    # A batch with and without pictures says which have one.
    shown = StudentInput("", pixels=np.full((64, 64, 3), 255, np.uint8))
    items = [
        (Example(name, "", (5, 1), (7, 1), None, True), picture_input)
        for name, picture_input in (("a", shown), ("b", StudentInput("")))
    ]
    batch = collate(processor, items)
    assert batch["image_mask"].tolist() == [True, False]
    assert torch.equal(batch["pixel_values"][0], torch.ones(3, 64, 64))
    assert not batch["pixel_values"][1].any()


def test_augmentation_follows_its_generator_and_keeps_shape_and_type():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for kind in ("light", "randaugment"):
        first, again, other = (augment(picture, kind, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()
        assert first.shape == picture.shape and first.dtype == picture.dtype
    assert augment(picture, "none", np.random.default_rng(1)) is picture


def test_every_randaugment_operation_draws_and_but_identity_changes_the_picture():
    gradient = np.tile(np.linspace(40, 200, 64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    gradient[:, :32, 0] //= 2
    for name, operation in _OPERATIONS.items():
        changed = np.asarray(operation(Image.fromarray(gradient), 0.5))
        assert (changed == gradient).all() == (name == "identity"), name
    assert randaugment(gradient, np.random.default_rng(0)).shape == gradient.shape
