from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.probes import robustness
from mrharm.probes.image_changes import PICTURE_CHANGES
from mrharm.probes.robustness import RobustnessProbe, Setting, probe
from mrharm.probes.text_changes import TEXT_CHANGES
from mrharm.records import Evidence, TextBox
from mrharm.reports.summary import describe_probe
from tests.audit.helpers import bytes_of, draw, meme, write_dataset
from tests.probes.stubs import Stub, both, judged_by, quads, words_alone


@pytest.fixture(scope="module")
def memes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return quads(tmp_path_factory.mktemp("quads") / "data", test=2, train=0)


def setting_of(record: RobustnessProbe, change: str, strength: int) -> Setting:
    settings = {(setting.change, setting.strength): setting for setting in record.settings}
    return settings[change, strength]


@pytest.fixture(scope="module")
def full_probe(memes: Dataset) -> tuple[RobustnessProbe, Stub, dict[str, bytes], list[tuple[str, int, int]]]:
    stub, steps = Stub(both), []
    predictions = judged_by(stub, memes)
    before = bytes_of(memes.root)
    record = probe(predictions, progress=lambda *args: steps.append(args))
    return record, stub, before, steps


def test_every_change_is_tried_at_three_strengths(full_probe) -> None:  # type: ignore[no-untyped-def]
    record, _, _, steps = full_probe
    tried = [(setting.kind, setting.change, setting.strength) for setting in record.settings]
    assert tried == [
        *(("picture", change, strength) for change in PICTURE_CHANGES for strength in (1, 2, 3)),
        *(("text", change, strength) for change in TEXT_CHANGES for strength in (1, 2, 3)),
    ]
    assert setting_of(record, "jpeg", 3).value == PICTURE_CHANGES["jpeg"].strengths[2]
    assert {setting.moved.memes for setting in record.settings} == {8}
    assert steps[-1] == ("robustness", 52 * 8, 52 * 8)


def test_pictures_keep_their_size_and_nothing_is_left_behind(memes: Dataset, full_probe) -> None:  # type: ignore[no-untyped-def]
    _, stub, before, _ = full_probe
    assert {image.size for _, _, image in stub.given} == {(96, 96)}
    assert bytes_of(memes.root) == before
    assert not any(root.exists() for root in stub.roots - {memes.root})
    assert len(stub.roots) == 2


def test_what_changes_words_moves_a_detector_that_reads_them(full_probe) -> None:  # type: ignore[no-untyped-def]
    record, _, _, _ = full_probe
    leet = setting_of(record, "leet", 3).moved  # "5m3ll" is no "smell": its memes are decided the other way
    assert leet.flipped.value == 0.5
    assert leet.accuracy.value == 0.5 and record.clean.accuracy.value == 1.0
    assert leet.macro_f1_change.value == pytest.approx(0.5 - 1.0)
    assert leet.moved.value == pytest.approx(0.4) and leet.drift.value == pytest.approx(0)
    assert "leet 50 %" in describe_probe("robustness", record)[1]


def test_what_the_recipe_reads_as_before_moves_nothing(full_probe) -> None:  # type: ignore[no-untyped-def]
    record, _, _, _ = full_probe
    for change in ("homoglyph", "zero_width", "flip"):
        for strength in (1, 2, 3):
            assert setting_of(record, change, strength).moved.moved.value == 0


@pytest.fixture
def few_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame, noise, flips, salt and typos in place of all changes."""
    names = ("border", "noise", "flip", "salt_on_words")
    tables = {
        "picture": {name: PICTURE_CHANGES[name] for name in names},
        "text": {"typos": TEXT_CHANGES["typos"]},
    }
    monkeypatch.setattr(robustness, "TABLES", tables)


@pytest.mark.usefixtures("few_changes")
def test_the_seed_alone_decides(memes: Dataset) -> None:
    def shy(text: str, image: Image.Image | None) -> float:
        return float(np.asarray(image).mean() / 255)

    predictions = judged_by(Stub(shy), memes)
    first, same, other = (probe(predictions, seed=seed, memes=8) for seed in (1, 1, 2))
    assert first == same
    assert setting_of(first, "noise", 3) != setting_of(other, "noise", 3)


def test_a_detector_without_pictures_has_its_words_changed_alone(memes: Dataset) -> None:
    record = probe(judged_by(Stub(words_alone, takes_picture=False), memes))
    assert {setting.kind for setting in record.settings} == {"text"}
    assert record.skipped == {"picture": "the detector is shown no picture"}


@pytest.mark.usefixtures("few_changes")
def test_a_detector_that_reads_no_words_has_its_pictures_changed_alone(memes: Dataset) -> None:
    record = probe(judged_by(Stub(lambda text, image: 0.7, reads=("caption",)), memes), memes=4)
    assert {setting.kind for setting in record.settings} == {"picture"} and record.memes == 4
    with pytest.raises(InputError, match="nothing to change: the detector is shown no picture; no words"):
        captioned = [row.model_copy(update={"image": None}) for row in memes.memes]
        known = [Evidence(meme_id=row.id, caption="roses") for row in captioned]
        folder = write_dataset(memes.root.parent / "captions", captioned, known)
        probe(judged_by(Stub(lambda text, image: 0.7, reads=("caption",), takes_picture=False), folder))


@pytest.mark.usefixtures("few_changes")
def test_the_picture_changed_is_the_one_shown(tmp_path: Path) -> None:
    memes = quads(tmp_path / "data", test=1, train=0, clean=True)
    stub = Stub(both, shown="clean")
    record = probe(judged_by(stub, memes))
    assert (
        setting_of(record, "flip", 3).moved.moved.value == 0
    )  # the posted pictures are grey: nothing to see in them
    assert record.clean.accuracy.value == 1.0


@pytest.mark.usefixtures("few_changes")
def test_salt_falls_on_the_words_where_they_stand_scaled_with_a_huge_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "data" / "1.png", 1, (80, 80))
    box = TextBox(polygon=((0, 0), (80, 0), (80, 39), (0, 39)), text="you smell", confidence=1)
    memes = [meme("a", "you smell", True, "test", image="1.png")]
    known = [Evidence(meme_id="a", text="you smell", boxes=(box,))]
    stub = Stub(lambda text, image: 0.7)
    monkeypatch.setattr(robustness, "LONGEST_SIDE", 40)
    record = probe(judged_by(stub, write_dataset(tmp_path / "data", memes, known)))
    salted = np.asarray(stub.given[1 + 3 * 3 + 2][2])
    extreme = (salted == 0).all(-1) | (salted == 255).all(-1)
    assert salted.shape == (40, 40, 3) and record.without_boxes == 0
    assert extreme[:20].mean() > 0.3 and extreme[21:].mean() < 0.05
