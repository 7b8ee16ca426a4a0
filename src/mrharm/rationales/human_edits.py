"""Export a sample of rationales for people to correct, as CSV or for Label Studio, and import a corrected CSV."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.memes.rows import read_utf8
from mrharm.rationales.answer_formats import ANSWER_FORMATS
from mrharm.rationales.gate import PEOPLE, Context, check_answer
from mrharm.records import Evidence, Meme, Rationale, meme_text
from mrharm.store import content_key, write_text

COLUMNS = (
    "meme_id", "label", "split", "words", "caption", "image", "status", "rationale", "corrected", "note"
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def draw_sample(
    memes: Sequence[Meme], rationales: Mapping[str, Rationale], count: int, seed: int = 0
) -> list[tuple[Meme, Rationale]]:
    """Draw ``count`` memes that have a rationale at random, in file order."""
    pairs = [(meme, rationales[meme.id]) for meme in memes if meme.id in rationales]
    chosen = sorted(random.Random(seed).sample(range(len(pairs)), min(count, len(pairs))))
    return [pairs[index] for index in chosen]


def write_csv(path: Path, sample: Iterable[tuple[Meme, Rationale]], evidence: Mapping[str, Evidence]) -> None:
    """Write a CSV for people, who fill the column ``corrected`` where the rationale is wrong."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS, lineterminator="\r\n")
    table.writeheader()
    for meme, row in sample:
        cells = _sheet_row(meme, row, evidence.get(meme.id))
        # A spreadsheet would take a cell that begins so for a formula.
        table.writerow(
            {name: f"'{value}" if value.startswith(_FORMULA) else value for name, value in cells.items()}
        )
    # The byte order mark is how spreadsheets recognise UTF-8.
    write_text(path, "\ufeff" + buffer.getvalue())


def write_label_studio(
    path: Path, sample: Iterable[tuple[Meme, Rationale]], evidence: Mapping[str, Evidence]
) -> None:
    """Write tasks for Label Studio: ``data`` to show, and the rationale as a prediction in a TextArea ``corrected``."""
    tasks: list[dict[str, Any]] = []
    for meme, row in sample:
        value = {"text": [row.text]}
        result = {"from_name": "corrected", "to_name": "words", "type": "textarea", "value": value}
        predictions = [{"model_version": row.teacher, "result": [result]}]
        tasks.append({"data": _sheet_row(meme, row, evidence.get(meme.id)), "predictions": predictions})
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")


def read_csv(path: Path, memes: Mapping[str, Meme]) -> list[Rationale]:
    """Read corrected rationales from a CSV with columns ``meme_id`` and ``corrected``; blank corrections are skipped.

    A correction passes the gate, too, and is never cut: one that states its label gets that status.

    Raises:
        InputError: the file is missing.
        DataError: not UTF-8, a column is missing, a meme is unknown or corrected twice; the message names the row.
    """
    if not path.is_file():
        raise InputError(f"{path}: cannot be read (no such file); expected a CSV of corrections")
    text = read_utf8(path)
    # A cell may hold more than the csv module's limit, in a sheet that mrharm wrote, too.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    # Spreadsheets of many countries write semicolons, some tabs.
    separator = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    missing = {"meme_id", "corrected"} - set(table.fieldnames or ())
    if missing:
        raise DataError(f"{path}: no column {', '.join(sorted(missing))}; expected meme_id and corrected")
    rows: dict[str, Rationale] = {}
    try:
        for number, values in enumerate(table, 2):
            meme_id, corrected = _unescape(values["meme_id"]), _unescape(values["corrected"])
            if None in values:  # the key under which DictReader puts surplus cells
                raise DataError(
                    f"{path}, row {number}: more cells than columns; put a text that holds the separator in quotes"
                )
            if not corrected:
                continue
            if meme_id not in memes:
                raise DataError(
                    f"{path}, row {number}: no meme called {meme_id!r} in this dataset; a spreadsheet changes ids that "
                    "look like numbers or dates unless their column is read as text"
                )
            if meme_id in rows:
                raise DataError(f"{path}, row {number}: {meme_id!r} occurs twice; keep one correction a meme")
            rows[meme_id] = _make_correction(memes[meme_id], corrected)
    except csv.Error as error:
        raise DataError(f"{path}: not CSV ({error})") from None
    return list(rows.values())


def _make_correction(meme: Meme, text: str) -> Rationale:
    status = check_answer(text, Context(ANSWER_FORMATS["abductive"], meme.label, "")).status
    key = content_key(PEOPLE, meme.id, text)
    return Rationale(
        meme_id=meme.id, label_given=meme.label, text=text, status=status, teacher=PEOPLE, raw=text, key=key
    )


def _sheet_row(meme: Meme, rationale: Rationale, evidence: Evidence | None) -> dict[str, str]:
    """Return a meme's cells by `COLUMNS`."""
    label = meme.label
    return {
        "meme_id": meme.id,
        "label": "" if label is None else label.severity or ("harmful" if label.harmful else "harmless"),
        "split": meme.split or "",
        "words": meme_text(meme, evidence) or "",
        "caption": (evidence.caption if evidence else None) or "",
        "image": meme.image or "",
        "status": rationale.status,
        "rationale": rationale.text,
        "corrected": "",
        "note": "",
    }


def _unescape(value: str | None) -> str:
    text = (value or "").strip()
    return text[1:].strip() if text.startswith("'") and text[1:].startswith(_FORMULA) else text
