from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from mrharm import Detector, Meme
from mrharm.errors import DataError
from mrharm.student.interface import StudentInput
from mrharm.student.picture_statistics import picture_statistics
from mrharm.verdicts.familiarity import FILE, Familiarity, FamiliarPart, is_unfamiliar


class Lengths:
    """A student whose feature of a text is its number of words, of a picture its first value."""

    def text_tokens(self, text):
        return len(text.split())

    def features(self, inputs):
        rows = []
        for shown in inputs:
            text = {"text": np.array([len(shown.text.split())], np.float32)} if shown.text else {}
            picture = (
                {"image": shown.pixels.ravel()[:1].astype(np.float32)} if shown.pixels is not None else {}
            )
            rows.append({**text, **picture})
        return rows


def lengths(*counts, picture=None):
    missing = ("image",) if picture is None else ()
    return [StudentInput(" ".join(["you"] * count), picture, missing=missing) for count in counts]


def test_a_white_square_with_a_sales_report_is_reviewed_as_unfamiliar_whatever_its_score(detector, tmp_path):
    Image.new("RGB", (300, 300), "white").save(tmp_path / "report.png")
    report = Meme(id="report", image="report.png", text="Q3 revenue up 4 percent")
    for threshold in (0.0, 1.0):
        strict = detector.with_card(detector.card.with_policy(threshold))
        verdict = strict.judge(report, root=tmp_path)
        assert "unfamiliar" in verdict.doubts and verdict.decision == "review"
        assert verdict.familiarity == {"text": 0.0, "image": 0.0}


def test_most_memes_of_its_kind_are_familiar_and_stay_with_the_score(detector, squares, memes):
    verdicts = detector.judge(memes, root=squares)
    familiar = [verdict for verdict in verdicts if not verdict.doubts]
    assert len(familiar) >= 12
    assert all(verdict.decision == ("flag" if verdict.harmful else "allow") for verdict in familiar)
    assert all(set(verdict.familiarity) == {"text", "image"} for verdict in verdicts)


@pytest.mark.parametrize(
    ("lost", "absent"), [({"image": None}, "image"), ({"text": None}, "text"), ({"text": ""}, "text")]
)
def test_no_rationale_speaks_of_a_part_that_is_absent_and_the_meme_is_reviewed(
    detector, squares, memes, lost, absent
):
    verdict = detector.judge(memes[0].model_copy(update=lost), root=squares, gather=False)
    assert verdict.rationale is None
    assert verdict.familiarity[absent] == 0.0 and verdict.doubts == ("unfamiliar",)
    assert detector.judge(memes[0], root=squares).rationale is not None


def test_a_detector_trained_before_doubts_nothing_and_still_explains_no_absent_picture(
    run, detector, squares, memes
):
    earlier = Detector(detector.card, detector.label_student, detector.rationale_student)
    verdict = earlier.judge(memes[0], root=squares)
    assert (verdict.familiarity, verdict.doubts) == (None, ()) and verdict.rationale is not None
    assert earlier.judge(memes[0].model_copy(update={"image": None})).rationale is None


def test_what_is_familiar_is_saved_with_the_weights_and_is_part_of_the_key(
    run, detector, squares, memes, tmp_path
):
    assert FILE in detector.card.files
    written = detector.save_pretrained(tmp_path / "again")
    again = Detector.from_pretrained(tmp_path / "again", device="cpu")
    assert written.files[FILE] == detector.card.files[FILE]
    before, after = (one.judge(memes, root=squares, rationales=False) for one in (detector, again))
    assert [verdict.familiarity for verdict in before] == [verdict.familiarity for verdict in after]
    shutil.copytree(run / "detector", tmp_path / "broken")
    (tmp_path / "broken" / FILE).write_bytes(b"cut")
    with pytest.raises(DataError, match=r"familiarity\.safetensors"):
        Detector.from_pretrained(tmp_path / "broken", device="cpu")


def test_a_share_is_that_of_the_validation_memes_at_least_as_far_by_hand():
    # One feature of variance 8 / 3: distances are those of the values over its root, to all three (there are no five).
    train, validation = np.array([[2.0], [4.0], [6.0]], np.float32), np.array([[4.0], [7.0]], np.float32)
    part = FamiliarPart.fit(train, validation, shrinkage=0.05)
    unit = (8 / 3) ** 0.5
    np.testing.assert_allclose(part.distances * unit, [4 / 3, 3], rtol=1e-4)
    np.testing.assert_allclose(part.measure_distances(np.array([[8.0]], np.float32)) * unit, 4, rtol=1e-4)
    assert part.compute_shares(np.array([[4.0], [6.5], [8.0]], np.float32)).tolist() == [1.0, 0.5, 0.0]


def test_a_part_that_memes_lacked_in_training_too_is_no_reason_for_doubt():
    picture = np.zeros((8, 8, 3), np.uint8)
    bare, drawn = lengths(1, 2, 3), lengths(1, 2, 3, picture=picture)
    without = Familiarity.fit(Lengths(), bare, bare)
    assert without.measure(Lengths(), lengths(2)) == [{"image": 1.0, "text": 1.0}]
    # A picture is as strange to it as a meme without one is to a detector of pictures.
    assert without.measure(Lengths(), lengths(2, picture=picture))[0]["image"] == 0.0
    some = Familiarity.fit(Lengths(), drawn, [*drawn, *lengths(4)])
    assert some.measure(Lengths(), lengths(2))[0]["image"] == 0.25
    assert is_unfamiliar({"text": 0.4, "image": 0.0}) and not is_unfamiliar({"image": 0.25})
    assert not is_unfamiliar(None)


def test_statistics_tell_a_flat_picture_from_a_busy_one_and_grey_from_colour():
    flat = np.full((16, 16, 3), 255, np.uint8)
    chess = np.indices((16, 16)).sum(0)[..., None].repeat(3, 2) % 2 * np.uint8(255)
    red = flat * np.array([1, 0, 0], np.uint8)
    rows = picture_statistics([flat, chess.astype(np.uint8), red])
    assert rows.shape == (3, 32)
    np.testing.assert_allclose(rows[0, [0, 6, 7, 13]], [1, 0, 1, 0])  # edges: all weakest, none strongest
    np.testing.assert_allclose(rows[1, [0, 6, 7, 13]], [0, 1, 0, 1])
    np.testing.assert_allclose(rows[:, 14:23].max(1), [0, 0.5, 0], atol=1e-9)  # spread within a cell
    assert (rows[:2, 23:] == 0).all() and (rows[2, 23:] > 0.5).all()  # colour
