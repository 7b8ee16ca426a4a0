from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from mrharm.records import Failure
from mrharm.reports.ablation_page import summarise, to_markdown, to_svg, write_ablation
from tests.ablation.rows import rows

GIVEN = [
    *rows("two-stage", 800, [0.90, 0.91, 0.92]),
    *rows("labels-only", 800, [0.80, 0.82, 0.81]),
    *rows("two-stage", 1600, [0.95]),
]


def test_the_three_files_say_the_same(tmp_path):
    failures = [Failure(item="leaking-800-0", stage="ablate", reason="its process was killed")]
    found = summarise(
        GIVEN,
        dataset="squares",
        recipe="tiny",
        split="test",
        skipped={"no-picture": "no pictures"},
        failures=failures,
    )
    write_ablation(tmp_path, found)
    kept = json.loads((tmp_path / "ablation.json").read_text())
    assert [cell["arm"] for cell in kept["tables"]["test"]] == ["two-stage", "labels-only", "two-stage"]
    assert kept["tables"]["test"][1]["differences"]["macro_f1"]["value"] == pytest.approx(-0.1)
    text = (tmp_path / "ablation.md").read_text()
    assert (
        "| labels-only | 800 | 3 | 0.810 ± 0.025 | -0.100 ± 0.025 | - | 0.810 ± 0.025 | 0.810 ± 0.025 |"
        in text
    )
    assert "| two-stage | 1,600 | 1 | 0.950 | reference |" in text
    assert "it helps (macro-F1 +0.100 ± 0.025, AUROC +0.100 ± 0.025)" in text
    assert (
        "no-picture: left out: no pictures" in text
        and "leaking-800-0: failed: its process was killed" in text
    )
    drawn = (tmp_path / "ablation.svg").read_text()
    assert all(word in drawn for word in ("800 training memes", "labels-only (3)", "0.810", "0.950"))


def test_without_a_single_run_there_is_a_report_and_no_plot(tmp_path):
    found = summarise([], dataset="squares", recipe="tiny", split="test")
    write_ablation(tmp_path, found)
    assert {path.name for path in tmp_path.iterdir()} == {"ablation.json", "ablation.md"}
    assert "0 runs" in to_markdown(found)


def test_the_plot_is_one_self_contained_drawing_that_is_the_same_every_time():
    found = summarise(GIVEN, dataset="squares", recipe="tiny", split="test")
    drawn = to_svg(found)
    assert drawn == to_svg(found)
    root = ET.fromstring(drawn)
    assert root.tag.endswith("svg")
    asked = [value for node in root.iter() for name, value in node.items() if name.endswith(("href", "src"))]
    assert all(value.startswith("#") for value in asked)


def test_accuracy_where_words_alone_are_wrong_stands_in_a_table_of_its_own():
    grouped = rows("two-stage", 800, [0.9, 0.9])
    for one in grouped:
        one.splits["test"] |= {"words_wrong": 0.5, "words_right": 1.0}
    names = {"dataset": "squares", "recipe": "tiny", "split": "test"}
    assert "| two-stage | 800 | 2 | 0.500 ± 0.000 | 1.000 ± 0.000 |" in to_markdown(
        summarise(grouped, **names)
    )
    assert "words alone" not in to_markdown(summarise(GIVEN, **names))
