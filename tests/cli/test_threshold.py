from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from mrharm import threshold
from mrharm.errors import GateError
from mrharm.evaluation.predictions import judge_split
from mrharm.evaluation.saved_predictions import PredictionsManifest
from mrharm.memes.dataset import Dataset
from mrharm.policy.propose import PolicyChoice
from mrharm.records import Meme
from mrharm.verdicts.detector import Detector
from tests.audit.helpers import club, meme, write_dataset
from tests.cli.verbs import run_verb
from tests.probes.written import detector as random_detector


def run(*arguments: object) -> tuple[int, str, str]:
    return run_verb("threshold", *arguments, "--device", "cpu")


def memes(split: str, count: int, harmful: Sequence[bool] | None = None) -> list[Meme]:
    return [
        meme(f"{split}-{n}", f"you and the {club(n)} club", harmful[n] if harmful else n % 3 == 0, split)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Harmful memes are those the random detector finds more harmful than most, and some others."""
    folder = tmp_path_factory.mktemp("threshold")
    plain = write_dataset(folder / "plain", [*memes("validation", 40), *memes("test", 30)])
    labelled: list[Meme] = []
    for split in ("validation", "test"):
        predictions = judge_split(random_detector(), plain, split, rationales=False)
        order = predictions.scores.argsort()[::-1].argsort()  # 0 is the highest
        side = [rank < 4 or rank % 4 == 0 for rank in order.tolist()]
        labelled += memes(split, len(side), side)
    return write_dataset(folder / "data", labelled)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    random_detector().save_pretrained(tmp_path / "run" / "detector")
    return tmp_path / "run"


def weights(trained: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((trained / "detector").iterdir())
        if path.name not in ("detector.json", "README.md")
    }


def test_the_threshold_is_kept_in_the_detector_and_shown_in_its_verdicts(
    trained: Path, data: Dataset
) -> None:
    before = weights(trained)
    code, out, _ = run(trained, data.root, "--precision", "0.9")
    assert code == 0
    assert "precision >= 0.9" in out and "stored in" in out and "These figures are optimistic" in out
    detector = Detector.from_pretrained(trained, device="cpu")
    card = detector.card
    assert card.chosen is not None
    assert (card.chosen.dataset, card.chosen.split, card.chosen.memes) == ("clubs", "validation", 40)
    assert card.chosen.figures["precision"].value == 1.0  # the four highest are harmful
    predictions = judge_split(detector, data, "validation", rationales=False)
    assert {verdict.threshold for verdict in predictions.verdicts} == {card.threshold}
    assert sum(verdict.decision == "flag" for verdict in predictions.verdicts) >= 4
    assert "precision >= 0.9 on validation of clubs" in (trained / "detector" / "README.md").read_text()
    assert weights(trained) == before


def test_choosing_again_judges_nothing_again(
    trained: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = run(trained, data.root, "--json", "--dry-run")
    assert len(list(trained.glob("scores.validation.*.jsonl"))) == 1
    monkeypatch.setattr("mrharm.verdicts.detector.score_answers", None)
    run(trained, data.root, "--recall", "0.9")
    code, again, _ = run(trained / "detector", data.root, "--json", "--dry-run")
    assert code == 0
    one, other = json.loads(first), json.loads(again)
    assert one["threshold"] == other["threshold"] and one["figures"] == other["figures"]


def test_a_dry_run_shows_what_there_is_to_choose_from_and_stores_nothing(
    trained: Path, data: Dataset
) -> None:
    before = (trained / "detector" / "detector.json").read_bytes()
    code, out, _ = run(trained, data.root, "--dry-run")
    assert code == 0
    for row in ("in force", "best macro-F1", "precision 0.9 ", "recall 0.95"):
        assert row in out
    table = out.split("threshold ")[0]
    assert all(len(line) <= 80 for line in table.splitlines()) and "…" not in table
    (row,) = [line for line in table.splitlines() if line.startswith(" precision 0.9 ")]
    assert len(re.findall(r"\(\d+-\d+\)", row)) == 1  # of what it promises
    assert "nothing stored (--dry-run)" in out
    assert (trained / "detector" / "detector.json").read_bytes() == before


def test_reviews_a_day_and_a_check_on_another_split(trained: Path, data: Dataset) -> None:
    code, out, _ = run(
        trained, data.root, "--reviews", 50_000, "--per-day", 100_000, "--prevalence", 0.02,
        "--check-split", "test", "--json",
    )  # fmt: skip
    found = json.loads(out)
    there = found["promises"][1]
    assert (there["split"], there["name"], there["wanted"]) == ("test", "reviews", 50_000)
    assert there["figure"] == found["checked"]["reviews"] and there["bound"] == there["figure"]["high"]
    assert found["kept_on"] == {one["split"]: one["state"] == "kept" for one in found["promises"]}
    assert code == (4 if there["state"] == "broken" else 0) and found["stored"] == (code == 0)
    assert found["figures"]["reviews"]["value"] <= 50_000
    low, high = found["threshold_interval"]
    assert low <= found["threshold"] <= high
    assert (found["check_split"], found["check_memes"]) == ("test", 30)
    assert found["checked"]["reviews"]["low"] < found["checked"]["reviews"]["high"]
    assert any(note.startswith("reviews: ") and " on test: " in note for note in found["notes"])
    assert found["before"] == {"threshold": 0.5, "band": None}


def test_a_promise_that_another_split_breaks_is_said_first_is_exit_code_4_and_stores_nothing_without_force(
    trained: Path, data: Dataset, tmp_path: Path
) -> None:
    turned = [
        meme(one.id, one.text, one.label.harmful == (one.split == "validation"), one.split)
        for one in data.memes
        if one.label
    ]
    other = write_dataset(tmp_path / "turned", turned)
    arguments = (trained, other.root, "--precision", 1, "--check-split", "test")
    before = (trained / "detector" / "detector.json").read_bytes()
    code, out, _ = run(*arguments)
    assert code == 4
    assert out.startswith("precision: MISSED on test: 0.0 %") and "target at least 100.0 %" in out
    assert "nothing stored (a target is MISSED; --force stores the policy all the same)" in out
    code, out, _ = run(*arguments, "--json")
    found = json.loads(out)
    assert code == 4 and not found["stored"] and found["kept_on"] == {"validation": False, "test": False}
    assert [one["state"] for one in found["promises"]] == ["open", "broken"]
    with pytest.raises(GateError, match=r"precision: MISSED on test: .* Nothing was stored"):
        threshold(trained, other, precision=1, check_split="test")
    assert (trained / "detector" / "detector.json").read_bytes() == before
    code, out, _ = run(*arguments, "--force")
    assert code == 4 and "stored all the same in" in out
    assert (trained / "detector" / "detector.json").read_bytes() != before


def test_a_precision_that_few_harmless_memes_cannot_show_is_not_called_kept(
    trained: Path, data: Dataset
) -> None:
    code, out, _ = run(trained, data.root, "--precision", 0.9, "--prevalence", 0.001)
    said = " ".join(out.split())
    assert code == 0
    assert said.startswith("precision: UNCERTAIN on validation: 100.0 % (")
    assert "validation has too few harmless memes to tell: 27; it takes at least" in said
    chosen = Detector.from_pretrained(trained, device="cpu").card.chosen
    assert chosen is not None
    precision = chosen.figures["precision"]
    assert precision.value == 1 and precision.low is not None and precision.low < 0.01
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("stored"))


def test_choosing_on_test_is_said_and_kept_in_the_card(trained: Path, data: Dataset) -> None:
    _, out, _ = run(trained, data.root, "--split", "test", "--recall", 0.8)
    said = " ".join(out.split())
    assert "The threshold was chosen on test, so" in said and "epoch and calibration" not in said
    chosen = Detector.from_pretrained(trained, device="cpu").card.chosen
    assert chosen is not None and chosen.split == "test" and chosen.dataset == "clubs"
    _, out, _ = run(trained, data.root, "--recall", 0.8)
    said = " ".join(out.split())
    assert "chosen on test" not in said and "as were epoch and calibration" in said


def test_a_policy_that_flags_every_meme_is_said(trained: Path, data: Dataset) -> None:
    _, out, _ = run(trained, data.root, "--set-threshold", 0.0)
    assert "every one of them is flagged" in " ".join(out.split())
    _, out, _ = run(trained, data.root, "--precision", 0.9)
    assert "every meme" not in out


def evaluated(folder: Path, detector: str) -> None:
    """What an evaluation leaves, as far as it says of which detector it is."""
    folder.mkdir(parents=True, exist_ok=True)
    judgement = PredictionsManifest(
        dataset="clubs",
        dataset_sha256="0",
        split="test",
        detector=detector,
        recipe="random",
        seed=0,
        rationales=False,
        failures=0,
        rows={},
    )
    (folder / "judged.test.json").write_text(judgement.model_dump_json())
    for name in ("report.html", "model-card.md"):
        (folder / name).write_text("figures")


def test_reports_of_an_older_policy_are_named_only_where_the_policy_changed(
    trained: Path, data: Dataset
) -> None:
    key = Detector.from_pretrained(trained, device="cpu").card.key()
    elsewhere = trained / "evaluations" / "clubs.test"
    evaluated(trained, key)
    evaluated(elsewhere, key)
    _, _, err = run(trained, "--set-threshold", 0.5)
    assert err == ""  # it was 0.5 before
    _, _, err = run(trained, "--set-threshold", 0.6)
    stale = [folder / name for folder in (trained, elsewhere) for name in ("report.html", "model-card.md")]
    assert [line.strip() for line in err.splitlines()[1:]] == [str(path) for path in stale]
    evaluated(trained, Detector.from_pretrained(trained, device="cpu").card.key())
    _, out, _ = run(trained, "--set-threshold", 0.6, "--set-band", 0.5, 0.7, "--json")
    assert json.loads(out)["stale"] == [str(path) for path in stale]
    evaluated(trained, Detector.from_pretrained(trained, device="cpu").card.key())
    _, out, _ = run(trained, "--set-threshold", 0.6, "--set-band", 0.5, 0.7, "--json")
    assert json.loads(out)["stale"] == []
    (trained / "judged.test.json").write_text("cut of")
    _, out, _ = run(trained, "--set-threshold", 0.7, "--json")
    assert json.loads(out)["stale"] == [str(path) for path in stale]


def test_a_band_sends_what_is_uncertain_to_a_person(trained: Path, data: Dataset) -> None:
    code, out, _ = run(
        trained, data.root, "--band", 400, "--per-day", 1000, "--prevalence", 0.3, "--check-split", "test"
    )
    assert code in (0, 4)
    shares = "allowed|reviewed by a person|flagged"
    sides = "flagged that is harmful|allowed that is harmful|harmful that is allowed"
    for row in f"{shares}|{sides}".split("|"):
        assert re.search(rf"^ +{row}( +\d+\.\d+ \(\d+\.\d+-\d+\.\d+\)){{2}} *$", out, re.M), row
    assert re.search(r"^ +validation \(40 memes\) +test \(30 memes\) *$", out, re.M)
    apart = out.index("without a band, ")
    assert out.index(" flagged  ") < apart < out.index("macro-F1  ")
    assert re.search(r"allow below 0\.\d{4} \(0\.\d{4} to 0\.\d{4}\), review from there", out)
    detector = Detector.from_pretrained(trained, device="cpu")
    low, high = detector.card.band or (0, 0)
    assert low <= detector.card.threshold <= high
    verdicts = judge_split(detector, data, "validation", rationales=False).verdicts
    assert {verdict.band for verdict in verdicts} == {(low, high)}
    assert 0 < sum(verdict.decision == "review" for verdict in verdicts) < 40


def test_a_band_that_holds_nothing_is_checked_all_the_same(trained: Path, data: Dataset) -> None:
    code, out, _ = run(
        trained, data.root, "--precision", 1, "--flag-precision", 0.1, "--check-split", "test", "--json"
    )
    found = json.loads(out)
    assert found["band"] is None
    assert [one["name"] for one in found["promises"]] == 2 * ["precision", "flag_precision"]
    assert code == (4 if "broken" in {one["state"] for one in found["promises"][2:]} else 0)


def test_a_number_of_ones_own_needs_no_dataset_and_with_one_has_figures(trained: Path, data: Dataset) -> None:
    code, out, _ = run(trained, "--set-threshold", 0.61, "--set-band", 0.5, 0.7)
    assert code == 0 and "threshold 0.6100: set by hand" in out
    card = Detector.from_pretrained(trained, device="cpu").card
    assert (card.threshold, card.band) == (0.61, (0.5, 0.7))
    assert card.chosen is not None and card.chosen.by_hand and not card.chosen.figures
    code, out, _ = run(trained, data.root, "--set-threshold", 0.0, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["figures"]["recall"]["value"] == 1.0 and found["elsewhere"] is None
    assert Detector.from_pretrained(trained, device="cpu").card.band is None


def test_a_promise_that_cannot_be_kept_is_exit_code_2_and_stores_nothing(
    trained: Path, data: Dataset
) -> None:
    before = (trained / "detector" / "detector.json").read_bytes()
    code, out, err = run(trained, data.root, "--reviews", 0, "--per-day", 10, "--prevalence", 0.5)
    assert code == 2 and out == ""
    assert "cannot be kept on these scores: the fewest" in err
    assert (trained / "detector" / "detector.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--macro-f1", "--set-threshold", 0.5], "--macro-f1 and --set-threshold"),
        (["--reviews", 9], "--per-day"),
        (["--prevalence", 2], "above 0 and below 1"),
        (["--precision", 0], "above 0 and up to 1"),
        (["--set-threshold", 1.5], "from 0 to 1"),
        (["--set-threshold", 0.5, "--set-band", 0.6, 0.7], "low <= threshold"),
        (["--band", 9], "--per-day"),
        (["--band", 9, "--set-band", 0.1, 0.9], "--set-band sets the bounds"),
        (["--reviews", 9, "--per-day", 9, "--prevalence", 0.1, "--band", 2], "say --band N alone"),
        (["--check-split", "validation"], "name another split"),
        (["--split", "lost"], "no split called 'lost'"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(
    trained: Path, data: Dataset, arguments: list[object], says: str
) -> None:
    code, out, err = run(trained, data.root, *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_without_a_dataset_only_a_number_can_be_set(trained: Path) -> None:
    for arguments in ([], ["--precision", 0.9], ["--set-threshold", 0.5, "--check-split", "test"]):
        code, _, err = run(trained, *arguments)
        assert code == 2 and "name a DATASET" in err


def test_a_meme_that_cannot_be_judged_is_named_and_is_exit_code_1(trained: Path, tmp_path: Path) -> None:
    broken = meme("lost", "you there", True, "validation", image="images/lost.png")
    some = write_dataset(tmp_path / "some", [*memes("validation", 9), broken])
    code, _, err = run(trained, some.root)
    assert code == 1 and "failed: lost" in err


def test_a_detector_that_writes_its_labels_says_what_the_threshold_does(
    tmp_path: Path, data: Dataset
) -> None:

    greedy = random_detector().with_card(random_detector().card.model_copy(update={"decoding": "greedy"}))
    greedy.save_pretrained(tmp_path / "run" / "detector")
    code, out, _ = run(tmp_path / "run", data.root, "--recall", 0.8)
    assert code == 0 and "no label on 40 of these memes" in " ".join(out.split())
    predictions = judge_split(
        Detector.from_pretrained(tmp_path / "run", device="cpu"), data, "validation", rationales=False
    )
    assert set(predictions.predicted) == {None}
    assert {verdict.decision for verdict in predictions.verdicts} == {"review"}


def test_a_stop_is_exit_code_3_and_stores_nothing(
    trained: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PolicyChoice, "store", stop)
    assert run(trained, data.root)[0] == 3
    assert Detector.from_pretrained(trained, device="cpu").card.chosen is None
