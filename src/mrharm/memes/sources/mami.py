"""Import MAMI: misogynous memes and four kinds of misogyny (SemEval-2022 task 5; Fersini et al., 2022).

All files are tab-separated; the test's labels are in one of their own, without a header.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import ParsedRow, TableSource
from mrharm.memes.dataset import Imported, ImporterInfo
from mrharm.memes.labels import Cells, LabelScheme, read_flag
from mrharm.memes.pictures import find_file
from mrharm.memes.rows import Row, read_tab_rows
from mrharm.records import Failure, Label

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


def _read(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    labels = SCHEME.columns if path.name.casefold() == "training.csv" else ()
    return read_tab_rows(path, name, failures, columns=(NAME, *labels, TEXT))


def _join_test_labels(root: Path, rows: list[Row], imported: Imported) -> None:
    """Give each test row its label values; a line that is wrong, or of no test row, is a failure."""
    path = find_file(root, TEST_LABELS, FOLDERS)
    tests = {row.values[NAME].strip(): row for row in reversed(rows) if row.split == "test"}
    if path is None or not tests:
        if path or tests:
            imported.notes.append(f"no {TEST_LABELS if tests else 'Test.csv'}: no test meme has a label")
        return
    place = path.relative_to(root).as_posix()
    imported.sources[place] = path
    labelled: dict[str, Row] = {}
    for row in read_tab_rows(path, place, imported.failures, header=(NAME, *SCHEME.columns)):
        name = row.values[NAME].strip()
        try:
            if name not in tests:
                raise DataError(f"{name!r} is not in Test.csv")
            if name in labelled:
                raise DataError(f"{name!r} is labelled in line {labelled[name].line}, already")
            SCHEME.read(row.values)
        except DataError as error:
            imported.failures.append(row.failure(str(error), item=MAMI.name_row(row)))
            continue
        labelled[name] = row
        tests[name].values.update({column: row.values[column] for column in SCHEME.columns})
    if unlabelled := len(tests) - len(labelled):
        imported.notes.append(f"{TEST_LABELS}: no label for {unlabelled:,} test memes")


def _parse_row(source: TableSource, row: Row) -> ParsedRow:
    """Make a meme of a row; each split's pictures are in the folder of its file."""
    parsed = source.parse_row(row)
    return replace(parsed, picture=(PurePosixPath(row.file).parent / (parsed.picture or "")).as_posix())


MAMI = TableSource(
    "mami",
    ImporterInfo(
        "MAMI: 11,000 memes, misogynous or not, and how (SemEval-2022 task 5)",
        "for academic purposes only, on request",
        "by the form at github.com/MIND-Lab/SemEval2022-Task-5-Multimedia-Automatic-Misogyny-Identification-MAMI-",
        "a folder with training.csv, Test.csv and test_labels.txt (all tab-separated), each in it or in TRAINING/ or "
        "test/; pictures beside them or in images/, or none at all",
    ),
    SCHEME,
    files={"training.csv": "train", "Test.csv": "test"},
    read=_read,
    image=NAME,
    text=TEXT,
    pictures=FOLDERS,
    folders=FOLDERS,
    join=_join_test_labels,
    parse=_parse_row,
)
