"""Import HarMeme: Harm-C (COVID-19) and Harm-P (US politics), in the V1 layout.

Source of the format: Pramanick et al., "MOMENTA" (Findings of EMNLP 2021), LCS2-IIITD/MOMENTA: ``train.jsonl``,
``val.jsonl``, ``test.jsonl`` (for Harm-P ``train_v1.jsonl`` and so on) of rows ``{"id", "image", "labels": [severity,
target...], "text"}``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import ParsedRow, add_memes, make_finder, make_meme, read_rows, refuse_repeat
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import SEVERITIES, Cells, LabelScheme
from mrharm.memes.pictures import find_file, find_folders
from mrharm.memes.recorded import ALSO, add_recorded
from mrharm.memes.rows import Row, need_folder, read_json_rows, read_text
from mrharm.records import Label, Meme
from mrharm.texts import fold

LAYOUT = (
    "a folder with train.jsonl, val.jsonl and test.jsonl (Harm-P V1: train_v1.jsonl ...), in it or in annotations/, or "
    "the authors' repository; pictures in images/ or beside, or none at all"
)
OBTAIN = "annotations: github.com/LCS2-IIITD/MOMENTA; pictures: the authors' drive, linked there"
LICENCE = "annotations MIT (LCS2-IIITD/MOMENTA); the pictures remain their authors'"
ABOUT_HARM_C = ImporterInfo("Harm-C: 3,544 memes about COVID-19 (HarMeme V1)", LICENCE, OBTAIN, LAYOUT + ALSO)
ABOUT_HARM_P = ImporterInfo(
    "Harm-P: 3,470 memes about US politics (HarMeme V1; V0 is refused)", LICENCE, OBTAIN, LAYOUT + ALSO
)

# Evaluation splits first: where V0's copies are let in, the copies there keep the plain id.
FILES = {"test.jsonl": "test", "val.jsonl": "validation", "train.jsonl": "train"}
# As Harm-P's are called; where they are, those of the plain names are V0's.
V1_FILES = {"test_v1.jsonl": "test", "val_v1.jsonl": "validation", "train_v1.jsonl": "train"}
ORDER = ("train", "validation", "test")


def import_harm_c(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import Harm-C.

    Raises:
        InputError: ``source`` is no folder with the files.
        DataError: a file is not JSON lines, or a recorded one not what its name says.
    """
    return _import("harm-c", source)


def import_harm_p(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import Harm-P.

    V0 holds most memes twice and shares test memes with train. With ``options.allow_v0`` every row is kept, so that the
    leak can be measured: the first copy (test, then validation, then train) keeps the id, later ones get ``#2``,
    ``#3``.

    Raises:
        InputError: ``source`` is no folder with the files.
        DataError: as `import_harm_c` does, or the files are V0 and ``options.allow_v0`` is not set.
    """
    return _import("harm-p", source, allow_v0=options.allow_v0)


def _import(name: str, source: Path | None, *, allow_v0: bool | None = None) -> Imported:
    """Import Harm-C or Harm-P; a V0 of the latter is refused, or let in with its copies, by ``allow_v0``."""
    root = need_folder(source, LAYOUT)
    imported = Imported(name=name, licence=LICENCE, label_scheme=SCHEME.about, memes=[])
    # Annotations: Harm-P's V1 files go before those of the plain names.
    folders = ("annotations", f"annotations/{name}", f"HarMeme_V1/Annotations/{name}")
    files = V1_FILES if any(find_file(root, file, folders) for file in V1_FILES) else FILES
    rows = read_rows(imported, root, files, read_json_rows, layout=LAYOUT, folders=folders)
    missing = [split for split in ORDER if split not in {row.split for row in rows}]
    if missing:
        imported.notes.append(f"no rows for: {', '.join(missing)}")
    if allow_v0 is False:
        _refuse_v0(root, rows)

    # Memes, and what their pictures are called, for recorded texts that go by those names.
    picture_names: dict[str, str] = {}
    copies: Counter[str] = Counter()

    def parse(row: Row) -> ParsedRow:
        meme_id = _read_id(row)
        if not meme_id:
            raise DataError("neither an id nor an image to take one from")
        used, text = ("id", "image", "text"), read_text(row, "text")
        meme = make_meme(row, SCHEME, meme_id=meme_id, text=text, source=name, used=used)
        picture = str(row.values.get("image") or meme_id)
        picture_names.setdefault(meme_id, picture)
        return ParsedRow(meme, picture)

    def number_copy(earlier: Meme, first: Row, meme: Meme) -> Meme:
        copies[meme.id] += 1
        extra = {**meme.extra, "copy_of": meme.id}
        return meme.model_copy(update={"id": f"{meme.id}#{copies[meme.id] + 1}", "extra": extra})

    merge = number_copy if allow_v0 else refuse_repeat
    finder = make_finder(imported, root, ("images", "img"))
    add_memes(imported, rows, parse, item=_read_id, finder=finder, merge=merge)
    imported.memes.sort(key=lambda meme: ORDER.index(meme.split or ""))

    # What a reader of dataset.json should know, and what was recorded beside the annotations.
    unlabelled = sum(meme.label is None for meme in imported.memes)
    if unlabelled:
        imported.notes.append(
            f"{unlabelled:,} memes without a severity are unlabelled; labels kept as they came"
        )
    if copies:
        imported.notes.append(
            f"V0 let in: {copies.total():,} rows repeat an id and carry #2, #3 ...; test figures mean little"
        )
    pictures = {
        meme.id: picture_names.get(str(meme.extra.get("copy_of", meme.id)), "") for meme in imported.memes
    }
    places = [folder for place in (".", *folders) for folder in find_folders(root, place)]
    add_recorded(root, places, imported, pictures)
    return imported


def _read_id(row: Row) -> str | None:
    """Return the row's id, or else its picture's name without the extension."""
    for column in ("id", "image"):
        value = row.values.get(column)
        if isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip():
            text = str(value).strip()
            return text if column == "id" else Path(text).stem or None
    return None


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


def _refuse_v0(root: Path, rows: list[Row]) -> None:
    counts: dict[str, Counter[str]] = {split: Counter() for split in ORDER}
    for row in rows:
        meme_id = _read_id(row)
        if meme_id and row.split:
            counts[row.split][meme_id] += 1
    train, test = counts["train"], counts["test"]
    every = train + counts["validation"] + test
    if every.total() > len(every):
        shared = sum(count for meme_id, count in test.items() if meme_id in train)
        raise DataError(
            f"{root}: this is Harm-P V0, not V1: {train.total():,} train rows hold {len(train):,} memes, and "
            f"{shared:,} of {test.total():,} test rows are also in train. A model is then tested on what it was "
            "trained on, and its score means nothing. Get HarMeme V1 (train_v1.jsonl ... in LCS2-IIITD/MOMENTA), or "
            "say --allow-v0 to import every row anyway"
        )
