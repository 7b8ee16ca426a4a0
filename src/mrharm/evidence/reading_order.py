"""From boxes as they were found to lines as they are read: noise dropped, blocks ordered, pieces of a line joined.

Lines that stand close below one another are a block: a caption, a bubble, a paragraph. Blocks are read row by row and
from left to right, each to its end, so that panels side by side are not read across. Everything is measured along the
text, so that it may be aslant. The result never depends on the order in which the boxes come.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mrharm.records import Point, Polygon, TextBox

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


def lines_of(boxes: Sequence[TextBox], size: tuple[int, int]) -> tuple[TextBox, ...]:
    """Boxes found in a picture of ``size`` (width, height) pixels -> lines of text in reading order."""
    return join_pieces(in_reading_order(without_noise(boxes, size)))


def without_noise(boxes: Sequence[TextBox], size: tuple[int, int]) -> tuple[TextBox, ...]:
    """The boxes that hold text and not texture: by confidence; texts of a letter or two must be sure and not huge."""
    return tuple(box for box in boxes if _is_text(box, min(size)))


def in_reading_order(boxes: Sequence[TextBox]) -> tuple[TextBox, ...]:
    """The same boxes, each once, as they are read: block after block, in each line after line."""
    known = sorted(boxes, key=lambda box: (box.polygon, box.text, box.confidence, box.model_dump_json()))
    angle = _angle(known)
    return tuple(box for block in _ordered(_blocks(known), angle) for box in _rows(block))


def join_pieces(boxes: Sequence[TextBox]) -> tuple[TextBox, ...]:
    """Boxes in reading order -> lines: neighbours that stand in one line, close together, become one box."""
    lines: list[list[TextBox]] = []
    for box in boxes:
        if lines and _follows(lines[-1][-1], box):
            lines[-1].append(box)
        else:
            lines.append([box])
    return tuple(_joined(line) if len(line) > 1 else line[0] for line in lines)


def _is_text(box: TextBox, side: int) -> bool:
    letters = [letter for letter in box.text.casefold() if letter.isalnum()]
    repeated = len(letters) > 1 and len(set(letters)) == 1
    few = len(letters) < 3 or (len(letters) == 3 and all(map(_is_ideograph, letters)))
    if few and letters and not repeated and _height(box) > LARGEST_OF_FEW * side:
        return False
    if (few or repeated) and box.text not in SHORTEST_WORDS:
        return box.confidence >= SURE_OF_FEW
    return box.confidence >= (SURE if len(letters) > 4 else SURE_OF_SHORT)


def _is_ideograph(letter: str) -> bool:
    return unicodedata.category(letter) == "Lo"


def _blocks(boxes: list[TextBox]) -> list[list[TextBox]]:
    """Boxes that belong together, directly or through others."""
    middles = [(sum(x for x, _ in box.polygon) / 4, sum(y for _, y in box.polygon) / 4) for box in boxes]
    reaches = [_length(box) / 2 + 2 * _height(box) for box in boxes]
    block_of = list(range(len(boxes)))
    for first, one in enumerate(boxes):
        for second in range(first):
            # Most pairs of a long page lie far apart, and that is quickly seen.
            near = math.dist(middles[first], middles[second]) <= reaches[first] + reaches[second]
            if near and block_of[first] != block_of[second] and _belong_together(one, boxes[second]):
                old, new = block_of[first], block_of[second]
                block_of = [new if block == old else block for block in block_of]
    blocks: dict[int, list[TextBox]] = {}
    for box, block in zip(boxes, block_of, strict=True):
        blocks.setdefault(block, []).append(box)
    return list(blocks.values())


def _belong_together(one: TextBox, other: TextBox) -> bool:
    if not _alike(one, other):
        return False
    a, b = _extents(one, other)
    line = min(a.line, b.line)
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    if down > 0.6 * line:
        return -across < BESIDE * line
    return -down < BELOW * line and across > 0.3 * min(a.right - a.left, b.right - b.left)


def _follows(one: TextBox, other: TextBox) -> bool:
    if not _alike(one, other):
        return False
    a, b = _extents(one, other)
    line = min(a.line, b.line)
    gap = b.left - a.right
    return min(a.bottom, b.bottom) - max(a.top, b.top) > 0.6 * line and -0.6 * line < gap < BESIDE * line


def _alike(one: TextBox, other: TextBox) -> bool:
    """Letters of about one size, turned alike as far as is known."""
    heights = _height(one), _height(other)
    if max(heights) > 1.8 * min(heights):
        return False
    turn = abs(_turn(one) - _turn(other))
    most = 12 if _stretched(one) and _stretched(other) else 50
    return min(turn, 2 * math.pi - turn) < math.radians(most)


def _rows(block: list[TextBox]) -> list[TextBox]:
    """A block's boxes line by line, from left to right in each."""
    angle = _angle(block)
    extents = sorted(
        ((_extent(box, angle), index) for index, box in enumerate(block)), key=lambda one: _middle(one[0])
    )
    rows: list[list[tuple[_Extent, int]]] = []
    for one in extents:
        last = rows[-1][-1][0] if rows else None
        if last and _middle(one[0]) - _middle(last) < 0.5 * min(one[0].line, last.line):
            rows[-1].append(one)
        else:
            rows.append([one])
    return [block[index] for row in rows for _, index in sorted(row, key=lambda one: (one[0].left, one[1]))]


_Placed = tuple[_Extent, list[TextBox]]


def _ordered(blocks: list[list[TextBox]], angle: float) -> list[list[TextBox]]:
    """Blocks as they are read (recursive XY cut): bands from top to bottom, in each columns from left to right."""
    ordered: list[list[TextBox]] = []
    waiting = [[(_around([_extent(box, angle) for box in block]), block) for block in blocks]]
    while waiting:
        pairs = waiting.pop()
        parts = _parts(pairs, _top, _bottom)
        if len(parts) < 2:
            parts = _parts(pairs, _left, _right)
        if len(parts) > 1:
            waiting += reversed(parts)
        elif pairs:
            # One block, or no straight cut between them: the upper left one, then the rest.
            first = min(
                range(len(pairs)), key=lambda index: (pairs[index][0].top + pairs[index][0].left, index)
            )
            ordered.append(pairs.pop(first)[1])
            waiting.append(pairs)
    return ordered


def _parts(
    pairs: list[_Placed], start: Callable[[_Extent], float], end: Callable[[_Extent], float]
) -> list[list[_Placed]]:
    """Parts that a straight cut tells apart, in order."""
    ranked = sorted(range(len(pairs)), key=lambda index: (start(pairs[index][0]), index))
    parts: list[list[_Placed]] = []
    reach = -math.inf
    for index in ranked:
        if start(pairs[index][0]) >= reach:
            parts.append([])
        parts[-1].append(pairs[index])
        reach = max(reach, end(pairs[index][0]))
    return parts


# Found boxes are larger than the letters: a fifth of a line is taken off each side before anything is cut.
def _top(extent: _Extent) -> float:
    return extent.top + 0.2 * extent.line


def _bottom(extent: _Extent) -> float:
    return extent.bottom - 0.2 * extent.line


def _left(extent: _Extent) -> float:
    return extent.left + min(0.2 * extent.line, 0.4 * (extent.right - extent.left))


def _right(extent: _Extent) -> float:
    return extent.right - min(0.2 * extent.line, 0.4 * (extent.right - extent.left))


def _joined(line: list[TextBox]) -> TextBox:
    angle = _angle(line)
    around = _around([_extent(box, angle) for box in line])
    corners = ((around.left, around.top), (around.right, around.top), (around.right, around.bottom),
               (around.left, around.bottom))  # fmt: skip
    first, second, third, fourth = (_turned(corner, angle) for corner in corners)
    weights = [max(1, len(box.text)) for box in line]
    confidence = sum(box.confidence * weight for box, weight in zip(line, weights, strict=True)) / sum(
        weights
    )
    return TextBox(
        polygon=(first, second, third, fourth),
        text=" ".join(box.text for box in line),
        confidence=min(1.0, confidence),
        words=tuple(word for box in line for word in box.words),
    )


def _around(extents: list[_Extent]) -> _Extent:
    return _Extent(
        min(one.left for one in extents), min(one.top for one in extents),
        max(one.right for one in extents), max(one.bottom for one in extents),
        min(one.line for one in extents),
    )  # fmt: skip


def _extents(one: TextBox, other: TextBox) -> tuple[_Extent, _Extent]:
    angle = _angle([one, other])
    return _extent(one, angle), _extent(other, angle)


def _extent(box: TextBox, angle: float) -> _Extent:
    across, down = zip(*(_turned(point, -angle) for point in box.polygon), strict=True)
    return _Extent(min(across), min(down), max(across), max(down), _height(box))


def _turned(point: Point, angle: float) -> Point:
    cos, sin = math.cos(angle), math.sin(angle)
    return (point[0] * cos - point[1] * sin, point[0] * sin + point[1] * cos)


def _angle(boxes: Sequence[TextBox]) -> float:
    """How the text is turned, in radians: the median of the boxes long enough to tell, weighted by length."""
    turns = sorted((_turn(box), _length(box)) for box in boxes if _stretched(box))
    half, passed = sum(length for _, length in turns) / 2, 0.0
    for turn, length in turns:
        passed += length
        if passed >= half:
            return turn
    # Boxes of a word or two tell no more than which side is up.
    quarter = math.pi / 2
    return round(_turn(max(boxes, key=_length)) / quarter) * quarter if boxes else 0.0


def _turn(box: TextBox) -> float:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box.polygon
    return math.atan2(y1 - y0 + y2 - y3, x1 - x0 + x2 - x3)


def _length(box: TextBox) -> float:
    return _between(box.polygon, 0, 1, 3, 2)


def _height(box: TextBox) -> float:
    return max(_between(box.polygon, 0, 3, 1, 2), 1e-6)


def _stretched(box: TextBox) -> bool:
    return _length(box) >= STRETCHED * _height(box)


def _between(polygon: Polygon, *ends: int) -> float:
    """The mean length of two opposite sides."""
    a, b, c, d = (polygon[end] for end in ends)
    return (math.dist(a, b) + math.dist(c, d)) / 2


def _middle(extent: _Extent) -> float:
    return (extent.top + extent.bottom) / 2
