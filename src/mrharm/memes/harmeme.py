"""HarMeme: Harm-C (COVID-19) and Harm-P (US politics), in the V1 layout.

Source of the format: Pramanick et al., "MOMENTA" (Findings of EMNLP 2021), LCS2-IIITD/MOMENTA: ``train.jsonl``,
``val.jsonl``, ``test.jsonl`` of rows ``{"id", "image", "labels": [severity, target...], "text"}``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.importing import STAGE, Row, json_rows, need_folder, read_bytes, text_of
from mrharm.memes.pictures import PictureFinder
from mrharm.records import Evidence, Failure, Label, Meme, Rationale, Severity, parse_json

LAYOUT = (
    "a folder with train.jsonl, val.jsonl and test.jsonl (or annotations/ with them); pictures in images/ or beside, "
    "or none at all; captions.json and rationales.json ({id: text}) are taken in when they lie there"
)
OBTAIN = "annotations: github.com/LCS2-IIITD/MOMENTA; pictures: the authors' drive, linked there"
LICENCE = "annotations MIT (LCS2-IIITD/MOMENTA); the pictures remain their authors'"
ABOUT_HARM_C = ImporterInfo("Harm-C: 3,544 memes about COVID-19 (HarMeme V1)", LICENCE, OBTAIN, LAYOUT)
ABOUT_HARM_P = ImporterInfo(
    "Harm-P: memes about US politics (HarMeme V1; V0 is refused)",
    LICENCE,
    OBTAIN,
    LAYOUT,
)

SEVERITIES: dict[str, Severity] = {
    "not harmful": "none",
    "somewhat harmful": "somewhat",
    "very harmful": "very",
}
# Evaluation splits first: where V0's copies are let in, it is theirs that keep the plain id.
FILES = {"test": "test.jsonl", "validation": "val.jsonl", "train": "train.jsonl"}
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
    imported = Imported(
        name=name,
        licence=LICENCE,
        label_scheme="severity: not, somewhat or very harmful (harmful: somewhat or very); targets as given",
        memes=[],
    )
    rows = _read_splits(root, imported)
    if refuse_v0:
        _refuse_v0(root, rows)
    finder = PictureFinder(root, ("images", "img"))
    with_pictures = finder.has_pictures(())
    by_split: dict[str, list[Meme]] = {split: [] for split in FILES}
    seen: dict[str, list[Row]] = {}
    for split, row in rows:
        try:
            meme = _meme(row, split, name)
            copies = seen.setdefault(meme.id, [])
            if copies and not allow_copies:
                first = copies[0]
                raise DataError(f"id {meme.id!r} stands in {first.file}, line {first.line}, already")
            image = row.values.get("image")
            picture = finder.find(str(image or meme.id)) if with_pictures else None
            if picture is None and meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            imported.failures.append(row.failure(str(error), item=_id(row)))
            continue
        copies.append(row)
        if len(copies) > 1:
            copy_id = f"{meme.id}#{len(copies)}"
            meme = meme.model_copy(update={"id": copy_id, "extra": {**meme.extra, "copy_of": meme.id}})
        by_split[split].append(meme)
        if picture:
            imported.pictures[meme.id] = picture
    imported.memes = [meme for split in ORDER for meme in by_split[split]]
    if not with_pictures:
        imported.notes.append(
            "no pictures came with the source (no images/ folder): all memes are texts alone"
        )
    if any(len(copies) > 1 for copies in seen.values()):
        more = sum(len(copies) - 1 for copies in seen.values())
        imported.notes.append(
            f"V0 let in: {more:,} rows repeat an id and carry #2, #3 ...; test figures mean little"
        )
    _take_captions(root, imported)
    _take_rationales(root, imported)
    return imported


def _read_splits(root: Path, imported: Imported) -> list[tuple[str, Row]]:
    rows: list[tuple[str, Row]] = []
    for split, name in FILES.items():
        path = _find(root, name)
        if path:
            file = path.relative_to(root).as_posix()
            imported.sources[file] = path
            rows += [(split, row) for row in json_rows(path, file, imported.failures)]
    if not imported.sources:
        raise InputError(f"{root}: no {', '.join(FILES[split] for split in ORDER)}; expected {LAYOUT}")
    missing = [split for split in ORDER if split not in {split for split, _ in rows}]
    if missing:
        imported.notes.append(f"no rows for: {', '.join(missing)}")
    return rows


def _find(root: Path, name: str) -> Path | None:
    """An annotation file in the folder itself or in its ``annotations/`` (any case)."""
    inner = (path for path in root.iterdir() if path.name.casefold() == "annotations")
    return next((place / name for place in (root, *inner) if (place / name).is_file()), None)


def _id(row: Row) -> str | None:
    """The row's id, or else its picture's name without the extension."""
    for value in (row.values.get("id"), row.values.get("image")):
        if isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip():
            text = str(value).strip()
            return text if value is row.values.get("id") else Path(text).stem or None
    return None


def _meme(row: Row, split: str, name: str) -> Meme:
    meme_id = _id(row)
    if not meme_id:
        raise DataError("neither an id nor an image to take one from")
    known = ("id", "image", "labels", "text")
    return Meme(
        id=meme_id,
        text=text_of(row, "text"),
        label=_label(row.values.get("labels")),
        split=split,
        source=name,
        extra={key: value for key, value in row.values.items() if key not in known},
    )


def _label(labels: object) -> Label:
    """``[severity, target...]`` -> Label; a target on "not harmful", two targets, or none are kept as they came."""
    words = [labels] if isinstance(labels, str) else labels
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"labels: expected [severity, target...], got {str(labels)[:60]!r}")
    given = [" ".join(word.split()).lower() for word in words]
    severity = given[0] if given else ""
    if severity not in SEVERITIES:
        came = repr(severity) if severity else "an empty severity"
        raise DataError(f"labels: expected one of {', '.join(map(repr, SEVERITIES))} first, got {came}")
    targets = tuple(target for target in given[1:] if target)
    return Label(harmful=severity != "not harmful", severity=SEVERITIES[severity], targets=targets)


def _refuse_v0(root: Path, rows: list[tuple[str, Row]]) -> None:
    counts = {
        split: Counter(_id(row) for where, row in rows if where == split and _id(row)) for split in ORDER
    }
    train, test = counts["train"], counts["test"]
    every = counts["train"] + counts["validation"] + counts["test"]
    if every.total() > len(every):
        shared = sum(count for meme_id, count in test.items() if meme_id in train)
        raise DataError(
            f"{root}: this is Harm-P V0, not V1: {train.total():,} train rows hold {len(train):,} memes, and "
            f"{shared:,} of {test.total():,} test rows are also in train. A model is then tested on what it was "
            "trained on, and its score means nothing. Get HarMeme V1, or say --allow-v0 to import every row anyway"
        )


def _entries(root: Path, name: str, imported: Imported) -> Iterator[tuple[str, str]]:
    """(meme id, text) of an ``{id: text}`` file where it lies there, for each meme it speaks of, copies included."""
    path = _find(root, name)
    if path is None:
        return
    imported.sources[name] = path
    try:
        entries = parse_json(read_bytes(path).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON in UTF-8 ({error}); mend it, or move it away to import without"
        ) from None
    if not isinstance(entries, dict):
        raise DataError(f"{path}: expected an object of id and text, got {type(entries).__name__}")
    ids: dict[str, list[str]] = {}
    for meme in imported.memes:
        ids.setdefault(str(meme.extra.get("copy_of", meme.id)), []).append(meme.id)
    strangers = 0
    for key, text in entries.items():
        if not isinstance(text, str):
            reason = f"expected a text, got {json.dumps(text)[:60]}"
            imported.failures.append(Failure(item=key, stage=STAGE, reason=reason, file=name))
        elif key in ids:
            for meme_id in ids[key]:
                yield meme_id, text.strip()
        else:
            strangers += 1
    if strangers:
        imported.notes.append(f"{name}: {strangers:,} entries are of no meme here and were left alone")


def _take_captions(root: Path, imported: Imported) -> None:
    imported.evidence = [
        Evidence(meme_id=meme_id, caption=caption, made_by={"caption": "ClipCap"})
        for meme_id, caption in _entries(root, "captions.json", imported)
        if caption
    ]


def _take_rationales(root: Path, imported: Imported) -> None:
    labels = {meme.id: meme.label for meme in imported.memes}
    imported.rationales = [
        Rationale(
            meme_id=meme_id,
            label_given=labels[meme_id],
            text=text,
            status="unchecked" if text else "empty",
            teacher="recorded",
        )
        for meme_id, text in _entries(root, "rationales.json", imported)
    ]
