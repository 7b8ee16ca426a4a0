"""MAMI: misogynous memes and four kinds of misogyny (SemEval-2022 task 5).

Source of the format: Fersini et al., "SemEval-2022 Task 5: Multimedia Automatic Misogyny Identification" (2022):
tab-separated ``training.csv`` with labels, ``Test.csv`` without, and ``test_labels.txt`` without a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import Found, finder_for, named_by_picture, read_files, stem_of, take_rows
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme, flag
from mrharm.memes.places import find_file, find_folders
from mrharm.memes.rows import Row, need_folder, tab_rows, text_of
from mrharm.records import Failure, Label

LAYOUT = (
    "a folder with training.csv, Test.csv and test_labels.txt (all tab-separated), each in it or in TRAINING/ or "
    "test/; pictures beside them or in images/, or none at all"
)
ABOUT = ImporterInfo(
    "MAMI: 11,000 memes, misogynous or not, and how (SemEval-2022 task 5)",
    "for academic purposes only, on request",
    "by the form at github.com/MIND-Lab/SemEval2022-Task-5-Multimedia-Automatic-Misogyny-Identification-MAMI-",
    LAYOUT,
)
FILES = {"training.csv": "train", "Test.csv": "test"}
TEST_LABELS = "test_labels.txt"
FOLDERS = ("images", "img", "training", "test")

NAME, TEXT = "file_name", "Text Transcription"
MISOGYNOUS = "misogynous"
KINDS = ("shaming", "stereotype", "objectification", "violence")


def _read_label(values: Mapping[str, Any]) -> Label | None:
    harmful = flag(values, MISOGYNOUS)
    kinds = tuple(kind for kind in KINDS if flag(values, kind))
    return None if harmful is None else Label(harmful=harmful, attack_types=kinds)


def _write_label(label: Label) -> dict[str, Any]:
    kinds = {kind: str(int(kind in label.attack_types)) for kind in KINDS}
    return {MISOGYNOUS: str(int(label.harmful)), **kinds}


SCHEME = LabelScheme(
    about=f"misogynous: 1 harmful, 0 not; {', '.join(KINDS)}: 1 is an attack type",
    columns=(MISOGYNOUS, *KINDS),
    read=_read_label,
    write=_write_label,
)


def import_mami(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """MAMI. A kind of misogyny on a meme that is not misogynous is kept as it came, and noted.

    Raises:
        InputError: ``source`` is no folder with training.csv or Test.csv.
        DataError: a file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="mami", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    rows = read_files(imported, root, FILES, _read, layout=LAYOUT, folders=FOLDERS)
    _join_test_labels(root, rows, imported)
    # The pictures' folders hold annotations too, so that only pictures in them say that pictures came along.
    with_pictures = [name for name in (".", *FOLDERS) if any(map(_has_pictures, find_folders(root, name)))]
    finder = finder_for(imported, root, with_pictures or FOLDERS[:1])
    take_rows(imported, rows, _found, item=lambda row: stem_of(row, NAME), finder=finder)
    odd = sum(
        1 for meme in imported.memes if meme.label and not meme.label.harmful and meme.label.attack_types
    )
    if odd:
        imported.notes.append(
            f"{odd:,} memes that are not misogynous have a kind of misogyny; kept as they came"
        )
    return imported


def _read(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    labels = SCHEME.columns if path.name.casefold() == "training.csv" else ()
    return tab_rows(path, name, failures, columns=(NAME, *labels, TEXT))


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def _join_test_labels(root: Path, rows: list[Row], imported: Imported) -> None:
    """Give each test row its label values; a line that is wrong, or of no test row, is a failure."""
    path = find_file(root, TEST_LABELS, FOLDERS)
    tests: dict[str, Row] = {}
    for row in rows:
        if row.split == "test":
            tests.setdefault(str(row.values[NAME]).strip(), row)
    if path is None or not tests:
        lacks = TEST_LABELS if tests else "Test.csv"
        if path or tests:
            imported.notes.append(f"no {lacks}: no test meme has a label")
        return
    place = path.relative_to(root).as_posix()
    imported.sources[place] = path
    labelled: dict[str, Row] = {}
    for row in tab_rows(path, place, imported.failures, header=(NAME, *SCHEME.columns)):
        name = str(row.values[NAME]).strip()
        try:
            if name not in tests:
                raise DataError(f"{name!r} is not in Test.csv")
            if name in labelled:
                raise DataError(f"{name!r} is labelled in line {labelled[name].line}, already")
            SCHEME.read(row.values)
        except DataError as error:
            imported.failures.append(row.failure(str(error), item=stem_of(row, NAME)))
            continue
        labelled[name] = row
        tests[name].values.update(SCHEME.values(row.values))
    bare = len(tests) - len(labelled)
    if bare:
        imported.notes.append(f"{TEST_LABELS}: no label for {bare:,} test memes")


def _found(row: Row) -> Found:
    found = named_by_picture(row, SCHEME, image=NAME, text=text_of(row, TEXT), source="mami", known=(TEXT,))
    # Each split's pictures lie beside its file.
    beside = PurePosixPath(row.file).parent / (found.picture or "")
    return Found(found.meme, beside.as_posix())
