"""Rationales people read and write: a sample out, as CSV or for Label Studio; corrected CSV in, which wins.

CSV is written for spreadsheets: a cell that a spreadsheet would take for a formula starts with an apostrophe, which is
taken off again on the way in.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.rationales.gate import Context, check_answer
from mrharm.records import Evidence, Meme, Rationale
from mrharm.store import content_key, write_text

PEOPLE = "people"
COLUMNS = (
    "meme_id",
    "label",
    "split",
    "words",
    "caption",
    "image",
    "status",
    "rationale",
    "corrected",
    "note",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def is_human(row: Rationale) -> bool:
    """Whether a person wrote a rationale, or corrected it."""
    return row.teacher == PEOPLE


def draw_sample(
    memes: Sequence[Meme], rationales: Mapping[str, Rationale], count: int, seed: int = 0
) -> list[tuple[Meme, Rationale]]:
    """``count`` memes that have a rationale, by lot, in file order."""
    there = [(meme, rationales[meme.id]) for meme in memes if meme.id in rationales]
    kept = sorted(random.Random(seed).sample(range(len(there)), min(count, len(there))))
    return [there[index] for index in kept]


def write_csv(path: Path, sample: Iterable[tuple[Meme, Rationale]], evidence: Mapping[str, Evidence]) -> None:
    """A table for people: fill the column ``corrected`` where the rationale is wrong."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS, lineterminator="\r\n")
    table.writeheader()
    for meme, row in sample:
        table.writerow({name: _safe(value) for name, value in _shown(meme, row, evidence).items()})
    # The mark at the start is how spreadsheets tell UTF-8.
    write_text(path, "\ufeff" + buffer.getvalue())


def write_label_studio(
    path: Path, sample: Iterable[tuple[Meme, Rationale]], evidence: Mapping[str, Evidence]
) -> None:
    """Tasks Label Studio imports: ``data`` to show, and the rationale as a prediction in a TextArea ``corrected``."""
    tasks: list[dict[str, Any]] = []
    for meme, row in sample:
        prediction = {
            "from_name": "corrected",
            "to_name": "words",
            "type": "textarea",
            "value": {"text": [row.text]},
        }
        tasks.append(
            {
                "data": _shown(meme, row, evidence),
                "predictions": [{"model_version": row.teacher, "result": [prediction]}],
            }
        )
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")


def read_csv(path: Path, memes: Mapping[str, Meme]) -> list[Rationale]:
    """Corrected rationales of a CSV with columns ``meme_id`` and ``corrected``; rows where that is blank say nothing.

    A correction passes the gate, too, and is never cut: one that states its label is classed so.

    Raises:
        InputError: the file is missing.
        DataError: not UTF-8, a column is missing, a meme is unknown or stands twice; the message names the row.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a CSV of corrections"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}); save it as CSV UTF-8") from None
    # A cell of our own sheet may hold more than Python's bound.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    table = csv.DictReader(io.StringIO(text, newline=""), dialect=_dialect(text))
    missing = {"meme_id", "corrected"} - set(table.fieldnames or ())
    if missing:
        raise DataError(f"{path}: no column {', '.join(sorted(missing))}; expected meme_id and corrected")
    rows: dict[str, Rationale] = {}
    try:
        for number, values in enumerate(table, 2):
            meme_id, corrected = _plain(values["meme_id"]), _plain(values["corrected"])
            if None in values:  # where DictReader puts what no column is there for
                raise DataError(
                    f"{path}, row {number}: more cells than columns; a text that holds the separator stands in quotes"
                )
            if not corrected:
                continue
            if meme_id not in memes:
                raise DataError(
                    f"{path}, row {number}: no meme called {meme_id!r} in this dataset; a spreadsheet changes ids that "
                    "look like numbers or dates unless their column is read as text"
                )
            if meme_id in rows:
                raise DataError(f"{path}, row {number}: {meme_id!r} stands twice; keep one correction a meme")
            rows[meme_id] = _corrected(memes[meme_id], corrected)
    except csv.Error as error:
        raise DataError(f"{path}: not CSV ({error})") from None
    return list(rows.values())


def _corrected(meme: Meme, text: str) -> Rationale:
    from mrharm.rationales.answer_formats import ANSWER_FORMATS

    gated = check_answer(text, Context(ANSWER_FORMATS["abductive"], meme.label, ""))
    key = content_key(PEOPLE, meme.id, text)
    return Rationale(
        meme_id=meme.id,
        label_given=meme.label,
        text=text,
        status=gated.status,
        teacher=PEOPLE,
        raw=text,
        key=key,
    )


def _shown(meme: Meme, row: Rationale, evidence: Mapping[str, Evidence]) -> dict[str, str]:
    seen = evidence.get(meme.id)
    label = meme.label
    words = (seen.text if seen and seen.text is not None else meme.text) or ""
    return {
        "meme_id": meme.id,
        "label": "" if label is None else label.severity or ("harmful" if label.harmful else "harmless"),
        "split": meme.split or "",
        "words": words,
        "caption": (seen.caption if seen else None) or "",
        "image": meme.image or "",
        "status": row.status,
        "rationale": row.text,
        "corrected": "",
        "note": "",
    }


def _safe(value: str) -> str:
    return "'" + value if value.startswith(_FORMULA) else value


def _plain(value: str | None) -> str:
    text = (value or "").strip()
    return text[1:].strip() if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _dialect(text: str) -> type[csv.Dialect]:
    """Spreadsheets of many countries write semicolons, some tabs."""
    head = text.partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=head.count)

    return Found
