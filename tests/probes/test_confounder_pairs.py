from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.memes.dataset import Dataset
from mrharm.probes.confounder_pairs import probe
from mrharm.records import Meme
from mrharm.reports.summary import describe_probe
from tests.audit.helpers import draw, meme, write_dataset
from tests.probes.stubs import Stub, both, judged_by, picture_alone, quads, words_alone


@pytest.fixture(scope="module")
def memes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return quads(tmp_path_factory.mktemp("quads") / "data")


def draw_and_judge(folder: Path, memes: list[Meme], stub: Stub | None = None) -> Predictions:
    """Memes whose image ``N.png`` is the picture of seed N."""
    for row in memes:
        if row.image:
            draw(folder / row.image, int(Path(row.image).stem))
    return judged_by(stub or Stub(words_alone), write_dataset(folder, memes))


def test_a_detector_that_reads_words_alone_gets_no_pair_of_one_text_right(memes: Dataset) -> None:
    record = probe(judged_by(Stub(words_alone), memes))
    same_text = record.same_text
    assert (same_text.pairs, same_text.both_right.value, same_text.alike.value) == (16, 0, 1)
    assert same_text.chance.value == 0.25 and same_text.ordered.value == 0.5
    # Of one picture it says "smell" is harmful: right on both of the reddish one, wrong on both of the other.
    assert record.same_picture.both_right.value == 0.5 and record.same_picture.chance.value == 0.25
    assert record.same_picture.ordered.value == 0.5
    assert "the picture does not reach its decisions" in describe_probe("pairs", record)[0]
    assert "reach" not in describe_probe("pairs", record)[1]


def test_a_detector_that_looks_at_pictures_alone_gets_no_pair_of_one_picture_right(memes: Dataset) -> None:
    record = probe(judged_by(Stub(picture_alone), memes))
    assert (record.same_picture.pairs, record.same_picture.both_right.value) == (16, 0)
    assert "the text does not reach its decisions" in describe_probe("pairs", record)[1]


def test_a_detector_that_needs_both_gets_every_pair_right(memes: Dataset) -> None:
    record = probe(judged_by(Stub(both), memes))
    assert record.same_text.both_right.value == record.same_picture.both_right.value == 1.0
    # Half of these memes are flagged: a guess that flags as many is right on both of a pair in a quarter of them.
    assert (record.same_text.chance.value, record.same_text.ordered.value) == (0.25, 1.0)
    assert "worse than guessing" not in " ".join(describe_probe("pairs", record))
    assert record.same_text.both_right.low < 1.0


def test_pictures_are_held_against_each_other_without_their_words(tmp_path: Path) -> None:
    record = probe(judged_by(Stub(both, shown="clean"), quads(tmp_path / "data", test=3, clean=True)))
    assert (record.same_text.pairs, record.same_picture.pairs) == (6, 6)


def test_a_few_pairs_decided_alike_are_no_proof(tmp_path: Path) -> None:
    record = probe(judged_by(Stub(words_alone), quads(tmp_path / "data", test=4)))
    assert (record.same_text.pairs, record.same_text.alike.value) == (8, 1)
    assert "does not reach" not in describe_probe("pairs", record)[0]


def test_each_meme_is_in_one_pair_and_chance_is_what_as_many_flags_would_reach(tmp_path: Path) -> None:
    memes = [meme(f"h{number}", "you smell", True, "test", image=f"{number}.png") for number in range(3)]
    memes += [meme("n", "you smell", False, "test", image="3.png")]
    memes += [
        meme("h3", "you shine", True, "test", image="4.png"),
        meme("n1", "you shine", False, "test", image="5.png"),
    ]
    record = probe(draw_and_judge(tmp_path / "data", memes)).same_text
    # One pair a text: "smell" finds its harmful meme and misses the other, "shine" the reverse.
    assert (record.pairs, record.both_right.value, record.chance.value) == (2, 0, 0.25)


def test_texts_are_the_same_by_what_is_read(tmp_path: Path) -> None:
    memes = [
        meme("a", "You  SM\u200bELL", True, "test", image="1.png"),
        meme("b", "you smell", False, "test", image="2.png"),
    ]
    assert probe(draw_and_judge(tmp_path / "data", memes)).same_text.pairs == 1


def test_a_saved_again_copy_is_the_same_picture(tmp_path: Path) -> None:
    draw(tmp_path / "data" / "1.png", 1, (200, 160))
    again = Image.open(tmp_path / "data" / "1.png").resize((150, 120))
    again.save(tmp_path / "data" / "again.jpg", quality=60)
    memes = [
        meme("a", "you smell", True, "test", image="1.png"),
        meme("b", "you shine", False, "test", image="again.jpg"),
    ]
    stub = Stub(lambda text, image: 0.9 if "smell" in text else 0.1)
    record = probe(judged_by(stub, write_dataset(tmp_path / "data", memes)))
    assert record.same_text is None and record.same_picture.both_right.value == 1.0
    # The same words on copies of one picture, labelled two ways, are a slip of the labels and no pair.
    twice = [memes[0], memes[1].model_copy(update={"text": "you smell"})]
    with pytest.raises(InputError, match="no two memes of test"):
        probe(judged_by(stub, write_dataset(tmp_path / "data", twice)))


def test_memes_without_words_or_picture_make_no_pair(tmp_path: Path) -> None:
    memes = [
        meme("a", "you smell", True, "test"),
        meme("b", "you smell", False, "test", image="1.png"),
        meme("c", None, True, "test", image="1.png"),
        meme("d", "you shine", False, "test", image="2.png"),
    ]
    with pytest.raises(InputError, match="no confounder pairs"):
        probe(draw_and_judge(tmp_path / "data", memes))


def test_an_answer_that_is_no_label_is_wrong(memes: Dataset) -> None:
    predictions = judged_by(Stub(both), memes)
    unanswered = tuple(row.model_copy(update={"harmful": None}) for row in predictions.verdicts)
    mute = replace(predictions, verdicts=unanswered)
    record = probe(mute)
    assert (record.same_text.both_right.value, record.same_text.chance.value) == (0, 0)
