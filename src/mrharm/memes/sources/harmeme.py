"""HarMeme: Harm-C (COVID-19) and Harm-P (US politics), in the V1 layout.

Source of the format: Pramanick et al., "MOMENTA" (Findings of EMNLP 2021), LCS2-IIITD/MOMENTA: ``train.jsonl``,
``val.jsonl``, ``test.jsonl`` (for Harm-P ``train_v1.jsonl`` and so on) of rows ``{"id", "image", "labels": [severity,
target...], "text"}``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import Found, finder_for, make_meme, read_files, refuse_repeat, take_rows
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme
from mrharm.memes.places import find_file, find_folders
from mrharm.memes.recorded import ALSO, take_recorded
from mrharm.memes.rows import Row, json_rows, need_folder, text_of
from mrharm.records import Label, Meme, Severity

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

SEVERITIES: dict[str, Severity] = {
    "not harmful": "none",
    "somewhat harmful": "somewhat",
    "very harmful": "very",
}
# Evaluation splits first: where V0's copies are let in, it is theirs that keep the plain id.
FILES = {"test.jsonl": "test", "val.jsonl": "validation", "train.jsonl": "train"}
# As Harm-P's are called; where they are, those of the plain names are V0's.
V1_FILES = {"test_v1.jsonl": "test", "val_v1.jsonl": "validation", "train_v1.jsonl": "train"}
ORDER = ("train", "validation", "test")


def import_harm_c(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Harm-C. Raises InputError where ``source`` is no such folder, DataError where a file is not what it should be."""
    return _import("harm-c", source, allow_copies=False)


def import_harm_p(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Harm-P. Raises as `import_harm_c` does, and DataError on a V0 file unless ``options.allow_v0``.

    V0 holds most memes twice and shares test memes with train. With ``allow_v0`` every row is kept, so that the disease
    can be measured: the first copy (test, then validation, then train) keeps the id, later ones get ``#2``, ``#3``.
    """
    return _import("harm-p", source, allow_copies=options.allow_v0, refuse_v0=not options.allow_v0)


def _import(name: str, source: Path | None, *, allow_copies: bool, refuse_v0: bool = False) -> Imported:
    root = need_folder(source, LAYOUT)
    imported = Imported(name=name, licence=LICENCE, label_scheme=SCHEME.about, memes=[])
    folders = ("annotations", f"annotations/{name}", f"HarMeme_V1/Annotations/{name}")
    files = V1_FILES if any(find_file(root, file, folders) for file in V1_FILES) else FILES
    rows = read_files(imported, root, files, json_rows, layout=LAYOUT, folders=folders)
    missing = [split for split in ORDER if split not in {row.split for row in rows}]
    if missing:
        imported.notes.append(f"no rows for: {', '.join(missing)}")
    if refuse_v0:
        _refuse_v0(root, rows)
    images: dict[str, str] = {}
    copies: Counter[str] = Counter()

    def make(row: Row) -> Found:
        meme_id = _id(row)
        if not meme_id:
            raise DataError("neither an id nor an image to take one from")
        known, text = ("id", "image", "text"), text_of(row, "text")
        meme = make_meme(row, SCHEME, meme_id=meme_id, text=text, source=name, known=known)
        image = str(row.values.get("image") or meme_id)
        images.setdefault(meme_id, image)
        return Found(meme, image)

    def as_copy(known: Meme, first: Row, meme: Meme) -> Meme:
        copies[meme.id] += 1
        extra = {**meme.extra, "copy_of": meme.id}
        return meme.model_copy(update={"id": f"{meme.id}#{copies[meme.id] + 1}", "extra": extra})

    again = as_copy if allow_copies else refuse_repeat
    finder = finder_for(imported, root, ("images", "img"))
    take_rows(imported, rows, make, item=_id, finder=finder, again=again)
    imported.memes.sort(key=lambda meme: ORDER.index(meme.split or ""))
    unlabelled = sum(meme.label is None for meme in imported.memes)
    if unlabelled:
        imported.notes.append(
            f"{unlabelled:,} memes without a severity are unlabelled; labels kept as they came"
        )
    if copies:
        imported.notes.append(
            f"V0 let in: {copies.total():,} rows repeat an id and carry #2, #3 ...; test figures mean little"
        )
    pictures = {meme.id: images.get(str(meme.extra.get("copy_of", meme.id)), "") for meme in imported.memes}
    places = [folder for place in (".", *folders) for folder in find_folders(root, place)]
    take_recorded(root, places, imported, pictures)
    return imported


def _id(row: Row) -> str | None:
    """The row's id, or else its picture's name without the extension."""
    for value in (row.values.get("id"), row.values.get("image")):
        if isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip():
            text = str(value).strip()
            return text if value is row.values.get("id") else Path(text).stem or None
    return None


def _read_label(values: Mapping[str, Any]) -> Label | None:
    """``[severity, target...]`` -> Label, None where the severity is empty.

    A target on "not harmful", two targets, or none are kept as they came.
    """
    labels = values.get("labels")
    words = [labels] if isinstance(labels, str) else labels
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"labels: expected [severity, target...], got {str(labels)[:60]!r}")
    given = [" ".join(word.split()).lower() for word in words]
    severity = given[0] if given else ""
    if not severity:
        return None
    if severity not in SEVERITIES:
        raise DataError(f"labels: expected one of {', '.join(map(repr, SEVERITIES))} first, got {severity!r}")
    targets = tuple(target for target in given[1:] if target)
    return Label(harmful=severity != "not harmful", severity=SEVERITIES[severity], targets=targets)


def _write_label(label: Label) -> dict[str, Any]:
    severity = label.severity or ("somewhat" if label.harmful else "none")
    word = next(word for word, meant in SEVERITIES.items() if meant == severity)
    return {"labels": [word, *label.targets]}


SCHEME = LabelScheme(
    about="severity: not, somewhat or very harmful (harmful: somewhat or very); targets as given",
    columns=("labels",),
    read=_read_label,
    write=_write_label,
)


def _refuse_v0(root: Path, rows: list[Row]) -> None:
    counts = {split: Counter(_id(row) for row in rows if row.split == split and _id(row)) for split in ORDER}
    train, test = counts["train"], counts["test"]
    every = counts["train"] + counts["validation"] + counts["test"]
    if every.total() > len(every):
        shared = sum(count for meme_id, count in test.items() if meme_id in train)
        raise DataError(
            f"{root}: this is Harm-P V0, not V1: {train.total():,} train rows hold {len(train):,} memes, and "
            f"{shared:,} of {test.total():,} test rows are also in train. A model is then tested on what it was "
            "trained on, and its score means nothing. Get HarMeme V1 (train_v1.jsonl ... in LCS2-IIITD/MOMENTA), or "
            "say --allow-v0 to import every row anyway"
        )
