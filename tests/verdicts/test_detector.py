from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mrharm import Detector, Meme
from mrharm.errors import DataError, ImageError, InputError, MissingInputError, ModelUnavailableError
from mrharm.hub import pick_dtype
from mrharm.memes.dataset import Dataset
from mrharm.recipe import ANSWERS
from mrharm.training.run import train
from mrharm.verdicts.calibration import Calibration, fit_calibration, negative_log_likelihood
from mrharm.verdicts.card import model_card
from mrharm.verdicts.inputs import JudgeOptions
from mrharm.verdicts.scoring import harm_log_odds, harm_probability
from tests.training.helpers import tiny


def scores(detector, memes, root):
    return [verdict.score for verdict in detector.judge(memes, root=root, rationales=False)]


def test_one_meme_gives_a_verdict_and_many_give_a_list_in_order(detector, squares, memes):
    single = detector.judge(memes[0], root=squares)
    many = detector.judge(memes, root=squares, batch_size=5)
    assert [verdict.meme_id for verdict in many] == [meme.id for meme in memes]
    assert many[0].score == pytest.approx(single.score, abs=1e-5)
    assert many[0].rationale == single.rationale
    for verdict in many:
        assert 0 <= verdict.score <= 1
        assert verdict.harmful == (verdict.score >= verdict.threshold)
        by_score = "flag" if verdict.harmful else "allow"
        assert verdict.decision == ("review" if verdict.doubts else by_score)
        assert verdict.rationale is not None and not verdict.rationale.startswith("Output")
        assert verdict.detector == detector.key and verdict.recipe == "test"


def test_the_folder_is_self_contained_and_moves(run, detector, squares, memes, tmp_path):
    shutil.copytree(run / "detector", tmp_path / "elsewhere")
    moved = Detector.from_pretrained(tmp_path / "elsewhere", device="cpu")
    assert moved.key == detector.key
    assert scores(moved, memes, squares) == scores(detector, memes, squares)
    assert not [
        path for path in (run / "detector").iterdir() if path.suffix in (".bin", ".pt", ".pkl", ".py")
    ]


def test_the_verdicts_are_those_of_the_students_just_trained(trained, detector, squares, memes):
    fresh = trained[1]
    assert fresh.key == detector.key
    assert [verdict.model_dump(exclude={"created_at"}) for verdict in fresh.judge(memes, root=squares)] == [
        verdict.model_dump(exclude={"created_at"}) for verdict in detector.judge(memes, root=squares)
    ]


def test_a_missing_text_is_named_in_the_verdict_and_refused_when_strict(detector, squares, memes):
    wordless = memes[0].model_copy(update={"text": None})
    assert detector.judge(wordless, root=squares, gather=False).missing == ("text",)
    assert detector.judge(memes[0].model_copy(update={"image": None})).missing == ("image",)
    with pytest.raises(MissingInputError, match="wants text"):
        detector.judge(wordless, root=squares, strict=True, gather=False)


def test_words_nobody_gave_are_read_off_the_picture_and_there_may_be_none(detector, squares, memes):
    wordless = memes[0].model_copy(update={"text": None})
    verdict = detector.judge(wordless, root=squares)
    assert (verdict.missing, verdict.evidence.text, verdict.evidence.text_source) == ((), "", "ocr")
    # What was judged is known without reading again, so that a stopped run goes on at once.
    loaded = detector.load(wordless, JudgeOptions(root=squares))
    assert detector.judgement_key(loaded, JudgeOptions()) == verdict.key


def test_nothing_to_judge_and_an_unreadable_picture_are_errors(detector, squares, memes, tmp_path):
    with pytest.raises(MissingInputError, match="nothing to judge"):
        detector.judge(Meme(id="empty"))
    with pytest.raises(ImageError, match=r"lost\.png"):
        detector.judge(memes[0].model_copy(update={"image": "lost.png"}), root=squares)
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ImageError, match="not a PNG"):
        detector.judge(Meme(id="1", image=str(tmp_path / "text.png"), text="you"))


def test_greedy_labels_that_are_no_label_are_none_never_a_guess(detector, squares, memes, monkeypatch):
    answers = iter([["The answer is: harmful", "the answer is: HARMLESS ", "The answer is: perhaps", ""]])
    monkeypatch.setattr(detector.label_student, "write", lambda inputs, tokens: next(answers))
    verdicts = detector.judge(memes[:4], root=squares, greedy=True, rationales=False, batch_size=4)
    by_length = sorted(range(4), key=lambda index: -detector.label_student.text_tokens(memes[index].text))
    expected = dict(zip(by_length, [True, False, None, None], strict=True))
    assert [verdict.harmful for verdict in verdicts] == [expected[index] for index in range(4)]
    assert all(0 <= verdict.score <= 1 for verdict in verdicts)


@pytest.fixture(scope="module")
def joint(squares, tmp_path_factory):
    """A detector trained in one stage: as training left it, and read from its folder."""
    out = tmp_path_factory.mktemp("joint") / "run"
    fresh = train(squares, tiny(stages__label__epochs=1), out, stages="joint", device="cpu")
    return fresh, Detector.from_pretrained(out, device="cpu")


def test_a_detector_of_one_stage_is_one_student_that_explains_and_answers(joint, squares, memes):
    trained, loaded = joint
    assert loaded.card.students == ("joint",) and loaded.card.rationale_tokens > 0
    assert trained.key == loaded.key and "writes the rationale" in model_card(loaded.card)
    verdicts = loaded.judge(memes, root=squares)
    assert [verdict.score for verdict in verdicts] == scores(trained, memes, squares)
    assert all("the answer is" not in verdict.rationale.lower() for verdict in verdicts)


def test_a_verdict_may_be_asked_for_after_another_rationale(joint, squares, memes):
    detector = joint[1]
    written = detector.judge(memes[0], root=squares)
    steered = detector.judge(memes[0], root=squares, given_rationales={memes[0].id: "a rose, sweet"})
    assert steered.rationale == "a rose, sweet"
    assert steered.score != written.score and steered.key != written.key
    unsteered = detector.judge(memes[0], root=squares, given_rationales={memes[1].id: "a rose, sweet"})
    assert unsteered.model_copy(update={"created_at": written.created_at}) == written


def test_options_that_do_not_suit_are_refused(detector, squares, memes):
    with pytest.raises(InputError, match="no option stict"):
        detector.judge(memes[0], stict=True)
    with pytest.raises(InputError, match="reads no rationale"):
        detector.judge(memes[0], root=squares, given_rationales={memes[0].id: "a rose"})
    with pytest.raises(InputError, match="fp32 or bf16"):
        pick_dtype("bfloat16", torch.device("cpu"))


def test_no_detector_a_broken_card_and_missing_weights_are_named(run, tmp_path):
    with pytest.raises(InputError, match="mrharm train"):
        Detector.from_pretrained(tmp_path)
    shutil.copytree(run / "detector", tmp_path / "a")
    (tmp_path / "a" / "detector.json").write_text("{}")
    with pytest.raises(DataError, match=r"detector\.json"):
        Detector.from_pretrained(tmp_path / "a")
    shutil.copytree(run / "detector", tmp_path / "b")
    (tmp_path / "b" / "label.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="not a complete detector"):
        Detector.from_pretrained(tmp_path / "b")


def test_p_harmful_sums_the_harmful_answers_by_hand():
    scores = np.log(np.array([[0.2, 0.1, 0.1], [0.05, 0.3, 0.15]]))
    np.testing.assert_allclose(harm_probability(scores, ANSWERS["severity"]), [0.5, 0.9])


def test_an_old_temperature_of_several_answers_divides_their_log_probabilities(detector):
    """By hand: the roots of 0.45, 0.35 and 0.2 are 0.6708, 0.5916 and 0.4472."""
    scores = np.log(np.array([[0.45, 0.35, 0.2]]))
    card = detector.card.model_copy(
        update={"answers": ANSWERS["severity"], "temperature": 2.0, "calibration": Calibration()}
    )
    np.testing.assert_allclose(card.harm_probability(scores), [1 - 0.6708 / 1.7096], rtol=1e-4)


@pytest.fixture
def overconfident():
    """Log-odds four times too sure that take 35 % of harmful memes for 50 %, and the labels they were made of."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 1.5, 8000)
    gold = rng.random(8000) < 1 / (1 + np.exp(1 - log_odds))
    return 4 * log_odds, gold


def test_the_calibration_finds_how_sure_and_how_many_and_its_mean_is_the_base_rate(overconfident):
    log_odds, gold = overconfident
    fit = fit_calibration(log_odds, gold.tolist())
    assert (fit.slope, fit.bias) == (pytest.approx(0.25, rel=0.1), pytest.approx(-1, rel=0.1))
    after = fit.probability(log_odds)
    assert after.mean() == pytest.approx(gold.mean(), abs=1e-4)
    slope_alone = Calibration(slope=0.25).probability(log_odds)
    assert negative_log_likelihood(after, gold) < negative_log_likelihood(slope_alone, gold) - 0.05
    assert not fit.at_bound and fit_calibration(log_odds[:0], []) == Calibration()


@pytest.mark.parametrize("harmful", [[False, True] * 4, [True, False] * 4, [True] * 8])
def test_a_fit_that_its_memes_do_not_determine_says_so(harmful):
    """Told apart without a fault, the wrong way round, and all alike."""
    assert fit_calibration(np.tile([-1.0, 1.0], 4), harmful).at_bound


def test_log_odds_beyond_what_a_probability_can_tell_apart_still_count():
    log_odds = harm_log_odds(np.array([[-60.0, 0.0], [-90.0, 0.0]]), ANSWERS["harmful"])
    first, second = Calibration(slope=0.1).probability(log_odds)
    assert first < second < 1


def test_bf16_is_taken_on_request_and_stays_close(run, squares, memes, detector):
    rough = Detector.from_pretrained(run, device="cpu", precision="bf16")
    assert rough.label_student.model.dtype == torch.bfloat16
    for narrow, full in zip(
        rough.judge(memes, root=squares), detector.judge(memes, root=squares), strict=True
    ):
        assert narrow.score == pytest.approx(full.score, abs=0.1)
        assert narrow.key != full.key  # so that neither is taken for the other's


def test_a_loaded_detector_can_be_saved_again_as_a_push_to_the_hub_does(
    run, detector, squares, memes, tmp_path
):
    key, card = detector.key, detector.card
    written = detector.save_pretrained(tmp_path / "again", max_shard_size="5GB")
    assert (detector.key, detector.card) == (key, card)  # only the folder is another one
    again = Detector.from_pretrained(tmp_path / "again", device="cpu")
    assert again.card == written
    assert scores(again, memes, squares) == scores(detector, memes, squares)


def test_a_text_only_detector_does_not_look_at_pictures(squares, memes, tmp_path):
    recipe = tiny(student__vision_tower="none", reads=["text", "caption"], stages__label__epochs=1)
    detector = train(squares, recipe, tmp_path / "run", stages="label", device="cpu")
    lost, evidence = memes[0].model_copy(update={"image": "lost.png"}), Dataset(squares).evidence
    verdict = detector.judge(lost, evidence=evidence)
    assert verdict.missing == () and verdict.rationale is None


def test_words_before_a_text_are_read_with_it_and_what_is_longer_goes_to_review(detector):
    def judge(text):
        return detector.judge(Meme(id="1", text=text), rationales=False)

    # The longest training text has a few words; where all of a text is read, its last word counts.
    before = "one two three four " * 10
    red, blue = judge(before + "you are red"), judge(before + "you are blue")
    assert "text_cut" not in red.doubts and red.score != blue.score
    assert judge(" " * 30_000 + "you are red").score == judge("you are red").score
    for long in (before * 20 + "you are red", "\x01" * 30_000 + "you are red"):
        assert "text_cut" in judge(long).doubts and judge(long).decision == "review"


def test_the_key_follows_the_files_and_not_the_installed_version(run, monkeypatch):
    before = Detector.from_pretrained(run, device="cpu").key
    monkeypatch.setattr("mrharm.verdicts.card.__version__", "99")
    after = Detector.from_pretrained(run, device="cpu")
    assert after.key == before
    files = {**after.card.files, "processor.json": "0" * 64}
    changed = after.card.model_copy(update={"files": files})
    assert changed.key() != before


def test_a_picture_is_judged_by_its_path_its_bytes_or_its_pixels_beside_memes(detector, squares, memes):
    path = squares / memes[0].image
    expected = detector.judge(Meme(id="1", image=str(path)))
    with Image.open(path) as image:
        items = [str(path), path, path.read_bytes(), image, Meme(id="1", image=str(path))]
        verdicts = detector.judge(items)
        assert detector.judge(image).key == verdicts[3].key  # the same pixels are the same meme
    assert [verdict.score for verdict in verdicts] == pytest.approx([expected.score] * 5, abs=1e-5)
    ids = [verdict.meme_id for verdict in verdicts]
    assert ids[:2] == [str(path)] * 2 and len({*ids}) == 4
    assert detector.judge(str(path)).meme_id == str(path)


def test_a_dataset_is_judged_whole_with_its_pictures_and_its_evidence(detector, squares):
    verdicts = detector.judge(Dataset(squares), rationales=False)
    assert [verdict.meme_id for verdict in verdicts] == [meme.id for meme in Dataset(squares)]
    assert all(verdict.evidence.caption for verdict in verdicts)


@pytest.mark.parametrize("item", [7, [None], "", ["photo.png", 7]])
def test_what_is_neither_a_meme_nor_a_picture_is_refused_by_its_type(detector, item):
    with pytest.raises(InputError, match=r"cannot judge (int|NoneType|str) .*expected a Meme, a picture"):
        detector.judge(item)


def test_hostile_bytes_pass_the_one_door(detector):
    with pytest.raises(ImageError, match="not a PNG"):
        detector.judge(b"not a picture")


def test_a_detector_of_the_hub_is_loaded_from_the_files_that_are_no_code(
    run, detector, squares, memes, tmp_path, monkeypatch
):
    """A stand-in for the hub's download copies what was pushed, as its patterns allow."""

    def download(repository, *, revision, allow_patterns):
        asked.append((repository, revision))
        wanted = [path for pattern in allow_patterns for path in pushed.glob(pattern)]
        for path in wanted:
            shutil.copy(path, tmp_path)
        return str(tmp_path)

    asked: list[tuple[str, str | None]] = []
    pushed = shutil.copytree(run / "detector", tmp_path / "pushed")
    (pushed / "model.bin").touch()
    (pushed / "code.py").touch()
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    pulled = Detector.from_pretrained("the-otters/skunks@v1", device="cpu")
    assert asked == [("the-otters/skunks", "v1")]
    assert scores(pulled, memes, squares) == scores(detector, memes, squares)
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".json", ".safetensors"}


def test_the_hub_is_not_asked_for_what_looks_local(run, tmp_path, monkeypatch):
    def download(*arguments, **options):
        raise AssertionError(f"asked the hub for {arguments}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "the-otters/skunks")
    assert Detector.from_pretrained("the-otters/skunks", device="cpu").card.explains
    local = (
        "the-otters/lost",
        "lost",
        "./lost",
        "../lost/run",
        "/lost/run",
        "~/lost",
        "lost\\run",
        "a/lost/run",
    )
    for name in (*local, Path("lost/run")):
        with pytest.raises(InputError, match="no detector there"):
            Detector.from_pretrained(name)


def test_an_unknown_name_says_what_was_expected_and_the_mend(monkeypatch, tmp_path):
    """Offline, as all tests are."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        ModelUnavailableError, match=r"no such folder, and the hub cannot be reached .*name a local folder"
    ):
        Detector.from_pretrained("the-otters/skunks")
