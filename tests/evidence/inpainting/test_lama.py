"""What the in-painter ``lama`` promises of networks in the layouts of LaMa's ONNX exports."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrharm.errors import ModelUnavailableError
from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.inpainting.lama import Lama, _windows
from mrharm.records import TextBox
from tests.evidence.conftest import MakeLama
from tests.evidence.drawing import written


def posted(size: tuple[int, int], ground: str = "#306090", ink: str = "white") -> tuple[Image.Image, TextBox]:
    return written(Image.new("RGB", size, ground), ink, round(0.15 * size[0]))


@pytest.mark.parametrize("size", [(203, 151), (64, 64), (300, 520)])
@pytest.mark.parametrize("side", ["side", 128])
@pytest.mark.parametrize("levels", [1.0, 255.0])
@pytest.mark.parametrize("mask_first", [False, True])
def test_letters_take_what_the_network_says_at_any_size(
    make_lama: MakeLama, size: tuple[int, int], side: int | str, levels: float, mask_first: bool
) -> None:
    meme, where = posted(size)
    clean = np.asarray(Lama(make_lama(side, levels, mask_first)).clean(meme, [where]), int)
    assert clean.shape == (size[1], size[0], 3)
    assert np.abs(clean - (0x30, 0x60, 0x90)).max() <= 1


@pytest.mark.parametrize("side", ["side", 128])
def test_what_is_no_letter_stays_to_the_byte(make_lama: MakeLama, side: int | str) -> None:
    noise = np.random.default_rng(0).integers(0, 120, (300, 400, 3), dtype=np.uint8)
    meme, where = posted((400, 300))
    meme = Image.fromarray(np.where(np.asarray(meme) == 255, 255, noise).astype(np.uint8))
    kept = glyph_mask(meme, [where]) == 0
    before, after = np.asarray(meme), np.asarray(Lama(make_lama(side, 255.0)).clean(meme, [where]))
    assert (before[kept] == after[kept]).all()
    assert (before[~kept] != after[~kept]).any()


def test_a_nearly_black_picture_stays_nearly_black(make_lama: MakeLama) -> None:
    meme, where = posted((200, 120), "#010101", "#606060")
    assert np.asarray(Lama(make_lama(128, 255.0)).clean(meme, [where])).max() <= 2


def test_every_letter_is_filled_once_by_windows_in_the_picture() -> None:
    letters = np.random.default_rng(0).random((700, 900)) < 0.001
    letters[0, 0] = letters[699, 899] = letters[350:420, 100:800] = True
    filled = np.zeros(letters.shape, int)
    for rows, columns, ours in _windows(letters, 256, 128):
        assert ours.shape == (rows.stop - rows.start, columns.stop - columns.start)
        assert 0 <= rows.start < rows.stop <= 700 and rows.stop - rows.start <= 256
        assert 0 <= columns.start < columns.stop <= 900 and columns.stop - columns.start <= 128
        filled[rows, columns] += ours
    assert (filled == letters).all()


def test_its_version_is_its_files(make_lama: MakeLama, tmp_path: Path) -> None:
    file, other = make_lama(), tmp_path / "other.onnx"
    other.write_bytes(file.read_bytes() + b"\x00")
    assert Lama(file).version == Lama(file).version != Lama(other).version


def test_without_weights_or_with_torchscript_it_says_how_to_get_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MRHARM_LAMA", raising=False)
    meme, where = posted((200, 120))
    with pytest.raises(ModelUnavailableError, match="set MRHARM_LAMA to an ONNX file"):
        Lama().clean(meme, [where])
    (tmp_path / "big-lama.pt").write_bytes(b"PK\x03\x04 a zip of TorchScript")
    with pytest.raises(ModelUnavailableError, match=r"big-lama\.pt: not an ONNX network.*not as TorchScript"):
        Lama(tmp_path / "big-lama.pt").clean(meme, [where])
