"""Find the pixels of a picture that are letters, inside the boxes of the OCR engine, by their colours.

On paper (a caption bar, a tweet) the letters are what differs from it. On a picture, colours are clustered and those
that fill the middle of a line but not its rim are the letters', their outlines included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.records import TextBox

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Letters are looked for in at most about so many pixels; a larger picture is made smaller first. It bounds the time.
MOST_PIXELS = 1_500_000
FLAT = 8  # levels a channel may differ from a paper's colour and still be paper
# (share of a line's rim, share of its whole) in one colour from which it lies on paper: a wide bar, a narrow label.
PAPER = ((0.9, 0.4), (0.3, 0.6))
COLOURS, SAMPLED = 8, 3000  # clusters of a line on a picture; about how many pixels they are found from
# Share of a colour that lies inside and not on the rim, from which it is a letter's.
SURE, LIKELY = 0.75, 0.52
RIM, OUTER = 0.10, 0.05  # of a line's height: how far its rim reaches in and out of the box
REACH = 0.08  # of the height: from sure to likely pixels
# Of the height: how far letters on paper stick out of their box; how far in none is a drawing.
GROWN, CORE = 0.12, 0.15
ON_PAPER, ON_PICTURE = 0.12, 1  # how far the mask is grown: of the height; pixels, where every one is a loss
FEWEST = 30  # pixels of a box that can be looked into


@dataclass(frozen=True)
class Line:
    """The letters of one line of so many pixels of height: the corner of the part looked at, and the mask there.

    ``paper`` marks the pixels that show nothing but paper, to fill the letters from; None where they lie on a picture.
    """

    left: int
    top: int
    height: float
    mask: Mask
    paper: Mask | None

    def part(self, pixels: Pixels) -> Pixels:
        """Return the part looked at, as a view."""
        rows, columns = self.mask.shape
        return pixels[self.top : self.top + rows, self.left : self.left + columns]


def glyph_mask(image: Image.Image, boxes: Sequence[TextBox]) -> NDArray[np.uint8]:
    """Return 255 where a letter of one of the boxes is, 0 elsewhere. *Shape:* (height, width)"""
    pixels, shrunk = shrink(image)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for line in find_lines(pixels, boxes, shrunk):
        line.part(mask)[line.mask] = 255
    return enlarge(mask, shrunk, image.size)


def shrink(image: Image.Image) -> tuple[Pixels, int]:
    """Return a picture's pixels, (height, width, 3) RGB, made smaller to about ``MOST_PIXELS``; and how many times."""
    shrunk = math.ceil(math.sqrt(image.width * image.height / MOST_PIXELS))
    rgb = image.convert("RGB")
    return np.array(rgb.reduce(shrunk) if shrunk > 1 else rgb), max(1, shrunk)


def enlarge(mask: Pixels, shrunk: int, size: tuple[int, int]) -> Pixels:
    """Enlarge a mask of the smaller picture to a picture of ``size`` (width, height)."""
    if shrunk == 1:
        return mask
    return mask.repeat(shrunk, axis=0).repeat(shrunk, axis=1)[: size[1], : size[0]]


def find_lines(pixels: Pixels, boxes: Sequence[TextBox], shrunk: int = 1) -> list[Line]:
    """Find the letters of every box that lies in the picture, in the order of the boxes.

    ``pixels``: (height, width, 3) RGB, ``shrunk`` times smaller than the picture that the boxes are of.
    """
    import cv2

    largest = np.array([pixels.shape[1], pixels.shape[0]])
    corners_of_boxes = [np.array(box.polygon, np.float64) / shrunk for box in boxes]
    # Kept within reach of the picture; a box that is nowhere is left out.
    polygons = [
        np.clip(corners, -largest, 2 * largest) for corners in corners_of_boxes if np.isfinite(corners).all()
    ]
    everywhere = np.zeros(pixels.shape[:2], np.uint8)
    for corners in polygons:
        cv2.fillPoly(everywhere, [np.round(corners).astype(np.int32)], 1)
    lines = []
    for corners in polygons:
        sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
        height = float(min(sides[0] + sides[2], sides[1] + sides[3]) / 2)
        reach = height / 2 + 3
        left, top = np.maximum(0, np.floor(corners.min(axis=0) - reach)).astype(int).tolist()
        right, bottom = np.maximum(0, np.ceil(corners.max(axis=0) + reach)).astype(int).tolist()
        part = pixels[top:bottom, left:right]
        if part.size == 0:
            continue
        inside = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.round(corners - (left, top)).astype(np.int32)], 1)
        if int(inside.sum()) < FEWEST:
            lines.append(Line(left, top, height, inside > 0, None))
            continue
        others = (everywhere[top:bottom, left:right] > 0) & (inside == 0)
        mask, paper = _find_letters(part, inside > 0, others, height)
        lines.append(Line(left, top, height, mask, paper))
    return lines


def _find_letters(part: Pixels, inside: Mask, others: Mask, height: float) -> tuple[Mask, Mask | None]:
    # Beyond the picture's edge lies nothing of the box, so that one that fills the picture has a rim, too.
    depth = _distance(np.pad(~inside, 1, constant_values=True))[1:-1, 1:-1]
    beyond = _distance(inside)
    rim = inside & (depth <= max(1.0, RIM * height))
    colour = _commonest(part[rim])
    differs = np.abs(part.astype(np.int16) - colour).max(axis=2) > FLAT
    on_rim, on_all = 1 - float(differs[rim].mean()), 1 - float(differs[inside].mean())
    if any(on_rim >= least and on_all >= least_of_all for least, least_of_all in PAPER):
        return _on_paper(differs, inside, depth, beyond, height)
    rim |= ~inside & ~others & (beyond <= max(1.0, OUTER * height))
    return _on_picture(part, inside, rim, height), None


def _on_paper(
    differs: Mask, inside: Mask, depth: NDArray[np.float32], beyond: NDArray[np.float32], height: float
) -> tuple[Mask, Mask]:
    """Return what differs from the paper, but for drawings beside it that reach into the box; and the paper."""
    import cv2

    count, pieces = cv2.connectedComponents(differs.astype(np.uint8), connectivity=8)
    inner = np.bincount(pieces[inside], minlength=count)
    ours = (inner >= 0.5 * np.bincount(pieces.ravel(), minlength=count))[pieces]
    letters = differs & ((ours & (beyond <= GROWN * height)) | (depth > CORE * height))
    mask = _distance(letters) <= max(2.0, ON_PAPER * height)
    mask &= letters | ours | ~differs
    return mask, ~differs & ~mask


def _on_picture(part: Pixels, inside: Mask, rim: Mask, height: float) -> Mask:
    """Return the pixels in the colours that are commoner inside than on the rim."""
    where = inside | rim
    colours = part[where].astype(np.float32)
    is_inside, is_rim = inside[where], rim[where]
    within = colours[is_inside]
    centres = _clusters(within[:: max(1, len(within) // SAMPLED)])
    nearest = ((centres**2).sum(axis=1)[None] - 2 * colours @ centres.T).argmin(axis=1)
    share_in = np.bincount(nearest[is_inside], minlength=len(centres)) / is_inside.sum()
    share_rim = np.bincount(nearest[is_rim], minlength=len(centres)) / is_rim.sum()
    belongs = share_in / (share_in + share_rim + 1e-9)
    sure, likely = np.zeros_like(inside), np.zeros_like(inside)
    # The most inward colour is a letter's, however unsure.
    sure[where] = (belongs >= min(SURE, float(belongs.max())))[nearest] & is_inside
    likely[where] = (belongs > LIKELY)[nearest] & is_inside
    letters = sure | (likely & (_distance(sure) <= max(2.0, REACH * height)))
    return _distance(letters) <= ON_PICTURE


def _commonest(colours: Pixels) -> NDArray[np.int16]:
    """Return the commonest colour, to a level: the median of its neighbourhood."""
    coarse = (colours >> 4).astype(np.int32) @ np.array([256, 16, 1])
    commonest = colours[coarse == np.bincount(coarse, minlength=4096).argmax()]
    middle = np.median(commonest, axis=0)
    close = colours[np.abs(colours.astype(np.int16) - middle).max(axis=1) <= 24]
    return np.asarray(np.median(close if len(close) else commonest, axis=0), np.int16)


def _clusters(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cluster centres, the same every time: k-means begun from equal shares of the brightness."""
    import cv2

    if len(colours) <= COLOURS:
        return colours
    brightness = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    rank = np.argsort(np.argsort(brightness, kind="stable"), kind="stable")
    labels = np.minimum(rank * COLOURS // len(colours), COLOURS - 1).astype(np.int32)[:, None]
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, _, centres = cv2.kmeans(colours, COLOURS, labels, stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return np.asarray(centres, np.float32)


def _distance(mask: Mask) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest of the mask; at any radius as fast as at one, unlike dilation."""
    import cv2

    if not mask.any():  # OpenCV's answer is then not defined
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
