"""What the audit must find in the published Harm-C, and in a file with the disease of the published Harm-P."""

from pathlib import Path
from typing import Any

import pytest

from mrharm.audit.fix import write_fixed
from mrharm.audit.run import Audit, audit
from mrharm.errors import DataError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.recipe import load_recipe
from mrharm.records import Failure, read_records
from tests.audit.helpers import codes, only, write_harm_p_v0

HARM_C = Path(__file__).parents[3] / "shared/data/harm-c"


@pytest.fixture(scope="module")
def harm_c(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    if not HARM_C.is_dir():
        pytest.skip("../shared/data/harm-c is not here")
    folder = tmp_path_factory.mktemp("harm-c") / "dataset"
    return audit(import_memes("harm-c", HARM_C, folder), load_recipe("paper"))


def test_published_rationales_are_found_to_state_their_label(harm_c: Audit) -> None:
    stated: dict[str, Any] = harm_c.report.tables["rationales"]["stated"]
    assert (stated["severity"], stated["phrases_right"], stated["of"]) == (2807, 3106, 3190)
    finding = only(harm_c.report.findings, "rationale-states-label")
    assert finding.level == "error"
    assert "88.0 % by their severity" in finding.message
    assert "four phrases recover the binary label of 97.4 %" in finding.message


def test_test_texts_that_recur_in_train_are_found_with_their_opposite_labels(harm_c: Audit) -> None:
    assert harm_c.report.tables["copies"]["across"]["train - test"]["text"] == {
        "count": 43,
        "of": 354,
        "conflicts": 14,
    }
    assert only(harm_c.report.findings, "overlap", "train - test").level == "error"


def test_the_shortcut_of_text_and_caption_is_as_published(harm_c: Audit) -> None:
    scores = next(row.scores for row in harm_c.report.shortcuts if row.signal == "text_caption")
    split = scores["split"]
    assert (round(100 * split.macro_f1, 1), round(100 * split.accuracy, 1)) == (78.5, 80.8)
    assert split.auroc is not None and round(100 * split.auroc, 1) == 85.4
    assert split.macro_f1_ci[0] < split.macro_f1 < split.macro_f1_ci[1]


def test_every_rationale_is_cut_at_the_papers_length(harm_c: Audit) -> None:
    finding = only(harm_c.report.findings, "rationale-cut")
    assert (finding.count, finding.of, finding.level) == (3190, 3190, "warning")


def test_it_is_fit_for_neither_and_its_verdict_says_why(harm_c: Audit) -> None:
    verdict = harm_c.report.verdict
    assert (verdict.fit_to_train, verdict.fit_to_publish) == (False, False)
    assert "99.6 % of the rationales state the label" in verdict.words[0]
    assert "43 of 354 test memes are in train too" in verdict.words[1]


def test_the_overlap_of_harm_p_v0_is_found_and_its_shortcut_collapses(tmp_path: Path) -> None:
    source = write_harm_p_v0(tmp_path / "v0")
    with pytest.raises(DataError, match="44 of 60 test rows are also in train"):
        import_memes("harm-p", source, tmp_path / "d")
    audited = audit(
        import_memes("harm-p", source, tmp_path / "d", ImportOptions(allow_v0=True)), load_recipe("mr-harm")
    )
    report = audited.report
    assert report.tables["copies"]["across"]["train - test"]["id"]["count"] == 44
    assert report.tables["copies"]["within"]["train"]["id"] == {"count": 100, "of": 220}
    assert only(report.findings, "overlap", "train - test").level == "error"
    collapse = only(report.findings, "shortcut-collapse")
    assert collapse.bars == ("publishing",)
    scores = next(row.scores for row in report.shortcuts if row.signal == "text")
    assert scores["split"].macro_f1 > scores["unseen"].macro_f1 + 0.1
    fixed = write_fixed(audited, tmp_path / "fixed")
    again = audit(Dataset(tmp_path / "fixed"), load_recipe("mr-harm")).report
    assert again.errors == []
    assert not {"overlap", "shortcut-collapse"} & set(codes(again.findings))
    dropped = [
        row for row in read_records(tmp_path / "fixed/failures.jsonl", Failure) if row.stage == "audit"
    ]
    assert len(dropped) == fixed.dropped.total() == report.memes - again.memes
