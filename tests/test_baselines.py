from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mrharm import baselines
from mrharm.errors import ImageError
from tests.audit.helpers import paint


def test_a_picture_is_its_32_by_32_pixels_from_0_to_1(tmp_path: Path) -> None:
    small = baselines.small(paint(tmp_path / "red.png", "#ff0000", size=(50, 20)))
    assert small.shape == (3072,)
    assert (small.reshape(-1, 3) == (1, 0, 0)).all()
    with pytest.raises(ImageError):
        baselines.small(tmp_path / "none.png")


def test_pixels_and_picture_files_tell_the_same(tmp_path: Path) -> None:
    shades = ["#101010", "#f0f0f0"] * 10
    paths = [paint(tmp_path / f"{number}.png", shade) for number, shade in enumerate(shades)]
    gold = [shade == "#f0f0f0" for shade in shades]
    pixels = np.stack([baselines.small(path) for path in paths])
    by_file, by_pixels = baselines.image_only(paths, gold, paths), baselines.pixels_only(pixels, gold, pixels)
    for kind in ("linear", "forest"):
        assert (by_file[kind] == by_pixels[kind]).all()
        assert ((by_file[kind] >= 0.5) == gold).all()


def test_pictures_that_are_all_alike_tell_nothing(tmp_path: Path) -> None:
    pixels = np.full((10, 3072), 0.5)
    for scores in baselines.pixels_only(pixels, [True, False] * 5, pixels).values():
        assert np.unique(scores).size == 1
