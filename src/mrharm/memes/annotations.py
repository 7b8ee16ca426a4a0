"""Turn annotation files into memes: the steps that the importers of published datasets share.

`read_rows` reads whichever files are there, `make_finder` tells whether pictures came along, and `add_memes` brings
every row to exactly one place: a meme, or a failure with file, line and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme
from mrharm.memes.pictures import PictureFinder, find_file, picture_stem
from mrharm.memes.rows import Row, need_folder, read_text
from mrharm.records import Evidence, Failure, Meme

# Our splits, and other names of them; compared with case folded.
SPLIT_WORDS = {"train": ("training",), "validation": ("val", "valid", "dev"), "test": ("testing",)}
OUR_SPLIT = {word: split for split, words in SPLIT_WORDS.items() for word in (split, *words)}


@dataclass(frozen=True)
class ParsedRow:
    """A row as a meme.

    Attributes:
        meme: without its picture.
        picture: the picture's name in the source; None where the row names none.
        evidence: what the source knows of the picture.
    """

    meme: Meme
    picture: str | None = None
    evidence: Evidence | None = None


def read_rows(
    imported: Imported,
    root: Path,
    files: Mapping[str, str | None],
    read: Callable[[Path, str, list[Failure]], list[Row]],
    *,
    layout: str,
    folders: Iterable[str] = (),
) -> list[Row]:
    """Read the rows of whichever of ``files`` (name -> its split) are there, in the order of ``files``.

    Raises:
        InputError: none of them is there; names the ``layout`` expected.
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


def make_finder(imported: Imported, root: Path, folders: Sequence[str]) -> PictureFinder | None:
    """Return a finder of pictures in ``root`` and its ``folders``; None, and a note, where no pictures came along."""
    finder = PictureFinder(root, folders)
    if finder.has_pictures():
        return finder
    imported.notes.append(
        f"no pictures came with the source (no {folders[0]}/ folder): all memes are text only"
    )
    return None


def repeated_id(meme_id: str, first: Row) -> DataError:
    """Return the error for a row whose id an earlier row has."""
    return DataError(f"id {meme_id!r} is already in {first.file}, line {first.line}")


def refuse_repeat(earlier: Meme, first: Row, meme: Meme) -> Meme:
    """Refuse a second row with the same id, as `add_memes` does by default; always raises DataError."""
    raise repeated_id(meme.id, first)


def add_memes(
    imported: Imported,
    rows: Iterable[Row],
    parse: Callable[[Row], ParsedRow],
    *,
    item: Callable[[Row], str | None],
    finder: PictureFinder | None,
    merge: Callable[[Meme, Row, Meme], Meme] = refuse_repeat,
) -> None:
    """Bring every row into ``imported``: as a meme with its picture, or as a failure.

    Args:
        imported: receives memes, pictures, evidence and failures.
        rows: of rows with the same id the first gives the meme its place.
        parse: raises DataError for a row that is wrong.
        item: what to call a row that fails.
        finder: finds the pictures; None where none came along.
        merge: (earlier meme, its row, new meme) of one id -> both as one meme, or the new one under another id; raises
            DataError to refuse it.
    """
    memes: dict[str, Meme] = {}
    first: dict[str, Row] = {}
    for row in rows:
        try:
            parsed = parse(row)
            meme = parsed.meme
            if meme.id in memes:
                meme = merge(memes[meme.id], first[meme.id], meme)
            if meme.id in memes:
                memes[meme.id] = meme
                continue
            picture = finder.find(parsed.picture) if finder and parsed.picture else None
            if picture is None and meme.image is None and meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            imported.failures.append(row.failure(str(error), item=item(row)))
            continue
        memes[meme.id], first[meme.id] = meme, row
        if picture:
            imported.pictures[meme.id] = picture
        if parsed.evidence:
            imported.evidence.append(parsed.evidence)
    imported.memes += memes.values()


def image_stem(row: Row, image: str) -> str | None:
    """Return the picture's name in column ``image`` without folder and extension: the id of a row that has no other."""
    value = row.values.get(image)
    return picture_stem(value.strip()) or None if isinstance(value, str) else None


def make_meme(
    row: Row, scheme: LabelScheme, *, meme_id: str, text: str | None, source: str, used: Iterable[str]
) -> Meme:
    """Make a meme with the row's label and split; columns neither ``used`` nor of the label go to ``extra``.

    Raises:
        DataError: a label value that the source does not have.
    """
    label, kept = scheme.parse(row.values)
    skipped = {*used, *scheme.columns}
    extra = {key: value for key, value in row.values.items() if key not in skipped}
    return Meme(id=meme_id, text=text, label=label, split=row.split, source=source, extra=extra | kept)


@dataclass(frozen=True)
class TableSource:
    """A published dataset of tables with a row a meme, whose id is its picture's name; call it to import one.

    Attributes:
        name: of the importer.
        about: its licence and layout.
        scheme: its labels.
        files: file name -> split; None where each row says it.
        read: reads the rows of a file.
        image: the column of the picture's name.
        text: the column of the text.
        pictures: folders of pictures in the source; the first is named where there is none.
        folders: folders in the source where the files may be.
        parse: makes a meme of a row where `parse_row` does not do; raises DataError for a row that is wrong.
        join: changes the rows in place before they become memes.
        notes: what a user should know of each import.
    """

    name: str
    about: ImporterInfo
    scheme: LabelScheme
    files: Mapping[str, str | None]
    read: Callable[[Path, str, list[Failure]], list[Row]]
    image: str
    text: str
    pictures: Sequence[str] = ("images", "img")
    folders: Sequence[str] = ()
    parse: Callable[[Row], ParsedRow] | None = None
    join: Callable[[Path, list[Row], Imported], None] | None = None
    notes: Sequence[str] = ()

    def __call__(self, source: Path | None, folder: Path, options: ImportOptions) -> Imported:
        """Import the dataset.

        Raises:
            InputError: ``source`` is no folder with one of the files.
            DataError: a file is not what ``read`` reads.
        """
        layout = self.about.layout
        root = need_folder(source, layout)
        imported = Imported(self.name, self.about.licence, self.scheme.about, [])
        rows = read_rows(imported, root, self.files, self.read, layout=layout, folders=self.folders)
        if self.join:
            self.join(root, rows, imported)
        finder = make_finder(imported, root, self.pictures)
        parse = self.parse or self.parse_row
        add_memes(imported, rows, parse, item=lambda row: image_stem(row, self.image), finder=finder)
        imported.notes += self.notes
        return imported

    def parse_row(self, row: Row, text: str | None = None, used: Iterable[str] | None = None) -> ParsedRow:
        """Make a meme of a row; with ``text`` and the columns ``used`` for it, or those of the text's column.

        Raises:
            DataError: no picture is named, or a label value that the source does not have.
        """
        meme_id = image_stem(row, self.image)
        if meme_id is None:
            came = str(row.values.get(self.image))[:60]
            raise DataError(f"{self.image}: expected the name of a picture, got {came!r}")
        if used is None:
            text, used = read_text(row, self.text), (self.text,)
        used = (self.image, *used)
        meme = make_meme(row, self.scheme, meme_id=meme_id, text=text, source=self.name, used=used)
        return ParsedRow(meme, row.values[self.image].strip())
