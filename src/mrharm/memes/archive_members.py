"""What an archive holds, looked at before anything is written.

An archive is a stranger's list of names and sizes: one that reaches out of its folder, links, is locked, or would fill
the disk is refused by the member's name.
"""

from __future__ import annotations

import io
import re
import stat
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from mrharm.errors import DataError

MAX_TOTAL = 50_000_000_000
MAX_MEMBER = 20_000_000_000
MAX_MEMBERS = 1_000_000
# Deflate reaches 1,032 to 1 on nothing but zeros; tables and texts stay under 50. Small members may be as they like.
MAX_RATIO = 200
SUSPICIOUS = 100_000_000
MAX_HEADER = 1_000_000  # bytes of a tar between two members: long names and the like
CHUNK = 1_000_000
AGAIN = "download it again"

# zipfile unpacks its other methods without a bound: a few kilobytes of bzip2 fill the memory at one read.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Readable(Protocol):
    """A file to read from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes."""


class Seekable(Readable, Protocol):
    """A file to read from at any place."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """The place it is at."""


@dataclass(frozen=True)
class Member:
    """A file to write: where, its declared size (never more is written), and how its archive finds it again."""

    place: PurePosixPath
    size: int
    handle: Any


class ZipMembers:
    """The members of a zip."""

    def __init__(self, source: Path, archive: zipfile.ZipFile) -> None:
        self._source = source
        self._archive = archive

    def members(self) -> list[Member]:
        """The files to write; raises DataError for one that may not be written."""
        tally = _Tally(self._source)
        for info in self._archive.infolist():
            name = info.orig_filename  # `filename` is cut at a null byte
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(self._source, name, "is a link or a device", "pack files and folders only")
            if info.flag_bits & 0x1:
                mend = "unpack it with its password first (`unzip` asks for it), and import the folder"
                raise _refused(self._source, name, "is locked with a password", mend)
            if info.compress_type not in _ZIP_METHODS:
                mend = "unpack it with another tool, and import the folder"
                raise _refused(self._source, name, f"is packed with method {info.compress_type}", mend)
            tally.add(name, info.file_size, info, is_folder=info.is_dir(), packed=info.compress_size)
        return tally.done()

    def write(self, member: Member, path: Path) -> None:
        """Unpack one file; raises DataError where it is cut short."""
        with self._archive.open(member.handle) as file:
            _copy(file, path, member, self._source)


class TarMembers:
    """The members of a tar, read twice: the first pass looks at every header and writes nothing.

    Not ``TarFile.extractall(filter="data")``: it lets links through that stay inside, bounds no size, and writes as it
    looks.
    """

    def __init__(self, source: Path, file: Seekable) -> None:
        self._source = source
        self._file = _Bounded(source, file)

    def members(self) -> list[Member]:
        """The files to write; raises DataError for one that may not be written."""
        tally = _Tally(self._source)
        with self._open() as archive:
            while (info := self._next(archive)) is not None:
                if not (info.isreg() or info.isdir()) or info.issparse():
                    what = "is a link, a device or a sparse file"
                    mend = "pack it with `tar --dereference --hard-dereference`"
                    raise _refused(self._source, info.name, what, mend)
                tally.add(info.name, info.size, info.offset_data, is_folder=info.isdir())
            self._check_end(archive.offset)
        return tally.done()

    def write(self, member: Member, path: Path) -> None:
        """Unpack one file; raises DataError where it is cut short."""
        self._file.allow(member.size)
        self._file.seek(member.handle)
        _copy(self._file, path, member, self._source)

    def _open(self) -> tarfile.TarFile:
        self._file.allow(MAX_HEADER)
        return tarfile.open(fileobj=self._file, mode="r:")

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        self._file.allow(MAX_HEADER)
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header for lookups by name
        return archive.next()

    def _check_end(self, offset: int) -> None:
        """A tar ends with a block of zeros; without it, it was cut between two members."""
        self._file.allow(MAX_HEADER)
        self._file.seek(offset)
        if self._file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise DataError(f"{self._source}: cut short (its end mark is missing); {AGAIN}")
        while self._file.read(tarfile.RECORDSIZE):  # to gzip's checksum
            pass


class _Bounded(io.RawIOBase):
    """A file that gives at most as many bytes as were last allowed.

    tarfile reads extended headers whole, whatever size they claim, so a few packed bytes could fill the memory.
    """

    def __init__(self, source: Path, file: Seekable) -> None:
        self._source = source
        self._inner = file
        self._left = 0

    def allow(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size) if 0 <= size <= self._left else self._inner.read(self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._source}: more than {MAX_HEADER:,} bytes that belong to no member; {AGAIN}"
            )
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Tally:
    """Checks members one by one and adds them up."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._packed = source.stat().st_size
        self._members: dict[PurePosixPath, Member] = {}
        self._count = self._total = 0
        self._folders: set[PurePosixPath] = set()

    def add(
        self, name: str, size: int, handle: object, *, is_folder: bool, packed: int | None = None
    ) -> None:
        self._count += 1
        self._total += size
        place = self._inside(name)
        if self._count > MAX_MEMBERS:
            raise DataError(
                f"{self._source}: more than {MAX_MEMBERS:,} members; unpack it, and import the folder"
            )
        if not 0 <= size <= MAX_MEMBER:
            raise self._bomb(name, f"unpacks to {size:,} bytes; at most {MAX_MEMBER:,} are written")
        if packed is not None and size > SUSPICIOUS and size > MAX_RATIO * packed:
            raise self._bomb(name, f"unpacks from {packed:,} to {size:,} bytes")
        if self._total > MAX_TOTAL:
            raise self._bomb(name, f"brings the total over {MAX_TOTAL:,} bytes")
        if self._total > SUSPICIOUS and self._total > MAX_RATIO * self._packed:
            raise self._bomb(name, f"brings the total to {self._total:,} bytes, from {self._packed:,}")
        if _is_junk(place):
            return
        self._folders.update(place.parents)
        if is_folder:
            self._folders.add(place)
        elif place in self._members:
            raise _refused(self._source, name, "comes twice", "pack each file once")
        else:
            self._members[place] = Member(place, size, handle)

    def done(self) -> list[Member]:
        for place in self._members.keys() & self._folders:
            raise _refused(self._source, str(place), "is a file and a folder", "pack it again")
        return list(self._members.values())

    def _bomb(self, name: str, what: str) -> DataError:
        return _refused(self._source, name, what, "if you trust it, unpack it, and import the folder")

    def _inside(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name)
        climbs = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) is not None
        if climbs or "\\" in name or "\0" in name:
            raise _refused(self._source, name, "leaves the archive's folder", "pack relative paths with /")
        return path


def _refused(source: Path, name: str, what: str, mend: str) -> DataError:
    return DataError(f"{source}: member {name[:80]!r} {what}; nothing was unpacked; {mend}")


def _is_junk(place: PurePosixPath) -> bool:
    return not place.parts or any(part == "__MACOSX" or part.startswith(".") for part in place.parts)


def _copy(file: Readable, path: Path, member: Member, source: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with path.open("xb") as out:
        while left and (data := file.read(min(CHUNK, left))):
            out.write(data)
            left -= len(data)
    if left:
        raise DataError(f"{source}: cut short in member {str(member.place)[:80]!r}; {AGAIN}")
