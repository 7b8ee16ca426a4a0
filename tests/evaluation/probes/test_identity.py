from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mrharm.errors import InputError
from mrharm.evaluation.probes.identity import SENTENCES, find_terms, kinds, probe, spread_of, swap_term
from mrharm.memes.dataset import Dataset
from tests.evaluation.audit.helpers import draw, meme, write_dataset
from tests.evaluation.probes.stubs import Stub, both, judged_by


def naming(folder: Path, texts: list[str], *, picture: bool = True) -> Dataset:
    """Benign memes with these texts."""
    if picture:
        draw(folder / "1.png", 1)
    return write_dataset(
        folder,
        [
            meme(f"m{number}", text, number % 2 == 0, "test", image="1.png" if picture else None)
            for number, text in enumerate(texts)
        ],
    )


SOUP = [f"a teenager had soup on day {number}" for number in range(6)]


def test_a_detector_that_minds_who_is_named_is_found_out(tmp_path: Path) -> None:
    stub = Stub(lambda text, image: 0.9 if "teenager" in text else 0.2)
    found = probe(judged_by(stub, naming(tmp_path / "data", [*SOUP, "soup on a Tuesday"])))
    assert set(found.swapped) == {"age"} and not found.sentences
    age = found.swapped["age"]
    assert (age.memes, age.swaps, found.without_term) == (6, 18, 1)  # a child, an adult, a pensioner
    assert age.flipped.value == 1.0 and age.moved.value == pytest.approx(0.7)
    assert {text.split(" had")[0] for _, text, _ in stub.given} == {
        "a teenager",
        "a child",
        "an adult",
        "a pensioner",
    }
    assert "age 100 %" in found.words[1] and "6 memes" in found.words[1]


def test_a_detector_that_does_not_mind_moves_nothing(tmp_path: Path) -> None:
    stub = Stub(lambda text, image: 0.9 if "soup" in text else 0.2)
    texts = [*SOUP, "my sister and her daughter had tea", "a woman and a child had tea"]
    found = probe(judged_by(stub, naming(tmp_path / "data", texts)))
    assert {name: one.memes for name, one in found.swapped.items()} == {"age": 7, "gender": 2}
    for one in found.swapped.values():
        assert (one.flipped.value, one.moved.value) == (0, 0) and one.flipped.high > 0.1


def test_where_few_memes_name_anyone_benign_sentences_are_asked(tmp_path: Path) -> None:
    stub = Stub(lambda text, image: 0.9 if "a teenager" in text else 0.1, takes_picture=False)
    found = probe(judged_by(stub, naming(tmp_path / "data", SOUP[:4], picture=False)))
    assert not found.swapped and "4 of 4 memes name" in found.skipped["swapped"]
    assert set(found.sentences) == set(kinds())
    age = found.sentences["age"]
    assert age.terms == pytest.approx({"child": 0.1, "teenager": 0.9, "adult": 0.1, "pensioner": 0.1})
    assert age.spread.value == pytest.approx(0.8) and age.flagged.value == 0.25
    assert {one.spread.value for name, one in found.sentences.items() if name != "age"} == {0}
    assert "by age, 0.90 for teenager" in found.words[0]
    asked = [text for _, text, _ in stub.given]
    assert "my neighbour is an adult and we had soup together" in asked
    assert len(asked) == len(SENTENCES) * sum(len(kind.groups[0]) for kind in kinds().values())


def test_benign_sentences_say_nothing_of_a_detector_that_is_shown_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 of 4 memes name .* have no picture"):
        probe(judged_by(Stub(both), naming(tmp_path / "data", SOUP[:4])))


def test_a_detector_that_reads_no_words_cannot_be_probed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no words to swap"):
        probe(judged_by(Stub(lambda text, image: 0.5, reads=("caption",)), naming(tmp_path / "data", SOUP)))


def test_at_most_the_memes_asked_for_are_drawn_among_those_with_a_term(tmp_path: Path) -> None:
    texts = ["soup"] * 30 + SOUP
    found = probe(judged_by(Stub(lambda text, image: 0.5), naming(tmp_path / "data", texts)), memes=5)
    assert found.swapped["age"].memes == 5 and found.without_term == 30


@pytest.mark.parametrize(
    ("text", "term", "other", "expected"),
    [
        ("a child and an adult", "child", "adult", "an adult and an adult"),
        ("An adult had soup", "adult", "child", "A child had soup"),
        ("AN ADULT HAD SOUP", "adult", "child", "A CHILD HAD SOUP"),
        ("Women and a woman's soup", "woman", "man", "Women and a man's soup"),
        ("a mango for the Woman", "woman", "man", "a mango for the Man"),
        ("old  people like soup", "old people", "young people", "young people like soup"),
        ("a ukrainian soup", "ukrainian", "italian", "an italian soup"),
    ],
)
def test_a_swap_keeps_case_and_article_and_touches_whole_words(
    text: str, term: str, other: str, expected: str
) -> None:
    assert swap_term(text, term, other) == expected


def test_terms_are_found_as_whole_words_with_their_group() -> None:
    found = find_terms("The WOMAN ate a mango,  with old\npeople")
    assert found["gender"] == [("woman", ("woman", "man"))]
    assert [term for term, _ in found["age"]] == ["old people"]
    assert not found["religion"] and not found["made_up"]


def test_terms_that_ship_are_lower_case_and_stand_once() -> None:
    terms = [term for kind in kinds().values() for group in kind.groups for term in group]
    assert len(set(terms)) == len(terms) and all(term == term.lower() for term in terms)
    assert all(len(group) > 1 for kind in kinds().values() for group in kind.groups)


def test_the_spread_is_between_means_of_terms() -> None:
    scores = np.array([[0.1, 0.3], [0.5, 0.7], [0.4, 0.2]])  # means 0.2, 0.6, 0.3
    found = spread_of(scores)
    assert found.value == pytest.approx(0.4)
    # Either sentence alone: 0.5 - 0.1 and 0.7 - 0.2
    assert (found.low, found.high) == pytest.approx((0.4, 0.5))
