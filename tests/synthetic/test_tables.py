import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from PIL import ImageChops, ImageFont

from mrharm.synthetic import layouts
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.phrases import CLAIMS, FRAMES, MANNERS
from mrharm.synthetic.plan import Deck, post_text
from mrharm.synthetic.scenes import SCENES, draw_picture

SPLITS = ("train", "validation", "test")


def split_words(*texts):
    """The words of texts, lower case, without punctuation."""
    return set(re.findall(r"[a-z]+", " ".join(texts).lower()))


def test_every_scene_serves_two_concepts_outside_composition():
    uses, polarities = defaultdict(set), defaultdict(set)
    for pairs in CONCEPTS.values():
        assert len({pair.scene for pair in pairs}) == len(pairs)
        for pair in pairs:
            if not pair.held_out:
                uses[pair.scene].add(pair.concept)
                polarities[pair.scene].add(pair.polarity)
    assert set(uses) == set(SCENES)
    assert all(len(concepts) >= 2 for concepts in uses.values())
    assert sum(len(both) == 2 for both in polarities.values()) >= 4


def test_every_frame_has_one_place_for_a_phrase():
    for frames in FRAMES.values():
        assert all(frame.count("{}") == 1 for split in SPLITS for frame in frames.of(split))


def test_held_out_phrases_are_new_but_made_of_trained_words_and_lexical_ones_hold_a_new_word():
    rows = [*FRAMES.values(), *CLAIMS.values(), *MANNERS.values()]
    words = {split: split_words(*(phrase for row in rows for phrase in row.of(split))) for split in SPLITS}
    assert words["validation"] | words["test"] <= words["train"]
    for row in rows:
        phrases = [phrase for split in SPLITS for phrase in row.of(split)]
        assert len(set(phrases)) == len(phrases) >= 10
    for row in (*CLAIMS.values(), *MANNERS.values()):
        assert all(split_words(phrase) - words["train"] for phrase in row.of("lexical"))


def test_two_scenes_never_look_the_same():
    thumbnails = {
        scene: draw_picture(scene, 0, (256, 256), (0.25, 1.0), Random(1)).resize((16, 16)) for scene in SCENES
    }
    for one, other in combinations(SCENES, 2):
        difference = ImageChops.difference(thumbnails[one], thumbnails[other]).convert("L")
        assert difference.resize((1, 1), resample=4).getpixel((0, 0)) >= 4, (one, other)


def test_every_font_is_shipped_with_a_licence():
    folder = Path(layouts.__file__).parent / "fonts"
    licences = "".join(path.read_text(encoding="utf-8") for path in folder.glob("LICENSE*.txt"))
    for name in layouts.FONTS.values():
        assert name in licences
        assert ImageFont.truetype(folder / name, 20).getlength("word") > 0
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000


def test_a_deck_deals_evenly():
    deck = Deck("abc", Random(0))
    dealt = [deck.deal() for _ in range(30)]
    assert {letter: dealt.count(letter) for letter in "abc"} == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("case", "expected"),
    [("lower", "you sing"), ("sentence", "You sing"), ("title", "You Sing"), ("upper", "YOU SING")],
)
def test_casing_wears_the_text_and_keeps_its_words(case, expected):
    class First:
        def choice(self, options):
            return options[0]

    text = post_text("you sing", case, First())
    assert text == expected
    assert split_words(text) == {"you", "sing"}
