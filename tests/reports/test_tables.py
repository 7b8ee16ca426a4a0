from __future__ import annotations

from mrharm.reports.tables import Table, markdown, tabulate_record

ONE = {"value": 0.5, "low": 0.4, "high": 0.6}


def test_figures_are_found_however_deep_they_lie():
    """As saliency has them: part, orders, order, figure."""
    (table,) = tabulate_record(
        {"text": {"memes": 9, "orders": {"by_gradient": {"deletion": ONE}, "random": {"deletion": ONE}}}}
    )
    assert (table.title, list(table.columns)) == ("text", ["", "deletion"])
    assert [row.cells[0] for row in table.rows] == ["by gradient", "random"]


def test_a_settings_row_names_its_value_with_its_unit():
    rows = [
        {"change": "jpeg", "strength": 1, "value": 60.0, "unit": "JPEG quality", "moved": {"flipped": ONE}}
    ]
    (table,) = tabulate_record({"settings": rows})
    assert table.rows[0].cells == ("jpeg 1 60 JPEG quality", "0.500 (0.400-0.600)")


def test_no_name_ends_its_cell_breaks_its_line_or_is_markup():
    table = Table("", ("x", "y"))
    table.add("a|b", "**3**")
    assert table.to_markdown().splitlines()[2] == r"| a\|b | **3** |"
    assert markdown(r"a\|b") == r"a\\\|b"  # a backslash would otherwise free the bar
    assert markdown("![x](http://you)<img>\n\n# you") == r"!\[x](http://you)&lt;img> # you"
