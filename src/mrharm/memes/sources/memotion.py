"""Import Memotion 7k: memes with humour, sarcasm, offence, motivation and sentiment (SemEval-2020 task 8).

Source of the format: Sharma et al., "SemEval-2020 Task 8: Memotion Analysis" (2020): ``labels.csv``, whose first column
has no name and counts the rows.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mrharm.memes.annotations import (
    ParsedRow,
    add_memes,
    make_finder,
    parse_picture_row,
    picture_stem,
    read_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme, read_word
from mrharm.memes.rows import Row, need_folder, read_csv_rows, read_text
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


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    word = read_word(cells, OFFENSIVE, SEVERITIES)
    if word is None:
        return None, {}
    severity = SEVERITIES[word]
    usual = "very_offensive" if severity == "very" else word  # "hateful_offensive" is as severe
    return Label(harmful=severity != "none", severity=severity), {OFFENSIVE: usual}


SCHEME = LabelScheme(
    about="offensive: not (not harmful), slight, very or hateful (severity somewhat, very, very)",
    columns=(OFFENSIVE,),
    read=_read_label,
)


def import_memotion(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import Memotion 7k; the other scales are kept in ``extra``, and both texts where they differ.

    Raises:
        InputError: ``source`` is no folder with labels.csv.
        DataError: the file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="memotion", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    read = partial(read_csv_rows, columns=("image_name", OCR, CORRECTED, OFFENSIVE, *SCALES))
    rows = read_rows(imported, root, {"labels.csv": "train"}, read, layout=LAYOUT)
    finder = make_finder(imported, root, ("images", "img"))
    add_memes(imported, rows, _parse_row, item=lambda row: picture_stem(row, "image_name"), finder=finder)
    imported.notes.append("labels.csv has no splits: all memes are train; there is no test split")
    return imported


def _parse_row(row: Row) -> ParsedRow:
    texts = (OCR, CORRECTED) if row.values[OCR] == row.values[CORRECTED] else ()
    return parse_picture_row(
        row,
        SCHEME,
        image="image_name",
        text=read_text(row, CORRECTED) or read_text(row, OCR),
        source="memotion",
        used=("", *texts),
    )
