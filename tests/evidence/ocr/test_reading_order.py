"""Boxes are made by hand: a line of 20 pixels' height unless said otherwise, ten pixels to a letter."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.evidence.ocr.reading_order import in_reading_order, join_pieces, lines_of, without_noise
from mrharm.records import Point, Polygon, TextBox, WordBox

SIZE = (1000, 800)


def box(
    text: str, left: float, top: float, height: float = 20, width: float = 0, sure: float = 0.99
) -> TextBox:
    right, bottom = left + (width or 10 * len(text)), top + height
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return TextBox(polygon=corners, text=text, confidence=sure, words=(WordBox(polygon=corners, text=text),))


def turned(one: TextBox, degrees: float) -> TextBox:
    """The box turned around the middle of the picture."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def move(point: Point) -> Point:
        x, y = point[0] - 500, point[1] - 400
        return (500 + x * cos - y * sin, 400 + x * sin + y * cos)

    a, b, c, d = one.polygon
    corners: Polygon = (move(a), move(b), move(c), move(d))
    return one.model_copy(update={"polygon": corners})


def texts(boxes: tuple[TextBox, ...]) -> list[str]:
    return [one.text for one in boxes]


# (text, left, top, height, width) of each line, in reading order; 20 pixels high and ten to a letter unless said.
MEMES = {
    "captions above and below":
        [("when you open", 300, 20), ("the fridge", 320, 44), ("and it is", 310, 700), ("empty", 340, 724)],
    "a tweet":
        [("Mabel Spoon", 100, 20), ("@mabel_spoon", 100, 46, 17), ("my cat joined the meeting", 30, 100, 28, 600),
         ("and left", 30, 132, 28, 190), ("9:41 PM - 3 Jun 2019", 30, 190, 17)],
    "two panels side by side":
        [("you on a monday", 40, 20), ("morning", 80, 42), ("you after the", 540, 21), ("second coffee", 545, 43)],
    "four panels":
        [("first panel", 100, 330), ("goes on", 120, 352), ("second panel", 600, 331), ("third", 130, 730),
         ("fourth panel", 600, 729), ("ends", 650, 751)],
    "panels whose captions nearly touch":
        [("the spoon society", 10, 20), ("lost it", 60, 42), ("that one pigeon", 192, 21), ("found it", 230, 43)],
    "two bubbles":
        [("did you see", 60, 60), ("my hat?", 80, 83), ("it is on", 500, 260), ("fire", 520, 283)],
    "a picture on the left, words on the right":
        [("sleeping at", 600, 100), ("night", 630, 122), ("sleeping in", 600, 500), ("the meeting", 600, 522)],
}  # fmt: skip


@pytest.mark.parametrize("name", MEMES)
@pytest.mark.parametrize("degrees", [0, -15, 10, 90, 180])
def test_each_kind_of_meme_is_read_as_people_read_it_however_it_is_turned(name: str, degrees: float) -> None:
    whole = [turned(box(*line), degrees) for line in MEMES[name]]
    assert texts(lines_of(whole[::-1], SIZE)) == texts(tuple(whole))


def test_pieces_of_a_line_become_one_line_with_the_words_of_all() -> None:
    pieces = [box("LIKE", 100, 51, sure=0.9), box("YOU SMELL", 5, 50), box("SOUP", 146, 49, height=23)]
    (line,) = lines_of(pieces, SIZE)
    assert line.text == "YOU SMELL LIKE SOUP"
    assert texts(line.words) == ["YOU SMELL", "LIKE", "SOUP"]  # type: ignore[arg-type]
    assert [round(side) for point in line.polygon for side in point] == [5, 49, 186, 49, 186, 72, 5, 72]
    assert 0.9 < line.confidence < 0.99


def test_words_far_apart_in_one_row_stay_two_lines() -> None:
    assert texts(lines_of([box("sleep", 600, 50), box("you", 100, 50)], SIZE)) == ["you", "sleep"]


@pytest.mark.parametrize("word", ["I", "a", "A", "OK", "10", "7", "no"])
def test_a_short_word_read_surely_is_kept(word: str) -> None:
    assert texts(without_noise([box(word, 50, 50, width=22, sure=0.99)], SIZE)) == [word]


NOISE = {
    "unsure": box("0005 ab", 50, 50, sure=0.77),
    "a short word, not quite sure": box("GOO", 50, 50, sure=0.85),
    "a letter, not quite sure": box("X", 50, 50, sure=0.95),
    "a letter as high as the picture": box("8", 50, 50, height=500, width=500, sure=1.0),
    "a letter over and over": box("AAAAAA", 50, 50, sure=0.95),
    "no letters, not quite sure": box("--+", 50, 50, sure=0.9),
    "nothing": box("", 50, 50, width=40, sure=0.0),
}


@pytest.mark.parametrize("name", NOISE)
def test_what_texture_is_taken_for_is_dropped(name: str) -> None:
    real = box("you smell of soup", 300, 300)
    assert without_noise([NOISE[name], real], SIZE) == (real,)


drawn = st.builds(
    box,
    st.text("abcdefgh 10", min_size=1, max_size=20).filter(str.strip),
    st.floats(0, 900),
    st.floats(0, 700),
    height=st.floats(1, 300),
    sure=st.floats(0, 1),
)
anywhere = st.builds(turned, drawn, st.sampled_from([0, 0, 0, 5, -30, 90, 200]))


@settings(max_examples=150, deadline=None)
@given(st.lists(anywhere, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_finding_does_not_matter(boxes: list[TextBox], rng: object) -> None:
    shuffled = list(boxes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert in_reading_order(shuffled) == in_reading_order(boxes)
    assert lines_of(shuffled, SIZE) == lines_of(boxes, SIZE)


@settings(max_examples=150, deadline=None)
@given(st.lists(anywhere, max_size=12))
def test_every_box_is_read_exactly_once(boxes: list[TextBox]) -> None:
    def ranked(some: tuple[TextBox, ...] | list[TextBox]) -> list[str]:
        return sorted(one.model_dump_json() for one in some)

    ordered = in_reading_order(boxes)
    assert ranked(ordered) == ranked(boxes)
    kept = without_noise(boxes, SIZE)
    words = [word.text for line in lines_of(boxes, SIZE) for word in line.words]
    assert sorted(words) == sorted(one.text for one in kept)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), unique=True, max_size=14))
def test_words_on_a_grid_are_read_row_by_row(cells: list[tuple[int, int]]) -> None:
    boxes = [box(f"word {row}{column}", 120 * column + 5, 78 * row + 5) for column, row in cells]
    expected = [f"word {row}{column}" for row, column in sorted((row, column) for column, row in cells)]
    assert texts(in_reading_order(boxes)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-3, 0, 4, 7, 9, 15, 60]), max_size=9), st.sampled_from([0, 8, 90]))
def test_pieces_are_joined_where_the_gap_is_that_of_words(gaps: list[int], degrees: int) -> None:
    pieces, left = [box("pieces", 10, 50)], 70
    for gap in gaps:
        pieces.append(box("pieces", left + gap, 50))
        left += gap + 60
    joined = join_pieces([turned(one, degrees) for one in pieces])
    assert len(joined) == 1 + sum(gap >= 0.4 * 20 for gap in gaps)
    assert " ".join(texts(joined)) == " ".join(["pieces"] * len(pieces))


def test_a_page_of_boxes_one_over_the_other_is_ordered_too() -> None:
    heap = [box(f"line {number}", 3 * number, 2 * number, height=60 + number % 40) for number in range(300)]
    assert len(in_reading_order(heap)) == 300
