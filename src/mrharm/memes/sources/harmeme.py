"""Import HarMeme: Harm-C (COVID-19) and Harm-P (US politics), in the V1 layout of LCS2-IIITD/MOMENTA.

Source of the format: Pramanick et al., "MOMENTA" (Findings of EMNLP 2021).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import TableSource
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import SEVERITIES, Cells, LabelScheme
from mrharm.memes.pictures import find_file
from mrharm.memes.rows import Row, read_json_rows
from mrharm.memes.side_files import ALSO
from mrharm.records import Label
from mrharm.texts import fold

LAYOUT = (
    "a folder with train.jsonl, val.jsonl and test.jsonl (Harm-P V1: train_v1.jsonl ...), in it or in annotations/, or "
    "the authors' repository; pictures in images/ or beside, or none at all" + ALSO
)
OBTAIN = "annotations: github.com/LCS2-IIITD/MOMENTA; pictures: the authors' drive, linked there"
LICENCE = "annotations MIT (LCS2-IIITD/MOMENTA); the pictures remain their authors'"

# Evaluation splits first: where V0's copies are let in, the copies there keep the plain id.
FILES = {"test.jsonl": "test", "val.jsonl": "validation", "train.jsonl": "train"}
# As Harm-P's are called; where they are, those of the plain names are V0's.
V1_FILES = {name.replace(".", "_v1."): split for name, split in FILES.items()}
ORDER = ("train", "validation", "test")


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    """Read ``[severity, target...]``; no label where the severity is empty."""
    labels = cells.get("labels")
    words = [labels] if isinstance(labels, str) else labels
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"labels: expected [severity, target...], got {str(labels)[:60]!r}")
    severity, *others = [fold(word) for word in words] or [""]
    if not severity:
        return None, {}
    if severity not in SEVERITIES:
        raise DataError(f"labels: expected one of {', '.join(map(repr, SEVERITIES))} first, got {severity!r}")
    targets = [target for target in others if target]
    label = Label(harmful=severity != "not harmful", severity=SEVERITIES[severity], targets=tuple(targets))
    return label, {"labels": [severity, *targets]}


SCHEME = LabelScheme(
    about="severity: not, somewhat or very harmful (harmful: somewhat or very); targets as given",
    columns=("labels",),
    read=_read_label,
)


ABOUT = ImporterInfo(
    "Harm-P: 3,470 memes about US politics (HarMeme V1; V0 is refused)", LICENCE, OBTAIN, LAYOUT
)


def _sort_splits(imported: Imported) -> None:
    imported.memes.sort(key=lambda meme: ORDER.index(meme.split or ""))


HARM_C = TableSource(
    "harm-c",
    ImporterInfo("Harm-C: 3,544 memes about COVID-19 (HarMeme V1)", LICENCE, OBTAIN, LAYOUT),
    SCHEME,
    FILES,
    read_json_rows,
    image="image",
    text="text",
    id="id",
    folders=("annotations", "annotations/harm-c", "HarMeme_V1/Annotations/harm-c"),
    side_files=True,
    finish=_sort_splits,
)
HARM_P = replace(
    HARM_C,
    name="harm-p",
    about=ABOUT,
    folders=("annotations", "annotations/harm-p", "HarMeme_V1/Annotations/harm-p"),
)


def import_harm_p(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import Harm-P. V0, which holds most memes twice and shares test memes with train, needs ``options.allow_v0``."""
    is_v1 = source and source.is_dir() and any(find_file(source, name, HARM_P.folders) for name in V1_FILES)
    check = partial(_check_v0, allow=options.allow_v0)
    return replace(HARM_P, files=V1_FILES if is_v1 else FILES, join=check)(source, folder, options)


def _check_v0(root: Path, rows: list[Row], imported: Imported, *, allow: bool) -> None:
    """Refuse rows whose ids repeat, as V0's do; or give later copies the ids ``#2``, ``#3``, where that is allowed."""
    named = [(meme_id, row) for row in rows if (meme_id := HARM_P.name_row(row))]
    copies = len(named) - len({meme_id for meme_id, _ in named})
    if not copies:
        return
    if not allow:
        train = [meme_id for meme_id, row in named if row.split == "train"]
        test = [meme_id for meme_id, row in named if row.split == "test"]
        memes = set(train)
        shared = sum(meme_id in memes for meme_id in test)
        raise DataError(
            f"{root}: this is Harm-P V0, not V1: {len(train):,} train rows hold {len(memes):,} memes, and "
            f"{shared:,} of {len(test):,} test rows are also in train. A model is then tested on what it was "
            "trained on, and its score means nothing. Get HarMeme V1 (train_v1.jsonl ... in LCS2-IIITD/MOMENTA), or "
            "say --allow-v0 to import every row anyway"
        )
    numbers: Counter[str] = Counter()
    for meme_id, row in named:
        numbers[meme_id] += 1
        if numbers[meme_id] > 1:
            row.values.update(id=f"{meme_id}#{numbers[meme_id]}", copy_of=meme_id)
    imported.notes.append(
        f"V0 let in: {copies:,} rows repeat an id and carry #2, #3 ...; test figures mean little"
    )
