"""Memotion 7k: memes with humour, sarcasm, offence, motivation and sentiment (SemEval-2020 task 8).

Source of the format: Sharma et al., "SemEval-2020 Task 8: Memotion Analysis" (2020): ``labels.csv``, whose first column
has no name and counts the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.memes.annotations import Found, finder_for, named_by_picture, read_files, stem_of, take_rows
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme, one_of
from mrharm.memes.rows import Row, csv_rows, need_folder, text_of
from mrharm.records import Label, Severity

LAYOUT = "a folder with labels.csv; pictures in images/ or beside, or none at all"
ABOUT = ImporterInfo(
    "Memotion 7k: 6,992 memes, how offensive, funny, sarcastic, motivational (SemEval-2020 task 8)",
    "not stated",
    "Memotion Dataset 7k on Kaggle",
    LAYOUT,
)
OCR, CORRECTED, OFFENSIVE = "text_ocr", "text_corrected", "offensive"
SCALES = ("humour", "sarcasm", "motivational", "overall_sentiment")
SEVERITIES: dict[str, Severity] = {
    "not_offensive": "none",
    "slight": "somewhat",
    "very_offensive": "very",
    "hateful_offensive": "very",
}


def _read_label(values: Mapping[str, Any]) -> Label | None:
    word = one_of(values, OFFENSIVE, SEVERITIES)
    return Label(harmful=word != "not_offensive", severity=SEVERITIES[word]) if word else None


def _write_label(label: Label) -> dict[str, Any]:
    severity = label.severity or ("somewhat" if label.harmful else "none")
    return {OFFENSIVE: next(word for word, meant in SEVERITIES.items() if meant == severity)}


SCHEME = LabelScheme(
    about="offensive: not (not harmful), slight, very or hateful (severity somewhat, very, very)",
    columns=(OFFENSIVE,),
    read=_read_label,
    write=_write_label,
)


def import_memotion(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Memotion 7k; the other scales are kept in ``extra``, and both texts where they differ.

    Raises:
        InputError: ``source`` is no folder with labels.csv.
        DataError: the file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="memotion", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(csv_rows, columns=("image_name", OCR, CORRECTED, OFFENSIVE, *SCALES))
    rows = read_files(imported, root, {"labels.csv": "train"}, read, layout=LAYOUT)
    finder = finder_for(imported, root, ("images", "img"))
    take_rows(imported, rows, _found, item=lambda row: stem_of(row, "image_name"), finder=finder)
    imported.notes.append("labels.csv has no splits: all memes are train; there is no test split")
    return imported


def _found(row: Row) -> Found:
    texts = (OCR, CORRECTED) if row.values[OCR] == row.values[CORRECTED] else ()
    return named_by_picture(
        row,
        SCHEME,
        image="image_name",
        text=text_of(row, CORRECTED) or text_of(row, OCR),
        source="memotion",
        known=("", *texts),
    )
