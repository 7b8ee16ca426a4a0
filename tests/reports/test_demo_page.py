from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from mrharm.records import Verdict
from mrharm.reports.demo_page import SPLITS, write_demo_report
from tests.browser import Tags, assert_self_contained, measure_on_a_phone, needs_chromium

MODELS = ("majority", "text_only", "image_only", "labels_only", "two_stage")
TRUTH = {"scene": 0.5, "tone": 0.25, "names_relation": 0.5, "relation": 1.0, "all": 0.25}


def write_report(folder: Path) -> str:
    """Write the page of a made-up demo, with a right and a wrong verdict of each kind; return it."""
    row = {"accuracy": 0.5, "accuracy_ci": [0.4, 0.6], "macro_f1": None, "auroc": 0.5, "n": 8}
    report: dict[str, Any] = {split: dict.fromkeys(MODELS, row) for split in SPLITS}
    report |= {
        "rationale_truth": TRUTH,
        "by_kind": {"named": {"labels_only": row, "two_stage": row, "rationale_truth": TRUTH}},
        "memes": {"train": 40},
        "steps": {"two_stage": 9},
        "seed": 0,
        "quick": True,
        "seconds": 3.0,
        "peak_memory_mb": 100,
    }
    Image.new("RGB", (40, 30), (90, 120, 90)).save(folder / "skunk.png")
    memes = []
    for group, harmful, right in (("drawn", True, True), ("drawn", False, True), ("wrong", True, False)):
        score = 0.9 if harmful == right else 0.1
        verdict = Verdict(
            meme_id="1",
            harmful=harmful,
            score=score,
            threshold=0.5,
            decision="flag" if harmful else "allow",
            rationale="the picture shows a skunk." + " you" * 40,
            detector="made up",
            recipe="tiny",
            created_at="now",
        )
        memes.append(
            {
                "group": group,
                "picture": folder / "skunk.png",
                "text": "you smell wonderful",
                "verdict": verdict,
                "harmful": harmful == right,
                "right": right,
                "check": {"scene": True, "tone": False, "relation": True},
                "caption": "a skunk",
            }
        )
    write_demo_report(folder / "report.html", report, memes)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_holds_every_table_and_the_memes_right_and_wrong(tmp_path: Path) -> None:
    page = write_report(tmp_path)
    assert_self_contained(page)
    words = Tags(page).words
    assert words.count("you smell wonderful") == 3 and "wrong: it is harmless" in words
    assert all(split.capitalize() in words for split in SPLITS)


@needs_chromium
def test_in_a_browser_the_page_is_read_by_people_of_weak_sight_and_fits_a_phone(tmp_path: Path) -> None:
    assert measure_on_a_phone(write_report(tmp_path), tmp_path) == {
        "width": 390,
        "beyond": 0,
        "blurred": True,
        "pictures": 0,  # to be blurred: the demo's are drawn
        "decoded": True,
        "faint": [],
        "unreachable": [],
        "dark": True,
    }
