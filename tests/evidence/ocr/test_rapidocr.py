import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import mrharm.synthetic
from mrharm.errors import ModelUnavailableError
from mrharm.evidence.ocr.rapidocr import RapidOcr
from mrharm.images import decode
from mrharm.records import TextBox


@pytest.fixture(scope="module")
def ocr() -> RapidOcr:
    return RapidOcr()


def photo(size: tuple[int, int] = (420, 320)) -> Image.Image:
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray(
        np.stack([60 + columns / 5, 100 + rows / 4, 150 - columns / 6], axis=-1).astype(np.uint8)
    )


def meme() -> Image.Image:
    """Words above and below, outlined, as memes have them."""
    picture = photo()
    draw = ImageDraw.Draw(picture)
    for y, text in ((14, "YOU SMELL"), (262, "LIKE 10 KETTLES")):
        draw.text((20, y), text, fill="white", font_size=40, stroke_width=3, stroke_fill="black")
    return picture


def words(boxes: tuple[TextBox, ...]) -> str:
    return " ".join(box.text for box in boxes)


def test_words_are_read_top_to_bottom_with_a_box_each(ocr: RapidOcr) -> None:
    boxes = ocr.read(meme())
    assert [box.text for box in boxes] == ["YOU SMELL", "LIKE 10 KETTLES"]
    assert [word.text for word in boxes[1].words] == ["LIKE", "10", "KETTLES"]
    lefts = [word.polygon[0][0] for word in boxes[1].words]
    assert lefts == sorted(lefts)
    assert all(box.confidence > 0.85 for box in boxes)


@pytest.mark.parametrize("container", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_the_same_meme_in_another_container_gives_the_same_text(ocr: RapidOcr, container: str) -> None:
    buffer = io.BytesIO()
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(container, {})
    meme().save(buffer, container, **options)
    assert words(ocr.read(decode(buffer.getvalue()))) == "YOU SMELL LIKE 10 KETTLES"


@pytest.mark.parametrize("size", [(420, 320), (1, 1), (3, 2000), (2000, 3), (30, 30)])
def test_a_picture_without_words_gives_none_whatever_its_shape(ocr: RapidOcr, size: tuple[int, int]) -> None:
    assert ocr.read(photo(size)) == ()
    assert ocr.read(Image.new("RGB", size, "white")) == ()


def test_noise_is_not_read_as_words(ocr: RapidOcr) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert ocr.read(Image.fromarray(noise)) == ()


def test_boxes_lie_in_the_picture_at_its_own_scale(ocr: RapidOcr) -> None:
    large = meme().resize((1680, 1280))
    for picture in (meme(), large):
        box = ocr.read(picture)[0]
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in box.polygon)
        assert box.polygon[0][1] < picture.height / 4 < picture.height / 2 > box.polygon[3][1]


def test_two_panels_are_read_one_after_the_other(ocr: RapidOcr) -> None:
    sheet = Image.new("RGB", (820, 420), "white")
    draw = ImageDraw.Draw(sheet)
    for x, colour, lines in ((0, "teal", ("you on", "monday")), (415, "maroon", ("you on", "friday"))):
        sheet.paste(colour, (x, 130, x + 405, 420))
        for number, line in enumerate(lines):
            draw.text((x + 90, 15 + 52 * number), line, fill="black", font_size=40)
    assert words(ocr.read(sheet)) == "you on monday you on friday"


@pytest.mark.parametrize("word", ["I", "a", "OK", "10", "no"])
def test_a_word_of_a_letter_or_two_is_kept(ocr: RapidOcr, word: str) -> None:
    picture = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(picture).text((40, 60), word, fill="black", font_size=48)
    assert words(ocr.read(picture)) == word


@pytest.mark.parametrize("degrees", [-20, 12, 90, 180, 270])
def test_turned_text_is_read_along_its_own_lines(ocr: RapidOcr, degrees: int) -> None:
    sheet = Image.new("RGB", (520, 420), "white")
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(("the lazy spoon", "jumps over you", "and sleeps")):
        draw.text((110, 130 + 50 * number), line, fill="black", font_size=38)
    turned = sheet.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    boxes = ocr.read(turned)
    assert words(boxes) == "the lazy spoon jumps over you and sleeps"
    (x0, y0), (x1, y1) = boxes[0].polygon[:2]
    found = np.degrees(np.arctan2(y0 - y1, x1 - x0))  # the upper edge of the text, as seen by its reader
    assert abs((found - degrees + 180) % 360 - 180) < 4


def test_words_of_poster_capitals_stay_apart(ocr: RapidOcr) -> None:
    fonts = Path(mrharm.synthetic.__file__).parent / "fonts"
    picture = photo((640, 300))
    poster = ImageFont.truetype(fonts / "BebasNeue-Bold.otf", 56)
    ImageDraw.Draw(picture).text(
        (30, 20), "BEST DAY AT THE EXIT", "white", poster, stroke_width=4, stroke_fill="black"
    )
    assert words(ocr.read(picture)) == "BEST DAY AT THE EXIT"


def test_its_version_names_its_models_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {RapidOcr().version}
    for setting, value in (
        ("rapidocr.DETECTOR", "x"),
        ("ctc_decoding.SPACE", 0.5),
        ("reading_order.SURE", 0.5),
    ):
        monkeypatch.setattr(f"mrharm.evidence.ocr.{setting}", value)
        versions.add(RapidOcr().version)
    assert len(versions) == 4


def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    RapidOcr().read(meme())
    assert capfd.readouterr() == ("", "")


def test_another_release_of_the_models_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrharm.evidence.ocr.rapidocr.DETECTOR", "PP-OCRv9_det_small")
    with pytest.raises(ModelUnavailableError, match=r"does not bring PP-OCRv9_det_small.*constraints\.txt"):
        RapidOcr().read(meme())
