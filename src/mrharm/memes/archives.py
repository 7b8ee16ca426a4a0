"""Unpack sources that come as one .zip or .tar file, into a hidden folder that is removed after the import.

`zipfile` and tarfile's ``data`` filter keep every member inside the folder; the total of the unpacked sizes is bounded.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from mrharm.errors import DataError, MrHarmError
from mrharm.progress import Progress, counting

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

# Deflate reaches 1,032 to 1 on nothing but zeros; tables and texts stay under 50. Small archives may be as they like.
MAX_RATIO = 200
MIN_BOUND = 100_000_000  # bytes
BLOCK = 4096  # bytes on a disk, that the smallest member takes; so their number is bounded too
# A long name or the values of an extended header; some kilobytes are usual.
MAX_HEADER = 1_000_000
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@contextlib.contextmanager
def unpacked(source: Path | None, target: Path, progress: Progress) -> Iterator[Path | None]:
    """Yield a folder with what an archive holds; any other source, and None, is yielded as it is.

    The folder is made in ``target``'s parent folder (on its file system, so that pictures can be linked), is hidden,
    and is removed in the end, whatever happens; after a kill, the next call for the same ``target`` removes it. A
    single folder at the archive's top is entered; ``__MACOSX`` and names that begin with a dot are left out. Errors
    raised inside name files by their place in the archive.

    Raises:
        DataError: the archive is broken, cut short, protected by a password or over the bounds, or a member would leave
            the folder or is a device.
    """
    if source is None or not source.name.lower().endswith(SUFFIXES) or not source.is_file():
        yield source
        return
    hidden = target.parent / f".{target.name}.unpacked"
    suffix = next(suffix for suffix in SUFFIXES if source.name.lower().endswith(suffix))
    root = hidden / (source.name[: -len(suffix)].lstrip(".") or "archive")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        root.mkdir(parents=True)
        try:
            (_unpack_zip if suffix == ".zip" else _unpack_tar)(source, root, progress)
        except MrHarmError:
            raise
        except Exception as error:  # zipfile, tarfile and zlib raise a dozen kinds
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:80]}"
            raise DataError(
                f"{source}: cannot be unpacked, broken or cut short ({reason}); download it again"
            ) from None
        yield _enter(root)
    except MrHarmError as error:
        raise type(error)(str(error).replace(str(_enter(root)), str(source))) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _enter(root: Path) -> Path:
    inside = list(root.iterdir()) if root.is_dir() else []
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


class _Header(tarfile.TarInfo):
    """A header of a tar, bounded: tarfile reads at once what an extended one announces, whatever a .gz unfolds to."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        is_member = header.type in tarfile.SUPPORTED_TYPES and header.type not in _EXTENDED
        if header.size < 0 or (header.size > MAX_HEADER and not is_member):
            raise tarfile.HeaderError(f"a header of {header.size:,} bytes")
        return header


def _unpack_zip(source: Path, root: Path, progress: Progress) -> None:
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
        if any(member.flag_bits & 0x1 for member in members):
            raise DataError(
                f"{source}: protected by a password; unpack it with its password first (`unzip` asks for it), and "
                "import the folder"
            )
        _check_size(source, sum(max(member.file_size, BLOCK) for member in members))
        files = [member for member in members if _is_wanted(source, member.filename) and not member.is_dir()]
        with counting(progress, f"unpacking {source.name}", len(files)) as advance:
            for member in files:
                archive.extract(member, root)
                advance()


def _unpack_tar(source: Path, root: Path, progress: Progress) -> None:
    with tarfile.open(source, tarinfo=_Header) as archive:
        total, files = 0, []
        for member in archive:
            total += max(member.size, BLOCK)
            _check_size(source, total)
            if _is_wanted(source, member.name) and not member.isdir():
                files.append(member)
        # One that was cut between two members tarfile takes for a whole one, which ends in zeros.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        block = archive.fileobj.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE or any(block):
            raise DataError(f"{source}: cut short, as it does not end as a tar does; download it again")
        with counting(progress, f"unpacking {source.name}", len(files)) as advance:
            for member in files:
                archive.extract(member, root, filter="data")
                advance()


def _is_wanted(source: Path, name: str) -> bool:
    """Tell whether a member is neither hidden nor what macOS adds; raises DataError for one that leaves the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{source}: {name[:80]!r} leaves the folder it is unpacked to; nothing was unpacked")
    return not any(part == "__MACOSX" or part.startswith(".") for part in path.parts)


def _check_size(source: Path, total: int) -> None:
    packed = source.stat().st_size
    if total > max(MIN_BOUND, MAX_RATIO * packed):
        raise DataError(
            f"{source}: unpacks from {packed:,} to {total:,} bytes or more; nothing was unpacked; if you trust it, "
            "unpack it, and import the folder"
        )
