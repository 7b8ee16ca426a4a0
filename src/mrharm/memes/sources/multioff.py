"""Import MultiOFF: offensive memes about the 2016 US presidential election.

Source of the format: Suryawanshi et al., "Multimodal Meme Dataset (MultiOFF) ..." (TRAC 2020).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import TableSource
from mrharm.memes.dataset import ImporterInfo
from mrharm.memes.labels import Cells, LabelScheme
from mrharm.memes.rows import read_csv_rows
from mrharm.records import Label
from mrharm.texts import fold

OFFENSIVE, HARMLESS = "offensive", "Non-offensiv"  # spelt so in the files
HARMLESS_WORDS = ("non-offensiv", "non-offensive", "nonoffensive", "not-offensive")


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    value = str(cells.get("label") or "").strip()
    word = fold(value.replace("_", " ")).replace(" ", "-")
    if word not in ("", OFFENSIVE, *HARMLESS_WORDS):
        raise DataError(f"label: expected {OFFENSIVE!r} or {HARMLESS!r}, got {value[:60]!r}")
    harmful = word == OFFENSIVE
    return Label(harmful=harmful) if word else None, {"label": OFFENSIVE if harmful else HARMLESS}


MULTIOFF = TableSource(
    "multioff",
    ImporterInfo(
        "MultiOFF: 743 memes about the 2016 US election, offensive or not (TRAC 2020)",
        "not stated",
        "from the authors' drive, linked at github.com/bharathichezhiyan/"
        "Multimodal-Meme-Classification-Identifying-Offensive-Content-in-Image-and-Text",
        "a folder with Training_meme_dataset.csv, Validation_meme_dataset.csv and Testing_meme_dataset.csv, in it or "
        "in 'Split Dataset/'; pictures in 'Labelled Images/' or beside, or none at all",
    ),
    LabelScheme("label: offensive (harmful) or not", ("label",), _read_label),
    files={
        "Training_meme_dataset.csv": "train",
        "Validation_meme_dataset.csv": "validation",
        "Testing_meme_dataset.csv": "test",
    },
    read=partial(read_csv_rows, columns=("image_name", "sentence", "label")),
    image="image_name",
    text="sentence",
    pictures=("Labelled Images", "images", "img"),
    folders=("Split Dataset",),
)
