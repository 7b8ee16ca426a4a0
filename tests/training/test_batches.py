from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mrharm.student.interface import StudentInput
from mrharm.training.examples import Example, LengthSampler, collate
from mrharm.training.pictures import _OPERATIONS, PixelStore, randaugment
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


def test_random_batches_hold_any_lengths():
    order = list(LengthSampler([0] * 1000, 32, seed=0))
    assert sorted(order) == list(range(1000))
    batches = [[LENGTHS[index] for index in order[at : at + 32]] for at in range(0, 1000, 32)]
    assert min(max(batch) - min(batch) for batch in batches[:-1]) > 50


@pytest.fixture
def posted(tmp_path: Path) -> Path:
    """A posted picture, larger than the square a student reads."""
    noise = np.random.default_rng(0).integers(0, 255, (150, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "posted.png")
    return tmp_path / "posted.png"


@pytest.mark.parametrize("kind", ["light", "randaugment"])
def test_augmentation_follows_its_generator_and_keeps_shape_and_type(posted, kind):
    store = PixelStore(tiny_student()[1])
    first, again, other = (store.get_varied(posted, kind, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert (store.get_varied(posted, "none", np.random.default_rng(1)) == store.get(posted)).all()


def vary(name: str, picture: np.ndarray, sign: int = 1) -> np.ndarray:
    """A picture after one operation of RandAugment at magnitude 9 of 30."""
    operation, least, most = _OPERATIONS[name]
    return np.asarray(operation(Image.fromarray(picture), sign * (least + (most - least) * 0.3)))


def test_randaugment_draws_of_the_official_operations():
    official = [
        "autocontrast",
        "brightness",
        "colour",
        "contrast",
        "equalise",
        "posterise",
        "rotate",
        "sharpness",
    ]
    official += ["shear_x", "shear_y", "solarise", "solarise_add", "translate_x", "translate_y"]
    assert sorted(_OPERATIONS) == official


@pytest.mark.parametrize(
    ("name", "grey", "expected"),
    [
        ("posterise", 100, 0),  # one bit is left
        ("posterise", 200, 128),
        ("solarise", 76, 76),  # inverted from 0.3 x 256 on
        ("solarise", 77, 178),
        ("solarise_add", 90, 123),  # 33 brighter, then inverted from 128 on
        ("solarise_add", 100, 122),
        ("brightness", 100, 64),  # times 0.1 + 0.3 x 1.8
    ],
)
def test_an_operation_has_its_official_magnitude(name, grey, expected):
    picture = np.full((8, 8, 3), grey, dtype=np.uint8)
    assert vary(name, picture).tolist() == np.full((8, 8, 3), expected).tolist()


@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_translation_is_of_30_pixels_of_the_posted_picture_and_leaves_black(name, sign):
    moved = vary(name, np.full((90, 90, 3), 255, dtype=np.uint8), sign)
    assert (moved == 0).all(axis=(1, 2) if name == "translate_y" else (0, 2)).sum() == 30


def test_two_operations_change_a_picture_by_40_grey_levels_or_so():
    y, x = np.mgrid[0:300, 0:400]
    scene = np.stack([x * 255 // 399, y * 255 // 299, 128 + 90 * np.sin(x / 9) * np.cos(y / 7)], axis=-1)
    image = Image.fromarray(scene.astype(np.uint8))
    rng = np.random.default_rng(0)
    changes = [
        np.abs(np.asarray(randaugment(image, rng), dtype=int) - np.asarray(image)).mean() for _ in range(300)
    ]
    assert 35 < np.mean(changes) < 60
