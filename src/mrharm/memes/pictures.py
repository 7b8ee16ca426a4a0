"""Find the files of a source and the pictures its rows name; bring pictures into the dataset folder, checked.

Files and folders are found in any case: copies of a dataset differ in it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, product
from pathlib import Path, PurePosixPath

from mrharm.errors import DataError, ImageError, InputError
from mrharm.images import MAX_BYTES, SUFFIXES, decode, image_sha256, read_image_bytes, sniff
from mrharm.memes.dataset import Imported, ImportOptions
from mrharm.memes.rows import STAGE
from mrharm.progress import Progress, counting
from mrharm.records import Evidence, Failure, Meme
from mrharm.store import content_key, sha256_bytes

IMAGES = "images"
_SUFFIX_OF = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}


def find_folders(root: Path, place: str) -> list[Path]:
    """Return the folders that ``place`` (``data/annotations``) means below ``root``, those spelt exactly so first."""
    folders = [root]
    for part in PurePosixPath(place).parts:
        folders = list(chain.from_iterable(_list_spellings(folder, part) for folder in folders))
    return [folder for folder in folders if folder.is_dir()]


def find_file(root: Path, name: str, folders: Iterable[str] = ()) -> Path | None:
    """Return a source's file in ``root``, else in one of ``folders`` below it; None where it is in none of them."""
    for folder in chain.from_iterable(find_folders(root, place) for place in (".", *folders)):
        for path in _list_spellings(folder, name):
            if path.is_file():
                return path
    return None


def _list_spellings(folder: Path, name: str) -> list[Path]:
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if path.name.casefold() == name.casefold())
    return sorted(paths, key=lambda path: (path.name != name, path.name))


def check_inside(name: str) -> PurePosixPath:
    """Return a path from a row as a relative path inside the source folder; raises DataError for any other."""
    path = PurePosixPath(name.replace("\\", "/"))
    climbs = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) is not None
    if climbs or "\0" in name or not path.parts:
        raise DataError(f"picture path {name[:80]!r} leaves the source folder; expected one relative to it")
    return path


def picture_stem(name: str) -> str:
    """Return a picture's name without folders and extension."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


class PictureFinder:
    """Finds pictures under ``root`` by the path a row gives, else by name with any extension and any case.

    ``folders`` are the subfolders, in any case, where the layout keeps its pictures.
    """

    def __init__(self, root: Path, folders: Iterable[str] = ()) -> None:
        self._root = root
        self._folders = [root, *(folder for place in folders for folder in find_folders(root, place))]
        self._names: dict[Path, dict[str, list[str]]] = {}

    def has_pictures(self, names: Iterable[str] = ()) -> bool:
        """Tell whether pictures came along: in ``root``, in a folder for them, or in one that ``names`` name."""
        parents = {PurePosixPath(name.replace("\\", "/")).parent for name in ("x", *names)}
        for folder, parent in product(self._folders, parents):
            inside = ".." not in parent.parts
            if inside and any(name.endswith(SUFFIXES) for name in self._list_names(folder / parent)):
                return True
        return False

    def find(self, name: str) -> Path:
        """Return the picture file a row means by ``name``.

        Raises:
            DataError: the path leaves the source folder.
            ImageError: no such picture, or several that differ in extension or case only.
        """
        path = check_inside(name)
        for folder in self._folders:
            for parent in dict.fromkeys((folder / path.parent, folder)):
                names = self._list_names(parent)
                folded = path.name.casefold()
                spellings = names.get(folded) or names.get(picture_stem(folded) + ".*", [])
                if path.name in spellings:
                    return parent / path.name
                if len(spellings) > 1:
                    raise ImageError(
                        f"{name[:80]!r} could be any of {', '.join(spellings[:5])}; name one exactly"
                    )
                if spellings:
                    return parent / spellings[0]
        where = ", ".join(f"{folder.name}/" for folder in self._folders)
        raise ImageError(f"no picture called {name[:80]!r} in {where} (any extension, any case)")

    def _list_names(self, folder: Path) -> dict[str, list[str]]:
        """Map folded file names of a folder to their spellings; pictures also by ``<folded stem>.*``.

        Names are looked up here and never handed to the file system, so that odd ones in a row do no harm.
        """
        if folder not in self._names:
            names: dict[str, list[str]] = defaultdict(list)
            spellings: list[str] = []
            with contextlib.suppress(OSError, ValueError):
                spellings = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
            for spelling in spellings:
                folded = spelling.casefold()
                names[folded].append(spelling)
                if folded.endswith(SUFFIXES):
                    names[picture_stem(folded) + ".*"].append(spelling)
            self._names[folder] = dict(names)
        return self._names[folder]


def import_pictures(imported: Imported, folder: Path, options: ImportOptions, progress: Progress) -> None:
    """Bring every meme's picture under ``folder/images/``; a meme whose picture is broken becomes a failure.

    Each picture is decoded once, so that a broken one is known now and not in the middle of training. ``link`` makes
    a hard link, which costs no space and stays whole when the source is deleted; across file systems, where none can
    be made, it copies. Pictures an importer drew into ``folder/images/`` itself are hashed where they are.

    Raises:
        InputError: ``options.images`` is neither copy nor link.
    """
    if options.images not in ("copy", "link"):
        raise InputError(f"images: expected copy or link, got {options.images!r}")
    rows = [meme for meme in imported.memes if meme.id in imported.pictures or meme.image]
    if not rows:
        return
    used: set[str] = set()
    names = {meme.id: _name_file(meme.id, used) for meme in rows if meme.id in imported.pictures}
    if names:
        (folder / IMAGES).mkdir(exist_ok=True)

    def store(meme: Meme) -> tuple[str, str] | ImageError:
        source = imported.pictures.get(meme.id)
        try:
            if source is None:
                place = check_inside(meme.image or "").as_posix()
                return place, image_sha256(folder / place)
            data = read_image_bytes(source)
            place = _check_place(data, source.name, names[meme.id])
            if options.images == "copy" or not link(source, folder / place):
                (folder / place).write_bytes(data)
            return place, sha256_bytes(data)
        except ImageError as error:
            path = source or folder / (meme.image or "")
            return ImageError(str(error).replace(str(path), path.name))

    stored: dict[str, tuple[str, str] | ImageError] = {}
    pool = ThreadPoolExecutor(max(1, options.workers))
    try:
        with counting(progress, "checking pictures", len(rows)) as advance:
            for meme, result in zip(rows, pool.map(store, rows), strict=True):
                stored[meme.id] = result
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    _set_pictures(imported, stored)


def _set_pictures(imported: Imported, stored: Mapping[str, tuple[str, str] | ImageError]) -> None:
    """Set the pictures' places and hashes; what belongs to a meme whose picture is broken goes with it."""
    evidence = {row.meme_id: row for row in imported.evidence}
    memes: dict[str, Meme] = {}
    for meme in imported.memes:
        result = stored.get(meme.id)
        if isinstance(result, ImageError):
            picture = imported.pictures.get(meme.id)
            file = picture.name if picture else meme.image
            imported.failures.append(Failure(item=meme.id, stage=STAGE, reason=str(result), file=file))
            continue
        memes[meme.id] = meme
        if result:
            place, sha256 = result
            memes[meme.id] = meme.model_copy(update={"image": place})
            row = evidence.get(meme.id) or Evidence(meme_id=meme.id)
            evidence[meme.id] = row.model_copy(update={"image_sha256": sha256})
    imported.memes = list(memes.values())
    imported.evidence = [evidence[meme_id] for meme_id in memes if meme_id in evidence]
    imported.rationales = [row for row in imported.rationales if row.meme_id in memes]


def write_picture(data: bytes, folder: Path, meme_id: str, used: set[str]) -> str:
    """Write a picture that came as bytes under ``folder/images/``, checked as a file is; return its place.

    ``used`` holds the file names of this folder so far, and receives this one.

    Raises:
        ImageError: over the bound of bytes, or no picture; nothing is written.
    """
    if len(data) > MAX_BYTES:
        raise ImageError(f"{len(data):,} bytes; at most {MAX_BYTES:,} are read; save the picture smaller")
    place = _check_place(data, "the picture", _name_file(meme_id, used))
    (folder / IMAGES).mkdir(exist_ok=True)
    (folder / place).write_bytes(data)
    return place


def _check_place(data: bytes, title: str, name: str) -> str:
    """Decode a picture and return its place in the dataset folder; raises ImageError where it is none."""
    decode(data, title)
    return f"{IMAGES}/{name}{_SUFFIX_OF[sniff(data) or '']}"


def link(source: Path, target: Path) -> bool:
    """Make ``target`` a hard link to a picture; False where the file systems do not allow one."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False
    return True


def _name_file(meme_id: str, used: set[str]) -> str:
    """Return a file name that any file system takes, unlike those ``used`` even where case does not count."""
    name = re.sub(r"[^\w.-]+", "_", meme_id).strip("._")[:80].encode("utf-8")[:160].decode("utf-8", "ignore")
    if not name or name != meme_id or name.casefold() in used:
        name = f"{name or 'meme'}-{content_key(meme_id)[:8]}"
    used.add(name.casefold())
    return name
