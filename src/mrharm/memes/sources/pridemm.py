"""Import PrideMM: memes on the LGBTQ+ Pride movement, with hate, its target, stance and humour.

Source of the format: Shah et al., "MemeCLIP: Leveraging CLIP Representations for Multimodal Meme Classification"
(EMNLP 2024), SiddhantBikram/MemeCLIP: ``PrideMM.csv`` with ``name, text, split, hate, target, stance, humour``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import (
    OUR_SPLIT,
    ParsedRow,
    add_memes,
    make_finder,
    parse_picture_row,
    picture_stem,
    read_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme, read_flag, read_word
from mrharm.memes.rows import Row, need_folder, read_csv_rows, read_text
from mrharm.records import Label

LAYOUT = "a folder with PrideMM.csv; pictures in Images/ or beside, or none at all"
ABOUT = ImporterInfo(
    "PrideMM: 5,063 memes on the LGBTQ+ Pride movement (MemeCLIP, EMNLP 2024)",
    "not stated",
    "from the authors' drive, linked at github.com/SiddhantBikram/MemeCLIP",
    LAYOUT,
)
COLUMNS = ("name", "text", "split", "hate", "target", "stance", "humour")
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


SCHEME = LabelScheme(
    about="hate: 1 harmful, 0 not; target: individual, community or organization, none where undirected",
    columns=("hate", "target"),
    read=_read_label,
)


def import_pridemm(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import PrideMM; ``stance`` and ``humour`` are kept in ``extra``.

    Raises:
        InputError: ``source`` is no folder with PrideMM.csv.
        DataError: the file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="pridemm", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(read_csv_rows, columns=COLUMNS)
    rows = read_rows(imported, root, {"PrideMM.csv": None}, read, layout=LAYOUT)
    finder = make_finder(imported, root, ("Images", "img"))
    add_memes(imported, rows, _parse_row, item=lambda row: picture_stem(row, "name"), finder=finder)
    return imported


def _parse_row(row: Row) -> ParsedRow:
    word = str(row.values["split"]).strip()
    split = OUR_SPLIT.get(word.casefold())
    if split is None:
        raise DataError(f"split: expected train, val or test, got {word[:60]!r}")
    # The authors' code reads the text None as no text.
    text = read_text(row, "text")
    text, used = (None, ("split",)) if text == "None" else (text, ("split", "text"))
    row = replace(row, split=split)
    return parse_picture_row(row, SCHEME, image="name", text=text, source="pridemm", used=used)
