"""Import MAMI: misogynous memes and four kinds of misogyny (SemEval-2022 task 5).

Source of the format: Fersini et al., "SemEval-2022 Task 5: Multimedia Automatic Misogyny Identification" (2022):
tab-separated ``training.csv`` with labels, ``Test.csv`` without, and ``test_labels.txt`` without a header.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import (
    ParsedRow,
    add_memes,
    make_finder,
    parse_picture_row,
    picture_stem,
    read_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme, read_flag
from mrharm.memes.pictures import find_file, find_folders
from mrharm.memes.rows import Row, need_folder, read_tab_rows, read_text
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


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    flags = {column: read_flag(cells, column) for column in (MISOGYNOUS, *KINDS)}
    harmful = flags[MISOGYNOUS]
    if harmful is None:
        return None, {}
    kinds = tuple(kind for kind in KINDS if flags[kind])
    return Label(harmful=harmful, attack_types=kinds), {
        column: str(int(bool(value))) for column, value in flags.items()
    }


SCHEME = LabelScheme(
    about=f"misogynous: 1 harmful, 0 not; {', '.join(KINDS)}: 1 is an attack type",
    columns=(MISOGYNOUS, *KINDS),
    read=_read_label,
)


def import_mami(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import MAMI. A kind of misogyny on a meme that is not misogynous is kept as it came, and noted.

    Raises:
        InputError: ``source`` is no folder with training.csv or Test.csv.
        DataError: a file lacks a column, or is not UTF-8.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="mami", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    rows = read_rows(imported, root, FILES, _read, layout=LAYOUT, folders=FOLDERS)
    _join_test_labels(root, rows, imported)
    # The pictures' folders hold annotations too, so that only pictures in them say that pictures came along.
    with_pictures = [name for name in (".", *FOLDERS) if any(map(_has_pictures, find_folders(root, name)))]
    finder = make_finder(imported, root, with_pictures or FOLDERS[:1])
    add_memes(imported, rows, _parse_row, item=lambda row: picture_stem(row, NAME), finder=finder)
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
    return read_tab_rows(path, name, failures, columns=(NAME, *labels, TEXT))


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def _join_test_labels(root: Path, rows: list[Row], imported: Imported) -> None:
    """Give each test row its label values; a line that is wrong, or of no test row, is a failure."""
    path = find_file(root, TEST_LABELS, FOLDERS)
    tests: dict[str, Row] = {}
    for row in rows:
        if row.split == "test":
            tests.setdefault(_read_name(row), row)
    if path is None or not tests:
        if path or tests:
            absent = TEST_LABELS if tests else "Test.csv"
            imported.notes.append(f"no {absent}: no test meme has a label")
        return
    place = path.relative_to(root).as_posix()
    imported.sources[place] = path
    labelled: dict[str, Row] = {}
    for row in read_tab_rows(path, place, imported.failures, header=(NAME, *SCHEME.columns)):
        name = _read_name(row)
        try:
            if name not in tests:
                raise DataError(f"{name!r} is not in Test.csv")
            if name in labelled:
                raise DataError(f"{name!r} is labelled in line {labelled[name].line}, already")
            SCHEME.read(row.values)
        except DataError as error:
            imported.failures.append(row.failure(str(error), item=picture_stem(row, NAME)))
            continue
        labelled[name] = row
        tests[name].values.update({column: row.values[column] for column in SCHEME.columns})
    unlabelled = len(tests) - len(labelled)
    if unlabelled:
        imported.notes.append(f"{TEST_LABELS}: no label for {unlabelled:,} test memes")


def _read_name(row: Row) -> str:
    return str(row.values[NAME]).strip()


def _parse_row(row: Row) -> ParsedRow:
    parsed = parse_picture_row(
        row, SCHEME, image=NAME, text=read_text(row, TEXT), source="mami", used=(TEXT,)
    )
    # Each split's pictures stand in the folder of its file.
    picture = PurePosixPath(row.file).parent / (parsed.picture or "")
    return ParsedRow(parsed.meme, picture.as_posix())
