"""Import MultiOFF: offensive memes about the 2016 US presidential election.

Source of the format: Suryawanshi et al., "Multimodal Meme Dataset (MultiOFF) for Identifying Offensive Content in Image
and Text" (TRAC 2020): three CSV files of ``image_name, sentence, label``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import (
    ParsedRow,
    add_memes,
    make_finder,
    parse_picture_row,
    picture_stem,
    read_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme
from mrharm.memes.rows import Row, need_folder, read_csv_rows, read_text
from mrharm.records import Label
from mrharm.texts import fold

LAYOUT = (
    "a folder with Training_meme_dataset.csv, Validation_meme_dataset.csv and Testing_meme_dataset.csv, in it or in "
    "'Split Dataset/'; pictures in 'Labelled Images/' or beside, or none at all"
)
ABOUT = ImporterInfo(
    "MultiOFF: 743 memes about the 2016 US election, offensive or not (TRAC 2020)",
    "not stated",
    "from the authors' drive, linked at github.com/bharathichezhiyan/"
    "Multimodal-Meme-Classification-Identifying-Offensive-Content-in-Image-and-Text",
    LAYOUT,
)
FILES = {
    "Training_meme_dataset.csv": "train",
    "Validation_meme_dataset.csv": "validation",
    "Testing_meme_dataset.csv": "test",
}
OFFENSIVE, HARMLESS = "offensive", "Non-offensiv"  # spelt so in the files
HARMLESS_WORDS = ("non-offensiv", "non-offensive", "nonoffensive", "not-offensive")


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    value = str(cells.get("label") or "").strip()
    word = fold(value.replace("_", " ")).replace(" ", "-")
    if word not in ("", OFFENSIVE, *HARMLESS_WORDS):
        raise DataError(f"label: expected {OFFENSIVE!r} or {HARMLESS!r}, got {value[:60]!r}")
    harmful = word == OFFENSIVE
    return Label(harmful=harmful) if word else None, {"label": OFFENSIVE if harmful else HARMLESS}


SCHEME = LabelScheme(about="label: offensive (harmful) or not", columns=("label",), read=_read_label)


def import_multioff(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import MultiOFF.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="multioff", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(read_csv_rows, columns=("image_name", "sentence", "label"))
    rows = read_rows(imported, root, FILES, read, layout=LAYOUT, folders=("Split Dataset",))
    finder = make_finder(imported, root, ("Labelled Images", "images", "img"))
    add_memes(imported, rows, _parse_row, item=lambda row: picture_stem(row, "image_name"), finder=finder)
    return imported


def _parse_row(row: Row) -> ParsedRow:
    text = read_text(row, "sentence")
    return parse_picture_row(
        row, SCHEME, image="image_name", text=text, source="multioff", used=("sentence",)
    )
