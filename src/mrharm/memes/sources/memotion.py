"""Import Memotion 7k: memes with humour, sarcasm, offence, motivation and sentiment (SemEval-2020 task 8).

Source of the format: Sharma et al. (2020). The first column of ``labels.csv`` has no name and counts the rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mrharm.memes.annotations import ParsedRow, TableSource
from mrharm.memes.dataset import ImporterInfo
from mrharm.memes.labels import Cells, LabelScheme, read_word
from mrharm.memes.rows import Row, read_csv_rows, read_text
from mrharm.records import Label, Severity

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


def _parse_row(source: TableSource, row: Row) -> ParsedRow:
    """Take the corrected text before the one that was read; both are kept where they differ."""
    texts = (OCR, CORRECTED) if row.values[OCR] == row.values[CORRECTED] else ()
    text = read_text(row, CORRECTED) or read_text(row, OCR)
    return source.parse_row(row, text, ("", *texts))


MEMOTION = TableSource(
    "memotion",
    ImporterInfo(
        "Memotion 7k: 6,992 memes, how offensive, funny, sarcastic, motivational (SemEval-2020 task 8)",
        "not stated",
        "Memotion Dataset 7k on Kaggle",
        "a folder with labels.csv; pictures in images/ or beside, or none at all",
    ),
    LabelScheme(
        about="offensive: not (not harmful), slight, very or hateful (severity somewhat, very, very)",
        columns=(OFFENSIVE,),
        read=_read_label,
    ),
    files={"labels.csv": "train"},
    read=partial(read_csv_rows, columns=("image_name", OCR, CORRECTED, OFFENSIVE, *SCALES)),
    image="image_name",
    text=CORRECTED,
    parse=_parse_row,
)
