"""Which pixels of a picture are letters: inside the boxes that OCR drew, told by their colours.

On paper (a caption bar, a tweet) the letters are what differs from it. On a picture, colours are clustered and those
that fill the middle of a line but not its rim are the letters', their outlines included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.records import Polygon, TextBox

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FLAT = 8  # levels a channel may differ from a paper's colour and still be paper
# (share of a line's rim, share of its whole) in one colour from which it lies on paper.
PAPER = ((0.85, 0.40), (0.40, 0.65))
COLOURS, SAMPLED = 10, 3000  # clusters of a line on a picture; pixels they are found from
SURE, LIKELY = 0.75, 0.52  # share of a colour's pixels that lie inside rather than on the rim
RIM, OUTER = 0.10, 0.05  # of a line's height: how far its rim reaches in and out of the box
REACH, GROWN = (
    0.08,
    0.12,
)  # of the height: from sure to likely pixels; how far a letter may stick out of its box
ON_PAPER, ON_PICTURE = 0.12, 1  # how far the mask is grown: of the height; pixels, where every one is a loss
FEWEST = 30  # pixels of a box that can be looked into


@dataclass(frozen=True)
class Line:
    """The letters of one line: the corner of the part looked at, the mask there, and whether it lies on paper.

    ``paper`` marks the pixels that show nothing but paper, for filling the letters from.
    """

    left: int
    top: int
    mask: Mask
    paper: Mask | None


def glyph_mask(image: Image.Image, boxes: Sequence[TextBox]) -> NDArray[np.uint8]:
    """255 where a letter of one of the boxes is, 0 elsewhere. *Shape:* (height, width)"""
    pixels = np.asarray(image.convert("RGB"))
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for line in find_lines(pixels, boxes):
        height, width = line.mask.shape
        part = mask[line.top : line.top + height, line.left : line.left + width]
        part[line.mask] = 255
    return mask


def find_lines(pixels: Pixels, boxes: Sequence[TextBox]) -> list[Line]:
    """The letters of every box that lies in the picture. ``pixels``: (height, width, 3) RGB."""
    everywhere = np.zeros(pixels.shape[:2], np.uint8)
    for box in boxes:
        _fill(everywhere, box.polygon)
    lines = []
    for box in boxes:
        height = _line_height(box.polygon)
        corners = np.array(box.polygon, np.float32)
        reach = height / 2 + 3
        left, top = np.maximum(0, np.floor(corners.min(axis=0) - reach)).astype(int).tolist()
        right, bottom = np.ceil(corners.max(axis=0) + reach).astype(int).tolist()
        part = pixels[top:bottom, left:right]
        if part.size == 0:
            continue
        inside = np.zeros(part.shape[:2], np.uint8)
        _fill(inside, box.polygon, (left, top))
        others = (everywhere[top:bottom, left:right] > 0) & (inside == 0)
        if int((inside > 0).sum()) < FEWEST:
            lines.append(Line(left, top, inside > 0, None))
            continue
        lines.append(_look(part, inside, others, height, left, top))
    return lines


def _look(part: Pixels, inside: Pixels, others: Mask, height: float, left: int, top: int) -> Line:
    within = inside > 0
    core = _eroded(inside, max(1.0, RIM * height)) > 0
    rim = within & ~core
    colour = _commonest(part[rim] if rim.any() else part[within])
    distance = np.abs(part.astype(np.int16) - colour).max(axis=2)
    same = distance <= FLAT
    on_rim, on_all = (float(same[where].mean()) if where.any() else 0.0 for where in (rim, within))
    if any(on_rim >= least and on_all >= least_of_all for least, least_of_all in PAPER):
        return _on_paper(~same, inside, height, left, top)
    return _on_picture(part, inside, core, others, height, left, top)


def _on_paper(differs: Mask, inside: Pixels, height: float, left: int, top: int) -> Line:
    """Whatever differs from the paper and lies in the box for the most part."""
    import cv2

    letters, kept = _mostly_inside(differs, inside > 0, connectivity=8)
    letters &= _dilated(inside, GROWN * height) > 0
    closed = cv2.morphologyEx(letters.astype(np.uint8), cv2.MORPH_CLOSE, _disc(max(1.0, 0.05 * height)))
    mask = _dilated(closed, max(2.0, ON_PAPER * height)) > 0
    mask &= ~(differs & ~kept)  # a drawing that the line touches stays
    return Line(left, top, mask, ~differs & ~mask)


def _on_picture(
    part: Pixels, inside: Pixels, core: Mask, others: Mask, height: float, left: int, top: int
) -> Line:
    within = inside > 0
    rim = (_dilated(inside, max(1.0, OUTER * height)) > 0) & ~core & ~others
    seen = part[within].astype(np.float32)
    centres = _clusters(seen[:: max(1, len(seen) // SAMPLED)])
    nearest = _assigned(part.reshape(-1, 3).astype(np.float32), centres).reshape(within.shape)
    count = len(centres)
    share_in = np.bincount(nearest[within], minlength=count) / max(1, int(within.sum()))
    share_rim = np.bincount(nearest[rim], minlength=count) / max(1, int(rim.sum()))
    belongs = share_in / (share_in + share_rim + 1e-9)
    # The most inward colour is a letter's, however unsure.
    sure = (belongs > min(SURE, float(belongs.max()) - 1e-6))[nearest]
    likely = (belongs > LIKELY)[nearest]
    near = _dilated((sure & within).astype(np.uint8), max(2.0, REACH * height)) > 0
    letters = (sure & within) | (likely & near & within)
    outside, _ = _mostly_inside(sure | likely, within, connectivity=4)
    letters |= outside & near & (_dilated(inside, GROWN * height) > 0)
    return Line(left, top, _dilated(letters.astype(np.uint8), ON_PICTURE) > 0, None)


def _mostly_inside(where: Mask, within: Mask, *, connectivity: int) -> tuple[Mask, Mask]:
    """The connected pieces that lie in the box by half or more; and the same as a mask to keep."""
    import cv2

    count, pieces = cv2.connectedComponents(where.astype(np.uint8), connectivity=connectivity)
    inner = np.bincount(pieces[within], minlength=count)
    whole = np.bincount(pieces.ravel(), minlength=count)
    kept = inner >= 0.5 * whole
    kept[0] = False
    mask: Mask = kept[pieces]
    return mask.copy(), mask


def _commonest(colours: Pixels) -> NDArray[np.int16]:
    """The commonest colour, to a level: the median of its neighbourhood."""
    coarse = (colours >> 4).astype(np.int32) @ np.array([256, 16, 1])
    commonest = colours[coarse == np.bincount(coarse, minlength=4096).argmax()]
    middle = np.median(commonest, axis=0)
    close = colours[np.abs(colours.astype(np.int16) - middle).max(axis=1) <= 24]
    return np.asarray(np.median(close if len(close) else commonest, axis=0), np.int16)


def _clusters(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cluster centres, the same every time: k-means begun from equal shares of the brightness."""
    import cv2

    if len(colours) <= COLOURS:
        return colours
    brightness = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    rank = np.argsort(np.argsort(brightness, kind="stable"), kind="stable")
    labels = np.minimum(rank * COLOURS // len(colours), COLOURS - 1).astype(np.int32)[:, None]
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, _, centres = cv2.kmeans(colours, COLOURS, labels, stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return np.asarray(centres, np.float32)


def _assigned(colours: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    distances = (centres**2).sum(axis=1)[None] - 2 * colours @ centres.T
    return np.asarray(distances.argmin(axis=1), np.int64)


def _fill(mask: Pixels, polygon: Polygon, corner: tuple[int, int] = (0, 0)) -> None:
    import cv2

    cv2.fillPoly(mask, [np.round(np.array(polygon) - corner).astype(np.int32)], 255)


def _line_height(polygon: Polygon) -> float:
    corners = np.array(polygon)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return float(min(sides[0] + sides[2], sides[1] + sides[3]) / 2)


def _disc(radius: float) -> Pixels:
    import cv2

    side = 2 * max(0, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _dilated(mask: Pixels, radius: float) -> Pixels:
    import cv2

    return np.asarray(cv2.dilate(mask, _disc(radius)), np.uint8)


def _eroded(mask: Pixels, radius: float) -> Pixels:
    import cv2

    return np.asarray(cv2.erode(mask, _disc(radius)), np.uint8)
