"""What the verdict on a detector may say, and may not."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mrharm.evaluation.baseline_comparison import BaselineResult
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.groups import Group
from mrharm.evaluation.published import Published
from mrharm.metrics import Estimate
from mrharm.probes.run import PROBES
from mrharm.records import Label, Meme
from mrharm.reports.summary import describe_probe, summarise
from mrharm.verdicts.card import Chosen
from tests.evaluation.runs import predictions, report


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of 40 memes 30 are decided rightly."""
    memes = [
        Meme(id=str(n), text=f"you {n}", label=Label(harmful=n % 2 == 1), split="test") for n in range(40)
    ]
    said = [(n % 2 == 1) != (n % 4 == 0) for n in range(40)]
    folder = tmp_path_factory.mktemp("words")
    return report(predictions(folder / "d", memes, said), n_resamples=20)


def figure(value: float, width: float = 0.05) -> Estimate:
    return Estimate(value=value, low=value - width, high=value + width)


def beside(name: str, macro_f1: float, gain: float, ranking: float) -> BaselineResult:
    gains = {"accuracy": figure(gain), "macro_f1": figure(gain), "auroc": figure(ranking)}
    return BaselineResult(
        name=name, learnt=40, accuracy=figure(0.7), macro_f1=figure(macro_f1), auroc=figure(0.7), gains=gains
    )


def words(found: Evaluation, **changes: Any) -> str:
    return " ".join(summarise(found.model_copy(update=changes)))


MAJORITY = beside("majority", 0.4, 0.3, 0.2)


@pytest.mark.parametrize(
    ("gain", "ranking", "says"),
    [
        (0.1, 0.1, "The detector beats a bag of words (words alone): that baseline reaches"),
        (0.1, 0.0, "The detector beats a bag of words (words alone): that baseline reaches"),
        (-0.1, -0.1, "The detector does worse than a bag of words (words alone):"),
        (0.0, 0.0, "The detector is not shown to beat a bag of words (words alone):"),
        (0.0, 0.1, "Whether the detector beats a bag of words (words alone) depends on the figure:"),
        (0.1, -0.1, "Whether the detector beats a bag of words (words alone) depends on the figure:"),
        (-0.1, 0.1, "Whether the detector beats a bag of words (words alone) depends on the figure:"),
    ],
)
def test_a_baseline_is_beaten_where_no_figure_speaks_against_it(
    found: Evaluation, gain: float, ranking: float, says: str
) -> None:
    assert says in words(found, beside=(MAJORITY, beside("words alone", 0.7, gain, ranking)))


def test_the_strongest_baseline_is_the_one_held_against(found: Evaluation) -> None:
    rows = (MAJORITY, beside("words alone", 0.6, 0.2, 0.2), beside("pixels alone", 0.8, 0.0, 0.0))
    assert "not shown to beat a model of small pictures (pixels alone)" in words(found, beside=rows)
    alone = words(found, beside=(MAJORITY,))
    assert "The detector beats always predicting the more common label:" in alone
    assert "No bag-of-words baseline" in alone


def test_few_memes_settle_nothing(found: Evaluation) -> None:
    said = words(found, memes=12, beside=(MAJORITY, beside("words alone", 0.7, 0.3, 0.3)))
    assert "A bag of words (words alone) reaches a macro-F1 of" in said
    assert "Fewer than 30 memes are too few" in said and "beats" not in said


@pytest.mark.parametrize(("accuracy", "where"), [(0.9, "above"), (0.5, "below"), (0.7, "within")])
def test_the_best_comparable_accuracy_published_is_held_against_the_interval(
    found: Evaluation, accuracy: float, where: str
) -> None:
    best = Published(system="ours", source="a paper", split="test", memes=40, accuracy=accuracy)
    rows = (
        best,
        best.model_copy(update={"accuracy": 0.1}),
        best.model_copy(update={"accuracy": 0.99, "apart": "other memes"}),
        best.model_copy(update={"accuracy": None}),
    )
    scores = found.scores.model_copy(update={"accuracy": figure(0.7, 0.1)})
    said = words(found, scores=scores, published=rows)
    assert f"{100 * accuracy:.1f} % (ours, a paper), is {where} this interval" in said


HERE = {"dataset": "clubs", "split": "test"}


@pytest.mark.parametrize(
    ("changes", "says", "otherwise"),
    [
        ({"role": "train", "trained_on": "clubs"}, "learn from this split", {"trained_on": "others"}),
        ({"role": "validation", "trained_on": None}, "are selected on this split", {"role": None}),
        ({"seen_words": 3}, "3 of these 40 memes have exactly the same text as", {"trained_on": "others"}),
        ({"seen_words": 1}, "1 of these 40 memes has exactly", {"seen_words": 0}),
        (
            {"chosen": Chosen(criterion="macro-F1", **HERE)},
            "threshold was chosen on these same memes (macro-F1)",
            {"chosen": Chosen(criterion="macro-F1", dataset="clubs", split="validation")},
        ),
        ({"texts_cut": 1}, "1 of 40 texts are longer than the student reads", {"texts_cut": 0}),
        ({"doubted": 3}, "7.5 % of the memes go to a person whatever their score", {"doubted": 0}),
        (
            {
                "trained_on": "others",
                "beside": (MAJORITY, beside("words alone", 0.7, -0.1, -0.1)),
            },
            "(the baseline was trained on clubs, the detector on others)",
            {"trained_on": "clubs"},
        ),
    ],
)
def test_what_makes_figures_worth_less_is_said_and_only_then(
    found: Evaluation, changes: dict[str, Any], says: str, otherwise: dict[str, Any]
) -> None:
    assert says in words(found, **changes)
    assert says not in words(found, **{**changes, **otherwise})


@pytest.mark.parametrize(
    ("ece", "chance", "says"),
    [
        (0.13, 0.25, "too few memes to tell whether its scores are probabilities"),
        (0.03, 0.05, "Its scores can be read as probabilities, as far as"),
        (0.02, 0.01, "Its scores are slightly off as probabilities"),
        (0.12, 0.05, "Its scores cannot be read as probabilities as they are"),
    ],
)
def test_calibration_is_judged_by_what_these_memes_can_show(
    found: Evaluation, ece: float, chance: float, says: str
) -> None:
    scores = found.scores.model_copy(update={"ece": figure(ece, 0.01), "ece_by_chance": chance})
    assert says in words(found, scores=scores)


def test_a_group_of_harmful_memes_alone_is_held_against_the_recall_of_all(found: Evaluation) -> None:
    scores = found.scores.model_copy(
        update={"accuracy": figure(0.9), "recall": figure(0.6), "false_alarms": figure(0.02)}
    )
    harmful = Group(kind="severity", name="very", memes=20, harmful=20, accuracy=figure(0.6))
    assert "Weakest group" not in words(found, scores=scores, groups=(harmful,))
    low = harmful.model_copy(update={"accuracy": figure(0.4)})
    assert (
        "Weakest group: severity “very” (20 memes), 40.0 % (35.0 to 45.0) correct against 60.0 % of all harmful memes"
        in (words(found, scores=scores, groups=(low,)))
    )
    harmless = harmful.model_copy(update={"name": "none", "harmful": 0, "accuracy": figure(0.9)})
    assert "98.0 % of all harmless memes" in words(found, scores=scores, groups=(harmless,))


def test_what_probes_say_against_it_stands_in_the_verdict(found: Evaluation) -> None:
    probes = {
        "modality": {"ignores": ["image"]},
        "robustness": {
            "settings": [
                {"change": change, "strength": strength, "moved": {"flipped": figure(flips).model_dump()}}
                for change, strength, flips in (
                    ("blur", 1, 0.1),
                    ("salt_text", 1, 0.3),
                    ("leet", 3, 0.9),
                )
            ]
        },
        "rationale": {
            "memes": 40,
            "written": {"distinct": 19},
            "truth": {"all": figure(0.8).model_dump()},
        },
        "pairs": {"same_text": {"pairs": 30, "both_right": figure(0.1).model_dump()}, "same_picture": None},
    }
    said = words(found, probes=probes)
    assert "It hardly uses the picture." in said
    assert "Of 30 pairs that differ only in picture and label, it gets both memes right in 10.0 %" in said
    assert (
        "Among the mildest changes to a meme, salt text flips the most decisions, 30.0 % (25.0 to 35.0); "
        "among the strongest, leet does, 90.0 %"
    ) in said
    assert "It writes only 19 different rationales for 40 memes" in said
    assert "80.0 % (75.0 to 85.0) of its rationales are true in every part." in said


def test_the_band_in_force_is_told_with_what_it_lets_pass(found: Evaluation) -> None:
    names = ("allowed", "harmful_of_allowed", "reviewed", "flagged", "flag_precision", "allowed_of_harmful")
    does = {name: figure(0.1 * place, 0.01) for place, name in enumerate(names, 1)}
    said = words(found, band=(0.1, 0.9), band_figures=does)
    assert "from 0.10 to 0.90 go to a person: 30.0 % (29.0 to 31.0) of them. 10.0 %" in said
    assert "60.0 % (59.0 to 61.0) of the harmful memes are allowed" in said


def test_precision_is_told_where_harmful_memes_are_rare_and_a_threshold_nobody_chose(
    found: Evaluation,
) -> None:
    scores = found.scores.model_copy(update={"recall": figure(0.96), "false_alarms": figure(0.033)})
    said = words(found, scores=scores)
    # 0.01 * 0.96 / (0.01 * 0.96 + 0.99 * 0.033) = 0.227
    assert (
        "50 % of these memes are harmful; in traffic where 1 % are, about 23 % of the flagged memes" in said
    )
    assert "at a threshold of 0.50 (not tuned)." in said
    rare = scores.model_copy(update={"harmful": 0})
    assert "where 1 of 100 is" not in words(found, scores=rare)


def test_every_probe_and_the_judge_has_a_template_and_a_probe_of_another_package_its_sentences() -> None:
    templates = {
        Path(file.name).stem for file in files("mrharm.reports").joinpath("templates/probes").iterdir()
    }
    assert {*PROBES.names(), "judge"} == templates - {"_skipped"}
    assert describe_probe("elsewhere", {"memes": 3, "words": ["3 were probed."]}) == ("3 were probed.",)
    assert describe_probe("elsewhere", {"memes": 3}) == ()
