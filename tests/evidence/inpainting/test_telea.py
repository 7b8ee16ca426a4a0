"""What the in-painter ``telea`` promises beyond tests/evidence/test_inpainting.py: papers, large and odd pictures."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.inpainting.telea import Telea
from tests.evidence.drawing import box, written


@pytest.mark.parametrize(("paper", "ink"), [("white", "black"), ("black", "#e7e9ea"), ("#7a0f2b", "#ffe9ef")])
def test_paper_of_one_colour_comes_back_to_the_byte(paper: str, ink: str) -> None:
    clean = Image.new("RGB", (300, 100), paper)
    meme, where = written(clean, ink, 40)
    assert Telea().clean(meme, [where]).tobytes() == clean.tobytes()


def test_a_narrow_label_keeps_its_edges() -> None:
    noise = np.random.default_rng(0).integers(0, 90, (140, 300, 3), dtype=np.uint8)
    clean = Image.fromarray(noise)
    ImageDraw.Draw(clean).rectangle((20, 30, 280, 78), fill="white")
    meme = clean.copy()
    ImageDraw.Draw(meme).text((35, 30), "you smell", fill="black", font_size=36)
    cleaned = Telea().clean(meme, [box(26, 28, 250, 80)])
    assert np.abs(np.asarray(cleaned, int) - np.asarray(clean, int)).max() <= 8


def test_a_large_picture_keeps_every_pixel_that_is_no_letter() -> None:
    rows, columns = np.mgrid[0:1501, 0:2301]
    clean = Image.fromarray(
        np.stack([columns % 256, rows % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    )
    meme, where = written(clean, "white", 200)
    before, after = np.asarray(meme), np.asarray(Telea().clean(meme, [where]))
    kept = glyph_mask(meme, [where]) == 0
    assert after.shape == before.shape
    assert (before[kept] == after[kept]).all()
    assert (before[~kept] != after[~kept]).any()


def test_a_picture_that_is_all_letter_is_left_alone() -> None:
    dot = Image.new("RGB", (1, 1), "red")
    assert Telea().clean(dot, [box(0, 0, 1, 1)]).tobytes() == dot.tobytes()


def test_a_picture_that_is_not_rgb_comes_back_as_rgb() -> None:
    meme, where = written(Image.new("RGB", (300, 100), "white"), "black", 40)
    for mode in ("L", "P", "RGBA"):
        assert Telea().clean(meme.convert(mode), [where]).mode == "RGB"
