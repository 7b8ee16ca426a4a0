"""Turn the annotation files of published datasets into memes: a `TableSource` says how one dataset does it.

Every row ends in exactly one place: a meme, or a failure with file, line and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme
from mrharm.memes.pictures import PictureFinder, find_file, find_folders, picture_stem
from mrharm.memes.rows import Row, need_folder, read_text
from mrharm.memes.side_files import add_side_files
from mrharm.records import Evidence, Failure, Meme

# Our splits, and other names of them; compared with case folded.
SPLIT_WORDS = {"train": ("training",), "validation": ("val", "valid", "dev"), "test": ("testing",)}
OUR_SPLIT = {word: split for split, words in SPLIT_WORDS.items() for word in (split, *words)}

Read = Callable[
    [Path, str, list[Failure]], list[Row]
]  # path, its place in the source, failures to add to -> rows


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
    read: Read,
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


def refuse_repeat(earlier: Meme, first: Row, meme: Meme) -> Meme:
    """Refuse a second row with the same id, as `add_memes` does by default; always raises DataError."""
    raise DataError(f"id {meme.id!r} is already in {first.file}, line {first.line}")


def add_memes(
    imported: Imported,
    rows: Iterable[Row],
    parse: Callable[[Row], ParsedRow],
    *,
    name: Callable[[Row], str | None],
    finder: PictureFinder | None,
    merge: Callable[[Meme, Row, Meme], Meme] = refuse_repeat,
) -> None:
    """Bring every row into ``imported``: as a meme with its picture, or as a failure.

    Args:
        imported: receives memes, pictures and their names, evidence and failures.
        rows: of rows with the same id the first gives the meme its place.
        parse: raises DataError for a row that is wrong.
        name: what to call a row that fails.
        finder: finds the pictures; None where none came along.
        merge: (earlier meme, its row, new meme) of one id -> both as one meme; raises DataError to refuse it.
    """
    memes: dict[str, Meme] = {}
    first: dict[str, Row] = {}
    for row in rows:
        try:
            parsed = parse(row)
            meme = parsed.meme
            if meme.id in memes:
                memes[meme.id] = merge(memes[meme.id], first[meme.id], meme)
                continue
            picture = finder.find(parsed.picture) if finder and parsed.picture else None
            if picture is None and meme.image is None and meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            imported.failures.append(row.failure(str(error), item=name(row)))
            continue
        memes[meme.id], first[meme.id] = meme, row
        if parsed.picture:
            imported.picture_names[meme.id] = parsed.picture
        if picture:
            imported.pictures[meme.id] = picture
        if parsed.evidence:
            imported.evidence.append(parsed.evidence)
    imported.memes += memes.values()


@dataclass(frozen=True)
class TableSource:
    """A published dataset of tables with a row a meme; call it to import one.

    Attributes:
        name: of the importer.
        about: its licence and layout.
        scheme: its labels.
        files: file name -> split; None where each row says it.
        read: reads the rows of a file.
        image: the column of the picture's name.
        text: the column of the text.
        id: the column of the id; where it is None or empty, the picture's name without its extension is the id.
        pictures: folders of pictures in the source; the first is named where there is none.
        folders: folders in the source where the files may be.
        side_files: take in captions and rationales beside the files.
        join: changes the rows in place before they become memes.
        parse: makes a meme of a row where `parse_row` does not do; raises DataError for a row that is wrong.
        merge: as in `add_memes`.
        finish: adds notes and options in the end.
    """

    name: str
    about: ImporterInfo
    scheme: LabelScheme
    files: Mapping[str, str | None]
    read: Read
    image: str
    text: str
    id: str | None = None
    pictures: Sequence[str] = ("images", "img")
    folders: Sequence[str] = ()
    side_files: bool = False
    join: Callable[[Path, list[Row], Imported], None] | None = None
    parse: Callable[[TableSource, Row], ParsedRow] | None = None
    merge: Callable[[Meme, Row, Meme], Meme] = refuse_repeat
    finish: Callable[[Imported], None] | None = None

    def __call__(self, source: Path | None, folder: Path, options: ImportOptions) -> Imported:
        """Import the dataset; raises InputError where ``source`` is no folder with one of the files."""
        root = need_folder(source, self.about.layout)
        imported = Imported(self.name, self.about.licence, self.scheme.about)
        rows = read_rows(
            imported, root, self.files, self.read, layout=self.about.layout, folders=self.folders
        )
        if self.join:
            self.join(root, rows, imported)

        # Memes, with their pictures where some came along.
        finder = PictureFinder(root, self.pictures)
        with_pictures = finder.has_pictures()
        if not with_pictures:
            imported.notes.append(
                f"no pictures came with the source (no {self.pictures[0]}/ folder): all memes are text only"
            )
        add_memes(
            imported,
            rows,
            partial(self.parse, self) if self.parse else self.parse_row,
            name=self.name_row,
            finder=finder if with_pictures else None,
            merge=self.merge,
        )

        # What was published beside the annotations, and what a reader of dataset.json should know.
        if self.side_files:
            places = [place for name in (".", *self.folders) for place in find_folders(root, name)]
            add_side_files(root, places, imported)
        if self.finish:
            self.finish(imported)
        return imported

    def read_id(self, row: Row) -> str:
        """Return a row's id; raises DataError where it has neither an id nor a picture's name to take one from."""
        value = row.values.get(self.id) if self.id else None
        if isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
        image = row.values.get(self.image)
        stem = picture_stem(image.strip()) if isinstance(image, str) else ""
        if not stem:
            raise DataError(f"{self.image}: expected the name of a picture, got {str(image)[:60]!r}")
        return stem

    def name_row(self, row: Row) -> str | None:
        """Return what to call a row that fails: its id, where it has one."""
        try:
            return self.read_id(row)
        except DataError:
            return None

    def parse_row(self, row: Row, text: str | None = None, used: Iterable[str] | None = None) -> ParsedRow:
        """Make a meme of a row; with ``text`` and the columns ``used`` for it, or those of the text's column.

        Columns that are neither used nor of the label go to the meme's ``extra``.

        Raises:
            DataError: no id, or a label value that the source does not have.
        """
        meme_id = self.read_id(row)
        if used is None:
            text, used = read_text(row, self.text), (self.text,)
        skipped = {self.image, self.id, *used, *self.scheme.columns}
        label, as_given = self.scheme.parse(row.values)
        extra = {key: value for key, value in row.values.items() if key not in skipped} | as_given
        meme = Meme(id=meme_id, text=text, label=label, split=row.split, source=self.name, extra=extra)
        return ParsedRow(meme, str(row.values.get(self.image) or meme_id).strip())
