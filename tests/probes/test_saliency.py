from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.probes.saliency import SaliencyProbe, mask_patches, probe
from mrharm.records import Meme, Saliency
from mrharm.reports.summary import describe_probe
from mrharm.student.interface import Attribution, Frame, Pixels, StudentInput
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import meme, write_dataset
from tests.probes.written import detector

SURE, UNSURE = 0.9, 0.3
FILLERS = ["you", "and", "your", "odd", "kettle", "club", "of", "old", "newts"]


@dataclass
class Rule:
    """A student whose decision hangs on the word "stink" and on the last patch being red, and is known to the digit.

    Its gradients say so where ``honest``; its attention says the very opposite.
    """

    takes_picture: bool = True
    hangs_on: str = "text"
    honest: bool = True
    scored: list[StudentInput] = field(default_factory=list)

    reads_rationale = False

    @property
    def frame(self) -> Frame | None:
        return Frame(8, "whole", patch=2) if self.takes_picture else None

    def fit(self, image: Image.Image) -> Pixels:
        return np.asarray(image.resize((8, 8), Image.Resampling.NEAREST))

    def text_tokens(self, text: str) -> int:
        return len(text.split()) + 1

    def cuts(self, text: str) -> bool:
        return False

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> np.ndarray:
        self.scored += inputs
        sure = [SURE if self._mocks(shown) else UNSURE for shown in inputs]
        return np.array([[math.log(1 - shown), math.log(shown)] for shown in sure])  # harmless, harmful

    def _mocks(self, shown: StudentInput) -> bool:
        if self.hangs_on == "text":
            return "stink" in shown.text.split()
        return shown.pixels is not None and bool(shown.pixels[6:, 6:, 0].min() > 200)

    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        raise AssertionError("nothing is written here")

    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        return [
            self._attribute(shown, False).saliency() if shown.pixels is not None else Saliency()
            for shown in inputs
        ]

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        assert list(harmful) == [False, True]
        return [self._attribute(shown, self.honest) for shown in inputs]

    def _attribute(self, shown: StudentInput, rightly: bool) -> Attribution:
        words = tuple((word, 1.0 if (word == "stink") == rightly else 0.0) for word in shown.text.split())
        grid = np.full((4, 4), 0.0 if rightly else 1.0)
        grid[3, 3] = 1.0 if rightly else 0.0
        return Attribution(words, grid if shown.pixels is not None else np.zeros((0, 0)), 0.0, 0.0, 0.0)


def ten_words(number: int) -> str:
    """Nine harmless words and "stink", in a place of its own."""
    place = number % 10
    return " ".join([*FILLERS[:place], "stink", *FILLERS[place:]])


def split(folder: Path, student: Rule, texts: Sequence[str | None], pictures: bool = True) -> Predictions:
    memes = []
    for number, text in enumerate(texts):
        shown = meme(f"m{number}", text or "", True, "test")
        update: dict[str, object] = {"text": text, "image": None}
        if pictures:
            (folder / "pictures").mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (80, 80), (10 * number, 0, 0))
            image.paste((255, 40, 40), (60, 60, 80, 80))
            image.save(folder / f"pictures/{number}.png")
            update["image"] = f"pictures/{number}.png"
        memes.append(shown.model_copy(update=update))
    dataset = write_dataset(folder, memes)
    return judge_split(Detector(detector().card, student, None), dataset, "test", rationales=False)


def probe_rule(folder: Path, student: Rule, memes: int = 10, **more: object) -> SaliencyProbe:
    return probe(split(folder, student, [ten_words(n) for n in range(memes)]), **more)  # type: ignore[arg-type]


def test_the_curves_of_a_decision_that_hangs_on_one_word_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    text = probe_rule(tmp_path, Rule()).text
    assert text is not None and text.memes == 10
    gradient, attention = text.orders["gradient"], text.orders["attention"]
    # The word that counts goes first, or comes first: from the first tenth on.
    assert gradient.deletion_curve == pytest.approx([SURE] + [UNSURE] * 10)
    assert gradient.insertion_curve == pytest.approx([UNSURE] + [SURE] * 10)
    assert gradient.deletion.value == pytest.approx(0.1 * (SURE + UNSURE) / 2 + 0.9 * UNSURE)
    assert gradient.insertion.value == pytest.approx(0.1 * (SURE + UNSURE) / 2 + 0.9 * SURE)
    # Told the opposite, it is the last to go and the last to come.
    assert attention.deletion_curve == pytest.approx([SURE] * 10 + [UNSURE])
    assert attention.insertion_curve == pytest.approx([UNSURE] * 10 + [SURE])


def test_a_saliency_that_is_right_beats_lot_and_one_that_is_wrong_does_worse(tmp_path: Path) -> None:
    result = probe_rule(tmp_path, Rule(), memes=30)
    assert result.text is not None
    by_lot = result.text.orders["random"]
    assert by_lot.deletion_gain is None and by_lot.deletion.value is not None
    # By lot the word stands at each place equally often: half-way on the average.
    assert by_lot.deletion.value == pytest.approx((SURE + UNSURE) / 2, abs=0.07)
    assert by_lot.insertion.value == pytest.approx((SURE + UNSURE) / 2, abs=0.07)
    right, wrong = result.text.orders["gradient"], result.text.orders["attention"]
    for gain in (right.deletion_gain, right.insertion_gain):
        assert gain is not None and gain.low is not None and gain.low > 0
    for gain in (wrong.deletion_gain, wrong.insertion_gain):
        assert gain is not None and gain.high is not None and gain.high < 0
    assert right.deletion_gain is not None and right.deletion.value is not None
    assert right.deletion_gain.value == pytest.approx(by_lot.deletion.value - right.deletion.value)
    sentences = " ".join(describe_probe("saliency", result))
    assert "So gradient finds words that the decisions rest on." in sentences
    assert "does worse than a random order" in sentences
    assert "So attention is not shown to find words that the decisions rest on" in sentences


def test_patches_are_tested_like_words(tmp_path: Path) -> None:
    result = probe_rule(tmp_path, Rule(hangs_on="picture"))
    assert result.picture is not None and result.text is not None
    gradient, attention = result.picture.orders["gradient"], result.picture.orders["attention"]
    # One patch of sixteen: there at the first tenth, which is two patches.
    assert gradient.deletion_curve == pytest.approx([SURE] + [UNSURE] * 10)
    assert gradient.insertion_curve == pytest.approx([UNSURE] + [SURE] * 10)
    assert attention.insertion_curve == pytest.approx([UNSURE] * 10 + [SURE])
    # Nothing hangs on the words.
    assert result.text.orders["gradient"].deletion_curve == pytest.approx([SURE] * 11)
    assert any(
        "the decision depends so little on the words" in sentence
        for sentence in describe_probe("saliency", result)
    )


def test_weights_that_are_all_alike_do_not_stand_in_the_order_of_reading(tmp_path: Path) -> None:
    class Even(Rule):
        def _attribute(self, shown: StudentInput, rightly: bool) -> Attribution:
            attribution = super()._attribute(shown, rightly)
            return Attribution(
                tuple((word, 1.0) for word, _ in attribution.words), attribution.patches, 0.0, 0.0, 0.0
            )

    texts = ["stink " + " ".join(FILLERS)] * 40  # first to be read
    result = probe(split(tmp_path, Even(), texts))
    assert result.text is not None
    gain = result.text.orders["gradient"].deletion_gain
    assert gain is not None and gain.low is not None and gain.high is not None
    assert gain.low < 0 < gain.high
    assert any(
        "is not shown to beat a random order" in sentence for sentence in describe_probe("saliency", result)
    )


def test_a_student_that_looks_at_no_picture_is_tested_by_its_gradients_over_words(tmp_path: Path) -> None:
    result = probe_rule(tmp_path, Rule(takes_picture=False))
    assert result.picture is None and result.text is not None
    assert set(result.text.orders) == {"gradient", "random"}
    assert set(result.skipped) == {"attention", "picture"}
    assert "Not measured (picture): this detector looks at no picture." in describe_probe("saliency", result)


def test_memes_of_one_word_and_memes_without_a_picture_have_no_order(tmp_path: Path) -> None:
    one_word = probe(split(tmp_path / "a", Rule(), ["stink"] * 3))
    assert one_word.text is None and one_word.picture is not None and set(one_word.skipped) == {"text"}
    with pytest.raises(InputError, match="no meme of test has a picture this detector looks at"):
        probe(split(tmp_path / "b", Rule(), ["stink"] * 3, pictures=False))


def test_a_meme_that_is_let_through_is_followed_by_the_probability_of_harmless(tmp_path: Path) -> None:
    result = probe(split(tmp_path, Rule(), [" ".join(FILLERS)] * 3))
    assert result.text is not None
    assert result.text.orders["random"].deletion_curve == pytest.approx([1 - UNSURE] * 11)


def test_no_more_memes_are_scored_than_asked_for_and_none_twice(tmp_path: Path) -> None:
    student = Rule()
    predictions = split(tmp_path, student, [ten_words(n) for n in range(10)])
    student.scored.clear()
    steps: list[tuple[str, int, int]] = []
    result = probe(predictions, memes=2, progress=lambda *step: steps.append(step))
    assert result.memes == 2 and steps[-1] == ("probing saliency", 2, 2)
    assert len(student.scored) <= 2 * 170
    scored = [(shown.text, shown.pixels.tobytes()) for shown in student.scored if shown.pixels is not None]
    # Twice alike is only the whole meme: with all its words, and with all its patches.
    assert len(scored) - len(set(scored)) == 2


def test_masked_patches_have_the_pictures_mean_colour() -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2, :2] = (200, 100, 40)
    masked = mask_patches(pixels, Frame(4, "whole"), np.array([[False, True], [True, True]]))
    assert (masked[:2, :2] == (50, 25, 10)).all() and (masked[2:] == 0).all() and (masked[:, 2:] == 0).all()
    assert (pixels[0, 0] == (200, 100, 40)).all()


def test_a_real_detectors_curves_start_at_its_own_verdict(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    memes = []
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, (50, 90, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"pictures/{number}.png")
        shown = meme(f"m{number}", f"You  smell, wonderful “CAFÉ” {number}!", True, "test")
        memes.append(Meme.model_validate({**shown.model_dump(), "image": f"pictures/{number}.png"}))
    predictions = judge_split(detector(), write_dataset(tmp_path, memes), "test", rationales=False)
    result = probe(predictions)
    decided = np.where(predictions.scores >= 0.5, predictions.scores, 1 - predictions.scores).mean()
    for part in (result.text, result.picture):
        assert part is not None and part.memes == 4
        for order in part.orders.values():
            assert order.deletion_curve[0] == order.insertion_curve[-1] == pytest.approx(decided, abs=1e-4)
            assert order.deletion_curve[-1] == pytest.approx(order.insertion_curve[0])
    assert SaliencyProbe.model_validate_json(result.model_dump_json()) == result
