"""What the in-painter ``telea`` promises, on drawn memes whose picture without words is known."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.inpainting.telea import Telea
from tests.evidence.drawing import MEMES, box, written


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max(1e-9, np.mean(difference**2))))


@pytest.mark.parametrize("kind", MEMES)
def test_the_picture_under_the_words_comes_back(kind: str) -> None:
    clean, ink, outline = MEMES[kind]
    meme, where = written(clean, ink, 48, outline)
    assert psnr(meme, clean) < 20
    assert psnr(Telea().clean(meme, [where]), clean) > 31


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


@pytest.mark.parametrize("size", [(320, 200), (2301, 1501)])
def test_a_picture_of_any_size_keeps_every_pixel_that_is_no_letter(size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    clean = Image.fromarray(
        np.stack([columns % 256, rows % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    )
    meme, where = written(clean, "white", size[0] // 10)
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
