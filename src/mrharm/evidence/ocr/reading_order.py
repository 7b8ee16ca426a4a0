"""Turn detected boxes into lines in reading order: noise dropped, blocks ordered, pieces of a line joined.

A block is lines close below one another: a caption, a bubble, a paragraph; it is read to its end, so that panels side
by side are not read across. All is measured along the text, which may be aslant, and no order of the boxes matters.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from mrharm.records import Point, TextBox

# Chosen on drawn memes of seeds 11 and 13 (docs/log.md): the mean probability of the letters is 0.93 or more where
# there is text, and below 0.8 on 94 % of the texture that is taken for it; the rest are few or repeated letters.
SURE = 0.8  # of a text of five letters or more
SURE_OF_SHORT = 0.9  # of three or four
SURE_OF_FEW = 0.97  # of one or two, or of one letter repeated
SHORTEST_WORDS = ("I", "a")  # hardly ever seen in texture, unlike X, C, A, O and 8: as three or four
LARGEST_OF_FEW = 0.4  # height of a text of one or two letters, as a share of the picture's shorter side
# In heights of the lower of two lines:
BELOW = 1.0  # at most so far below a line the next one of its block begins
BESIDE = 0.4  # at most so far after a piece of a line its next piece begins; captions of panels are 0.6 apart or more
STRETCHED = 2.5  # a box this many times as long as high says how the text is turned; a shorter one does not


@dataclass(frozen=True)
class _Extent:
    """A box along axes that are turned with the text; ``line`` is the height of one line."""

    left: float
    top: float
    right: float
    bottom: float
    line: float

    @property
    def middle(self) -> float:
        """Return the height of its middle."""
        return (self.top + self.bottom) / 2


def lines_of(boxes: Sequence[TextBox], size: tuple[int, int]) -> tuple[TextBox, ...]:
    """Return the lines of text, in reading order, of boxes in a picture of ``size`` (width, height) pixels."""
    return join_pieces(in_reading_order(without_noise(boxes, size)))


def without_noise(boxes: Sequence[TextBox], size: tuple[int, int]) -> tuple[TextBox, ...]:
    """Return the boxes that hold text and not texture, by confidence; short texts must be sure and not huge."""
    return tuple(box for box in boxes if _is_text(box, min(size)))


def in_reading_order(boxes: Sequence[TextBox]) -> tuple[TextBox, ...]:
    """Return the boxes in reading order: block after block, in each line after line."""
    ranked = sorted(boxes, key=lambda box: (box.polygon, box.text, box.confidence, box.model_dump_json()))
    angle = _median_turn(ranked)
    return tuple(box for block in _order_blocks(_find_blocks(ranked), angle) for box in _order_rows(block))


def join_pieces(boxes: Sequence[TextBox]) -> tuple[TextBox, ...]:
    """Join boxes in reading order into lines: neighbours in one line, close to each other, become one box."""
    lines: list[list[TextBox]] = []
    for box in boxes:
        if not lines or not _continues(lines[-1][-1], box):
            lines.append([])
        lines[-1].append(box)
    return tuple(_join_line(line) if len(line) > 1 else line[0] for line in lines)


def _is_text(box: TextBox, side: int) -> bool:
    letters = [letter for letter in box.text.casefold() if letter.isalnum()]
    repeated = len(letters) > 1 and len(set(letters)) == 1
    ideographs = all(unicodedata.category(letter) == "Lo" for letter in letters)
    few = len(letters) < 3 or (len(letters) == 3 and ideographs)
    if few and letters and not repeated and _height(box) > LARGEST_OF_FEW * side:
        return False
    if (few or repeated) and box.text not in SHORTEST_WORDS:
        return box.confidence >= SURE_OF_FEW
    return box.confidence >= (SURE if len(letters) > 4 else SURE_OF_SHORT)


def _find_blocks(boxes: list[TextBox]) -> list[list[TextBox]]:
    """Group boxes into blocks: those that are in one block directly or through others."""
    middles = [(sum(x for x, _ in box.polygon) / 4, sum(y for _, y in box.polygon) / 4) for box in boxes]
    reaches = [_length(box) / 2 + 2 * _height(box) for box in boxes]
    block_of = list(range(len(boxes)))
    for first, box in enumerate(boxes):
        for second in range(first):
            # Most pairs of a long page are far apart, which is quick to test.
            near = math.dist(middles[first], middles[second]) <= reaches[first] + reaches[second]
            if near and block_of[first] != block_of[second] and _in_one_block(box, boxes[second]):
                old, new = block_of[first], block_of[second]
                block_of = [new if block == old else block for block in block_of]
    blocks: dict[int, list[TextBox]] = {}
    for box, block in zip(boxes, block_of, strict=True):
        blocks.setdefault(block, []).append(box)
    return list(blocks.values())


def _in_one_block(first: TextBox, second: TextBox) -> bool:
    if not _are_alike(first, second):
        return False
    a, b = _extents(first, second)
    line = min(a.line, b.line)
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    if down > 0.6 * line:  # in one row
        return -across < BESIDE * line
    return -down < BELOW * line and across > 0.3 * min(a.right - a.left, b.right - b.left)


def _continues(first: TextBox, second: TextBox) -> bool:
    """Tell whether the second box goes on with the line of the first, right behind it."""
    a, b = _extents(first, second)
    line = min(a.line, b.line)
    in_one_row = min(a.bottom, b.bottom) - max(a.top, b.top) > 0.6 * line
    return in_one_row and -0.6 * line < b.left - a.right < BESIDE * line and _are_alike(first, second)


def _are_alike(first: TextBox, second: TextBox) -> bool:
    """Tell whether letters have about one size and, as far as the boxes' shapes say, one direction."""
    heights = _height(first), _height(second)
    if max(heights) > 1.8 * min(heights):
        return False
    turn = abs(_turn(first) - _turn(second))
    most = 12 if _is_stretched(first) and _is_stretched(second) else 50
    return min(turn, 2 * math.pi - turn) < math.radians(most)


def _order_rows(block: list[TextBox]) -> list[TextBox]:
    """Return a block's boxes line by line, from left to right in each."""
    rows: list[list[tuple[_Extent, TextBox]]] = []
    for extent, box in sorted(zip(_extents(*block), block, strict=True), key=lambda pair: pair[0].middle):
        last = rows[-1][-1][0] if rows else None
        if last is None or extent.middle - last.middle >= 0.5 * min(extent.line, last.line):
            rows.append([])
        rows[-1].append((extent, box))
    return [box for row in rows for _, box in sorted(row, key=lambda pair: pair[0].left)]


_Placed = tuple[_Extent, list[TextBox]]


def _order_blocks(blocks: list[list[TextBox]], angle: float) -> list[list[TextBox]]:
    """Order blocks by recursive XY cuts: bands from top to bottom, in each columns from left to right."""
    ordered: list[list[TextBox]] = []
    waiting = [[(_around([_extent(box, angle) for box in block]), block) for block in blocks]]
    while waiting:
        pairs = waiting.pop()
        parts = _cut_parts(pairs, _vertical_span)
        if len(parts) < 2:
            parts = _cut_parts(pairs, _horizontal_span)
        if len(parts) > 1:
            waiting += reversed(parts)
        elif pairs:
            # One block, or no straight cut between them: the upper left one, then the rest.
            first = min(range(len(pairs)), key=lambda index: pairs[index][0].top + pairs[index][0].left)
            ordered.append(pairs.pop(first)[1])
            waiting.append(pairs)
    return ordered


def _cut_parts(pairs: list[_Placed], span: Callable[[_Extent], tuple[float, float]]) -> list[list[_Placed]]:
    """Split blocks wherever a straight cut is possible, in order."""
    parts: list[list[_Placed]] = []
    reach = -math.inf
    for extent, block in sorted(pairs, key=lambda pair: span(pair[0])[0]):
        start, end = span(extent)
        if start >= reach:
            parts.append([])
        parts[-1].append((extent, block))
        reach = max(reach, end)
    return parts


# Detected boxes are larger than the letters: before a cut, a fifth of a line is removed from each side.
def _vertical_span(extent: _Extent) -> tuple[float, float]:
    return extent.top + 0.2 * extent.line, extent.bottom - 0.2 * extent.line


def _horizontal_span(extent: _Extent) -> tuple[float, float]:
    margin = min(0.2 * extent.line, 0.4 * (extent.right - extent.left))
    return extent.left + margin, extent.right - margin


def _join_line(line: list[TextBox]) -> TextBox:
    angle, around = _median_turn(line), _around(_extents(*line))
    corners = product((around.left, around.right), (around.top, around.bottom))
    first, fourth, second, third = (_rotate(corner, angle) for corner in corners)
    weights = [max(1, len(box.text)) for box in line]
    confidence = sum(box.confidence * weight for box, weight in zip(line, weights, strict=True))
    return TextBox(
        polygon=(first, second, third, fourth),
        text=" ".join(box.text for box in line),
        confidence=min(1.0, confidence / sum(weights)),
        words=tuple(word for box in line for word in box.words),
    )


def _around(extents: list[_Extent]) -> _Extent:
    """Return the smallest extent round all of them."""
    return _Extent(
        min(extent.left for extent in extents), min(extent.top for extent in extents),
        max(extent.right for extent in extents), max(extent.bottom for extent in extents),
        min(extent.line for extent in extents),
    )  # fmt: skip


def _extents(*boxes: TextBox) -> list[_Extent]:
    """Return the extents of boxes along the same axes, turned as their text is."""
    angle = _median_turn(boxes)
    return [_extent(box, angle) for box in boxes]


def _extent(box: TextBox, angle: float) -> _Extent:
    across, down = zip(*(_rotate(point, -angle) for point in box.polygon), strict=True)
    return _Extent(min(across), min(down), max(across), max(down), _height(box))


def _rotate(point: Point, angle: float) -> Point:
    cos, sin = math.cos(angle), math.sin(angle)
    return (point[0] * cos - point[1] * sin, point[0] * sin + point[1] * cos)


def _median_turn(boxes: Sequence[TextBox]) -> float:
    """Return how the text is turned, in radians: the median of stretched boxes, weighted by length."""
    turns = sorted((_turn(box), _length(box)) for box in boxes if _is_stretched(box))
    half, passed = sum(length for _, length in turns) / 2, 0.0
    for turn, length in turns:
        passed += length
        if passed >= half:
            return turn
    # Boxes of a word or two show only which side is up.
    quarter = math.pi / 2
    return round(_turn(max(boxes, key=_length)) / quarter) * quarter if boxes else 0.0


def _turn(box: TextBox) -> float:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box.polygon
    return math.atan2(y1 - y0 + y2 - y3, x1 - x0 + x2 - x3)


def _length(box: TextBox) -> float:
    a, b, c, d = box.polygon
    return (math.dist(a, b) + math.dist(d, c)) / 2


def _height(box: TextBox) -> float:
    a, b, c, d = box.polygon
    return max((math.dist(a, d) + math.dist(b, c)) / 2, 1e-6)


def _is_stretched(box: TextBox) -> bool:
    return _length(box) >= STRETCHED * _height(box)
