from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.metrics import Estimate, format_figure, name_figure
from mrharm.records import Label, Meme
from mrharm.reports import terminal
from mrharm.reports.render import markdown, markdown_table
from mrharm.reports.tables import Table, tabulate_demo_kinds, tabulate_record
from tests.evaluation.runs import predictions, report

ONE = {"value": 0.5, "low": 0.4, "high": 0.6}


def test_figures_are_found_however_deep_they_lie() -> None:
    """As saliency has them: part, orders, order, figure."""
    orders = {"gradient": {"deletion": ONE, "curve": [0.1]}, "random": {"deletion": ONE}}
    own, table = tabulate_record({"memes": 9, "gain": ONE, "text": {"memes": 9, "orders": orders}})
    assert [(row.cells[1]) for row in own.rows] == ["0.500 (0.400-0.600)"]
    assert (table.title, list(table.columns)) == ("text", ["", "deletion"])
    assert [row.cells[0] for row in table.rows] == ["gradient", "random"]


def test_a_settings_row_names_its_value_with_its_unit() -> None:
    setting = {
        "change": "jpeg",
        "strength": 1,
        "value": 60.0,
        "unit": "JPEG quality",
        "moved": {"flipped": ONE},
    }
    (table,) = tabulate_record({"settings": [setting], "note": "no figure", "names": ["a"]})
    assert table.rows[0].cells == ("jpeg 1 60 JPEG quality", "0.500 (0.400-0.600)")


def test_no_name_ends_its_cell_breaks_its_line_or_is_markup() -> None:
    table = Table("", ("x", "y"))
    table.add("a|b", "**3**")
    table.add("own\x1b", style="own")
    assert markdown_table(table).splitlines()[2:] == [r"| a\|b | **3** |", "| **own** |  |"]
    assert markdown(r"a\|b") == r"a\\\|b"  # a backslash would otherwise free the bar
    assert markdown("![x](http://you)<img>\n\n# you") == r"!\[x](http://you)&lt;img> # you"


def test_figures_have_one_name_and_small_shares_two_digits() -> None:
    assert [name_figure(name) for name in ("macro_f1_change", "auroc", "flag_precision")] == [
        "macro-F1 change",
        "AUROC",
        "flagged that is harmful",
    ]
    assert format_figure("recall", Estimate(value=0.004)) == "0.40 %"
    assert format_figure("reviews", Estimate(value=137.6, low=17, high=507)) == "138 a day (17 to 507)"


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
    tables = capsys.readouterr().out.partition("figures in %")[2]
    assert "by group" in tables and "AUROC by group of people" in tables and "100.0 (98." in tables
    assert max(map(len, tables.splitlines())) <= 80
    (row,) = [
        line
        for line in tables.partition("AUROC by group")[0].splitlines()
        if line.startswith("   a long name")
    ]
    assert row.endswith("  100.0 (100.0-100.0) ")


def test_the_demo_tells_both_kinds_of_rationales_apart() -> None:
    row = {"accuracy": 0.5, "accuracy_ci": [0.4, 0.6], "n": 300}
    kind = {"labels_only": row, "two_stage": row, "rationale_truth": {"names_relation": 1.0, "all": 0.9}}
    table = tabulate_demo_kinds({"by_kind": {"named": kind, "inferred": kind}})
    cells = ["300", "0.500 (0.400-0.600)", "0.500 (0.400-0.600)", "1.000", "0.900"]
    assert [list(row.cells) for row in table.rows] == [["named", *cells], ["inferred", *cells]]
