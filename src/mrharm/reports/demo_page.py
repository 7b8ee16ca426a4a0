"""The demo's report as one HTML file: the tables, then memes with their verdicts, right and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrharm.reports.render import inline_picture, render_page
from mrharm.reports.tables import tabulate_demo, tabulate_demo_kinds
from mrharm.store import write_text

SPLITS = {
    "test": "new phrasings, new renderings",
    "composition": "known scenes with concepts they were never shown with",
    "lexical": "words that training does not have",
}


def write_demo_report(path: Path, report: Mapping[str, Any], memes: Sequence[Mapping[str, Any]]) -> None:
    """Write ``demo/report.html``."""
    tables = [(split, what, tabulate_demo(report, split)) for split, what in SPLITS.items()]
    cards = [{**meme, "picture": inline_picture(meme["picture"])} for meme in memes]
    kinds = tabulate_demo_kinds(report)
    write_text(path, render_page("demo.html", report=report, tables=tables, kinds=kinds, cards=cards))
