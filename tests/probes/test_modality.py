from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.probes.modality import probe
from mrharm.reports.summary import describe_probe
from tests.audit.helpers import draw, meme, write_dataset
from tests.probes.stubs import Decide, Stub, both, judged_by, picture_alone, quads, words_alone


@pytest.fixture(scope="module")
def memes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return quads(tmp_path_factory.mktemp("quads") / "data", captions=True)


@pytest.mark.parametrize(
    ("decide", "ignores", "sentence"),
    [
        (words_alone, ("image",), "It hardly uses the picture."),
        (picture_alone, ("text",), "It hardly uses the words."),
        # Whether there is a picture is not what it shows.
        (
            lambda text, image: 0.9 if "smell" in text and image else 0.1,
            ("image",),
            "It hardly uses the picture.",
        ),
        (lambda text, image: 0.7, ("text", "image"), "whatever it is given"),
        (both, (), "Its decisions depend on both the words and the picture."),
    ],
)
def test_a_detector_that_ignores_a_modality_is_found_out(
    memes: Dataset, decide: Decide, ignores: tuple[str, ...], sentence: str
) -> None:
    record = probe(judged_by(Stub(decide), memes))
    assert record.ignores == ignores
    assert any(sentence in line for line in describe_probe("modality", record))


def test_what_moves_is_what_is_taken_away(memes: Dataset) -> None:
    record = probe(judged_by(Stub(words_alone), memes))
    for name in ("image_blanked", "image_swapped"):
        moved = record.conditions[name]
        assert (moved.memes, moved.moved.value, moved.flipped.value) == (32, 0, 0)
    blanked = record.conditions["text_blanked"]  # every "smell", half of them, falls from 0.9 to 0.1
    assert blanked.flipped.value == 0.5
    assert blanked.moved.value == pytest.approx(0.4) and blanked.drift.value == pytest.approx(-0.4)
    assert record.before.accuracy.value == 0.5
    record = probe(judged_by(Stub(both), memes))
    assert record.before.accuracy.value == 1.0
    assert {record.conditions[name].accuracy.value for name in ("text_blanked", "image_blanked")} == {0.5}
    swapped = record.conditions["image_swapped"]
    assert swapped.accuracy.value == pytest.approx(1 - swapped.flipped.value)
    assert 0.2 < swapped.flipped.value < 0.8


def test_the_picture_swapped_in_is_never_ones_own_and_the_seed_draws_it(tmp_path: Path) -> None:
    memes = quads(tmp_path / "data", clean=True)
    stub = Stub(both, shown="clean")
    predictions = judged_by(stub, memes)
    hashes = {
        meme_row.id: hashlib.sha256(
            (memes.root / memes.evidence[meme_row.id].clean_image).read_bytes()
        ).hexdigest()
        for meme_row in predictions.memes
    }
    by_pixels = {}
    probe(predictions, seed=1)
    for meme_id, _, image in stub.given[:32]:  # unchanged
        by_pixels[image.tobytes()] = hashes[meme_id]
    swapped = [(meme_id, image.tobytes()) for meme_id, _, image in stub.given[96:128]]
    assert len(by_pixels) == 16  # the clean pictures are shown, two memes each
    assert all(by_pixels[pixels] != hashes[meme_id] for meme_id, pixels in swapped)
    stub.given.clear()
    probe(predictions, seed=1)
    assert [(meme_id, image.tobytes()) for meme_id, _, image in stub.given[96:128]] == swapped
    stub.given.clear()
    probe(predictions, seed=2)
    assert [(meme_id, image.tobytes()) for meme_id, _, image in stub.given[96:128]] != swapped


def test_captions_are_swapped_where_the_recipe_reads_them(memes: Dataset) -> None:
    def by_caption(text: str, image: object) -> float:
        return 0.9 if text.endswith("red") else 0.1

    stub = Stub(by_caption, reads=("text", "caption"))
    record = probe(judged_by(stub, memes))
    swapped = record.conditions["caption_swapped"]
    assert swapped.memes == 32 and 0.2 < swapped.flipped.value < 0.8
    # A caption says what is seen: it goes with the picture.
    assert record.conditions["image_blanked"].flipped.value == 0.5
    hashes = {meme_id: text for meme_id, text, _ in stub.given[:32]}
    assert all(text != hashes[meme_id] for meme_id, text, _ in stub.given[-32:])
    unread = probe(judged_by(Stub(both), memes))
    assert unread.skipped["caption_swapped"] == "the detector reads no caption"


def test_memes_with_nothing_left_are_left_out_of_that_condition(tmp_path: Path) -> None:
    memes = [
        meme("pictured", "you smell", True, "test", image="1.png"),
        meme("other", "you shine", False, "test", image="2.png"),
        meme("wordless", None, True, "test", image="3.png"),
        meme("blind", "you smell", True, "test"),
    ]
    for number in (1, 2, 3):
        draw(tmp_path / "data" / f"{number}.png", number)
    record = probe(judged_by(Stub(both), write_dataset(tmp_path / "data", memes)))
    counts = {name: moved.memes for name, moved in record.conditions.items()}
    assert counts == {"text_blanked": 2, "image_blanked": 2, "image_swapped": 3}


@pytest.mark.parametrize("options", [{"takes_picture": False}, {"reads": ("caption",)}])
def test_one_modality_alone_cannot_be_probed(memes: Dataset, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="not two modalities"):
        probe(judged_by(Stub(both, **options), memes))


def test_at_most_the_memes_asked_for_are_judged(memes: Dataset) -> None:
    stub = Stub(both)
    steps = []
    record = probe(judged_by(stub, memes), memes=6, progress=lambda *args: steps.append(args))
    assert record.memes == 6 and len(stub.given) == 6 * 4
    assert any(line.startswith("Fewer than 30 memes") for line in describe_probe("modality", record))
    assert steps[0] == ("modality: unchanged", 6, 6) and len(steps) == 4


def test_without_words_to_take_away_it_is_not_said_to_use_them(tmp_path: Path) -> None:
    memes = quads(tmp_path / "data")
    wordless = [meme_row.model_copy(update={"text": None}) for meme_row in memes.memes]
    predictions = judged_by(Stub(picture_alone), write_dataset(memes.root, wordless))
    record = probe(predictions)
    assert "text_blanked" in record.skipped and record.conditions.keys() == {"image_swapped"}
    assert record.uses == ("image",)
    assert any(
        line == "These memes do not show that its decisions depend on the words."
        for line in describe_probe("modality", record)
    )
