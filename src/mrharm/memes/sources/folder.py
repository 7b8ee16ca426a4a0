"""Anyone's memes: a folder of pictures, or a JSONL or CSV file whose columns say which is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mrharm.errors import InputError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import take_rows
from mrharm.memes.columns import find_columns, found_in, split_names
from mrharm.memes.dataset import INFO, Imported, ImporterInfo, ImportOptions
from mrharm.memes.pictures import PictureFinder
from mrharm.memes.rows import STAGE, TABLES, Row, table_rows
from mrharm.records import Failure, Meme

LAYOUT = (
    "a folder of pictures; or a .jsonl, .csv or .tsv file (or a folder with exactly one) with columns for text, image, "
    "label, id, split, targets: say `--column text=caption_text` where the names differ; pictures beside the file"
)
ABOUT = ImporterInfo("Your own memes", "not stated", "they are yours", LAYOUT)


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
    pictures = [path.relative_to(root) for path in files_below(root) if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise InputError(f"{root}: no pictures ({', '.join(SUFFIXES)}) and no table in it; expected {LAYOUT}")
    stems = Counter(path.with_suffix("").as_posix() for path in pictures)
    for path in pictures:
        if not is_unicode(path.as_posix()):
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


def is_unicode(name: str) -> bool:
    """Whether a file's name can be written as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes that the file system holds and UTF-8 does not
        return False
    return True


def files_below(root: Path, above: frozenset[Path] = frozenset()) -> Iterable[Path]:
    """Files in a steady order; hidden ones and dataset folders (an earlier import's) are left alone.

    Links to folders are followed, but not back to one of ``above``, the folders that it came through.
    """
    above |= {root.resolve()}
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() not in above and not (path / INFO).is_file():
                yield from files_below(path, above)
        elif path.is_file():
            yield path


def _take_table(path: Path, imported: Imported, mapping: dict[str, str]) -> None:
    rows = table_rows(path, path.name, imported.failures)
    there = list(dict.fromkeys(key for row in rows for key in row.values))
    columns = find_columns(path.name, mapping, there, imported.notes)
    splits = _split_names(rows, columns, imported)
    finder = PictureFinder(path.parent, ("images", "img"))
    image = columns.get("image")
    names = [str(row.values.get(image)) for row in rows if image and row.values.get(image)]
    with_pictures = bool(names) and finder.has_pictures(names)
    take_rows(
        imported,
        rows,
        lambda row: found_in(row, columns, splits, imported.name, own_id=f"row-{row.line}"),
        item=lambda row: str(row.values.get(columns.get("id", "")) or "") or None,
        finder=finder if with_pictures else None,
    )
    if names and not with_pictures:
        imported.notes.append(
            f"{image}: none of the pictures came with the source: all memes are texts alone"
        )
    if any(meme.label for meme in imported.memes):
        imported.label_scheme = f"as in column {columns['label']!r}"


def _split_names(rows: list[Row], columns: dict[str, str], imported: Imported) -> dict[str, str]:
    column = columns.get("split")
    given = {str(row.values.get(column) or "").strip() for row in rows} if column else set()
    if not given - {""} and "label" in columns:
        imported.notes.append(
            "no split column: labelled memes are put in train; evaluating needs a test split"
        )
    return split_names(given, imported.notes)
