"""Which pages and model cards of a run show another policy than its detector now has."""

from __future__ import annotations

import json
from pathlib import Path

from mrharm.evaluation.saved import REPORT, stored_in

_SHOWN = ("report.html", "model-card.md")


def stale_reports(run: Path, detector: str) -> list[Path]:
    """The pages and model cards of evaluations in a run that another detector, or another policy, was measured for.

    Args:
        run: its folder.
        detector: the key of the detector as it is now.
    """
    found: dict[Path, None] = {}
    for file in stored_in(run):
        # Of the page's own figures: verdicts may have been given anew without it, as `compare --dataset` does.
        report = file.parent / REPORT
        try:
            same = json.loads(report.read_text(encoding="utf-8")).get("detector") == detector
        except (OSError, ValueError, AttributeError):
            same = False  # it has to be made again all the same
        if not same:
            found |= dict.fromkeys(path for name in _SHOWN if (path := file.parent / name).exists())
    return list(found)
