from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind
from sklearn.metrics import f1_score, roc_auc_score

from mrharm.errors import DataError, InputError
from mrharm.evaluation.compare import Comparison, compare
from mrharm.evaluation.saved_predictions import PredictionsManifest
from mrharm.memes.dataset import Dataset
from mrharm.metrics.significance import mcnemar
from mrharm.records import Evidence, Verdict
from mrharm.reports.comparison import describe_comparison
from mrharm.store import write_json, write_records, write_text
from mrharm.verdicts.card import read_card, write_card
from tests.evaluation.runs import clubs, evaluate_run, make_run

GOLD = np.array([place % 3 == 0 for place in range(60)])


def judged_run(
    folder: Path,
    wrong: set[int],
    *,
    seed: int = 0,
    recipe: str = "r",
    split: str = "test",
    gold: np.ndarray = GOLD,
    left_out: Collection[int] = (),
    unanswered: Collection[int] = (),
    **fields: object,
) -> Path:
    """A run that holds nothing but its verdicts, wrong on these memes."""
    places = [place for place in range(len(gold)) if place not in left_out]
    said = [bool(gold[place]) != (place in wrong) for place in places]
    verdicts = [
        Verdict(
            meme_id=f"m{place}",
            harmful=None if place in unanswered else one,
            score=(0.9 if one else 0.1) - place / 1000 * (1 if one else -1),
            threshold=0.5,
            decision="flag" if one else "allow",
            key=f"key-{place}",
            detector="test",
            recipe=recipe,
            created_at="2025",
        )
        for place, one in zip(places, said, strict=True)
    ]
    judgement = PredictionsManifest(
        **{
            "dataset": "clubs",
            "dataset_sha256": "0" * 64,
            "split": split,
            "detector": "test",
            "recipe": recipe,
            "seed": seed,
            "rationales": False,
            "failures": 0,
            "rows": {f"m{place}": (bool(gold[place]), f"key-{place}") for place in places},
            **fields,
        }
    )
    write_json(folder / "run.json", {"done": True})
    write_records(folder / f"verdicts.{split}.jsonl", verdicts)
    write_text(folder / f"judged.{split}.json", judgement.model_dump_json())
    return folder


def words_of(comparison: Comparison) -> tuple[str, ...]:
    return describe_comparison(comparison).words


def test_two_runs_are_held_against_each_other_on_the_same_memes(tmp_path):
    one = judged_run(tmp_path / "a", set(range(20)))
    two = judged_run(tmp_path / "b", {18, 19, 20, 21})
    (found,) = compare([[one], [two]])
    right = [
        np.array([place not in wrong for place in range(60)]) for wrong in (set(range(20)), {18, 19, 20, 21})
    ]
    said = [np.where(each, GOLD, ~GOLD) for each in right]
    assert found.mcnemar == mcnemar(*right)
    assert (found.mcnemar.only_first, found.mcnemar.only_second, found.differ) == (2, 18, 20)
    assert found.first.figures["accuracy"].value == pytest.approx(np.mean(said[0] == GOLD))
    assert found.second.figures["macro_f1"].value == pytest.approx(f1_score(GOLD, said[1], average="macro"))
    for name, difference in found.differences.items():
        assert difference.value == pytest.approx(
            found.second.figures[name].value - found.first.figures[name].value
        )
        assert 0 < difference.low < difference.value < difference.high
    assert (found.memes, found.left_out, found.over_seeds) == (60, 0, {})
    assert "b is better than" in words_of(found)[0]


def test_sides_are_compared_where_words_alone_are_wrong_and_where_they_are_right(tmp_path):
    errors = tuple(f"m{place}" for place in range(15))
    one = judged_run(tmp_path / "a", set(range(12)), baseline_errors=errors)
    two = judged_run(tmp_path / "b", {30}, baseline_errors=errors)
    (found,) = compare([[one], [two]])
    assert [(group.name, group.memes) for group in found.by_baseline] == [("wrong", 15), ("right", 45)]
    where_wrong, where_right = found.by_baseline
    assert (where_wrong.first.value, where_wrong.second.value) == (pytest.approx(3 / 15), 1.0)
    assert where_right.difference.value == pytest.approx(-1 / 45)
    (unknown,) = compare([[judged_run(tmp_path / "c", {1})], [judged_run(tmp_path / "d", {2})]])
    assert unknown.by_baseline == ()


def test_the_area_of_each_side_is_that_of_its_scores(tmp_path):
    one, two = judged_run(tmp_path / "a", {1, 2, 3}), judged_run(tmp_path / "b", set())
    (found,) = compare([[one], [two]])
    said = np.array([bool(GOLD[place]) != (place in {1, 2, 3}) for place in range(60)])
    scores = np.array(
        [(0.9 if one else 0.1) - place / 1000 * (1 if one else -1) for place, one in enumerate(said)]
    )
    assert found.first.figures["auroc"].value == pytest.approx(roc_auc_score(GOLD, scores))
    assert found.second.figures["auroc"].value == 1.0


def test_a_paired_interval_is_narrower_than_either_sides(tmp_path):
    one = judged_run(tmp_path / "a", set(range(20)))
    two = judged_run(tmp_path / "b", set(range(19)))
    (found,) = compare([[one], [two]])
    own = found.first.figures["accuracy"]
    difference = found.differences["accuracy"]
    assert difference.high - difference.low < (own.high - own.low) / 2
    assert "is not shown to differ from" in words_of(found)[0]


def test_no_label_is_wrong_whatever_its_score(tmp_path):
    one = judged_run(tmp_path / "a", set(), unanswered={0, 1})
    two = judged_run(tmp_path / "b", set())
    (found,) = compare([[one], [two]])
    assert found.first.figures["accuracy"].value == pytest.approx(58 / 60)
    assert (found.mcnemar.only_second, found.differ) == (2, 2)


def test_every_later_run_is_held_against_the_first(tmp_path):
    runs = [judged_run(tmp_path / name, wrong) for name, wrong in (("a", {1}), ("b", {1, 2}), ("c", set()))]
    found = compare([[run] for run in runs])
    assert [(one.first.name, one.second.name) for one in found] == [
        (str(runs[0]), str(runs[1])),
        (str(runs[0]), str(runs[2])),
    ]


def test_runs_of_several_seeds_have_mean_and_spread(tmp_path):
    wrongs = {"a": [{1, 2, 3, 4}, {1, 2}, {5, 6, 7}], "b": [{1}, {2, 9}]}
    sides = [
        [
            judged_run(tmp_path / f"{name}-{seed}", wrong, seed=seed, recipe=name)
            for seed, wrong in enumerate(each)
        ]
        for name, each in wrongs.items()
    ]
    (found,) = compare(sides)
    values = [np.array([1 - len(wrong) / 60 for wrong in each]) for each in wrongs.values()]
    spread = found.first.spread["accuracy"]
    assert (spread.mean, spread.sd) == pytest.approx((values[0].mean(), values[0].std(ddof=1)))
    assert (spread.low, spread.high) == pytest.approx((56 / 60, 58 / 60))
    assert found.first.figures["accuracy"].value == pytest.approx(values[0].mean())
    expected = ttest_ind(values[1], values[0], equal_var=False).confidence_interval()
    over = found.over_seeds["accuracy"]
    assert (over.value, over.low, over.high) == pytest.approx(
        (values[1].mean() - values[0].mean(), expected.low, expected.high)
    )
    assert found.mcnemar is None and found.differ is None
    assert found.first.seeds == (0, 1, 2)


def test_seeds_on_one_side_only_have_a_spread_and_no_interval_over_seeds(tmp_path):
    several = [judged_run(tmp_path / f"a-{seed}", {seed}, seed=seed) for seed in range(2)]
    (found,) = compare([several, [judged_run(tmp_path / "b", set())]])
    assert found.first.spread and not found.second.spread
    assert found.over_seeds == {}


def test_a_side_of_two_recipes_or_one_seed_twice_is_refused(tmp_path):
    one = judged_run(tmp_path / "a", set(), recipe="tiny")
    other = judged_run(tmp_path / "b", set(), recipe="paper", seed=1)
    twin = judged_run(tmp_path / "c", set(), recipe="tiny")
    with pytest.raises(InputError, match="several recipes"):
        compare([[one, other], [twin]])
    with pytest.raises(InputError, match="one seed twice"):
        compare([[one, twin], [other]])
    with pytest.raises(InputError, match="at least two"):
        compare([[one]])


def test_memes_that_not_all_judged_are_left_out_and_counted(tmp_path):
    one = judged_run(tmp_path / "a", {1}, left_out={0, 5})
    two = judged_run(tmp_path / "b", {1}, left_out={5, 7})
    (found,) = compare([[one], [two]])
    assert (found.memes, found.left_out) == (57, 2)
    assert "2 memes were left out, because not every run has a verdict on them." in words_of(found)


def test_other_labels_and_no_meme_in_common_are_refused(tmp_path):
    one = judged_run(tmp_path / "a", set())
    turned = judged_run(tmp_path / "b", set(), gold=~GOLD)
    with pytest.raises(InputError, match=r"other labels \(m0\)"):
        compare([[one], [turned]])
    first = judged_run(tmp_path / "c", set(), left_out=set(range(30)))
    last = judged_run(tmp_path / "d", set(), left_out=set(range(30, 60)))
    with pytest.raises(InputError, match="no meme in common"):
        compare([[first], [last]])


def test_the_one_split_that_all_have_judged_is_taken_and_others_are_named(tmp_path):
    one = judged_run(tmp_path / "a", set())
    judged_run(tmp_path / "a", {1}, split="validation")
    two = judged_run(tmp_path / "b", set(), split="validation")
    (found,) = compare([[one], [two]])
    assert (found.split, found.first.figures["accuracy"].value) == ("validation", pytest.approx(59 / 60))
    with pytest.raises(InputError, match=r"no split that all runs have judged .*clubs\.test.*--dataset"):
        compare([[one], [two]], split="test")
    judged_run(tmp_path / "b", {1, 2}, split="test")
    with pytest.raises(InputError, match=r"several splits \(clubs\.test, clubs\.validation\)"):
        compare([[one], [two]])
    assert compare([[one], [two]], split="test")[0].split == "test"


def test_broken_files_name_themselves(tmp_path):
    one, two = judged_run(tmp_path / "a", set()), judged_run(tmp_path / "b", set())
    (two / "judged.test.json").write_text("{")
    with pytest.raises(DataError, match=r"judged\.test\.json: not JSON .*; evaluate the run again"):
        compare([[one], [two]])
    with pytest.raises(InputError, match="no run there"):
        compare([[one], [tmp_path / "c"]])


@pytest.fixture
def real(tmp_path) -> tuple[Dataset, list[Path]]:
    dataset = clubs(tmp_path / "clubs", train=4, test=12)
    return dataset, [make_run(tmp_path / f"run-{seed}", dataset, seed) for seed in range(2)]


def test_what_is_missing_is_judged_once_where_a_dataset_is_named(real):
    dataset, runs = real
    evaluate_run(runs[0], dataset)
    kept = (runs[0] / "verdicts.test.jsonl").read_bytes()
    (found,) = compare([[runs[0]], [runs[1]]], dataset=dataset.root)
    assert found.memes == 12
    assert (runs[0] / "verdicts.test.jsonl").read_bytes() == kept
    written = (runs[1] / "verdicts.test.jsonl").read_bytes()
    assert compare([[runs[0]], [runs[1]]]) == (found,)
    assert (runs[1] / "verdicts.test.jsonl").read_bytes() == written


def test_a_detector_changed_since_is_not_compared_by_its_old_decisions(real):
    dataset, runs = real
    for run in runs:
        evaluate_run(run, dataset)
    inner, card = read_card(runs[1])
    write_card(inner, card.with_policy(0.0))
    with pytest.raises(InputError, match="detector was changed"):
        compare([[runs[0]], [runs[1]]])
    (found,) = compare([[runs[0]], [runs[1]]], dataset=dataset.root)
    assert found.second.figures["accuracy"].value == 0.5  # all flagged now
    assert len((runs[1] / "verdicts.test.jsonl").read_text().splitlines()) == 12


def test_after_new_evidence_the_new_verdicts_are_compared(real):
    dataset, runs = real
    for run in runs:
        evaluate_run(run, dataset)
    texts = [
        Evidence(meme_id=f"test-{number}", text=f"you and {number} kettles", text_source="ocr")
        for number in range(12)
    ]
    write_records(dataset.root / "evidence.jsonl", texts)
    newest = [evaluate_run(run, Dataset(dataset.root)).scores.auroc.value for run in runs]
    (found,) = compare([[runs[0]], [runs[1]]])
    sides = (found.first, found.second)
    assert [side.figures["auroc"].value for side in sides] == pytest.approx(newest)


def test_two_datasets_of_one_name_are_told_apart(real, tmp_path):
    dataset, runs = real
    cleaned = clubs(tmp_path / "cleaned", train=4, test=8)
    for run in runs:
        evaluate_run(run, dataset)
        evaluate_run(run, cleaned)
    with pytest.raises(InputError, match=r"has judged clubs\.test with other memes or labels, too"):
        compare([[runs[0]], [runs[1]]])
    for which, memes in ((dataset, 12), (cleaned, 8)):
        assert compare([[runs[0]], [runs[1]]], dataset=which.root)[0].memes == memes


def test_a_dataset_changed_between_evaluations_is_said(tmp_path):
    runs = [[judged_run(tmp_path / "a", {1})], [judged_run(tmp_path / "b", {2}, dataset_sha256="1" * 64)]]
    (found,) = compare(runs)
    assert found.dataset_sha256 == ("0" * 64, "1" * 64)
    assert words_of(found)[-1].startswith("The dataset changed between these evaluations")
    (same,) = compare([runs[0], [judged_run(tmp_path / "c", {2})]])
    assert not any("dataset changed" in words for words in words_of(same))
