"""Checkpoints that are whole or not there: written aside, listed with their sizes, then renamed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from mrharm.store import write_json

ASIDE = "saving"
MANIFEST = "complete.json"
_KEPT = 2


def seal(folder: Path) -> None:
    """List every file with its size in ``complete.json``, flushed to disk: from now on the folder counts as whole."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            sizes[str(path.relative_to(folder))] = path.stat().st_size
    write_json(folder / MANIFEST, sizes)


def is_whole(folder: Path) -> bool:
    """Whether every file the manifest lists is there with its size."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def move_in(stage_folder: Path, name: str) -> None:
    """Seal ``saving/NAME``, rename it to ``NAME``, and drop all but the newest two checkpoints."""
    aside = stage_folder / ASIDE / name
    seal(aside)
    final = stage_folder / name
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    shutil.rmtree(stage_folder / ASIDE, ignore_errors=True)
    for old in checkpoints(stage_folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(stage_folder: Path) -> list[Path]:
    """Every checkpoint folder, oldest first, whole or not."""
    found = []
    for path in stage_folder.glob("checkpoint-*"):
        if match := re.fullmatch(r"checkpoint-(\d+)", path.name):
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found)]


def last_whole(stage_folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint, or None; every partial one is named aloud and removed."""
    if (stage_folder / ASIDE).exists():
        say(f"{stage_folder / ASIDE}: a checkpoint was cut short while it was being written; skipped")
        shutil.rmtree(stage_folder / ASIDE, ignore_errors=True)
    for path in reversed(checkpoints(stage_folder)):
        if is_whole(path):
            return path
        say(f"{path}: not whole (files missing or cut); skipped")
        shutil.rmtree(path, ignore_errors=True)
    return None
