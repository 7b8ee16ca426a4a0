"""Which pages and model cards of a run show another policy than its detector now has."""

from __future__ import annotations

from pathlib import Path

from mrharm.errors import DataError
from mrharm.evaluation.stored import read_judgement, stored_in

_SHOWN = ("report.html", "model-card.md")


def stale_reports(run: Path, detector: str) -> list[Path]:
    """The pages and model cards of evaluations in a run that another detector, or another policy, was measured for.

    Args:
        run: its folder.
        detector: the key of the detector as it is now.
    """
    found: dict[Path, None] = {}
    for file in stored_in(run):
        try:
            same = read_judgement(file).detector == detector
        except DataError:
            same = False  # it has to be made again all the same
        if not same:
            found |= dict.fromkeys(path for name in _SHOWN if (path := file.parent / name).exists())
    return list(found)
