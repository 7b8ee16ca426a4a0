"""What the in-painter ``lama`` promises of networks in the layouts of LaMa's ONNX exports, beyond the grey stand-in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.inpainting.lama import Lama, _windows
from mrharm.records import TextBox

onnx = pytest.importorskip("onnx", reason="the onnx package is not here (extra dev)")

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A network that fills the hole with the mean of what it is shown around it, times ``levels``."""

    def made(side: int | str = "side", levels: float = 1.0, mask_first: bool = False) -> Path:
        helper, floats = onnx.helper, onnx.TensorProto.FLOAT
        nodes = [
            helper.make_node("Sub", ["one", "mask"], ["known"]),
            helper.make_node("Mul", ["image", "known"], ["seen"]),
            helper.make_node("ReduceMean", ["seen", "axes"], ["total"]),
            helper.make_node("ReduceMean", ["known", "axes"], ["count"]),
            helper.make_node("Div", ["total", "count"], ["mean"]),
            helper.make_node("Mul", ["mask", "mean"], ["hole"]),
            helper.make_node("Add", ["seen", "hole"], ["share"]),
            helper.make_node("Mul", ["share", "levels"], ["output"]),
        ]
        other = f"{side}2" if isinstance(side, str) else side
        inputs: list[Any] = [
            helper.make_tensor_value_info("image", floats, ["batch", 3, side, other]),
            helper.make_tensor_value_info("mask", floats, ["batch", 1, side, other]),
        ]
        constants = [
            helper.make_tensor("one", floats, [1], [1.0]),
            helper.make_tensor("levels", floats, [1], [levels]),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3]),
        ]
        output = helper.make_tensor_value_info("output", floats, ["batch", 3, side, other])
        graph = helper.make_graph(nodes, "mean", inputs[::-1] if mask_first else inputs, [output], constants)
        path = tmp_path / "mean.onnx"
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path.write_bytes(model.SerializeToString())
        return path

    return made


def posted(size: tuple[int, int], ground: str = "#306090", ink: str = "white") -> tuple[Image.Image, TextBox]:
    meme = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(meme)
    at = (0.1 * size[0], 0.4 * size[1])
    draw.text(at, "you smell", fill=ink, font_size=round(0.15 * size[0]))
    left, top, right, bottom = draw.textbbox(at, "you smell", font_size=round(0.15 * size[0]))
    corners = ((left - 5, top - 5), (right + 5, top - 5), (right + 5, bottom + 5), (left - 5, bottom + 5))
    return meme, TextBox(polygon=corners, text="you smell", confidence=1.0)


@pytest.mark.parametrize("size", [(203, 151), (64, 64), (300, 520)])
@pytest.mark.parametrize("side", ["side", 128])
@pytest.mark.parametrize("levels", [1.0, 255.0])
def test_letters_take_what_the_network_says_at_any_size(
    make: Make, size: tuple[int, int], side: int | str, levels: float
) -> None:
    meme, where = posted(size)
    clean = np.asarray(Lama(make(side, levels)).clean(meme, [where]), int)
    assert clean.shape == (size[1], size[0], 3)
    assert np.abs(clean - (0x30, 0x60, 0x90)).max() <= 1


def test_what_is_no_letter_stays_to_the_byte_where_the_network_sees_parts(make: Make) -> None:
    noise = np.random.default_rng(0).integers(0, 120, (300, 400, 3), dtype=np.uint8)
    meme, where = posted((400, 300))
    meme = Image.fromarray(np.where(np.asarray(meme) == 255, 255, noise).astype(np.uint8))
    kept = glyph_mask(meme, [where]) == 0
    before, after = np.asarray(meme), np.asarray(Lama(make(128, 255.0)).clean(meme, [where]))
    assert (before[kept] == after[kept]).all()
    assert (before[~kept] != after[~kept]).any()


def test_a_nearly_black_picture_stays_nearly_black(make: Make) -> None:
    meme, where = posted((200, 120), "#010101", "#606060")
    assert np.asarray(Lama(make(128, 255.0)).clean(meme, [where])).max() <= 2


def test_the_order_of_the_inputs_does_not_matter(make: Make) -> None:
    meme, where = posted((200, 120))
    clean = np.asarray(Lama(make(mask_first=True)).clean(meme, [where]), int)
    assert np.abs(clean - (0x30, 0x60, 0x90)).max() <= 1


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
