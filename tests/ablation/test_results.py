from __future__ import annotations

import pytest

from mrharm.ablation.results import SplitRuns, answer_questions, sign_of, tabulate
from mrharm.ablation.run import RunRow
from mrharm.metrics import Estimate
from tests.ablation.rows import row, rows

T = {1: 12.7062047, 2: 4.3026527}  # the 97.5 % points of Student's t with 1 and 2 degrees of freedom


def test_a_cell_is_the_mean_over_seeds_with_students_interval():
    (cell,) = tabulate(rows("two-stage", 800, [0.7, 0.8, 0.9]), "test")
    half = T[2] * 0.1 / 3**0.5
    figure = cell.figures["macro_f1"]
    assert (figure.value, figure.low, figure.high) == pytest.approx((0.8, 0.8 - half, 0.8 + half))
    assert cell.seeds == (0, 1, 2) and cell.differences == {}


def test_differences_are_paired_over_the_seeds_both_arms_have():
    run_rows = [*rows("two-stage", 800, [0.9, 0.7]), *rows("labels-only", 800, [0.8, 0.5, 0.1])]
    reference, other = tabulate(run_rows, "test")
    assert (reference.arm, other.arm) == ("two-stage", "labels-only")
    assert other.seeds == (0, 1, 2) and other.paired == (0, 1)
    change = other.differences["macro_f1"]
    # Of -0.1 and -0.2: mean -0.15, spread 0.0707, and its error 0.05.
    assert (change.value, change.low) == pytest.approx((-0.15, -0.15 - T[1] * 0.05))
    assert SplitRuns(run_rows, "test").difference("two-stage", "labels-only", 800).value == pytest.approx(
        0.15
    )


def test_sizes_stand_apart_and_an_arm_without_the_reference_has_no_difference():
    cells = tabulate([row("leaking", 1600, 0, 0.6), row("two-stage", 800, 0, 0.7, truth=0.25)], "test")
    assert [(cell.size, cell.arm, cell.differences) for cell in cells] == [
        (800, "two-stage", {}),
        (1600, "leaking", {}),
    ]
    assert cells[0].figures["truth"].value == 0.25 and "truth" not in cells[1].figures
    assert tabulate([row("leaking", 1600, 0, 0.6)], "lexical") == []


def test_the_trend_is_how_much_the_gain_grows_seed_by_seed():
    run_rows = [
        *rows("two-stage", 100, [0.6, 0.6]),
        *rows("labels-only", 100, [0.5, 0.6]),
        *rows("two-stage", 200, [0.9, 0.9]),
        *rows("labels-only", 200, [0.6, 0.7]),
    ]
    # Gains 0.1 and 0.0 grow to 0.3 and 0.2.
    growth = SplitRuns(run_rows, "test").growth("two-stage", "labels-only", (100, 200))
    assert growth.macro_f1.value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("figure", "means"),
    [
        (Estimate(value=0.1, low=0.05, high=0.15), "more"),
        (Estimate(value=-0.1, low=-0.15, high=-0.05), "less"),
        (Estimate(value=0.1, low=-0.05, high=0.25), "open"),
        (Estimate(value=0.1), "open"),
        (Estimate(), "open"),
    ],
)
def test_only_an_interval_clear_of_0_settles_anything(figure, means):
    assert sign_of(figure) == means


def test_answers_say_what_is_settled_and_what_is_not():
    run_rows = [
        *rows("two-stage", 100, [0.70, 0.50, 0.60]),
        *rows("labels-only", 100, [0.55, 0.65, 0.58]),
        *rows("two-stage", 200, [0.90, 0.91, 0.92]),
        *rows("labels-only", 200, [0.80, 0.82, 0.81]),
        *rows("shuffled", 200, [0.70, 0.72, 0.71]),
        *rows("leaking", 200, [0.80, 0.82, 0.81]),
    ]
    distillation, reasoning, leaking = answer_questions(run_rows, "test")
    assert "With 100 memes not settled (macro-F1 +0.007 ± " in distillation.words
    assert "with 200 memes it helps (macro-F1 +0.100 ± 0.025, AUROC +0.100 ± 0.025)" in distillation.words
    assert "whether the gain is larger at 200 memes than at 100 is not settled (macro-F1 +0.093 ± " in (
        distillation.words
    )
    assert "the meme's own rationale does better than another meme's (macro-f1 +0.200 ± 0.025" in (
        reasoning.words.lower()
    )
    assert "the extra text alone hurts (macro-F1 -0.100" in reasoning.words
    assert leaking.words == "With 200 memes it hurts (macro-F1 -0.100 ± 0.025, AUROC -0.100 ± 0.025)."
    assert leaking.rests_on["leaking - two-stage, 200 memes"].macro_f1.value == pytest.approx(-0.1)


def test_students_at_chance_that_say_either_label_more_often_are_no_gain():
    def at_chance(arm: str, figures: list[float]) -> list[RunRow]:
        made = rows(arm, 200, figures)
        return [
            run_row.model_copy(
                update={"splits": {"test": {**run_row.splits["test"], "auroc": 0.5 + place / 1000}}}
            )
            for place, run_row in enumerate(made)
        ]

    run_rows = [*at_chance("two-stage", [0.50, 0.49, 0.51]), *at_chance("labels-only", [0.33, 0.34, 0.33])]
    (only,) = answer_questions(run_rows, "test")
    assert only.words.startswith("With 200 memes not settled (macro-F1 +0.167 ± ")


def test_one_or_two_seeds_settle_nothing_and_a_question_without_runs_is_not_answered():
    (only,) = answer_questions([row("two-stage", 50, 0, 0.9), row("labels-only", 50, 0, 0.5)], "test")
    assert only.words == "With 50 memes not settled (macro-F1 +0.400, AUROC +0.400, 1 seed)."
    alike = [*rows("two-stage", 50, [0.9, 0.9]), *rows("labels-only", 50, [0.5, 0.5])]
    assert answer_questions(alike, "test")[0].words.endswith("AUROC +0.400 ± 0.000, 2 seeds).")
    assert answer_questions(alike, "test")[0].words.startswith("With 50 memes not settled")


def test_accuracy_where_words_alone_are_wrong_is_the_mean_of_the_rows_that_have_it():
    old, new = row("two-stage", 50, 0, 0.9), row("two-stage", 50, 1, 0.9)
    new.splits["test"] |= {"words_wrong": 0.5, "words_right": 1.0}
    (cell,) = tabulate([old, new], "test")
    assert (cell.figures["words_wrong"].value, cell.figures["words_right"].value) == (0.5, 1.0)
    assert "words_wrong" not in tabulate([old], "test")[0].figures


def test_rationales_checked_by_the_earlier_rule_are_not_averaged_with_those_of_today():
    old = row("unconditioned", 50, 0, 0.5, truth=0.0)
    new = row("unconditioned", 50, 1, 0.5, truth=0.9)
    assert new.truth is not None
    new.truth["names_relation"] = 0.0
    assert tabulate([old, new], "test")[0].figures["truth"].value == 0.9
    assert tabulate([old], "test")[0].figures["truth"].value == 0.0
