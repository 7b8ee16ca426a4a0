from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mrharm.cli.main import app
from mrharm.records import Saliency
from mrharm.reports.saliency_picture import SIDE, draw_meme, draw_saliency, draw_words, shade_words
from mrharm.student.interface import Frame
from tests.probes.written import detector

WHOLE, CROP = Frame(64, "whole"), Frame(64, "crop")


def hot(row: int, column: int) -> Saliency:
    grid = np.zeros((4, 4))
    grid[row, column] = 1
    return Saliency(words=(("you", 0.2), ("stink", 0.8)), patches=tuple(map(tuple, grid.tolist())))


def orange(image: Image.Image) -> np.ndarray:
    """Where a picture is no longer grey. *Shape:* (height, width)"""
    pixels = np.asarray(image).astype(int)
    found: np.ndarray = pixels.max(-1) - pixels.min(-1) > 20
    return found


def box(there: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is True."""
    rows, columns = np.nonzero(there)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("size", "frame", "cell", "expected"),
    [
        # Padded: 800 x 200 lies on rows 24 to 40 of 64, of which patch row 1 holds the upper half.
        ((800, 200), WHOLE, (1, 2), (400, 0, 600, 100)),
        ((200, 800), WHOLE, (3, 2), (100, 600, 200, 800)),
        ((400, 400), WHOLE, (0, 3), (300, 0, 400, 100)),
        # Cropped: the middle 200 x 200 of 800 x 200 begins at 300.
        ((800, 200), CROP, (0, 0), (300, 0, 350, 50)),
        ((200, 800), CROP, (3, 3), (150, 450, 200, 500)),
    ],
)
def test_one_hot_patch_is_drawn_on_its_own_pixels(size, frame, cell, expected) -> None:
    drawn = draw_saliency(Image.new("RGB", size, (30, 200, 90)), hot(*cell), frame)
    assert drawn.size == size
    there = orange(drawn)
    assert box(there) == expected
    left, top, right, bottom = expected
    assert there.sum() == (right - left) * (bottom - top)


def test_a_large_meme_is_drawn_smaller_with_its_heat_in_place() -> None:
    drawn = draw_saliency(Image.new("RGB", (4096, 1024), "green"), hot(1, 2), WHOLE)
    assert drawn.size == (SIDE, SIDE // 4)
    assert box(orange(drawn)) == (512, 0, 768, 128)


def test_what_was_cropped_off_is_dark() -> None:
    drawn = np.asarray(draw_saliency(Image.new("RGB", (400, 200), "white"), hot(0, 0), CROP))
    assert drawn[:, :100].max() == drawn[:, 300:].max() == 89  # 255 * 0.35
    assert drawn[150, 200].tolist() == [255, 255, 255]


def test_even_weights_look_even_and_not_hot() -> None:
    even = Saliency(patches=tuple((1 / 16,) * 4 for _ in range(4)))
    drawn = np.asarray(draw_saliency(Image.new("RGB", (64, 64), "white"), even, WHOLE)).reshape(-1, 3)
    assert len(np.unique(drawn, axis=0)) == 1
    sharp = np.asarray(draw_saliency(Image.new("RGB", (64, 64), "white"), hot(0, 0), WHOLE))
    assert 255 - drawn[0, 2] == pytest.approx((255 - sharp[0, 0, 2]) / 4, abs=1)


def test_a_meme_without_patches_comes_back_in_grey() -> None:
    assert not orange(draw_saliency(Image.new("RGB", (40, 30), "red"), Saliency(), WHOLE)).any()


def test_words_are_shaded_by_weight_and_even_ones_faintly() -> None:
    told = dict(shade_words(Saliency(words=tuple(zip("abcdefgh", [0.65] + [0.05] * 7, strict=True)))))
    assert told["a"] == 1.0 and told["b"] == pytest.approx(0.05 / 0.65)
    even = shade_words(Saliency(words=tuple((word, 1 / 8) for word in "abcdefgh")))
    assert {strength for _, strength in even} == {0.25}
    assert shade_words(Saliency()) == ()
    # They steer nothing around them.
    ((word, _),) = shade_words(Saliency(words=(("\u202e<script>\x07you\u2066", 1.0),)))
    assert word == "<script>you"


def test_many_words_are_wrapped_and_stay_within_the_strip() -> None:
    strip = draw_words(Saliency(words=tuple((f"newt{n}", 1 / 30) for n in range(30))), 300)
    assert strip.width == 300 and strip.height > 150
    assert (np.asarray(strip)[:, -4:] == 255).all()
    assert draw_words(Saliency(), 300).size == (300, 1)


def test_the_meme_stands_over_its_words_and_words_stand_alone_without_a_picture() -> None:
    both = draw_meme(Image.new("RGB", (400, 100), "green"), hot(1, 1), WHOLE)
    assert both.width == 400 and both.height > 120
    words = draw_meme(None, hot(1, 1), None)
    assert words.size == (480, both.height - 100)
    assert draw_meme(Image.new("RGB", (40, 30)), hot(1, 1), WHOLE).width == 240  # a word needs its room


def test_predict_draws_the_first_meme_and_tells_what_moved_it_where_asked(tmp_path: Path) -> None:
    detector().save_pretrained(tmp_path / "run")
    Image.new("RGB", (300, 100), (200, 40, 40)).save(tmp_path / "meme.png")
    drawn = tmp_path / "new" / "drawn.png"
    words = ("--text", "you smell wonderful", "--no-rationales", "--json")
    line = ["predict", str(tmp_path / "run"), str(tmp_path / "meme.png"), *words, "--draw", str(drawn)]
    for asked in ((), ("--saliency", "gradient")):
        result = CliRunner().invoke(app, [*line, *asked])
        assert result.exit_code == 0, result.output
        assert "of the patches' weight is on the picture" in result.stderr
        (verdict,) = json.loads(result.stdout)["verdicts"]
        told = [word for word, _ in verdict["saliency"]["words"]] if verdict["saliency"] else []
        assert told == (["you", "smell", "wonderful"] if asked else [])
    with Image.open(drawn) as image:
        assert image.format == "PNG" and image.width == 300 and image.height > 120
    refused = CliRunner().invoke(app, [*line, "--saliency", "x-ray"])
    assert refused.exit_code == 2 and "x-ray" in refused.output
