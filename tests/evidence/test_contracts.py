"""What every engine in the tables promises, a third party's too."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from mrharm.evidence.inpainting import INPAINTERS
from mrharm.evidence.ocr import OCR
from mrharm.records import TextBox
from tests.evidence.conftest import MakeLama


@pytest.fixture
def picture() -> Image.Image:
    picture = Image.new("RGB", (360, 120), (240, 238, 230))
    ImageDraw.Draw(picture).text((20, 30), "you smell", fill="black", font_size=48)
    return picture


@pytest.fixture(autouse=True)
def weights(make_lama: MakeLama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRHARM_LAMA", str(make_lama()))


@pytest.mark.parametrize("name", [*OCR.names(), "stand-in"])
def test_an_ocr_engine_reads_lines_with_boxes_in_the_picture(
    name: str, picture: Image.Image, stand_ins: Path
) -> None:
    engine = OCR.load(name)()
    before = picture.tobytes()
    boxes = engine.read(picture)
    assert isinstance(engine.version, str) and "@" in engine.version
    assert isinstance(boxes, tuple) and boxes
    for box in boxes:
        assert isinstance(box, TextBox) and box.text.strip()
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in box.polygon)
    assert engine.read(picture) == boxes
    assert engine.read(Image.new("RGB", (64, 64), "white")) == ()
    assert picture.tobytes() == before
    assert OCR.load(name)().version == engine.version


@pytest.mark.parametrize("name", [*INPAINTERS.names(), "stand-in"])
def test_an_in_painter_changes_the_words_and_neither_size_nor_its_argument(
    name: str, picture: Image.Image, stand_ins: Path
) -> None:
    engine = INPAINTERS.load(name)()
    corners = ((15.0, 25.0), (300.0, 25.0), (300.0, 95.0), (15.0, 95.0))
    box = TextBox(polygon=corners, text="you smell", confidence=1.0)
    before = picture.tobytes()
    clean = engine.clean(picture, [box])
    assert isinstance(engine.version, str) and "@" in engine.version
    assert (clean.size, clean.mode) == (picture.size, "RGB")
    assert clean.tobytes() != before
    assert picture.tobytes() == before
    assert engine.clean(picture, [box]).tobytes() == clean.tobytes()
    assert engine.clean(picture, []).tobytes() == before
    assert INPAINTERS.load(name)().version == engine.version
