"""The report as a page: the verdict first, everything inside, readable on a phone; and the model card."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import DataError
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.evaluation.scores import Curves
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.probes.run import Probing
from mrharm.records import Verdict
from mrharm.reports.ablation_page import summarise, write_ablation
from mrharm.reports.evaluation import SALIENCY, Destination, render_model_card, write_report
from mrharm.verdicts.detector import Detector
from tests.ablation.rows import rows
from tests.browser import (
    HOSTILE,
    Tags,
    assert_self_contained,
    browse,
    measure_on_a_phone,
    needs_chromium,
)
from tests.conftest import make_squares
from tests.evaluation.runs import random_detector, report

COMMAND = "mrharm evaluate RUN DATASET"


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Predictions:
    return judge_split(
        random_detector(sees=True), Dataset(make_squares(tmp_path_factory.mktemp("page") / "data")), "test"
    )


@pytest.fixture(scope="module")
def found(predictions: Predictions) -> Evaluation:
    return report(
        predictions, probing=Probing(("rationale", "pairs", "modality", "saliency"), 4), n_resamples=50
    )


@pytest.fixture(scope="module")
def bare(found: Evaluation) -> Evaluation:
    """Without probes and plots."""
    none = Curves(reliability=(), roc=(), pr=(), risk_coverage=())
    return found.model_copy(update={"probes": {}, "curves": none})


def page_of(found: Evaluation, predictions: Predictions, place: Path, ablation: Path | None = None) -> str:
    destination = Destination(place, place / "page.html", ablation, COMMAND)
    write_report(found, predictions, predictions.detector, destination)
    return (place / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(found: Evaluation, predictions: Predictions, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(found, predictions, tmp_path_factory.mktemp("written"))


def test_the_verdict_stands_before_tables_and_mistakes(found: Evaluation, page: str) -> None:
    assert_self_contained(page)
    words = Tags(page).words
    headings = ("Figures", "Plots", "By kind of meme", "The worst mistakes")
    at = [words.index(one) for one in (*found.words, *headings)]
    assert at == sorted(at)
    assert COMMAND in words
    assert found.dataset_sha256[:16] in words


def test_every_mistake_has_its_picture_and_where_the_student_looked(found: Evaluation, page: str) -> None:
    seen = Tags(page)
    pictures = [
        one["alt"] or "" for tag, one in seen.tags if tag == "img" and "blurred" in (one["alt"] or "")
    ]
    assert found.mistakes
    for mistake in found.mistakes:
        assert sum(f" {mistake.meme_id}," in alt for alt in pictures) == 2
        assert mistake.meme_id in seen.words
    shades = [one for tag, one in seen.tags if tag == "span" and one.get("class") == "word"]
    assert shades and all(re.fullmatch(r"--w:[01]\.\d+", one["style"] or "") for one in shades)


def test_every_figure_of_a_probe_stands_in_a_table_and_its_curves_are_drawn(
    found: Evaluation, page: str
) -> None:
    seen = Tags(page)
    assert found.probes["rationale"]["words"][0] in seen.words
    length = Estimate.model_validate(found.probes["rationale"]["written"]["words"])
    assert f"{length.value:.3f}" in seen.words
    drawn = [one["alt"] for tag, one in seen.tags if tag == "img"]
    for units in ("Words", "Patches"):
        assert {f"{units} removed (deletion)", f"{units} added (insertion)"} <= set(drawn)


def test_what_a_dataset_says_is_shown_and_never_markup(
    bare: Evaluation, predictions: Predictions, tmp_path: Path
) -> None:
    hostile = bare.model_copy(
        update={
            "dataset": HOSTILE,
            "words": (HOSTILE,),
            "mistakes": tuple(
                one.model_copy(update={"text": HOSTILE, "rationale": HOSTILE}) for one in bare.mistakes
            ),
            "groups": tuple(one.model_copy(update={"name": HOSTILE}) for one in bare.groups),
            "skipped": {"identity": f"no term {HOSTILE}"},
        }
    )
    page = page_of(hostile, predictions, tmp_path)
    seen = Tags(page)
    assert HOSTILE in seen.words and f"identity does not apply: no term {HOSTILE}" in seen.words
    assert "script" not in {tag for tag, _ in seen.tags}
    assert page.count("</style>") == 1


def test_an_ablation_is_shown_where_one_is_named(
    bare: Evaluation, predictions: Predictions, tmp_path: Path
) -> None:
    given = [*rows("two-stage", 800, [0.90, 0.91, 0.92]), *rows("labels-only", 800, [0.80, 0.82, 0.81])]
    ablation = summarise(given, dataset="squares", recipe="tiny", split="test")
    write_ablation(tmp_path / "ablation", ablation)
    page = page_of(bare, predictions, tmp_path, ablation=tmp_path / "ablation")
    heading, question = "What each part of the method is worth", ablation.answers[0].question
    parts = (heading, question, 'alt="the ablation', "<summary>test, every arm", "<td>labels-only</td>")
    at = [page.index(part) for part in parts]
    assert at == sorted(at)
    (tmp_path / "ablation" / "ablation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="`mrharm ablate"):
        page_of(bare, predictions, tmp_path, ablation=tmp_path / "ablation")


def test_a_picture_that_is_gone_since_does_not_stop_the_page(bare: Evaluation, tmp_path: Path) -> None:
    data = Dataset(make_squares(tmp_path / "data"))
    again = judge_split(random_detector(sees=True), data, "test")
    gone = bare.mistakes[0].meme_id
    page = page_of(bare, again, tmp_path)
    assert f"picture of {gone}," in page
    (data.root / "images" / f"{gone}.png").unlink()
    assert f"picture of {gone}," not in page_of(bare, again, tmp_path)


def test_what_moved_the_mistakes_is_asked_once_and_kept(
    bare: Evaluation, predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = page_of(bare, predictions, tmp_path)
    kept = (tmp_path / SALIENCY).read_text(encoding="utf-8")
    assert kept.count("\n") == len(bare.mistakes)
    asked: list[int] = []
    judge = Detector.judge_prepared

    def count(detector: Detector, memes: list[Any], *options: Any) -> list[Verdict]:
        asked.extend([1] * len(memes))
        return judge(detector, memes, *options)

    monkeypatch.setattr(Detector, "judge_prepared", count)
    assert page_of(bare, predictions, tmp_path) == first and not asked
    # Another detector's is not taken for its own.
    other = replace(predictions, detector=random_detector(seed=1, sees=True))
    assert page_of(bare, other, tmp_path) != first and asked
    assert (tmp_path / SALIENCY).read_text(encoding="utf-8").startswith(kept)


@needs_chromium
def test_in_a_browser_it_fits_a_phone_and_complains_of_nothing(
    found: Evaluation, page: str, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    measured = measure_on_a_phone(page, tmp_path)
    assert (measured["width"], measured["beyond"]) == (390, 0)
    assert measured["blurred"] and measured["decoded"]
    assert measured["faint"] == measured["unreachable"] == []
    assert measured["pictures"] == 2 * len(found.mistakes)
    opened = browse(
        tmp_path / "page.html", tmp_path / "profile", "--dump-dom", "--enable-logging=stderr", "--log-level=0"
    )
    assert found.words[0] in Tags(opened.stdout).words
    assert "CONSOLE" not in opened.stderr


def test_the_model_card_tells_the_same_figures(
    found: Evaluation, predictions: Predictions, tmp_path: Path
) -> None:
    card = predictions.detector.card
    text = render_model_card(found, card)
    assert text.startswith("---\nlibrary_name: mrharm")
    assert f"| accuracy | {100 * (found.scores.accuracy.value or 0):.1f} (" in text
    assert all(words in text for words in found.words)
    named = found.groups[0].model_copy(update={"name": "a | b <script>"})
    hostile = render_model_card(found.model_copy(update={"groups": (named,)}), card)
    assert "a \\| b &lt;script>" in hostile and "<script" not in hostile
    for field, value in (("words", ("x\n# <script>",)), ("dataset", "x\n# <script>")):
        odd = render_model_card(found.model_copy(update={field: value}), card)
        assert "x # &lt;script>" in odd and "<script" not in odd
