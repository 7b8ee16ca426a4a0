"""Import a user's memes: a folder of pictures, or a JSONL or CSV file with a column for each part of a meme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mrharm.errors import InputError
from mrharm.images import SUFFIXES
from mrharm.memes.annotations import add_memes
from mrharm.memes.columns import find_columns, name_row, note_table, parse_row, rename_splits
from mrharm.memes.dataset import INFO, Imported, ImporterInfo, ImportOptions
from mrharm.memes.pictures import PictureFinder
from mrharm.memes.rows import STAGE, TABLES, read_table
from mrharm.records import Failure, Meme

ABOUT = ImporterInfo(
    "Your own memes",
    "not stated",
    "they are yours",
    "a folder of pictures; or a .jsonl, .csv or .tsv file (or a folder with exactly one) with columns for text, image, "
    "label, id, split, targets: say `--column text=caption_text` where the names differ; pictures beside the file",
)


def import_folder(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import a folder of pictures, or a table of memes."""
    if source is None or not source.exists():
        raise InputError(f"{source or 'no source given'}: nothing there; expected {ABOUT.layout}")
    table = _find_table(source)
    imported = Imported(source.stem or "folder", ABOUT.licence)
    if table is None:
        _add_pictures(source, imported)
    else:
        imported.sources[table.name] = table
        _add_table(table, imported, options.columns)
    return imported


def _find_table(source: Path) -> Path | None:
    if source.is_file():
        if source.suffix.lower() not in (*TABLES, ".json"):
            raise InputError(f"{source}: expected a {', '.join(TABLES)} file or a folder")
        return source
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in TABLES and path.is_file())
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables[:8])
        raise InputError(f"{source}: holds several tables ({names}); name the one to import")
    return tables[0] if tables else None


def _add_pictures(root: Path, imported: Imported) -> None:
    """Add every picture below ``root``; its id is its relative path, without the suffix where that is unique."""
    failures: list[Failure] = []
    files = list_files(root, failures)
    pictures = [path.relative_to(root) for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures and not failures:
        raise InputError(
            f"{root}: no pictures ({', '.join(SUFFIXES)}) and no table in it; expected {ABOUT.layout}"
        )
    imported.failures += failures
    stems = Counter(path.with_suffix("").as_posix() for path in pictures)
    for path in pictures:
        stem = path.with_suffix("").as_posix()
        meme_id = stem if stems[stem] == 1 else path.as_posix()
        while meme_id in imported.pictures:  # "a.png.png" beside "a.png" and "a.jpg"
            meme_id += "#2"
        imported.memes.append(Meme(id=meme_id, source=imported.name))
        imported.pictures[meme_id] = root / path


def list_files(
    root: Path, failures: list[Failure], above: tuple[Path, ...] = (), prefix: str = ""
) -> Iterator[Path]:
    """Yield files in a steady order, without hidden ones and dataset folders (those of an earlier import).

    A name that is not UTF-8 becomes a failure. Links to folders are followed, but not back to one of ``above``, the
    folders on the way here; ``prefix`` is their path.
    """
    above = (*above, root.resolve())
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        name = prefix + path.name
        if path.is_dir():
            if path.resolve() not in above and not (path / INFO).is_file():
                yield from list_files(path, failures, above, f"{name}/")
        elif path.is_file():
            try:
                name.encode("utf-8")
            except UnicodeEncodeError:  # bytes that the file system holds and UTF-8 does not
                reason = "name is not UTF-8; rename it"
                failures.append(Failure(item=ascii(name), stage=STAGE, reason=reason, file=ascii(name)))
            else:
                yield path


def _add_table(path: Path, imported: Imported, mapping: dict[str, str]) -> None:
    rows = read_table(path, path.name, imported.failures)
    # Which column is which, and which split is which.
    names = list(dict.fromkeys(key for row in rows for key in row.values))
    columns = find_columns(path.name, mapping, names, imported.notes)
    column = columns.get("split")
    split_names = {str(row.values.get(column) or "").strip() for row in rows} if column else set()
    if not split_names - {""} and "label" in columns:
        imported.notes.append(
            "no split column: labelled memes are put in train; evaluating needs a test split"
        )
    splits = rename_splits(split_names, imported.notes)
    # Pictures: a table of texts may name some that did not come along.
    finder = PictureFinder(path.parent, ("images", "img"))
    image = columns.get("image")
    with_pictures = finder.has_pictures(str(row.values.get(image) or "") for row in rows) if image else False
    add_memes(
        imported,
        rows,
        lambda row: parse_row(row, columns, splits, imported.name, default_id=f"row-{row.line}"),
        name=partial(name_row, column=columns.get("id")),
        finder=finder if with_pictures else None,
    )
    note_table(imported, columns, with_pictures=with_pictures)
