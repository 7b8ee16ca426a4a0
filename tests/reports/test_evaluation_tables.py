from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.records import Label, Meme
from mrharm.reports import terminal
from tests.evaluation.runs import predictions, report


def test_the_widest_figures_and_names_fit_80_columns_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds: list[tuple[str, ...]] = [("age",), ("a long name of a category of people",), ()]
    labels = [Label(harmful=n % 2 == 0, protected_categories=kinds[n % 3]) for n in range(300)]
    memes = [
        Meme(id=str(n), text=f"you {n}", label=label, split="test", source="made up")
        for n, label in enumerate(labels)
    ]
    found = report(
        predictions(tmp_path / "d", memes, [label.harmful for label in labels]),
        n_resamples=100,
    )
    monkeypatch.setattr(terminal.out, "_width", 80)
    terminal.show_evaluation(found)
    out = capsys.readouterr().out
    tables = out[out.index("figures in %") :]
    assert "by group" in tables and "AUROC by group of people" in tables and "100.0 (98." in tables
    assert max(map(len, tables.splitlines())) <= 80
    (row,) = [
        line for line in tables.split("AUROC by group")[0].splitlines() if line.startswith("   a long name")
    ]
    assert row.endswith("  100.0 (100.0-100.0) ")
