"""What the mask of letters promises beyond tests/evidence/test_inpainting.py: odd boxes, large pictures, neighbours."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrharm.evidence.inpainting.glyph_masks import MOST_PIXELS, glyph_mask
from mrharm.records import Polygon
from tests.evidence.drawing import boxed, written


def changed(meme: Image.Image, clean: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(meme, int) - np.asarray(clean, int)).max(axis=2) > 24


@pytest.mark.parametrize(
    "polygon",
    [
        ((0, 0), (1e9, 0), (1e9, 1e9), (0, 1e9)),
        ((-1e30, -1e30), (1e30, -1e30), (1e30, 1e30), (-1e30, 1e30)),
        ((math.nan, 0), (9, 0), (9, 9), (0, 9)),
        ((math.inf, 0), (9, 0), (9, 9), (0, 9)),
        ((50, 50), (10, 10), (50, 10), (10, 50)),
        ((10, 10), (90, 10), (90, 10), (10, 10)),
    ],
)
def test_a_box_of_any_numbers_gives_a_mask_of_the_pictures_size(polygon: Polygon) -> None:
    for size in ((120, 80), (1, 1), (2, 300)):
        assert glyph_mask(Image.new("RGB", size, "teal"), [boxed(polygon)]).shape == (size[1], size[0])


def test_a_drawing_that_reaches_into_the_box_is_no_letter() -> None:
    clean = Image.new("RGB", (320, 120), "white")
    meme, where = written(clean, "black")
    left, _, right, bottom = where.polygon[0][0], 0, where.polygon[1][0], where.polygon[2][1]
    line = int(bottom) - 2
    ImageDraw.Draw(meme).rectangle((0, line, 319, 119), fill="orange")
    mask = glyph_mask(meme, [where])
    assert not mask[line:, int(left) : int(right)].any()


def test_words_aslant_are_found() -> None:
    rows, columns = np.mgrid[0:200, 0:320]
    clean = Image.fromarray(np.stack([columns // 2, rows, 200 - rows // 2], axis=-1).astype(np.uint8))
    page = Image.new("RGBA", clean.size)
    draw = ImageDraw.Draw(page)
    draw.text((60, 80), "you smell", fill="white", font_size=40)
    left, top, right, bottom = draw.textbbox((60, 80), "you smell", font_size=40)
    turned = page.rotate(12, Image.Resampling.BICUBIC, center=(160, 100))
    meme = clean.copy()
    meme.paste(turned, mask=turned.getchannel("A"))
    turn = cv2.getRotationMatrix2D((160, 100), 12, 1)
    corners = [(left - 6, top - 6), (right + 6, top - 6), (right + 6, bottom + 6), (left - 6, bottom + 6)]
    a, b, c, d = (tuple((turn @ (x, y, 1)).tolist()) for x, y in corners)
    mask, truth = glyph_mask(meme, [boxed((a, b, c, d))]) > 0, changed(meme, clean)
    assert (mask & truth).sum() > 0.97 * truth.sum()
    assert (mask & ~truth).sum() < truth.sum()


def test_overlapping_boxes_find_what_one_finds() -> None:
    meme, where = written(Image.new("RGB", (320, 120), "white"), "black")
    assert (glyph_mask(meme, [where, where]) == glyph_mask(meme, [where])).all()


def test_letters_are_found_in_pictures_too_large_to_look_at_whole() -> None:
    clean = Image.new("RGB", (2400, 1501), "#dde8f0")
    assert clean.width * clean.height > 2 * MOST_PIXELS
    meme, where = written(clean, "black", 220)
    mask, truth = glyph_mask(meme, [where]), changed(meme, clean)
    assert mask.shape == truth.shape
    assert (mask[truth] == 255).all()


def test_the_mask_does_not_hang_on_opencvs_random_numbers() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 320, 3), dtype=np.uint8)
    meme, where = written(Image.fromarray(noise), "white")
    masks = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        masks.append(glyph_mask(meme, [where]))
    assert (masks[0] == masks[1]).all()
