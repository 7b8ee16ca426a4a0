from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mrharm.baselines import cross_validate_texts
from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.probes.rationale import RationaleProbe, probe
from mrharm.probes.simulatability import adjusted_gain
from mrharm.records import Meme, Rationale, Verdict
from mrharm.reports.summary import describe_probe
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.student.interface import StudentInput
from mrharm.synthetic.teacher import GeneratedTeacher
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import club, meme
from tests.probes.written import detector, predictions

SIDES = [number % 2 == 0 for number in range(80)]
WHY = {True: "the words mock you and the picture agrees", False: "the words cheer you and the picture agrees"}


def about_clubs(texts: Sequence[str] | None = None) -> list[Meme]:
    """80 memes, every second one harmful, whose words tell nothing unless given."""
    return [
        meme(f"m{number}", texts[number] if texts else f"you and {club(7 * number % 80)}", side, "test")
        for number, side in enumerate(SIDES)
    ]


def probe_rationales(folder: Path, rationales: Sequence[str | None], **more: object) -> RationaleProbe:
    return probe(predictions(folder, about_clubs(), SIDES, rationales, **more))  # type: ignore[arg-type]


def test_verdicts_without_rationales_cannot_be_probed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rationales; judge with rationales"):
        probe_rationales(tmp_path, [None] * 80)


def test_what_is_written_is_counted(tmp_path: Path) -> None:
    texts = [f"it calls you a {club(number)}" for number in range(70)]  # five words each
    texts += (
        ["so it is harmful"] * 4 + ["I'm sorry, but I can't help"] * 2 + ["", " "] + ["So it  IS harmful"] * 2
    )
    written = probe_rationales(tmp_path, texts).written
    assert written.states_label.value == pytest.approx(6 / 80)
    assert written.refused.value == pytest.approx(2 / 80)
    assert written.blank.value == pytest.approx(2 / 80)
    assert written.copied.value == pytest.approx((6 + 2 + 2) / 80)
    assert written.distinct == 70 + 3
    assert written.words.value == pytest.approx((70 * 5 + 6 * 4 + 2 * 6) / 80)
    assert written.states_label.low is not None and written.states_label.low < 6 / 80


def test_a_rationale_that_tells_the_decision_recovers_it_where_the_meme_does_not(tmp_path: Path) -> None:
    result = probe_rationales(tmp_path, [WHY[side] for side in SIDES])
    simulated = result.simulatability
    assert simulated is not None
    assert simulated.all.rationale.value == simulated.all.both.value == simulated.all.unstated.value == 1.0
    assert simulated.all.meme.value is not None and simulated.all.meme.value < 0.75
    assert simulated.all.gain.value == pytest.approx(1 - simulated.all.meme.value)
    assert simulated.commoner.value == 0.5
    assert (simulated.all.memes, simulated.stating.memes, simulated.not_stating.memes) == (80, 0, 80)
    assert simulated.leaking == 80 and simulated.adjusted.value is None
    assert any(
        "so there is nothing to adjust for" in sentence for sentence in describe_probe("rationale", result)
    )


def test_what_a_picture_tells_by_its_caption_is_not_the_rationales_merit(tmp_path: Path) -> None:
    captions = ["a skunk" if side else "a rose" for side in SIDES]
    simulated = probe_rationales(tmp_path, [WHY[side] for side in SIDES], captions=captions).simulatability
    assert simulated is not None
    assert (simulated.all.meme.value, simulated.all.gain.value) == (1.0, 0.0)


def test_twins_of_either_side_stand_together_so_that_words_do_not_mislead_the_reader(tmp_path: Path) -> None:
    # Each two memes have the same words and opposite decisions: a reader that saw one would always miss the other.
    memes = about_clubs([f"you and {club(n // 2)}" for n in range(80)])
    simulated = probe(predictions(tmp_path, memes, SIDES, ["a kettle"] * 80)).simulatability
    assert simulated is not None
    assert simulated.all.meme.value == 0.5
    apart = cross_validate_texts([row.text or "" for row in memes], SIDES)
    assert apart is not None and np.mean((apart >= 0.5) == SIDES) < 0.3


def test_the_label_stated_is_told_apart_from_reasons_that_tell(tmp_path: Path) -> None:
    # The first half states the label and nothing else; the second gives the same reason for all.
    texts = [
        (f"it is {'harmful' if side else 'harmless'}." if number < 40 else "it shows a kettle.")
        for number, side in enumerate(SIDES)
    ]
    simulated = probe_rationales(tmp_path, texts).simulatability
    assert simulated is not None
    assert (simulated.stating.memes, simulated.not_stating.memes) == (40, 40)
    assert simulated.stating.rationale.value == 1.0
    # Cut, it is the same empty text on either side, and is guessed: by the fold's own commoner side.
    for guessed in (simulated.stating.unstated.value, simulated.not_stating.rationale.value):
        assert guessed is not None and 0.35 < guessed < 0.65
    assert 40 <= simulated.leaking < 80 and simulated.adjusted.value is not None


def test_the_adjusted_gain_weighs_leaking_and_other_rationales_alike() -> None:
    gain, leaks = (
        np.array([1.0, 1.0, 0.0, -1.0, 0.0, 0.0]),
        np.array([True, True, False, False, False, False]),
    )
    assert adjusted_gain(gain, leaks).value(len(gain)) == pytest.approx((1.0 + -0.25) / 2)
    for uniform in (leaks | True, leaks & False):
        assert np.isnan(adjusted_gain(gain, uniform).value(len(gain)))


@pytest.mark.parametrize("decisions", [SIDES[:49], [True] * 76 + [False] * 4, [None] * 40 + SIDES[:40]])
def test_too_few_decisions_of_either_side_are_not_simulated_and_it_says_so(
    tmp_path: Path, decisions: list[bool | None]
) -> None:
    memes = about_clubs()[: len(decisions)]
    result = probe(predictions(tmp_path, memes, decisions, [WHY[True]] * len(decisions)))
    assert result.simulatability is None
    assert (
        "50 in all, 5 of either side, and 5 unlike memes of either side are needed"
        in result.skipped["simulatability"]
    )
    assert any(
        "Not measured (simulatability)" in sentence for sentence in describe_probe("rationale", result)
    )


def test_rationales_agree_with_the_verdict_whose_side_they_pronounce(tmp_path: Path) -> None:
    memes = about_clubs()[:8]
    decisions = [True, True, True, True, False, False, False, None]
    texts = ["it is harmful"] * 3 + ["it is not harmful"] * 3 + ["a kettle", "it is not harmful"]
    agreement = probe(predictions(tmp_path, memes, decisions, texts)).agreement
    assert agreement.read_by == "verdict"
    assert agreement.speaking.value == pytest.approx(7 / 8)
    assert agreement.agreeing.value == pytest.approx(5 / 7)  # the fourth contradicts, the last has no verdict
    # Of seven sides 3 are harmful; of seven decisions 5 are, the missing one counted against its rationale.
    chance = (3 * 5 + 4 * 2) / 49
    assert agreement.kappa.value == pytest.approx((5 / 7 - chance) / (1 - chance))


def test_rationales_that_say_the_same_of_all_memes_add_nothing_and_take_no_side(tmp_path: Path) -> None:
    memes = about_clubs([f"you {'stink' if side else 'shine'} {club(n)}" for n, side in enumerate(SIDES)])
    result = probe(predictions(tmp_path, memes, SIDES, ["it shows a kettle"] * 80))
    simulated = result.simulatability
    assert simulated is not None and simulated.all.rationale.value == 0.5
    assert (simulated.all.meme.value, simulated.all.gain.value, simulated.adjusted.value) == (1.0, 0.0, 0.0)
    assert (result.agreement.speaking.value, result.agreement.agreeing.value) == (0.0, None)
    assert any("cannot be measured" in sentence for sentence in describe_probe("rationale", result))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Predictions:
    """Generated memes, all decided rightly, with the rationales of the teacher that knows why."""
    folder = tmp_path_factory.mktemp("generated")
    teacher = GeneratedTeacher("v1")
    dataset = import_memes(
        "generated", None, folder / "data", ImportOptions(memes=60, workers=1), teacher.explain
    )
    memes = tuple(dataset.memes)
    sides = [bool(row.label and row.label.harmful) for row in memes]
    texts = [teacher.explain(row).text for row in memes]
    made = predictions(folder / "beside", memes, sides, texts)
    return Predictions(
        detector=detector(), dataset=dataset, split="test", memes=memes, verdicts=made.verdicts
    )


def test_the_teachers_rationales_of_generated_memes_are_true_and_agree(generated: Predictions) -> None:
    result = probe(generated)
    assert result.agreement.read_by == "relation"
    assert (result.agreement.speaking.value, result.agreement.agreeing.value) == (1.0, 1.0)
    assert result.truth is not None
    parts = [result.truth.scene, result.truth.tone, result.truth.relation, result.truth.all]
    assert [part.value for part in parts] == [1.0] * 4
    assert result.truth.names_relation.value == 1.0
    assert (result.truth.accuracy_true.value, result.truth.accuracy_false.value) == (1.0, None)
    assert result.written.states_label.value == 0.0
    assert "truth" not in result.skipped


def test_a_rationale_that_only_describes_its_meme_is_not_false(generated: Predictions) -> None:
    second = GeneratedTeacher("v2")
    verdicts = [
        row.model_copy(update={"rationale": second.explain(meme).text})
        for meme, row in zip(generated.memes, generated.verdicts, strict=True)
    ]
    result = probe(replace(generated, verdicts=tuple(verdicts)))
    assert result.truth is not None and result.truth.all.value == 1.0
    assert result.truth.names_relation.value == result.truth.relation.value == result.agreement.speaking.value
    assert 0.3 < (result.agreement.speaking.value or 0.0) < 0.7


def test_a_rationale_of_another_meme_is_not_true_and_decisions_are_told_apart_by_it(
    generated: Predictions,
) -> None:
    # The first ten keep their own rationale, the rest get one about nothing; of these every second is decided wrongly.
    def changed(place: int, verdict: Verdict) -> Verdict:
        if place < 10:
            return verdict
        wrong = {"harmful": not verdict.harmful} if place % 2 else {}
        return verdict.model_copy(update={"rationale": "we see a kettle", **wrong})

    verdicts = tuple(changed(place, row) for place, row in enumerate(generated.verdicts))
    count = len(verdicts)
    result = probe(
        Predictions(
            detector=detector(),
            dataset=generated.dataset,
            split="test",
            memes=generated.memes,
            verdicts=verdicts,
        )
    )
    assert result.truth is not None
    assert result.truth.all.value == pytest.approx(10 / count)
    assert result.truth.accuracy_true.value == 1.0
    assert result.truth.accuracy_false.value == pytest.approx(0.5, abs=0.5 / (count - 10))
    assert result.agreement.speaking.value == pytest.approx(10 / count)
    assert result.truth.all.low is not None and result.truth.all.high is not None


def test_gold_rationales_are_those_of_people_all_of_them_and_the_other_memes_are_the_floor(
    tmp_path: Path,
) -> None:
    own = [f"mocks the {club(number)}" for number in range(4)]
    memes = [
        meme(f"m{number}", "you", True, "test", extra={"gold_rationales": [" ", "a spoon", text]})
        for number, text in enumerate(own[:3])
    ] + [meme("m3", "you", True, "test"), meme("m4", "you", False, "test")]
    rows = [
        Rationale(meme_id="m3", text=own[3], teacher="people"),
        Rationale(meme_id="m4", text="mocks nobody", teacher="openai:model"),
    ]
    result = probe(predictions(tmp_path, memes, [True] * 5, [*own, "mocks nobody"], gold=rows))
    assert result.gold is not None
    assert (result.gold.memes, result.gold.references) == (4, 3 * 2 + 1)
    assert result.gold.rouge_l.own.value == 1.0
    assert result.gold.rouge_l.other.value == pytest.approx(2 / 3)  # two of three words, of either
    assert result.gold.rouge_l.gain.value == pytest.approx(1 / 3)
    assert result.gold.bertscore is None and "no local encoder" in result.skipped["bertscore"]
    assert any(
        "ROUGE-L with human-written rationales of 4" in sentence
        for sentence in describe_probe("rationale", result)
    )


def test_without_gold_rationales_or_truth_it_says_why_they_are_missing(tmp_path: Path) -> None:
    result = probe_rationales(tmp_path, [WHY[side] for side in SIDES])
    assert result.gold is None and result.truth is None and result.swap is None
    assert set(result.skipped) == {"gold", "truth", "swap"}
    assert "reads no rationale (it reads text)" in result.skipped["swap"]


class Reader(FusedT5Student):
    """Answers by the rationale it is given, or, ``deaf``, by the meme's last letter whatever it is given."""

    reads_rationale = True
    deaf = False

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        mocks = [row.text.endswith("0") if self.deaf else "mock" in (row.rationale or "") for row in inputs]
        harmful = [text.endswith("harmful") for text in answers]
        return np.array([[math.log(0.8 if says == side else 0.2) for says in harmful] for side in mocks])


@pytest.mark.parametrize(("deaf", "follows", "drift"), [(False, 1.0, 0.7), (True, 0.0, 0.1)])
def test_a_student_that_follows_its_rationale_is_told_from_one_that_does_not(
    tmp_path: Path, deaf: bool, follows: float, drift: float
) -> None:
    memes = about_clubs([f"{club(number)} {int(not side)}" for number, side in enumerate(SIDES)])
    made = predictions(tmp_path, memes, SIDES, [WHY[side] for side in SIDES])
    label = made.detector.label_student
    assert isinstance(label, FusedT5Student)
    reader = Reader(label.model, label.processor)
    reader.deaf = deaf
    swap = probe(replace(made, detector=Detector(made.detector.card, reader, None))).swap
    assert swap is not None and (swap.follows.value, swap.strays.value) == (follows, 0.0)
    # Verdicts say 0.9 and 0.1, the student 0.8 and 0.2.
    assert swap.drift.value == pytest.approx(drift)


def test_there_must_be_two_rationales_of_each_decision_to_swap(tmp_path: Path) -> None:
    made = predictions(tmp_path, about_clubs(), [True] * 79 + [False], [WHY[True]] * 80)
    label = made.detector.label_student
    assert isinstance(label, FusedT5Student)
    reading = Detector(made.detector.card, Reader(label.model, label.processor), None)
    result = probe(replace(made, detector=reading))
    assert result.swap is None and "fewer than two memes" in result.skipped["swap"]


def test_the_probe_is_the_same_for_the_same_seed_and_keeps_to_its_number_of_memes(tmp_path: Path) -> None:
    made = predictions(
        tmp_path, about_clubs(), SIDES, [f"{WHY[side]} {club(n)}" for n, side in enumerate(SIDES)]
    )
    steps: list[tuple[int, int]] = []
    row = probe(made, seed=3, memes=60, progress=lambda what, done, of: steps.append((done, of)))
    assert row.memes == 60 and row == probe(made, seed=3, memes=60)
    assert steps == [(done, 6) for done in range(1, 7)]
    assert RationaleProbe.model_validate_json(row.model_dump_json()) == row


def test_what_a_detector_really_writes_can_be_probed(generated: Predictions) -> None:
    memes = generated.memes[:6]
    verdicts = detector().judge(memes, root=generated.dataset.root, evidence=generated.dataset.evidence)
    result = probe(
        Predictions(
            detector=detector(),
            dataset=generated.dataset,
            split="test",
            memes=memes,
            verdicts=tuple(verdicts),
        )
    )
    assert (result.memes, result.agreement.read_by) == (6, "relation")
    assert result.simulatability is None and result.truth is not None
