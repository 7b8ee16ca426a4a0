"""MultiOFF: offensive memes about the 2016 US presidential election.

Source of the format: Suryawanshi et al., "Multimodal Meme Dataset (MultiOFF) for Identifying Offensive Content in Image
and Text" (TRAC 2020): three CSV files of ``image_name, sentence, label``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import Found, finder_for, named_by_picture, read_files, stem_of, take_rows
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme
from mrharm.memes.rows import Row, csv_rows, need_folder, text_of
from mrharm.records import Label

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


def _read_label(values: Mapping[str, Any]) -> Label | None:
    given = str(values.get("label") or "").strip()
    word = "-".join(given.casefold().replace("_", " ").split())
    if word not in ("", OFFENSIVE, *HARMLESS_WORDS):
        raise DataError(f"label: expected {OFFENSIVE!r} or {HARMLESS!r}, got {given[:60]!r}")
    return Label(harmful=word == OFFENSIVE) if word else None


SCHEME = LabelScheme(
    about="label: offensive (harmful) or not",
    columns=("label",),
    read=_read_label,
    write=lambda label: {"label": OFFENSIVE if label.harmful else HARMLESS},
)


def import_multioff(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """MultiOFF.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="multioff", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(csv_rows, columns=("image_name", "sentence", "label"))
    rows = read_files(imported, root, FILES, read, layout=LAYOUT, folders=("Split Dataset",))
    finder = finder_for(imported, root, ("Labelled Images", "images", "img"))
    take_rows(imported, rows, _found, item=lambda row: stem_of(row, "image_name"), finder=finder)
    return imported


def _found(row: Row) -> Found:
    text = text_of(row, "sentence")
    return named_by_picture(
        row, SCHEME, image="image_name", text=text, source="multioff", known=("sentence",)
    )
