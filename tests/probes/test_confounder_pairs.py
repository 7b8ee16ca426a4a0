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
from tests.probes.stubs import Decide, Stub, both, judged_by, picture_alone, quads, words_alone


@pytest.fixture(scope="module")
def memes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return quads(tmp_path_factory.mktemp("quads") / "data")


def draw_and_judge(folder: Path, memes: list[Meme], stub: Stub | None = None) -> Predictions:
    """Memes whose image ``N.png`` is the picture of seed N."""
    for row in memes:
        if row.image:
            draw(folder / row.image, int(Path(row.image).stem))
    return judged_by(stub or Stub(words_alone), write_dataset(folder, memes))


@pytest.mark.parametrize(
    ("decide", "same_text", "same_picture"),
    # Shares of pairs right, alike and in order. Of one picture, words alone are right on both of the reddish one and
    # wrong on both of the other; likewise pictures alone of one text.
    [
        (words_alone, (0, 1, 0.5), (0.5, 0, 0.5)),
        (picture_alone, (0.5, 0, 0.5), (0, 1, 0.5)),
        (both, (1, 0, 1), (1, 0, 1)),
    ],
)
def test_a_detector_of_one_modality_gets_no_pair_right_that_shares_it(
    memes: Dataset, decide: Decide, same_text: tuple[float, ...], same_picture: tuple[float, ...]
) -> None:
    record = probe(judged_by(Stub(decide), memes))
    sentences = describe_probe("pairs", record)
    kinds = ((record.same_text, same_text, "picture"), (record.same_picture, same_picture, "text"))
    for (scores, expected, missed), sentence in zip(kinds, sentences, strict=True):
        assert scores is not None and scores.pairs == 16
        assert (scores.both_right.value, scores.alike.value, scores.ordered.value) == expected
        # Half of these memes are flagged: a guess that flags as many is right on both of a pair in a quarter of them.
        assert scores.chance.value == 0.25 and (scores.both_right.low or 0) < 1
        reaches = f"the {missed} does not reach its decisions" not in sentence
        assert reaches == (expected[0] > 0) and "worse than guessing" not in sentence


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
