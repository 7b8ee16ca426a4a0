"""What the audit must find in the published Harm-C, and in a file with the disease of the published Harm-P."""

from pathlib import Path

import pytest

from mrharm.audit.findings import AuditReport
from mrharm.audit.fix import write_fixed
from mrharm.audit.run import audit
from mrharm.errors import DataError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.recipe import load_recipe
from mrharm.records import Failure, read_records
from tests.audit.helpers import codes, only, write_harm_p_v0

HARM_C = Path(__file__).parents[3] / "shared/data/harm-c"
needs_harm_c = pytest.mark.skipif(not HARM_C.is_dir(), reason="../shared/data/harm-c is not here")


def audit_harm_c(folder: Path, rows: int | None = None) -> AuditReport:
    """The report on the first ``rows`` of each split, or on all."""
    source = folder / "source"
    source.mkdir()
    for path in HARM_C.glob("*.json*"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (source / path.name).write_text("".join(lines if path.suffix == ".json" else lines[:rows]))
    return audit(import_memes("harm-c", source, folder / "dataset"), load_recipe("paper")).report


@needs_harm_c
def test_a_sample_of_harm_c_is_fit_for_nothing_and_the_verdict_says_why(tmp_path: Path) -> None:
    report = audit_harm_c(tmp_path, rows=120)
    stated = report.tables["rationales"]["stated"]
    assert stated["of"] == 240 and stated["severity"] > 0.8 * 240 and stated["phrases_right"] > 0.9 * 240
    assert only(report.findings, "rationale-states-label").level == "error"
    cut = only(report.findings, "rationale-cut")
    assert (cut.count, cut.level) == (240, "warning")  # every one, at the paper's length
    assert not report.verdict.fit_to_train
    assert "% of the rationales state the label" in report.verdict.words[0]


@needs_harm_c
@pytest.mark.slow
def test_harm_c_has_the_figures_that_are_published(tmp_path: Path) -> None:
    report = audit_harm_c(tmp_path)
    stated = report.tables["rationales"]["stated"]
    assert (stated["severity"], stated["phrases_right"], stated["of"]) == (2807, 3106, 3190)
    finding = only(report.findings, "rationale-states-label")
    assert "88.0 % by their severity" in finding.message
    assert "four phrases recover the binary label of 97.4 %" in finding.message
    shared = report.tables["copies"]["across"]["train - test"]["text"]
    assert shared == {"count": 43, "of": 354, "conflicts": 14}
    assert only(report.findings, "overlap", "train - test").level == "error"
    split = next(row.scores["split"] for row in report.shortcuts if row.signal == "text_caption")
    figures = (split.macro_f1, split.accuracy, split.auroc or 0)
    assert [round(100 * figure, 1) for figure in figures] == [78.5, 80.8, 85.4]
    assert split.macro_f1_ci[0] < split.macro_f1 < split.macro_f1_ci[1]
    assert only(report.findings, "rationale-cut").count == 3190
    assert (report.verdict.fit_to_train, report.verdict.fit_to_publish) == (False, False)
    assert "99.6 % of the rationales state the label" in report.verdict.words[0]
    assert "43 of 354 test memes are in train too" in report.verdict.words[1]


def test_the_overlap_of_harm_p_v0_is_found_and_its_shortcut_collapses(tmp_path: Path) -> None:
    source = write_harm_p_v0(tmp_path / "v0")
    with pytest.raises(DataError, match="44 of 60 test rows are also in train"):
        import_memes("harm-p", source, tmp_path / "d")
    dataset = import_memes("harm-p", source, tmp_path / "d", ImportOptions(allow_v0=True))
    audited = audit(dataset, load_recipe("mr-harm"))
    report = audited.report
    assert report.tables["copies"]["across"]["train - test"]["id"]["count"] == 44
    assert report.tables["copies"]["within"]["train"]["id"] == {"count": 100, "of": 220}
    assert only(report.findings, "overlap", "train - test").level == "error"
    assert only(report.findings, "shortcut-collapse").bars == ("publishing",)
    scores = next(row.scores for row in report.shortcuts if row.signal == "text")
    assert scores["split"].macro_f1 > scores["unseen"].macro_f1 + 0.1
    fixed = write_fixed(audited, tmp_path / "fixed")
    again = audit(Dataset(tmp_path / "fixed"), load_recipe("mr-harm")).report
    assert again.errors == []
    assert not {"overlap", "shortcut-collapse"} & set(codes(again.findings))
    failures = read_records(tmp_path / "fixed/failures.jsonl", Failure)
    dropped = [row for row in failures if row.stage == "audit"]
    assert len(dropped) == fixed.dropped.total() == report.memes - again.memes
