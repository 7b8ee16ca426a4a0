"""From the detector's map of where text is to boxes around lines (differentiable binarisation, arXiv:1911.08947)."""

from __future__ import annotations

import math
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from mrharm.records import Point, Polygon

# Tried in docs/log.md. rapidocr takes boxes from 0.5 on, and misses short words; noise is told apart later, by reading.
TEXT, LINE = 0.3, 0.4  # least probability of text: of a pixel; of a box, on average
GROWN = 1.6  # the map shows the cores of lines: how much is added, as in the paper
MOST_BOXES = 1000

# Larger pictures find no more, and some lines less; smaller ones lose small letters.
SIDE = 480  # the shorter side is enlarged to this, by at most LARGER
LARGER = 4.0
PIXELS = 1_000_000
STEP = 32  # the network halves its input five times


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """The (width, height) at which a picture is searched, both multiples of ``STEP``; at most about ``PIXELS``."""
    scale = min(max(1.0, SIDE / min(width, height)), LARGER)
    scale = min(scale, math.sqrt(PIXELS / (width * height)))
    # A strip keeps at least one step of height, so its length must be bounded by itself.
    longest = PIXELS // STEP
    return tuple(min(max(STEP, round(side * scale / STEP) * STEP), longest) for side in (width, height))  # type: ignore[return-value]


def find_boxes(probabilities: NDArray[np.float32], width: int, height: int) -> list[Polygon]:
    """Boxes around lines of text, clockwise from the upper left corner, in pixels of a picture of this size.

    ``probabilities``: (rows, columns), that a pixel is text.
    """
    import cv2

    rows, columns = probabilities.shape
    mask = cv2.dilate((probabilities > TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours[:MOST_BOXES]:
        middle, (long, short), angle = cv2.minAreaRect(contour)
        if min(long, short) < 3:
            continue
        if _mean_inside(probabilities, cv2.boxPoints((middle, (long, short), angle))) < LINE:
            continue
        grow = 2 * GROWN * long * short / (2 * (long + short))
        corners = cv2.boxPoints((middle, (long + grow, short + grow), angle))
        corners = corners * np.array([width / columns, height / rows], np.float32)
        boxes.append(_clockwise([(float(x), float(y)) for x, y in corners]))
    return boxes


def _mean_inside(probabilities: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    import cv2

    rows, columns = probabilities.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, [columns - 1, rows - 1])
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, [columns - 1, rows - 1])
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - [left, top]).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[top : bottom + 1, left : right + 1], mask)[0])


def _clockwise(corners: list[Point]) -> Polygon:
    ordered = sorted(corners)
    (top_left, bottom_left), (top_right, bottom_right) = (
        sorted(pair, key=itemgetter(1)) for pair in (ordered[:2], ordered[2:])
    )
    return (top_left, top_right, bottom_right, bottom_left)
