"""The in-painters, and the mask of letters they work with; on drawn memes whose picture without words is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrharm.errors import ModelUnavailableError
from mrharm.evidence.engines import INPAINTERS
from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.inpainting.lama import Lama
from mrharm.evidence.inpainting.telea import Telea
from mrharm.records import TextBox
from tests.evidence.drawing import box

SIZE = (320, 200)


def backdrop(kind: str) -> Image.Image:
    if kind == "paper":
        return Image.new("RGB", SIZE, (250, 250, 248))
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    grain = np.random.default_rng(0).normal(0, 4, (SIZE[1], SIZE[0], 1))
    shades = np.stack([60 + columns / 4, 90 + rows / 3, 140 - columns / 6], axis=-1)
    return Image.fromarray(np.clip(shades + grain, 0, 255).astype(np.uint8))


def posted(clean: Image.Image, ink: str, outline: str | None) -> tuple[Image.Image, TextBox]:
    meme = clean.copy()
    draw = ImageDraw.Draw(meme)
    width = 3 if outline else 0
    draw.text((30, 60), "YOU SMELL", fill=ink, font_size=48, stroke_width=width, stroke_fill=outline)
    found = draw.textbbox((30, 60), "YOU SMELL", font_size=48, stroke_width=width)
    return meme, box(found[0] - 2, found[1] - 2, found[2] + 2, found[3] + 2)


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max(1e-9, np.mean(difference**2))))


CASES = [("paper", "black", None), ("photo", "white", "black"), ("photo", "yellow", "black")]


@pytest.mark.parametrize(("kind", "ink", "outline"), CASES)
def test_letters_are_found_and_little_else(kind: str, ink: str, outline: str | None) -> None:
    clean = backdrop(kind)
    meme, where = posted(clean, ink, outline)
    truth = np.abs(np.asarray(meme, int) - np.asarray(clean, int)).max(axis=2) > 24
    mask = glyph_mask(meme, [where]) > 0
    assert (mask & truth).sum() > 0.97 * truth.sum()
    # On paper the mask may be generous: what it takes comes back as paper.
    assert (mask & ~truth).sum() < (3 if kind == "paper" else 0.8) * truth.sum()


@pytest.mark.parametrize(("kind", "ink", "outline"), CASES)
def test_the_picture_under_the_words_comes_back(kind: str, ink: str, outline: str | None) -> None:
    clean = backdrop(kind)
    meme, where = posted(clean, ink, outline)
    assert psnr(meme, clean) < 20
    assert psnr(Telea().clean(meme, [where]), clean) > 31


@pytest.mark.parametrize("name", ["telea", "lama"])
def test_what_is_no_letter_stays_to_the_byte(name: str, fill: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRHARM_LAMA", str(fill))
    meme, where = posted(backdrop("photo"), "white", "black")
    mask = glyph_mask(meme, [where]) > 0
    before, after = np.asarray(meme), np.asarray(INPAINTERS.load(name)().clean(meme, [where]))
    assert (before[~mask] == after[~mask]).all()
    assert (before[mask] != after[mask]).any()
    assert np.asarray(INPAINTERS.load(name)().clean(meme, [])).tolist() == before.tolist()


@pytest.mark.parametrize(
    "odd",
    [
        box(-50, -50, 500, 500),
        box(400, 400, 500, 500),
        box(5, 5, 5, 5),
        TextBox(polygon=((10, 90), (200, 10), (220, 50), (30, 130)), text="you", confidence=1.0),
    ],
)
def test_odd_boxes_do_no_harm(odd: TextBox) -> None:
    for size in (SIZE, (1, 1), (3, 900)):
        picture = backdrop("photo").resize(size)
        assert Telea().clean(picture, [odd, odd]).size == size
        assert glyph_mask(picture, [odd]).shape == (size[1], size[0])


def test_lamas_version_is_its_files(fill: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(fill.read_bytes() + b"\x00")
    assert Lama(fill).version == Lama(fill).version != Lama(other).version


def test_lama_without_weights_says_how_to_get_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MRHARM_LAMA", raising=False)
    meme, where = posted(backdrop("paper"), "black", None)
    with pytest.raises(ModelUnavailableError, match="set MRHARM_LAMA to an ONNX file"):
        Lama().clean(meme, [where])
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ModelUnavailableError, match="not an ONNX network"):
        Lama(tmp_path / "bad.onnx").clean(meme, [where])
