"""From annotation files to memes: the steps that the importers of published datasets share.

`read_files` reads the rows of whichever files are there, `finder_for` says whether pictures came along, and `take_rows`
brings every row to exactly one place: a meme, or a failure with file, line and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mrharm.errors import DataError, ImageError, InputError
from mrharm.images import SUFFIXES
from mrharm.memes.dataset import Imported
from mrharm.memes.labels import LabelScheme
from mrharm.memes.pictures import PictureFinder
from mrharm.memes.places import find_file
from mrharm.memes.rows import Row
from mrharm.records import Evidence, Failure, Meme

# What a split is called elsewhere; compared with case folded.
SPLIT_WORDS = {"train": ("training",), "validation": ("val", "valid", "dev"), "test": ("testing",)}
OUR_SPLIT = {word: split for split, words in SPLIT_WORDS.items() for word in (split, *words)}


@dataclass(frozen=True)
class Found:
    """What a row holds: the meme, the name of its picture (None: the row names none), and evidence that came along."""

    meme: Meme
    picture: str | None = None
    evidence: Evidence | None = None


def read_files(
    imported: Imported,
    root: Path,
    files: Mapping[str, str | None],
    read: Callable[[Path, str, list[Failure]], list[Row]],
    *,
    layout: str,
    folders: Iterable[str] = (),
) -> list[Row]:
    """The rows of whichever of ``files`` (name -> the split it is) are there, in the order of ``files``.

    Raises:
        InputError: none of them is there; says the ``layout`` expected.
        DataError: a file is not what ``read`` reads.
    """
    rows: list[Row] = []
    for name, split in files.items():
        path = find_file(root, name, folders)
        if path:
            place = path.relative_to(root).as_posix()
            imported.sources[place] = path
            rows += [replace(row, split=split) for row in read(path, place, imported.failures)]
    if not imported.sources:
        raise InputError(f"{root}: none of {', '.join(files)}; expected {layout}")
    return rows


def finder_for(imported: Imported, root: Path, folders: Sequence[str]) -> PictureFinder | None:
    """What finds the pictures in ``root`` or its ``folders``; None, and a note, where no pictures came along."""
    finder = PictureFinder(root, folders)
    if finder.has_pictures(()):
        return finder
    imported.notes.append(
        f"no pictures came with the source (no {folders[0]}/ folder): all memes are texts alone"
    )
    return None


def already(meme_id: str, first: Row) -> DataError:
    """What is wrong with a row whose id an earlier one has: names that one's place."""
    return DataError(f"id {meme_id!r} stands in {first.file}, line {first.line}, already")


def refuse_repeat(known: Meme, first: Row, meme: Meme) -> Meme:
    """What `take_rows` makes of a second row with the same id; always raises DataError."""
    raise already(meme.id, first)


def take_rows(
    imported: Imported,
    rows: Iterable[Row],
    make: Callable[[Row], Found],
    *,
    item: Callable[[Row], str | None],
    finder: PictureFinder | None,
    again: Callable[[Meme, Row, Meme], Meme] = refuse_repeat,
) -> None:
    """Bring every row into ``imported``: as a meme with its picture, or as a failure.

    Args:
        imported: takes memes, pictures, evidence and failures.
        rows: in the order in which a repeated id finds its first place.
        make: a row -> what it holds; raises DataError for one that is wrong.
        item: what to call a row that fails.
        finder: finds the pictures; None where none came along.
        again: what a row is whose id an earlier one has (that meme, its row, the new meme): the two as one meme, or
            a meme under another id; raises DataError to refuse it.
    """
    memes: dict[str, Meme] = {}
    first: dict[str, Row] = {}
    for row in rows:
        try:
            found = make(row)
            meme = found.meme
            if meme.id in memes:
                meme = again(memes[meme.id], first[meme.id], meme)
            if meme.id in memes:
                memes[meme.id] = meme
                continue
            picture = finder.find(found.picture) if finder and found.picture else None
            if picture is None and meme.image is None and meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            imported.failures.append(row.failure(str(error), item=item(row)))
            continue
        memes[meme.id], first[meme.id] = meme, row
        if picture:
            imported.pictures[meme.id] = picture
        if found.evidence:
            imported.evidence.append(found.evidence)
    imported.memes += memes.values()


def stem_of(row: Row, image: str) -> str | None:
    """The name of the picture in column ``image`` without folder and extension: the id where a row has no other."""
    value = row.values.get(image)
    path = PurePosixPath(value.replace("\\", "/").strip()) if isinstance(value, str) else PurePosixPath()
    return (path.stem if path.suffix.lower() in SUFFIXES else path.name) or None


def make_meme(
    row: Row,
    scheme: LabelScheme,
    *,
    meme_id: str,
    text: str | None,
    source: str,
    known: Iterable[str],
    split: str | None = None,
) -> Meme:
    """A meme with the row's label by ``scheme``; columns that are neither ``known`` nor a label's go to ``extra``.

    Its split is the file's, unless ``split`` says another. Raises DataError for label values the source does not have.
    """
    label, kept = scheme.take(scheme.values(row.values))
    others = {key: value for key, value in row.values.items() if key not in (*known, *scheme.columns)}
    return Meme(
        id=meme_id,
        text=text,
        label=label,
        split=split or row.split,
        source=source,
        extra={**others, **kept},
    )


def named_by_picture(
    row: Row,
    scheme: LabelScheme,
    *,
    image: str,
    text: str | None,
    source: str,
    known: Iterable[str],
    split: str | None = None,
) -> Found:
    """`make_meme` for a row whose id is the name of its picture in column ``image``; raises DataError without one."""
    meme_id = stem_of(row, image)
    if meme_id is None:
        raise DataError(f"{image}: expected the name of a picture, got {str(row.values.get(image))[:60]!r}")
    meme = make_meme(
        row, scheme, meme_id=meme_id, text=text, source=source, known=(image, *known), split=split
    )
    return Found(meme, row.values[image].strip())
