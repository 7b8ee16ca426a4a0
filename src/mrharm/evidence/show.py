"""Draw a sheet of one meme's evidence: as posted, its lines of text, its glyphs, and the picture without them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from mrharm.errors import InputError
from mrharm.evidence.inpainting.glyph_masks import glyph_mask
from mrharm.evidence.picture_evidence import Engines, EvidencePipeline
from mrharm.images import decode, encode_png, read_image_bytes
from mrharm.memes.dataset import Dataset
from mrharm.records import Evidence, Meme
from mrharm.store import write_bytes

TITLES = ("as posted", "lines of text", "glyphs", "without them")
_LARGEST = 900  # pixels a side of each of the four pictures
_MARGIN, _TITLE = 8, 18
_INK = "#e01b5a"


def draw_sheet(dataset: Dataset, meme: Meme, engines: Engines, path: Path) -> Evidence:
    """Extract one meme's evidence, write the sheet as PNG, and return the evidence it shows.

    Raises:
        InputError: the meme has no picture.
        ImageError: the picture is missing or broken.
    """
    picture = dataset.image_path(meme)
    if picture is None:
        raise InputError(f"{meme.id}: has no picture to show")
    data, name = read_image_bytes(picture), str(meme.image)
    posted = decode(data, name)
    evidence, clean = EvidencePipeline(engines).extract(meme, data, name, dataset.evidence.get(meme.id))
    glyphs = posted.convert("L").convert("RGB")
    glyphs.paste(_INK, mask=Image.fromarray(glyph_mask(posted, evidence.boxes)))
    pictures = [posted, _with_boxes(posted, evidence), glyphs, clean or posted]
    write_bytes(path, encode_png(_sheet(pictures)))
    return evidence


def _with_boxes(posted: Image.Image, evidence: Evidence) -> Image.Image:
    picture = posted.copy()
    draw = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 300))
    for number, box in enumerate(evidence.boxes, 1):
        for word in box.words:
            draw.polygon(word.polygon, outline="#2f7de1")
        draw.polygon(box.polygon, outline=_INK, width=width)
        x, y = box.polygon[0]
        label = str(number)
        left, top, right, bottom = draw.textbbox((x, y), label, font_size=14)
        draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=_INK)
        draw.text((x, y), label, fill="white", font_size=14)
    return picture


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    scale = min(1.0, _LARGEST / max(pictures[0].size))
    width, height = (max(1, round(side * scale)) for side in pictures[0].size)
    cell = (width + _MARGIN, height + _MARGIN + _TITLE)
    sheet = Image.new("RGB", (2 * cell[0] + _MARGIN, 2 * cell[1] + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (picture, title) in enumerate(zip(pictures, TITLES, strict=True)):
        x, y = _MARGIN + number % 2 * cell[0], _MARGIN + number // 2 * cell[1]
        draw.text((x, y), title, fill="black", font_size=13)
        sheet.paste(picture.resize((width, height)), (x, y + _TITLE))
    return sheet
