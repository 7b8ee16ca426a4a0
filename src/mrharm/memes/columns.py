"""Which column of anyone's table is which: as told, else guessed by name; and labels as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from mrharm.errors import DataError, InputError
from mrharm.memes.annotations import SPLIT_WORDS, Found
from mrharm.memes.rows import Row, text_of
from mrharm.memes.sources.harmeme import SEVERITIES
from mrharm.records import Label, Meme, Severity

# What a column is likely called, likeliest first; compared with case, spaces and dashes folded.
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


def find_columns(file: str, mapping: Mapping[str, str], there: list[str], notes: list[str]) -> dict[str, str]:
    """Our part (a key of `GUESSES`) -> the table's column: as told, else guessed by name and noted.

    Args:
        file: what errors call the table.
        mapping: what the person said.
        there: the table's columns; empty where it has no rows, and then nothing is refused.
        notes: takes a line for each guess.

    Raises:
        InputError: no such part, a told column that is not there, or no column for a text or an image.
    """
    for part, column in mapping.items():
        if part not in GUESSES:
            raise InputError(f"--column {part}={column}: no such part; there are: {', '.join(GUESSES)}")
        if there and column not in there:
            raise InputError(f"--column {part}={column}: {file} has only {', '.join(map(repr, there[:20]))}")
    columns = dict(mapping)
    folded = {_folded(column): column for column in reversed(there) if column not in mapping.values()}
    for part, guesses in GUESSES.items():
        guess = next((folded[name] for name in guesses if name in folded), None)
        if part not in columns and guess is not None:
            columns[part] = guess
            notes.append(f"column {guess!r} taken as {part} (guessed; say --column {part}=NAME)")
    if there and not {"text", "image"} & set(columns):
        raise InputError(
            f"{file}: no column looks like a text or an image; say --column text=NAME or --column image=NAME; "
            f"there are: {', '.join(map(repr, there[:20]))}"
        )
    return columns


def _folded(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def split_names(given: Iterable[str], notes: list[str]) -> dict[str, str]:
    """A source's split names -> ours: "val", "valid" or "dev" is validation, unless it has one by that name."""
    names = {name: name for name in given}
    for ours, words in SPLIT_WORDS.items():
        theirs = next(
            (name for word in (ours, *words) for name in sorted(names) if name.casefold() == word), None
        )
        if theirs is not None and ours not in names:
            names[theirs] = ours
            notes.append(f"split {theirs!r} is called {ours!r} here")
    return names


def found_in(
    row: Row, columns: Mapping[str, str], splits: Mapping[str, str], source: str, *, own_id: str
) -> Found:
    """What a row of anyone's table holds; columns that are no part of a meme go to its ``extra``.

    Args:
        row: its ``split``, if any, is ours already.
        columns: our part -> its column, as `find_columns` finds them.
        splits: the split column's names -> ours.
        source: what the meme says of where it comes from.
        own_id: its id where no column holds one.

    Raises:
        DataError: a value is not what its part must be.
    """
    values = {part: row.values.get(column) for part, column in columns.items()}
    name = values.get("image")
    if name is not None and not isinstance(name, str):
        raise DataError(f"{columns['image']}: expected the path of a picture, got {str(name)[:60]!r}")
    meme_id = values.get("id")
    if isinstance(meme_id, bool) or not isinstance(meme_id, int | str | None):
        raise DataError(f"{columns['id']}: expected a number or a string, got {str(meme_id)[:60]!r}")
    given_id = "" if meme_id is None else str(meme_id).strip()
    if "id" in columns and not given_id:
        raise DataError(f"{columns['id']}: empty; every meme needs an id of its own")
    label = read_label(values.get("label"), values.get("targets"))
    in_train = label is not None and not any(splits)
    meme = Meme(
        id=given_id or own_id,
        text=text_of(row, columns["text"]) if "text" in columns else None,
        label=label,
        split=splits.get(str(values.get("split") or "").strip())
        or row.split
        or ("train" if in_train else None),
        source=source,
        extra={key: value for key, value in row.values.items() if key not in columns.values()},
    )
    return Found(meme, name.strip() if name and name.strip() else None)


def read_label(value: Any, targets: Any = None) -> Label | None:
    """A label as people write them -> Label; None where the cell is empty.

    Raises:
        DataError: none of the words in `LABEL_WORDS`, and no `Label` in its own JSON form.
    """
    if isinstance(value, dict):
        try:
            return Label.model_validate(value)
        except ValidationError:
            raise DataError(f"label: expected a Label, got {str(value)[:60]!r}") from None
    word = " ".join(str(value).split()).lower() if value is not None else ""
    if not word:
        return None
    word = re.sub(r"(?<=[a-z])[_-](?=[a-z])", " ", word)  # not_harmful, non-hateful
    if word not in LABEL_WORDS:
        raise DataError(
            f"label: expected 0 or 1, true or false, harmful or harmless, or a severity; got {str(value)[:60]!r}"
        )
    harmful, severity = LABEL_WORDS[word]
    given = targets if isinstance(targets, list) else str(targets or "").split(",")
    return Label(
        harmful=harmful,
        severity=severity,
        targets=tuple(target for item in given if (target := str(item or "").strip())),
    )
