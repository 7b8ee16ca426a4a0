"""Saliency for the eye: heat over the meme, and its words shaded by weight."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mrharm.records import Saliency
from mrharm.student.interface import Frame
from mrharm.texts import sanitise
from mrharm.verdicts.saliency_map import heat

SIDE = 1024  # pixels, at most
_HOT = np.array([255, 96, 0], dtype=np.float64)
_STRONGEST = 0.75  # so that the meme stays to be seen under the hottest patch
_UNSEEN = 0.35
# Full colour is for four times the weight of an even spread: where all patches weigh alike, none looks hot.
_FULL = 4.0
_MARGIN = 8
_NARROWEST = 240


def draw_saliency(image: Image.Image, saliency: Saliency, frame: Frame) -> Image.Image:
    """Draw a meme in grey with its patches in orange, stronger where they weigh more, at most 1,024 pixels a side.

    What was cropped off is darkened. Patches keep their edges: nothing finer was measured. Full colour stands for the
    heaviest patch, or for four times an even share where that is more, so that even weights look even.

    Args:
        image: the upright RGB meme, as `mrharm.images` opens it.
        saliency: of that meme; without patches the meme comes back in grey.
        frame: the square that the patches cover (``detector.frame``).
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    grey = np.asarray(ImageOps.grayscale(small).convert("RGB"), dtype=np.float64)
    if not saliency.patches:
        return Image.fromarray(grey.astype(np.uint8))
    weights = heat(saliency.patches, frame, image.size, small.size)
    full = max(np.max(saliency.patches), _FULL / np.size(saliency.patches))
    strength = (_STRONGEST * np.nan_to_num(weights) / full)[..., None]
    hot = grey * (1 - strength) + _HOT * strength
    drawn = np.where(np.isnan(weights)[..., None], grey * _UNSEEN, hot)
    return Image.fromarray(drawn.round().astype(np.uint8))


def shade_words(saliency: Saliency) -> tuple[tuple[str, float], ...]:
    """Return the words and how strongly to shade each, 0 to 1, on the scale of `draw_saliency`.

    They are text, which a template has to escape; characters that would steer the text around them are left out.
    """
    full = max([_FULL / max(len(saliency.words), 1), *(weight for _, weight in saliency.words)])
    return tuple((sanitise(word), weight / full) for word, weight in saliency.words)


def draw_words(saliency: Saliency, width: int, size: int = 18) -> Image.Image:
    """Draw a strip with the words in black on orange, stronger where they weigh more, wrapped at ``width`` pixels."""
    font = ImageFont.load_default(size)
    line = round(1.6 * size)
    places, x, y = [], _MARGIN, _MARGIN
    for word, strength in shade_words(saliency):
        length = round(font.getlength(word)) + size // 2
        if x > _MARGIN and x + length > width - _MARGIN:
            x, y = _MARGIN, y + line
        places.append((x, y, length, word, strength))
        x += length + size // 4
    strip = Image.new("RGB", (width, y + line + _MARGIN if places else 1), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, length, word, strength in places:
        shade = tuple((255 - (255 - _HOT) * _STRONGEST * strength).round().astype(int).tolist())
        draw.rectangle((x, y, x + length, y + line - 4), fill=shade)
        draw.text((x + size // 4, y + (line - 4) / 2), word, fill="black", font=font, anchor="lm")
    return strip


def draw_meme(image: Image.Image | None, saliency: Saliency, frame: Frame | None) -> Image.Image:
    """Draw the meme with its heat and its words under it; the words alone where no picture is looked at."""
    words = draw_words(saliency, max(_NARROWEST, min(image.width, SIDE) if image else 2 * _NARROWEST))
    if image is None or frame is None:
        return words
    top = draw_saliency(image, saliency, frame)
    sheet = Image.new("RGB", (words.width, top.height + words.height), "white")
    sheet.paste(top, ((words.width - top.width) // 2, 0))
    sheet.paste(words, (0, top.height))
    return sheet
