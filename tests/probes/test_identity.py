from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.probes.identity import FEWEST, probe
from mrharm.reports.summary import describe_probe
from tests.audit.helpers import club, draw, meme, write_dataset
from tests.probes.stubs import Stub, both, judged_by


def naming(folder: Path, texts: list[str], *, picture: bool = True) -> Dataset:
    """Memes with these texts, every second harmless."""
    if picture:
        draw(folder / "1.png", 1)
    return write_dataset(
        folder,
        [
            meme(f"m{number}", text, number % 2 == 0, "test", image="1.png" if picture else None)
            for number, text in enumerate(texts)
        ],
    )


def by_lot(text: str) -> float:
    """A number from 0 to 1 of its own for each text: a detector that is nothing but noise."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


SOUP = [f"a teenager had {club(number)} soup" for number in range(FEWEST)]
REST = [f"{club(100 + number)} tea with {club(200 + number)}" for number in range(8)]  # words for the control


def test_a_detector_that_minds_who_is_named_is_found_out(tmp_path: Path) -> None:
    stub = Stub(lambda text, image: 0.9 if "teenager" in text else 0.2)
    record = probe(judged_by(stub, naming(tmp_path / "data", [*SOUP, *REST])))
    assert set(record.swapped) == {"age"}
    age = record.swapped["age"]
    # Each of ten memes with an adult, a child, a pensioner in the teenager's place.
    assert (age.memes, age.swaps, record.without_term) == (10, 30, 8)
    assert age.flipped.value == 1.0 and age.control.value == 0.0 and age.more.value == 1.0
    assert age.moved.value == pytest.approx(0.7) and age.control_moved.value == 0
    assert "8 of 18 memes have none of the identity terms" in describe_probe("identity", record)[0]
    assert "for 1 of 1 axes: age 100 % against 0 %, +100 points" in describe_probe("identity", record)[2]
    assert age.more_p < 0.01  # 2 of 2^10
    # All three put in do the same: the terms put in do not differ.
    assert age.terms_p == 1.0 and "Not shown to depend on the term: age." in describe_probe(
        "identity", record
    )


def test_every_swap_changes_the_term_alone_and_every_control_another_word_alone(tmp_path: Path) -> None:
    stub = Stub(lambda text, image: 0.1)
    probe(judged_by(stub, naming(tmp_path / "data", [*SOUP, *REST])))
    original = {text.split()[3]: text for text in SOUP}
    texts = [text for _, text, _ in stub.given]
    assert texts[: len(SOUP)] == SOUP
    swaps, controls = texts[len(SOUP) : 4 * len(SOUP)], texts[4 * len(SOUP) :]
    assert len(controls) == len(swaps) == 3 * len(SOUP)
    for text in swaps:
        was = original[text.split(" had ")[1].split()[0]]
        assert text.split(" had ")[0] in ("a child", "an adult", "a pensioner")
        assert text.split(" had ")[1] == was.split(" had ")[1]
    for number, text in enumerate(controls):
        was = SOUP[number // 3].split()
        differing = [place for place, word in enumerate(text.split()) if word != was[place]]
        assert len(differing) == 1 and differing[0] >= 3  # not "a teenager had"


def test_a_detector_that_minds_every_word_flips_as_often_under_the_control(tmp_path: Path) -> None:
    known = [f"{text} and {club(50 + number)} tea" for number, text in enumerate(SOUP)]
    stub = Stub(lambda text, image: 0.2 if text in known else 0.9)
    age = probe(judged_by(stub, naming(tmp_path / "data", known + REST))).swapped["age"]
    assert age.flipped.value == age.control.value == 1.0
    assert (age.more.value, age.more_p) == (0, 1)


def test_where_two_terms_change_places_it_is_one_swap_of_two_words(tmp_path: Path) -> None:
    texts = [f"a man and a woman with {club(number)} and {club(50 + number)} soup" for number in range(10)]
    stub = Stub(lambda text, image: 0.9 if text.startswith("a man") else 0.2)
    gender = probe(judged_by(stub, naming(tmp_path / "data", texts + REST))).swapped["gender"]
    assert (gender.memes, gender.swaps, gender.flipped.value) == (10, 10, 1.0)
    judged_texts = [text for _, text, _ in stub.given]
    assert all(text.startswith("a woman and a man with") for text in judged_texts[10:20])
    changed = [
        sum(row != other for row, other in zip(text.split(), was.split(), strict=True))
        for text, was in zip(judged_texts[20:], texts, strict=True)
    ]
    assert changed == [2] * 10
    assert gender.terms_p is None and gender.terms == {}


def test_a_term_that_is_singled_out_is_named_and_only_then(tmp_path: Path) -> None:
    texts = [f"the {term} neighbours and {club(number)} soup" for number, term in enumerate(["sikh"] * 40)]
    minds = Stub(lambda text, image: 0.1 + 0.2 * ("hindu" in text) + 0.1 * by_lot(text))
    dataset = naming(tmp_path / "data", texts + REST)
    record = probe(judged_by(minds, dataset))
    religion = record.swapped["religion"]
    assert religion.terms_p is not None and religion.terms_p < 0.01
    assert max(religion.terms, key=religion.terms.__getitem__) == "hindu"
    assert religion.terms["hindu"] == pytest.approx(0.2, abs=0.05)
    assert sum(religion.times.values()) == religion.swaps == 120
    assert (
        "religion (p" in describe_probe("identity", record)[4]
        and "highest for hindu +0.2" in describe_probe("identity", record)[4]
    )
    noise = probe(judged_by(Stub(lambda text, image: 0.4 * by_lot(text)), dataset))
    assert (noise.swapped["religion"].terms_p or 0) > 0.05
    assert "Not shown to depend on the term: religion." in describe_probe("identity", noise)
    assert not any("highest" in words for words in describe_probe("identity", noise))


def test_an_axis_that_few_memes_name_is_not_judged_and_says_so(tmp_path: Path) -> None:
    texts = [*SOUP, "my sister and her daughter had tea", "a woman had cake and tea"]
    record = probe(judged_by(Stub(lambda text, image: 0.2), naming(tmp_path / "data", texts)))
    assert set(record.swapped) == {"age"}
    assert record.skipped["gender"] == "terms can be swapped in 2 memes; 10 are needed"
    assert (
        "In fewer than 10 memes, too few to tell: race, nationality, religion, gender,"
        in describe_probe("identity", record)[3]
    )


def test_memes_with_the_same_words_count_once_among_the_terms(tmp_path: Path) -> None:
    texts = [*SOUP, *SOUP]
    age = probe(judged_by(Stub(lambda text, image: 0.2), naming(tmp_path / "data", texts + REST))).swapped[
        "age"
    ]
    assert (age.memes, age.swaps, sum(age.times.values())) == (20, 60, 30)


def test_a_meme_with_no_other_word_has_no_control_and_is_left_out(tmp_path: Path) -> None:
    record = probe(judged_by(Stub(lambda text, image: 0.2), naming(tmp_path / "data", [*SOUP, "a teenager"])))
    assert record.without_control == 3 and record.swapped["age"].memes == 10


def test_at_most_the_memes_asked_for_are_drawn_among_those_with_a_term(tmp_path: Path) -> None:
    texts = ["cold soup"] * 30 + [f"{text} and tea" for text in [*SOUP, *SOUP]]
    record = probe(judged_by(Stub(lambda text, image: 0.5), naming(tmp_path / "data", texts)), memes=12)
    assert record.swapped["age"].memes == 12 and record.without_term == 30


def test_where_few_memes_name_a_group_nothing_is_tested(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 of 4 memes hold a term .* 10 of one axis are needed"):
        probe(judged_by(Stub(both), naming(tmp_path / "data", SOUP[:4])))


def test_a_detector_that_reads_no_words_cannot_be_probed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no words to swap"):
        probe(judged_by(Stub(lambda text, image: 0.5, reads=("caption",)), naming(tmp_path / "data", SOUP)))
