"""Import PrideMM: memes on the LGBTQ+ Pride movement, with hate, its target, stance and humour.

Source of the format: Shah et al., "MemeCLIP" (EMNLP 2024), SiddhantBikram/MemeCLIP.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import OUR_SPLIT, ParsedRow, TableSource
from mrharm.memes.dataset import ImporterInfo
from mrharm.memes.labels import Cells, LabelScheme, read_flag, read_word
from mrharm.memes.rows import Row, read_csv_rows, read_text
from mrharm.records import Label

# "0" is hate without a direction; the column is empty (or NA) where there is no hate.
TARGETS: dict[str, tuple[str, ...]] = {
    "0": (),
    "1": ("individual",),
    "2": ("community",),
    "3": ("organization",),
}


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    harmful = read_flag(cells, "hate")
    words = (*TARGETS, *(f"{code}.0" for code in TARGETS), "na", "nan")
    code = (read_word(cells, "target", words) or "")[:1]
    targets = TARGETS.get(code, ())
    if harmful is None:
        return None, {}
    usual = code if targets else "0" if harmful else ""
    return Label(harmful=harmful, targets=targets), {"hate": str(int(harmful)), "target": usual}


def _parse_row(source: TableSource, row: Row) -> ParsedRow:
    word = str(row.values["split"]).strip()
    split = OUR_SPLIT.get(word.casefold())
    if split is None:
        raise DataError(f"split: expected train, val or test, got {word[:60]!r}")
    # The authors' code reads the text None as no text.
    text = read_text(row, "text")
    text, used = (None, ("split",)) if text == "None" else (text, ("split", "text"))
    return source.parse_row(replace(row, split=split), text, used)


PRIDEMM = TableSource(
    "pridemm",
    ImporterInfo(
        "PrideMM: 5,063 memes on the LGBTQ+ Pride movement (MemeCLIP, EMNLP 2024)",
        "not stated",
        "from the authors' drive, linked at github.com/SiddhantBikram/MemeCLIP",
        "a folder with PrideMM.csv; pictures in Images/ or beside, or none at all",
    ),
    LabelScheme(
        about="hate: 1 harmful, 0 not; target: individual, community or organization, none where undirected",
        columns=("hate", "target"),
        read=_read_label,
    ),
    files={"PrideMM.csv": None},
    read=partial(read_csv_rows, columns=("name", "text", "split", "hate", "target", "stance", "humour")),
    image="name",
    text="text",
    pictures=("Images", "img"),
    parse=_parse_row,
)
