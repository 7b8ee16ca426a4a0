from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from mrharm.errors import DataError, InputError
from mrharm.evaluation.evaluate import predict_split, read_report, worst_mistakes
from mrharm.evaluation.saved_predictions import evaluation_folder, list_manifests, read_labelled, read_saved
from mrharm.memes.dataset import Dataset
from mrharm.plugins import Table
from mrharm.probes.run import PROBES, select_probes
from mrharm.records import Evidence, Failure, Label, Meme, Rationale, Verdict, read_records
from mrharm.runs import find_run
from mrharm.store import write_records
from mrharm.verdicts.card import read_card, write_card
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import write_dataset
from tests.evaluation.runs import clubs, evaluate_run, make_run, predictions, random_detector, report
from tests.probes import made_probes


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return clubs(tmp_path / "clubs")


@pytest.fixture
def run(tmp_path, dataset):
    return make_run(tmp_path / "run", dataset)


@pytest.fixture
def probes(monkeypatch):
    rows = {name: f"tests.probes.made_probes:{name}" for name in ("finds", "does_not_apply", "broken")}
    monkeypatch.setattr("mrharm.probes.run.PROBES", Table("probes", rows))
    made_probes.CALLS.clear()


def test_the_test_split_of_its_own_dataset_is_kept_in_the_run_itself(run, dataset):
    found = evaluate_run(run, dataset)
    assert {path.name for path in run.iterdir() if path.is_file() and not path.name.startswith(".")} == {
        "run.json", "verdicts.test.jsonl", "judged.test.json", "report.json", "model-card.md",
    }  # fmt: skip
    assert read_report(run / "report.json") == found
    assert (found.dataset, found.split, found.memes) == ("clubs", "test", 24)
    assert found.detector == read_card(run)[1].key()
    verdicts = list(read_records(run / "verdicts.test.jsonl", Verdict))
    right = sum(one.harmful == (int(one.meme_id.split("-")[1]) % 2 == 1) for one in verdicts)
    assert found.scores.accuracy.value == pytest.approx(right / 24)


def test_other_splits_and_datasets_have_folders_of_their_own(run, dataset, tmp_path):
    evaluate_run(run, dataset, "validation")
    other = clubs(tmp_path / "others", test=12, name="others")
    evaluate_run(run, other)
    assert {path.name for path in (run / "evaluations").iterdir()} == {"clubs.validation", "others.test"}
    assert not (run / "report.json").exists()


def test_what_is_gathered_later_leaves_a_dataset_where_it_was_and_other_labels_make_another(
    run, dataset, tmp_path
):
    evaluate_run(run, dataset)
    write_records(dataset.root / "rationales.jsonl", [Rationale(meme_id="test-0", text="you", teacher="t")])
    assert evaluation_folder(run, Dataset(dataset.root), "test") == run
    evaluate_run(run, Dataset(dataset.root))
    assert len(list_manifests(run)) == 1
    # A cleaned copy under the same name, with fewer memes.
    first = json.loads((run / "report.json").read_text())
    for number, test in enumerate((12, 16)):
        other = clubs(tmp_path / f"other{number}", test=test)
        assert evaluate_run(run, other).memes == test
    assert json.loads((run / "report.json").read_text()) == first
    own, *others = list_manifests(run)
    assert own.parent == run and len(others) == 2
    assert others[0].parent.name == "clubs.test" and others[1].parent.name.startswith("clubs.test.")
    # Asked again, each finds its own.
    assert evaluation_folder(run, clubs(tmp_path / "again", test=16), "test") == others[1].parent


def test_the_same_again_judges_nothing_and_finds_the_same(run, dataset):
    first = evaluate_run(run, dataset)
    written = (run / "verdicts.test.jsonl").read_bytes()
    assert evaluate_run(run, dataset) == first
    assert (run / "verdicts.test.jsonl").read_bytes() == written


def test_a_new_threshold_decides_again_without_judging_again(run, dataset):
    first = evaluate_run(run, dataset)
    inner, card = read_card(run)
    write_card(inner, card.with_policy(0.0))
    second = evaluate_run(run, dataset)
    assert second.scores.recall.value == second.scores.false_alarms.value == 1.0
    assert second.scores.auroc == first.scores.auroc
    assert len(list(read_records(run / "verdicts.test.jsonl", Verdict))) == 24


def test_verdicts_of_a_detector_calibrated_anew_are_set_aside(run, dataset):
    evaluate_run(run, dataset)
    Detector.from_pretrained(run, device="cpu").with_temperature(3.0).save_pretrained(run / "detector")
    evaluate_run(run, dataset)
    assert len(list(run.glob("verdicts.test.*.jsonl"))) == 1


def test_verdicts_that_were_set_aside_come_back_with_their_detector(run, dataset):
    first = evaluate_run(run, dataset)
    written = (run / "verdicts.test.jsonl").read_bytes()
    shutil.copytree(run / "detector", run / "earlier")
    Detector.from_pretrained(run, device="cpu").with_temperature(3.0).save_pretrained(run / "detector")
    evaluate_run(run, dataset)
    shutil.rmtree(run / "detector")
    (run / "earlier").rename(run / "detector")
    assert evaluate_run(run, dataset).scores == first.scores
    assert (run / "verdicts.test.jsonl").read_bytes() == written


def test_the_words_of_train_memes_are_known_where_ocr_read_them(tmp_path):
    memes = [
        Meme(id=str(n), label=Label(harmful=n % 2 == 0), split=("train", "test")[n > 5]) for n in range(12)
    ]
    evidence = [Evidence(meme_id=str(n), text=f"You and club {n % 6}", text_source="ocr") for n in range(12)]
    given = predictions(tmp_path / "d", memes[6:], [True] * 6, evidence=evidence[6:])
    whole = replace(given, dataset=write_dataset(tmp_path / "e", memes, evidence))
    assert report(whole, n_resamples=20).seen_words == 6


def test_the_verdict_comes_first_and_figures_have_intervals(run, dataset):
    found = evaluate_run(run, dataset)
    assert " correct on 24 memes of clubs (test); macro-F1 " in found.words[0]
    assert any("reaches a macro-F1 of" in words for words in found.words)
    assert {row.name for row in found.beside} == {"majority", "words alone"}
    assert found.beside[1].accuracy.value > 0.8
    for name, figure in found.beside[1].gains.items():
        ours, theirs = getattr(found.scores, name).value, getattr(found.beside[1], name).value
        assert figure.value == pytest.approx(ours - theirs)
        assert figure.low <= figure.value <= figure.high


def test_memes_that_words_alone_get_wrong_are_a_group(run, dataset):
    found = evaluate_run(run, dataset)
    groups = {group.name: group for group in found.groups if group.kind == "words alone"}
    words = next(row for row in found.beside if row.name == "words alone")
    assert groups["wrong"].memes == round(24 * (1 - words.accuracy.value))
    assert groups["right"].memes + groups["wrong"].memes == found.memes
    manifest = read_saved(run, run / "judged.test.json").manifest
    assert len(manifest.baseline_errors) == groups["wrong"].memes


def test_without_a_train_split_nothing_stands_beside(tmp_path):
    memes = [Meme(id=str(n), text="you", label=Label(harmful=n > 5), split="test") for n in range(12)]
    found = report(predictions(tmp_path / "d", memes, [True] * 12), n_resamples=20)
    assert found.beside == ()
    assert not any("bag of words" in words for words in found.words)
    assert any(words.startswith("There is no baseline to compare with") for words in found.words)


def test_a_detector_at_hand_is_evaluated_without_a_folder(dataset):
    before = sorted(dataset.root.parent.iterdir())
    found = report(predict_split(random_detector(), dataset, rationales=False))
    assert found.memes == 24
    assert sorted(dataset.root.parent.iterdir()) == before


def test_probes_are_kept_and_those_that_do_not_apply_say_why(run, dataset, probes):
    first = evaluate_run(run, dataset, probes=["finds", "does_not_apply"], probe_memes=10, seed=3)
    assert first.probes == {"finds": {"memes": 10, "odd": None, "words": ["10 memes were probed."]}}
    assert first.skipped == {"does_not_apply": "no meme has a picture"}
    assert evaluate_run(run, dataset, probes=["finds", "does_not_apply"], probe_memes=10, seed=3) == first
    assert made_probes.CALLS == [3]
    evaluate_run(run, dataset, probes="finds", probe_memes=11, seed=3)
    assert made_probes.CALLS == [3, 3]


def test_a_new_threshold_is_probed_anew(run, dataset, probes):
    evaluate_run(run, dataset, probes="finds")
    inner, card = read_card(run)
    write_card(inner, card.with_policy(0.0))
    evaluate_run(run, dataset, probes="finds")
    assert len(made_probes.CALLS) == 2


def test_a_bug_in_a_probe_is_no_reason_to_skip_it(run, dataset, probes):
    with pytest.raises(ZeroDivisionError):
        evaluate_run(run, dataset, probes="finds,broken")
    # What was found before is kept.
    evaluate_run(run, dataset, probes="finds")
    assert made_probes.CALLS == [0]


def test_an_unknown_probe_is_named_before_any_work(run, dataset):
    with pytest.raises(InputError, match="no probe called 'charm'; expected modality"):
        evaluate_run(run, dataset, probes="modality,charm")
    assert not (run / "verdicts.test.jsonl").exists()


def test_all_and_none_and_names_choose_probes():
    assert select_probes("all") == tuple(PROBES.names())
    assert select_probes("none") == select_probes([]) == ()
    assert select_probes("pairs, modality,pairs") == ("pairs", "modality")


@pytest.mark.parametrize("name", PROBES.names())
def test_every_probe_of_the_table_can_be_loaded(name):
    assert callable(PROBES.load(name))


def test_the_surest_mistakes_come_first_and_unanswered_memes_last(tmp_path):
    memes = [
        Meme(id=str(n), text=f"you {n}", label=Label(harmful=n % 2 == 1), split="test") for n in range(6)
    ]
    said = [True, True, True, None, False, False]
    scores = [0.6, 0.9, 0.95, 0.99, 0.1, 0.2]
    found = worst_mistakes(
        predictions(tmp_path / "d", memes, said, scores, rationales=[f"why {n}" for n in range(6)])
    )
    assert [(one.meme_id, one.said, one.confidence) for one in found] == [
        ("2", True, 0.95),
        ("5", False, 0.8),
        ("0", True, 0.6),
        ("3", None, 0.0),
    ]
    assert (found[0].text, found[0].rationale, found[0].harmful) == ("you 2", "why 2", False)


def test_what_to_beware_of_is_said(tmp_path):
    memes = [
        Meme(id=str(n), text="you", label=Label(harmful=n % 2 == 1, targets=("a",) * (n < 3)), split="test")
        for n in range(20)
    ]
    given = predictions(tmp_path / "d", memes, [None, None] + [True] * 18)
    lacking = tuple(one.model_copy(update={"missing": ("caption",)}) for one in given.verdicts[:4])
    object.__setattr__(given, "verdicts", (*lacking, *given.verdicts[4:]))
    found = report(given, n_resamples=50)
    assert found.missing == {"caption": 4}
    said = " ".join(found.words)
    assert "2 of 20 answers were not a label and count as wrong." in said
    assert "4 of 20 memes have no caption, which the recipe reads." in said
    assert "It misses 10 of 100 harmful memes and flags 90 of 100 harmless ones" in said
    assert "1 group of fewer than 10 memes has no figures." in said


def test_failures_are_in_no_figure_and_named(dataset, tmp_path):
    memes = [*dataset.memes, Meme(id="bare", text="", label=Label(harmful=True), split="test")]
    write_records(dataset.root / "memes.jsonl", memes)
    run = make_run(tmp_path / "run", clubs(tmp_path / "again"))
    found = evaluate_run(run, Dataset(dataset.root), rationales=False)
    assert (found.memes, [one.item for one in found.failures]) == (24, ["bare"])
    assert any("1 meme could not be predicted and is in no figure (bare: " in words for words in found.words)


def test_wrong_runs_and_splits_are_said_with_the_mend(run, dataset, tmp_path):
    with pytest.raises(InputError, match="mrharm train DATASET --out"):
        evaluate_run(tmp_path / "nowhere", dataset)
    with pytest.raises(InputError, match="no split called 'exam'; there are"):
        evaluate_run(run, dataset, "exam")
    bare = tmp_path / "bare"
    (run / "detector").rename(bare)
    with pytest.raises(InputError, match="name a place with --out FOLDER"):
        find_run(bare)
    assert evaluate_run(bare, dataset, out=tmp_path / "kept", rationales=False).memes == 24
    assert (tmp_path / "kept" / "report.json").exists()


def test_a_detector_named_by_its_own_folder_is_its_runs(run):
    assert find_run(run / "detector") == run


def test_what_is_kept_reads_back_with_its_verdicts(run, dataset):
    evaluate_run(run, dataset)
    evaluate_run(run, dataset, rationales=False)
    (file,) = list_manifests(run)
    stored = read_saved(run, file)
    assert stored.ids == tuple(one.id for one in dataset.split("test"))
    assert stored.gold.tolist() == [one.label.harmful for one in dataset.split("test")]
    assert not stored.manifest.rationales
    lines = (run / "verdicts.test.jsonl").read_text().splitlines()
    (run / "verdicts.test.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="1 of its 24 verdicts are not in"):
        read_saved(run, file)


def test_failures_of_memes_that_are_not_evaluated_are_in_no_report(run, dataset):
    evaluate_run(run, dataset, rationales=False)
    judged = dataset.split("test")[0].id
    # As a submission of unlabelled memes leaves them, and a meme that was mended or removed since.
    rows = [Failure(item=item, stage="predict", reason="r") for item in ("unlabelled", judged)]
    write_records(run / "verdicts.test.failures.jsonl", rows)
    assert read_labelled(run, dataset, "test").failures == ()


def test_a_report_of_something_else_is_refused(tmp_path):
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"words": []}))
    with pytest.raises(DataError, match=r"Evaluation\."):
        read_report(file)
    file.write_text("{")
    with pytest.raises(DataError, match="evaluate the run again"):
        read_report(file)


def test_a_datasets_name_leads_nowhere_out_of_the_run(run, tmp_path):
    there = sorted(tmp_path.iterdir())
    odd = clubs(tmp_path / "odd", test=12, name="../../../clubs | <b>")
    evaluate_run(run, odd, rationales=False)
    assert sorted(tmp_path.iterdir()) == sorted([*there, odd.root])
    (folder,) = (run / "evaluations").iterdir()
    assert folder.name == "_.._.._clubs_b_.test" and (folder / "verdicts.test.jsonl").exists()


def test_the_weakest_group_is_not_called_the_lowest_where_a_smaller_one_lies_lower(tmp_path):
    """Ten memes half of which are right lie lower than sixty of which 55 % are; only the latter is beyond chance."""
    sizes = {"few": (10, 5), "many": (60, 33), "rest": (130, 104)}
    memes, said = [], []
    for name, (size, right) in sizes.items():
        for place in range(size):
            harmful = place % 2 == 0
            label = Label(harmful=harmful, attack_types=(name,))
            memes.append(Meme(id=f"{name}-{place}", text="you", label=label, split="test"))
            said.append(harmful == (place < right))
    found = report(predictions(tmp_path / "d", memes, said), n_resamples=200)
    (weakest,) = [words for words in found.words if words.startswith("Weakest group")]
    assert "“many” (60 memes), 55.0" in weakest
    assert weakest.endswith("In 1 of 3 groups the whole interval is below that of such memes.")
