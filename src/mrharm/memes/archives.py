"""Sources that come as one .zip or .tar file: unpacked beside the target while they are read, then removed."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mrharm.errors import DataError, MrHarmError
from mrharm.memes.archive_members import AGAIN, TarMembers, ZipMembers
from mrharm.progress import Progress, counting

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


def is_archive(path: Path) -> bool:
    """Whether a path is a file whose name says it is an archive of a kind that is unpacked here."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


@contextlib.contextmanager
def unpacked(
    source: Path,
    beside: Path,
    progress: Progress,
) -> Iterator[Path]:
    """Yield a folder with what an archive holds; any other source is yielded as it is.

    The folder stands beside ``beside`` (on its file system, so that pictures can be linked), is hidden, and is removed
    in the end, whatever happens; after a kill, the next call for the same ``beside`` removes it. A single folder at the
    archive's top is entered; ``__MACOSX`` and names that begin with a dot are left out. Errors raised inside name files
    by their place in the archive.

    Raises:
        DataError: the archive is broken, cut short, locked with a password or larger than the bounds, or a member would
            leave the folder or is a link or a device; nothing has been written then.
    """
    if not is_archive(source):
        yield source
        return
    hidden = beside.parent / f".{beside.name}.unpacked"
    root = hidden / _stem(source)
    try:
        with _broken(source), _opened(source) as archive:
            members = archive.members()
            shutil.rmtree(hidden, ignore_errors=True)
            root.mkdir(parents=True)
            with counting(progress, f"unpacking {source.name}", len(members)) as advance:
                for member in members:
                    archive.write(member, root / member.place)
                    advance()
        yield _enter(root)
    except MrHarmError as error:
        raise type(error)(named(str(error), _enter(root), source)) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def named(text: str, root: Path, source: Path) -> str:
    """``text`` with the unpacked folder's path replaced by the archive's: the folder is gone when a person reads it."""
    return text.replace(str(root), str(source)) if root != source else text


def _stem(source: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if source.name.lower().endswith(suffix))
    return source.name[: -len(suffix)].lstrip(".") or "archive"


def _enter(root: Path) -> Path:
    inside = list(root.iterdir()) if root.is_dir() else []
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


@contextlib.contextmanager
def _broken(source: Path) -> Iterator[None]:
    """Whatever a library raises on a hostile or cut file -> a DataError that names it."""
    try:
        yield
    except MrHarmError:
        raise
    except OSError as error:
        if error.errno is None:  # gzip's BadGzipFile
            raise DataError(f"{source}: broken or cut short ({error}); {AGAIN}") from None
        raise DataError(f"{source}: cannot be unpacked ({error.strerror})") from None
    except Exception as error:  # zipfile, tarfile, zlib and lzma raise a dozen kinds
        raise DataError(
            f"{source}: broken or cut short ({type(error).__name__}: {str(error)[:80]}); {AGAIN}"
        ) from None


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[ZipMembers | TarMembers]:
    if source.name.lower().endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            yield ZipMembers(source, archive)
    else:
        zipped = not source.name.lower().endswith(".tar")
        with gzip.GzipFile(source) if zipped else source.open("rb") as file:
            yield TarMembers(source, file)
