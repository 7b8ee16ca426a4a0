"""Files and folders of a source, found by name in any case: copies of a dataset differ in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def find_folders(root: Path, place: str) -> list[Path]:
    """The folders that ``place`` (``data/annotations``) means below ``root``, those spelt exactly so first."""
    found = [root]
    for part in PurePosixPath(place).parts:
        found = [path for folder in found for path in _called(folder, part) if path.is_dir()]
    return found


def find_file(root: Path, name: str, folders: Iterable[str] = ()) -> Path | None:
    """A source's file in ``root`` or else in one of ``folders`` below it."""
    for place in (".", *folders):
        for folder in find_folders(root, place):
            for path in _called(folder, name):
                if path.is_file():
                    return path
    return None


def _called(folder: Path, name: str) -> list[Path]:
    paths = (path for path in folder.iterdir() if path.name.casefold() == name.casefold())
    return sorted(paths, key=lambda path: (path.name != name, path.name))
