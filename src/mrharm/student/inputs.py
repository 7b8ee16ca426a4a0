"""What a student is shown: one composed text and at most one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.records import Evidence, Meme, meme_text
from mrharm.texts import plain

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StudentInput:
    """One meme as a student reads it.

    ``pixels``: the fitted picture, *Shape:* (side, side, 3); ``features``: precomputed image features in its place,
    *Shape:* (patches, d_image); neither for a meme without a picture. ``missing`` names parts that were wanted and
    could not be had. ``rationale``: what a student that reads one reads in place of its own.
    """

    text: str
    pixels: Pixels | None = None
    features: NDArray[Any] | None = None
    missing: tuple[str, ...] = ()
    rationale: str | None = None


def compose_text(
    reads: Sequence[str], meme: Meme, evidence: Evidence | None, *, odd_text: str = "plain"
) -> tuple[str, tuple[str, ...]]:
    """The text a student reads, and the parts that were wanted and are not there.

    The meme's own words come bare and first; other parts follow, each after its name, so that one student can tell
    a caption from a word drawn on the picture. Words read off the picture stand in for words that were given only where
    `mrharm gather` was told so. With ``odd_text="plain"`` hidden and disguised letters are read as what they look like.
    """
    values = {
        "text": meme_text(meme, evidence),
        "caption": evidence.caption if evidence else None,
        "entities": evidence.entities if evidence else None,
        "demographics": evidence.demographics if evidence else None,
    }
    pieces = []
    for part in reads:
        value = " ".join((plain(values[part] or "") if odd_text == "plain" else values[part] or "").split())
        if value:
            pieces.append(value if part == "text" else f"{part}: {value}")
    missing = tuple(part for part in reads if values[part] is None)
    return " | ".join(pieces), missing
