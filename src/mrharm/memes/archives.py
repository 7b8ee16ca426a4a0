"""Unpack sources that come as one .zip or .tar file, into a hidden folder that is removed after the import.

An archive is untrusted: its names may reach out of the folder, its sizes may fill the disk. So every member is looked
at before one is written. Refused by the member's name: paths that leave the folder, links, devices, sparse files,
members protected by a password or packed in a way that zipfile unpacks without a bound, names that come twice, and
archives that unpack to far more than they weigh. tarfile's ``data`` filter, which guards the writing too, lets links
through that stay inside, bounds no size, and writes as it looks; so it is not enough alone.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from mrharm.errors import DataError, MrHarmError
from mrharm.progress import Progress, counting

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

MAX_TOTAL = 50_000_000_000  # bytes
MAX_MEMBERS = 1_000_000
# Deflate reaches 1,032 to 1 on nothing but zeros; tables and texts stay under 50. Small archives may be as they like.
MAX_RATIO = 200
SUSPICIOUS = 100_000_000
# Of a tar between two members: tarfile reads long names and the like whole, whatever size they claim.
MAX_HEADER = 1_000_000
AGAIN = "download it again"
_TRUST = "if you trust it, unpack it, and import the folder"

# Other methods unpack without a bound: a few kilobytes of bzip2 fill the memory at one read.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Member(NamedTuple):
    """A member as its archive lists it; ``info`` is zipfile's or tarfile's record of it."""

    name: str
    size: int
    is_folder: bool
    info: Any


def is_archive(path: Path) -> bool:
    """Tell whether a path is a file whose name says it is an archive of a kind that is unpacked here."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


@contextlib.contextmanager
def unpacked(source: Path | None, target: Path, progress: Progress) -> Iterator[Path | None]:
    """Yield a folder with what an archive holds; any other source, and None, is yielded as it is.

    The folder is made in ``target``'s parent folder (on its file system, so that pictures can be linked), is hidden,
    and is removed in the end, whatever happens; after a kill, the next call for the same ``target`` removes it. A
    single folder at the archive's top is entered; ``__MACOSX`` and names that begin with a dot are left out. Errors
    raised inside name files by their place in the archive.

    Raises:
        DataError: the archive is broken, cut short, protected by a password or over the bounds, or a member would leave
            the folder or is a link or a device; nothing has been written then.
    """
    if source is None or not is_archive(source):
        yield source
        return
    hidden = target.parent / f".{target.name}.unpacked"
    suffix = next(suffix for suffix in SUFFIXES if source.name.lower().endswith(suffix))
    root = hidden / (source.name[: -len(suffix)].lstrip(".") or "archive")
    unpack = _unpack_zip if suffix == ".zip" else _unpack_tar
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        with _name_errors(source):
            unpack(source, root, progress)
        yield _enter(root)
    except MrHarmError as error:
        raise type(error)(name_archive(str(error), _enter(root), source)) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def name_archive(text: str, root: Path, source: Path) -> str:
    """Return ``text`` with the archive's path for that of the unpacked folder, which is removed by then."""
    return text.replace(str(root), str(source)) if root != source else text


def _enter(root: Path) -> Path:
    inside = list(root.iterdir()) if root.is_dir() else []
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


@contextlib.contextmanager
def _name_errors(source: Path) -> Iterator[None]:
    """Turn whatever a library raises on a hostile or cut file into a DataError that names it."""
    try:
        yield
    except MrHarmError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{source}: cannot be unpacked ({error.strerror})") from None
        raise DataError(f"{source}: broken or cut short ({error}); {AGAIN}") from None  # gzip's BadGzipFile
    except Exception as error:  # zipfile, tarfile and zlib raise a dozen kinds
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise DataError(f"{source}: broken or cut short ({reason}); {AGAIN}") from None


def _refuse(source: Path, name: str, defect: str, mend: str) -> DataError:
    return DataError(f"{source}: member {name[:80]!r} {defect}; nothing was unpacked; {mend}")


def _unpack_zip(source: Path, root: Path, progress: Progress) -> None:
    with zipfile.ZipFile(source) as archive:
        files = _check_members(source, _list_zip(source, archive))
        _write(source, files, progress, root, lambda info: archive.extract(info, root))


def _list_zip(source: Path, archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        name = info.orig_filename  # `filename` is cut at a null byte
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refuse(source, name, "is a link or a device", "pack files and folders only")
        if info.flag_bits & 0x1:
            mend = "unpack it with its password first (`unzip` asks for it), and import the folder"
            raise _refuse(source, name, "is protected by a password", mend)
        if info.compress_type not in _ZIP_METHODS:
            mend = "unpack it with another tool, and import the folder"
            raise _refuse(source, name, f"is packed with method {info.compress_type}", mend)
        if info.file_size > max(SUSPICIOUS, MAX_RATIO * info.compress_size):
            raise _refuse(
                source, name, f"unpacks from {info.compress_size:,} to {info.file_size:,} bytes", _TRUST
            )
        yield _Member(name, info.file_size, info.is_dir(), info)


class _Bounded:
    """A tar of which at most ``allowed`` further bytes are read."""

    def __init__(self, source: Path, file: BinaryIO | gzip.GzipFile) -> None:
        self._source = source
        self._file = file
        self.allowed = MAX_HEADER
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self.allowed + 1))
        self.allowed -= len(data)
        if self.allowed < 0:
            raise DataError(
                f"{self._source}: more than {MAX_HEADER:,} bytes that belong to no member; {AGAIN}"
            )
        return data


def _unpack_tar(source: Path, root: Path, progress: Progress) -> None:
    is_plain = source.name.lower().endswith(".tar")
    with source.open("rb") if is_plain else gzip.GzipFile(source) as opened, contextlib.ExitStack() as stack:
        file = _Bounded(source, opened)
        archive = stack.enter_context(tarfile.open(fileobj=cast(BinaryIO, file), mode="r:"))
        files = _check_members(source, _list_tar(source, archive, file))

        def extract(info: tarfile.TarInfo) -> None:
            file.allowed = info.size
            archive.extract(info, root, filter="data")

        _write(source, files, progress, root, extract)


def _list_tar(source: Path, archive: tarfile.TarFile, file: _Bounded) -> Iterator[_Member]:
    while True:
        file.allowed = MAX_HEADER
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header for lookups by name
        info = archive.next()
        if info is None:
            break
        if not (info.isreg() or info.isdir()) or info.issparse():
            mend = "pack it with `tar --dereference --hard-dereference`"
            raise _refuse(source, info.name, "is a link, a device or a sparse file", mend)
        yield _Member(info.name, info.size, info.isdir(), info)
    # A tar ends with a block of zeros; without it, it was cut between two members.
    file.allowed = MAX_HEADER
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{source}: cut short (its end mark is missing); {AGAIN}")
    while file.read(tarfile.RECORDSIZE):  # to gzip's checksum
        pass


def _check_members(source: Path, members: Iterable[_Member]) -> dict[PurePosixPath, _Member]:
    """Return the files to write by their places; raises DataError for an archive that may not be unpacked."""
    packed = source.stat().st_size
    bound = min(MAX_TOTAL, max(SUSPICIOUS, MAX_RATIO * packed))
    files: dict[PurePosixPath, _Member] = {}
    total = 0
    for count, (name, size, is_folder, info) in enumerate(members, 1):
        place = PurePosixPath(name)
        climbs = place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:", name) is not None
        if climbs or "\\" in name or "\0" in name:
            raise _refuse(source, name, "leaves the archive's folder", "pack relative paths with /")
        total += size
        if size < 0 or total > bound:
            defect = f"brings the total to {total:,} bytes, from {packed:,}"
            raise _refuse(source, name, defect, _TRUST)
        if count > MAX_MEMBERS:
            raise DataError(f"{source}: more than {MAX_MEMBERS:,} members; unpack it, and import the folder")
        if is_folder or any(part == "__MACOSX" or part.startswith(".") for part in place.parts):
            continue
        if place in files:
            raise _refuse(source, name, "comes twice", "pack each file once")
        files[place] = _Member(name, size, is_folder, info)
    return files


def _write(
    source: Path,
    files: dict[PurePosixPath, _Member],
    progress: Progress,
    root: Path,
    extract: Callable[[Any], object],
) -> None:
    root.mkdir(parents=True)
    with counting(progress, f"unpacking {source.name}", len(files)) as advance:
        for place, member in files.items():
            extract(member.info)
            if (root / place).stat().st_size != member.size:
                raise DataError(f"{source}: cut short in member {str(place)[:80]!r}; {AGAIN}")
            advance()
