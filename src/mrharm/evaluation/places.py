"""Can a file be written there? Asked before hours of work, whose end it would be."""

from __future__ import annotations

import os
from pathlib import Path

from mrharm.errors import InputError


def check_place(file: Path, option: str) -> None:
    """Refuse a place where no file can be written; nothing is made or changed there.

    Args:
        file: where a file is to go; folders on the way may be missing.
        option: what named it, for the message.

    Raises:
        InputError: a folder is there, or one on the way is a file or may not be written to.
    """
    if file.is_dir():
        raise InputError(f"{option} {file}: expected a file, and this is a folder; name a file in it")
    there = next(parent for parent in file.absolute().parents if parent.exists())
    if not there.is_dir():
        raise InputError(
            f"{option} {file}: no folder can be made there, as {there} is a file; name another place"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {file}: nothing may be written in {there}; name another place")
