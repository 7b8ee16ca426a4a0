"""Sources in their exact layout, and what became of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from mrharm.memes.dataset import Dataset
from mrharm.records import Failure, Meme, read_records


def write(path: Path, text: str) -> Path:
    """A source file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A source file of JSON lines."""
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def draw(folder: Path, *names: str) -> None:
    """Small pictures of these names, no two alike."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(name) * 9, sum(name.encode()) % 251, 7)).save(folder / name)


def failures(dataset: Dataset) -> list[tuple[str, str | None, int | None, str]]:
    """(item, file, line, reason) of everything that failed."""
    path = dataset.root / "failures.jsonl"
    rows = read_records(path, Failure) if path.exists() else []
    return [(row.item, row.file, row.line, row.reason) for row in rows]


def by_id(dataset: Dataset) -> dict[str, Meme]:
    """Meme id -> meme."""
    return {meme.id: meme for meme in dataset.memes}
