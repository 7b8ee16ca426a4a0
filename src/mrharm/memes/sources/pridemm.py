"""PrideMM: memes on the LGBTQ+ Pride movement, with hate, its target, stance and humour.

Source of the format: Shah et al., "MemeCLIP: Leveraging CLIP Representations for Multimodal Meme Classification"
(EMNLP 2024), SiddhantBikram/MemeCLIP: ``PrideMM.csv`` with ``name, text, split, hate, target, stance, humour``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import (
    OUR_SPLIT,
    Found,
    finder_for,
    named_by_picture,
    read_files,
    stem_of,
    take_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme, flag, one_of
from mrharm.memes.rows import Row, csv_rows, need_folder, text_of
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
TARGETS = {"0": (), "1": ("individual",), "2": ("community",), "3": ("organization",)}


def _read_label(values: Mapping[str, Any]) -> Label | None:
    harmful = flag(values, "hate")
    words = (*TARGETS, *(f"{code}.0" for code in TARGETS), "na", "nan")
    target = one_of(values, "target", words) or ""
    return None if harmful is None else Label(harmful=harmful, targets=TARGETS.get(target[:1], ()))


def _write_label(label: Label) -> dict[str, Any]:
    codes = {targets: code for code, targets in TARGETS.items()}
    target = codes.get(label.targets, "0") if label.harmful or label.targets else ""
    return {"hate": str(int(label.harmful)), "target": target}


SCHEME = LabelScheme(
    about="hate: 1 harmful, 0 not; target: individual, community or organization, none where undirected",
    columns=("hate", "target"),
    read=_read_label,
    write=_write_label,
)


def import_pridemm(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """PrideMM; ``stance`` and ``humour`` are kept in ``extra``.

    Raises:
        InputError: ``source`` is no folder with PrideMM.csv.
        DataError: the file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="pridemm", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(csv_rows, columns=COLUMNS)
    rows = read_files(imported, root, {"PrideMM.csv": None}, read, layout=LAYOUT)
    finder = finder_for(imported, root, ("Images", "img"))
    take_rows(imported, rows, _found, item=lambda row: stem_of(row, "name"), finder=finder)
    return imported


def _found(row: Row) -> Found:
    word = str(row.values["split"]).strip()
    if word.casefold() not in OUR_SPLIT:
        raise DataError(f"split: expected train, val or test, got {word[:60]!r}")
    # The authors' own code reads the text None as no text.
    text = text_of(row, "text")
    text, known = (None, ("split",)) if text == "None" else (text, ("split", "text"))
    return named_by_picture(
        row,
        SCHEME,
        image="name",
        text=text,
        split=OUR_SPLIT[word.casefold()],
        source="pridemm",
        known=known,
    )
