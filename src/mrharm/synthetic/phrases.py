"""What memes say: the tones, the frames that speak in each, and what each concept puts into them.

``praise`` and ``comparison`` take the picture as it is (straight), ``contrast`` and ``relief`` turn it round
(flipping). A frame surrounds a concept's claim (tone ``praise``) or its neutral name, the manner (all other tones).
The phrases themselves are in ``phrases.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml

Tone = Literal["praise", "comparison", "contrast", "relief"]
Sense = Literal["straight", "flipping"]

SENSES: dict[Tone, Sense] = {
    "praise": "straight", "comparison": "straight", "contrast": "flipping", "relief": "flipping",
}  # fmt: skip


@dataclass(frozen=True)
class Phrases:
    """Phrases of one form by the split they are kept for."""

    train: list[str]
    validation: list[str]
    test: list[str]
    lexical: list[str] | None = None

    def of(self, split: str) -> list[str]:
        """Return the phrases for a split of the benchmark; those of test where it has no list."""
        rows = {"train": self.train, "validation": self.validation, "lexical": self.lexical}
        return rows.get(split) or self.test


_TABLES: dict[str, dict[str, Phrases]] = {
    name: {key: Phrases(**row) for key, row in table.items()}
    for name, table in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")).items()
}
FRAMES = cast("dict[Tone, Phrases]", _TABLES["frames"])
CLAIMS, MANNERS = _TABLES["claims"], _TABLES["manners"]
