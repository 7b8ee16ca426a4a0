"""Anyone's memes: a folder of pictures, or a JSONL or CSV file whose columns say which is which."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mrharm.errors import DataError, ImageError, InputError
from mrharm.images import SUFFIXES
from mrharm.memes.dataset import INFO, Imported, ImporterInfo, ImportOptions
from mrharm.memes.harmeme import SEVERITIES
from mrharm.memes.importing import STAGE, Row, json_rows, read_bytes, text_of
from mrharm.memes.pictures import PictureFinder
from mrharm.records import Failure, Label, Meme, Severity

LAYOUT = (
    "a folder of pictures; or a .jsonl, .csv or .tsv file (or a folder with exactly one) with columns for text, image, "
    "label, id, split, targets: say `--column text=caption_text` where the names differ; pictures beside the file"
)
ABOUT = ImporterInfo("Your own memes", "not stated", "they are yours", LAYOUT)

TABLES = (".jsonl", ".ndjson", ".csv", ".tsv")
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
HARMLESS = ("0", "0.0", "false", "no", "harmless", "not hateful", "non-hateful", "not-hateful")
LABEL_WORDS: dict[str, tuple[bool, Severity | None]] = {
    **dict.fromkeys(HARMFUL, (True, None)),
    **dict.fromkeys(HARMLESS, (False, None)),
    **{word: (severity != "none", severity) for word, severity in SEVERITIES.items()},
    "somewhat": (True, "somewhat"),
    "very": (True, "very"),
    "none": (False, "none"),
}
SPLIT_WORDS = {"train": ("training",), "validation": ("val", "valid", "dev"), "test": ("testing",)}


def import_folder(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """A folder of pictures, or a table of memes.

    Raises:
        InputError: nothing of the kind is at ``source``, or a mapped column is not in the file.
        DataError: the file is not UTF-8, or has no usable header.
    """
    if source is None or not source.exists():
        raise InputError(f"{source or 'no source given'}: nothing there; expected {LAYOUT}")
    table = _table_in(source)
    imported = Imported(
        name=source.stem or "folder", licence=ABOUT.licence, label_scheme="none (no labels)", memes=[]
    )
    if table is None:
        _take_pictures_alone(source, imported)
    else:
        imported.sources[table.name] = table
        _take_table(table, imported, options.columns)
    return imported


def _table_in(source: Path) -> Path | None:
    if source.is_file():
        if source.suffix.lower() not in (*TABLES, ".json"):
            raise InputError(f"{source}: expected a {', '.join(TABLES)} file or a folder")
        return source
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in TABLES and path.is_file())
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables[:8])
        raise InputError(f"{source}: holds several tables ({names}); name the one to import")
    return tables[0] if tables else None


def _take_pictures_alone(root: Path, imported: Imported) -> None:
    """Every picture below ``root``; its id is its relative path, without the suffix where that is unique."""
    pictures = [path.relative_to(root) for path in _files_below(root) if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise InputError(f"{root}: no pictures ({', '.join(SUFFIXES)}) and no table in it; expected {LAYOUT}")
    stems = Counter(path.with_suffix("").as_posix() for path in pictures)
    for path in pictures:
        if not _is_unicode(path.as_posix()):
            name = ascii(path.as_posix())
            imported.failures.append(
                Failure(item=name, stage=STAGE, reason="name is not UTF-8; rename it", file=name)
            )
            continue
        stem = path.with_suffix("").as_posix()
        meme_id = stem if stems[stem] == 1 else path.as_posix()
        while meme_id in imported.pictures:  # "a.png.png" beside "a.png" and "a.jpg"
            meme_id += "#2"
        imported.memes.append(Meme(id=meme_id, source=imported.name))
        imported.pictures[meme_id] = root / path


def _is_unicode(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes that the file system holds and UTF-8 does not
        return False
    return True


def _files_below(root: Path) -> Iterable[Path]:
    """Files in a steady order; hidden ones and dataset folders (an earlier import's) are left alone."""
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            if not (path / INFO).is_file():
                yield from _files_below(path)
        elif path.is_file():
            yield path


def _take_table(path: Path, imported: Imported, mapping: dict[str, str]) -> None:
    is_csv = path.suffix.lower() in (".csv", ".tsv")
    rows = _csv_rows(path, imported.failures) if is_csv else json_rows(path, path.name, imported.failures)
    there = list(dict.fromkeys(key for row in rows for key in row.values))
    columns = _columns(path, mapping, there, imported)
    splits = _split_names(rows, columns, imported)
    finder = PictureFinder(path.parent, ("images", "img"))
    image = columns.get("image")
    names = [str(row.values.get(image)) for row in rows if image and row.values.get(image)]
    with_pictures = bool(names) and finder.has_pictures(names)
    seen: dict[str, Row] = {}
    for row in rows:
        try:
            meme, name = _meme(row, columns, splits, imported.name)
            if meme.id in seen:
                raise DataError(f"id {meme.id!r} stands in line {seen[meme.id].line}, already")
            picture = finder.find(name) if name and with_pictures else None
            if picture is None and meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            item = row.values.get(columns.get("id", ""))
            imported.failures.append(row.failure(str(error), item=str(item) if item else None))
            continue
        seen[meme.id] = row
        imported.memes.append(meme)
        if picture:
            imported.pictures[meme.id] = picture
    if names and not with_pictures:
        imported.notes.append(
            f"{image}: none of the pictures came with the source: all memes are texts alone"
        )
    if any(meme.label for meme in imported.memes):
        imported.label_scheme = f"as in column {columns['label']!r}"


def _columns(path: Path, mapping: dict[str, str], there: list[str], imported: Imported) -> dict[str, str]:
    """Our part -> the file's column: as told, else guessed by name and noted."""
    for part, column in mapping.items():
        if part not in GUESSES:
            raise InputError(f"--column {part}={column}: no such part; there are: {', '.join(GUESSES)}")
        if there and column not in there:
            raise InputError(
                f"--column {part}={column}: {path.name} has only {', '.join(map(repr, there[:20]))}"
            )
    columns = dict(mapping)
    folded = {_folded(column): column for column in reversed(there) if column not in mapping.values()}
    for part, guesses in GUESSES.items():
        guess = next((folded[name] for name in guesses if name in folded), None)
        if part not in columns and guess is not None:
            columns[part] = guess
            imported.notes.append(f"column {guess!r} taken as {part} (guessed; say --column {part}=NAME)")
    if there and not {"text", "image"} & set(columns):
        raise InputError(
            f"{path.name}: no column looks like a text or an image; say --column text=NAME or --column image=NAME; "
            f"there are: {', '.join(map(repr, there[:20]))}"
        )
    return columns


def _folded(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _split_names(rows: list[Row], columns: dict[str, str], imported: Imported) -> dict[str, str]:
    """The file's split names -> ours: "val", "valid" or "dev" is validation, unless the file has one by that name."""
    given = (
        {str(row.values.get(columns["split"]) or "").strip() for row in rows} if "split" in columns else set()
    )
    names = {name: name for name in given}
    for ours, words in SPLIT_WORDS.items():
        theirs = next(
            (name for word in (ours, *words) for name in sorted(given) if name.casefold() == word), None
        )
        if theirs is not None and ours not in given:
            names[theirs] = ours
            imported.notes.append(f"split {theirs!r} is called {ours!r} here")
    if not given - {""} and "label" in columns:
        imported.notes.append(
            "no split column: labelled memes are put in train; evaluating needs a test split"
        )
    return names


def _meme(row: Row, columns: dict[str, str], splits: dict[str, str], source: str) -> tuple[Meme, str | None]:
    values = {part: row.values.get(column) for part, column in columns.items()}
    name = values.get("image")
    if name is not None and not isinstance(name, str):
        raise DataError(f"{columns['image']}: expected the path of a picture, got {str(name)[:60]!r}")
    meme_id = values.get("id")
    if isinstance(meme_id, bool) or not isinstance(meme_id, int | str | None):
        raise DataError(f"{columns['id']}: expected a number or a string, got {str(meme_id)[:60]!r}")
    own_id = "" if meme_id is None else str(meme_id).strip()
    if "id" in columns and not own_id:
        raise DataError(f"{columns['id']}: empty; every meme needs an id of its own")
    label = _label(values.get("label"), values.get("targets"))
    split = str(values.get("split") or "").strip()
    in_train = label is not None and not any(splits)
    meme = Meme(
        id=own_id or f"row-{row.line}",
        text=text_of(row, columns["text"]) if "text" in columns else None,
        label=label,
        split=splits.get(split) or ("train" if in_train else None),
        source=source,
        extra={key: value for key, value in row.values.items() if key not in columns.values()},
    )
    return meme, name.strip() if name and name.strip() else None


def _label(value: Any, targets: Any) -> Label | None:
    """A label as people write them -> Label; None where the cell is empty."""
    if isinstance(value, dict):  # a Label in its own JSON form
        try:
            return Label.model_validate(value)
        except ValidationError:
            raise DataError(f"label: expected a Label, got {str(value)[:60]!r}") from None
    word = " ".join(str(value).split()).lower() if value is not None else ""
    if not word:
        return None
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


def _csv_rows(path: Path, failures: list[Failure]) -> list[Row]:
    """The rows of a CSV file, split at comma, tab or semicolon as its header is."""
    lines = io.StringIO(_utf8(path), newline="")
    delimiter = _delimiter(lines.readline())
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    while True:
        row = Row(path.name, reader.line_num + 1, {})
        try:
            cells = next(reader)
        except StopIteration:
            return rows
        except csv.Error as error:
            failures.append(
                row.failure(f"broken CSV up to line {reader.line_num} ({error}); is a quote unclosed?")
            )
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            twice = [name for name, count in Counter(header).items() if count > 1 and name]
            if twice:
                raise DataError(f"{path}: header names {twice[0]!r} twice; rename one")
        elif len(cells) != len(header):
            failures.append(row.failure(f"{len(cells)} cells, but the header has {len(header)}"))
        else:
            rows.append(Row(row.file, row.line, dict(zip(header, cells, strict=True))))


def _utf8(path: Path) -> str:
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        likely = "UTF-16" if utf16 else "WINDOWS-1252"
        raise DataError(
            f"{path}: not UTF-8 (line {line}, byte 0x{data[error.start]:02x}); it looks like {likely}; mend it with "
            f"`iconv -f {likely} -t UTF-8 {path.name} > utf8.csv`"
        ) from None


def _delimiter(header: str) -> str:
    def columns(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return max((",", "\t", ";"), key=columns)
