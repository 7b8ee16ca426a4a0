"""The run folder: the names of its files, and where a detector is in it. Imports no PyTorch.

Every command that is given a run checks it here first, so that a wrong path is refused before PyTorch is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.store import read_json

RECIPE, RUN, DETECTOR = "recipe.yaml", "run.json", "detector"
CARD = "detector.json"


def find_detector(folder: Path) -> Path:
    """Return the detector's folder: ``folder`` itself, or ``detector/`` in a run folder.

    Raises:
        InputError: neither holds a ``detector.json``.
    """
    inner = folder if (folder / CARD).is_file() else folder / DETECTOR
    if not (inner / CARD).is_file():
        raise InputError(
            f"{folder}: no detector there (no {CARD}); `mrharm train DATASET --out {folder}` makes one"
        )
    return inner


def find_run(folder: Path) -> Path:
    """Return the run folder: ``folder`` itself, or the parent of a ``detector/`` folder.

    Raises:
        InputError: neither holds a ``run.json``.
    """
    holds_detector = (folder / CARD).is_file()
    for run in (folder, folder.parent) if holds_detector else (folder,):
        if (run / RUN).is_file():
            return run
    if holds_detector:
        raise InputError(
            f"{folder}: no run there (no {RUN}) to keep results in; name a place with --out FOLDER"
        )
    raise InputError(f"{folder}: no run there (no {RUN}); `mrharm train DATASET --out {folder}` makes one")


def results_folder(detector: Path) -> Path:
    """Return where results of a detector's folder are kept: its run folder, or itself where it has none."""
    return detector.parent if detector.name == DETECTOR else detector


def read_run(folder: Path | str) -> dict[str, Any]:
    """Read ``run.json``: dataset, versions, coverage, and the validation figures of the steps that were kept.

    Raises:
        DataError: it is missing, damaged or something else.
    """
    path = Path(folder) / RUN
    mend = f"`mrharm train DATASET --out {folder} --overwrite` trains anew"
    values = read_json(path, mend)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected an object, got {type(values).__name__}; {mend}")
    return values
