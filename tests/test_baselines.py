from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrharm.baselines import (
    Baseline,
    decide,
    predict_from_pixels,
    predict_from_texts,
    predict_majority,
    read_pixels,
    split_folds,
)
from mrharm.errors import ImageError
from tests.audit.helpers import paint


def texts(*rows: str) -> np.ndarray:
    return np.array(rows, dtype=object)


def test_the_majority_is_the_training_splits_and_harmless_on_a_tie() -> None:
    rows = np.zeros(2)
    assert predict_majority(rows, [True, True, False], rows) == pytest.approx([2 / 3] * 2)
    assert decide(predict_majority(rows, [True, True, False], rows)).tolist() == [True, True]
    assert decide(predict_majority(rows, [True, False], rows)).tolist() == [False, False]


def test_words_alone_learn_what_words_alone_tell() -> None:
    features = texts(*["you are grand", "you are poor"] * 20, "poor you", "grand you")
    gold = np.array([False, True] * 20)
    scores = Baseline(features, predict_from_texts).score(gold, np.arange(40), np.array([40, 41]))
    assert scores[0] > 0.5 > scores[1]


def test_texts_without_a_word_are_told_nothing_but_the_share_of_harmful_ones() -> None:
    assert predict_from_texts(texts("", "!", "a"), [True, True, False], texts("you")) == pytest.approx(2 / 3)


def test_pixels_alone_learn_what_pixels_alone_tell(tmp_path: Path) -> None:
    pixels = []
    for number in range(80):
        noise = Image.effect_noise((20, 20), 60)
        shaded = noise.point(lambda value, shade=60 * (number % 2): value + shade)
        shaded.convert("RGB").save(tmp_path / "a.png")
        pixels.append(read_pixels(tmp_path / "a.png"))
    features, gold = np.stack(pixels), np.arange(80) % 2 == 1
    train, rest = np.split(np.arange(80), [60])
    scores = Baseline(features, predict_from_pixels).score(gold, train, rest)
    assert (decide(scores) == gold[rest]).sum() >= 16


def test_a_picture_is_its_32_by_32_pixels_from_0_to_1(tmp_path: Path) -> None:
    pixels = read_pixels(paint(tmp_path / "red.png", "#ff0000", size=(50, 20)))
    assert pixels.shape == (3072,)
    assert (pixels.reshape(-1, 3) == (1, 0, 0)).all()
    with pytest.raises(ImageError):
        read_pixels(tmp_path / "none.png")


def test_pictures_that_are_all_alike_tell_nothing() -> None:
    pixels = np.full((10, 3072), 0.5)
    assert np.unique(predict_from_pixels(pixels, [True, False] * 5, pixels)).size == 1


def test_folds_hold_every_row_once_and_keep_groups_in_one() -> None:
    gold = [number % 2 == 0 for number in range(60)]
    groups = [number // 3 for number in range(60)]
    folds = split_folds(gold, groups)
    assert len(folds) == 5
    assert sorted(np.concatenate([rest for _, rest in folds]).tolist()) == list(range(60))
    for train, rest in folds:
        assert not {groups[row] for row in train} & {groups[row] for row in rest}


@pytest.mark.parametrize(
    ("gold", "groups"),
    [
        ([True, False] * 24, None),  # fewer than 50 rows
        ([True] * 4 + [False] * 60, None),  # fewer than five of a side
        ([True, False] * 30, [0, 1, 2, 3] * 15),  # fewer than five groups
        ([True] * 30 + [False] * 30, [0] * 30 + [*range(1, 31)]),  # one group holds a side
    ],
)
def test_there_are_no_folds_where_too_little_could_be_learnt(
    gold: list[bool], groups: list[int] | None
) -> None:
    assert split_folds(gold, groups) == []
