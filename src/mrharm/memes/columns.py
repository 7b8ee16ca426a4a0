"""Find the columns of a user's table, as mapped or guessed by name, and make memes of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mrharm.errors import DataError, InputError
from mrharm.memes.annotations import SPLIT_WORDS, ParsedRow
from mrharm.memes.dataset import Imported
from mrharm.memes.labels import SEVERITIES
from mrharm.memes.rows import Row, read_text
from mrharm.records import Label, Meme, Severity
from mrharm.texts import fold

# What the column of each part of a meme is likely called, likeliest first; case, spaces and dashes do not count.
GUESSES = {
    "id": ("id", "meme_id"),
    "text": ("text", "caption_text", "ocr_text", "ocr", "meme_text", "sentence", "text_transcription"),
    "image": ("image", "img", "file", "file_name", "filename", "image_name", "image_path", "path", "picture"),
    "label": ("label", "labels", "harmful", "is_harmful", "hateful", "is_bad", "severity"),
    "split": ("split", "set", "set_name", "subset"),
    "targets": ("targets", "target"),
}
HARMFUL = ("1", "1.0", "true", "yes", "harmful", "hateful")
HARMLESS = ("0", "0.0", "false", "no", "harmless", "not hateful", "non hateful", "non harmful")
LABEL_WORDS: dict[str, tuple[bool, Severity | None]] = {
    **dict.fromkeys(HARMFUL, (True, None)),
    **dict.fromkeys(HARMLESS, (False, None)),
    **{word: (severity != "none", severity) for word, severity in SEVERITIES.items()},
    "somewhat": (True, "somewhat"),
    "very": (True, "very"),
    "none": (False, "none"),
}


def find_columns(
    table: str, mapping: Mapping[str, str], names: Sequence[str], notes: list[str]
) -> dict[str, str]:
    """Find the column of each part of a meme (a key of `GUESSES`): as the user maps them, else guessed by name.

    Args:
        table: what errors call the table.
        mapping: part -> column.
        names: the table's columns; empty where it has no rows, and then nothing is refused.
        notes: receives a line for each guess.

    Raises:
        InputError: no such part, no such column, or no column for a text or an image.
    """
    for part, column in mapping.items():
        if part not in GUESSES:
            raise InputError(f"--column {part}={column}: no such part; there are: {', '.join(GUESSES)}")
        if names and column not in names:
            raise InputError(f"--column {part}={column}: {table} has only {', '.join(map(repr, names[:20]))}")
    columns = dict(mapping)
    free = [name for name in reversed(names) if name not in mapping.values()]
    unmapped = {fold(name).replace(" ", "_").replace("-", "_"): name for name in free}
    for part, guesses in GUESSES.items():
        guess = next((unmapped[name] for name in guesses if name in unmapped), None)
        if part not in columns and guess is not None:
            columns[part] = guess
            notes.append(
                f"column {guess!r} taken as {part} (guessed; to change it, use --column {part}=NAME)"
            )
    if names and not {"text", "image"} & set(columns):
        raise InputError(
            f"{table}: no column looks like a text or an image; use --column text=NAME or --column image=NAME; "
            f"there are: {', '.join(map(repr, names[:20]))}"
        )
    return columns


def rename_splits(names: Iterable[str], notes: list[str]) -> dict[str, str]:
    """Map a source's split names to ours: "val", "valid" or "dev" is validation, unless a split is called that."""
    splits = {name: name for name in names}
    for split, words in SPLIT_WORDS.items():
        order = (split, *words)
        synonyms = sorted((order.index(fold(name)), name) for name in splits if fold(name) in order)
        if synonyms and split not in splits:
            name = synonyms[0][1]
            splits[name] = split
            notes.append(f"split {name!r} is called {split!r} here")
    return splits


def parse_row(
    row: Row, columns: Mapping[str, str], splits: Mapping[str, str], source: str, *, default_id: str
) -> ParsedRow:
    """Make a meme of a row of a user's table; columns that are no part of a meme go to its ``extra``.

    Args:
        row: its ``split``, if any, is ours already.
        columns: part -> column, as `find_columns` finds them.
        splits: the split column's names -> ours.
        source: the meme's ``source``.
        default_id: its id where no column holds one.

    Raises:
        DataError: a value is not what its part must be.
    """
    cells = {part: row.values.get(column) for part, column in columns.items()}
    picture = cells.get("image")
    if picture is not None and not isinstance(picture, str):
        raise DataError(f"{columns['image']}: expected the path of a picture, got {str(picture)[:60]!r}")
    meme_id = _read_id(cells["id"], columns["id"]) if "id" in columns else default_id
    label = read_label(cells.get("label"), cells.get("targets"))
    split = splits.get(str(cells.get("split") or "").strip()) or row.split
    if label and not split and not any(splits):
        split = "train"
    meme = Meme(
        id=meme_id,
        text=read_text(row, columns["text"]) if "text" in columns else None,
        label=label,
        split=split,
        source=source,
        extra={key: value for key, value in row.values.items() if key not in columns.values()},
    )
    return ParsedRow(meme, picture.strip() or None if picture else None)


def name_row(row: Row, column: str | None) -> str | None:
    """Return what to call a row that fails: its id, where it has one in ``column``."""
    value = row.values.get(column) if column else None
    return None if value is None else str(value) or None


def note_table(
    imported: Imported,
    columns: Mapping[str, str],
    classes: Mapping[str, Sequence[str]] = {},
    *,
    with_pictures: bool,
) -> None:
    """Note pictures that are named and did not come along, and say what the labels are."""
    if imported.picture_names and not with_pictures:
        imported.notes.append(
            f"{columns['image']}: none of the pictures it names came with the source: those memes are text only"
        )
    if any(meme.label for meme in imported.memes):
        names = ", ".join(classes.get(columns["label"], ()))
        imported.label_scheme = f"as in column {columns['label']!r}" + (f" ({names})" if names else "")


def _read_id(value: Any, column: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise DataError(f"{column}: expected a number or a string, got {str(value)[:60]!r}")
    meme_id = "" if value is None else str(value).strip()
    if not meme_id:
        raise DataError(f"{column}: empty; every meme needs an id")
    return meme_id


def read_label(value: Any, targets: Any = None) -> Label | None:
    """Return the label of a cell, one of `LABEL_WORDS` or a `Label` as JSON; None where the cell is empty."""
    if isinstance(value, dict):
        try:
            return Label.model_validate(value)
        except ValidationError:
            raise DataError(f"label: expected a Label, got {str(value)[:60]!r}") from None
    word = fold(str(value)) if value is not None else ""
    if not word:
        return None
    word = re.sub(r"(?<=[a-z])[_-](?=[a-z])", " ", word)  # not_harmful, non-hateful
    if word not in LABEL_WORDS:
        raise DataError(
            f"label: expected 0 or 1, true or false, harmful or harmless, or a severity; got {str(value)[:60]!r}"
        )
    harmful, severity = LABEL_WORDS[word]
    names = targets if isinstance(targets, list) else str(targets or "").split(",")
    stripped = [str(name or "").strip() for name in names]
    return Label(harmful=harmful, severity=severity, targets=tuple(name for name in stripped if name))
