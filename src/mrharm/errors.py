"""The kinds of error mrharm raises, and the one table that maps each kind to an exit code.

Every message names what was expected, what came, and the mend, so that a person who reads only the last line of
a log knows what to do next.
"""

from __future__ import annotations

import errno


class MrHarmError(Exception):
    """The root of every error mrharm raises on purpose; anything else that escapes is a bug."""


class InputError(MrHarmError):
    """The caller asked for something that cannot be: a wrong option, a missing path, a contradictory recipe."""


class DataError(MrHarmError):
    """A file does not hold what its format promises; the message names file, line and key."""


class ImageError(DataError):
    """A picture is missing, too large, of an unknown kind, or broken."""


class MissingInputError(MrHarmError):
    """The recipe wants an input (a text, a picture, a caption) that a meme does not have."""


class ModelUnavailableError(MrHarmError):
    """Weights or a tokenizer could not be had: no local folder of that name and no hub in reach."""


class FileError(MrHarmError):
    """The system would not read or write a file: a full disk, no right to it, a folder where a file should be."""


class StoppedError(MrHarmError):
    """Stopped by the user before the work was done; the same command goes on where it stopped."""


class GateError(MrHarmError):
    """A gate or an audit found errors that must be mended or waived before going on."""


# kind -> exit code of the command line; the nearest ancestor counts.
EXIT_CODES: dict[type[BaseException], int] = {
    MrHarmError: 2,
    StoppedError: 3,
    KeyboardInterrupt: 3,
    GateError: 4,
}
EXIT_BUG = 70  # EX_SOFTWARE: anything mrharm did not foresee
EXIT_SOME_FAILED = 1
_AGAIN = "then run the same command again"
_ROOM = f"make room, {_AGAIN}"
_RIGHT = f"give yourself the right to it or name another place, {_AGAIN}"
# What a person does about it, by the system's number of the error.
_MENDS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EROFS: f"name a place that can be written, {_AGAIN}",
    errno.EISDIR: "expected a file, not a folder: name a file",
    errno.ENOTDIR: "expected a folder, not a file: name another place",
    errno.EEXIST: "something else is there: name another place",
    errno.ENOENT: "name one that is there",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: f"allow more open files (ulimit -n), {_AGAIN}",
}


def file_error(error: OSError) -> FileError | None:
    """Return a system error about a file as one line with its mend; None for errors of other things, as connections.

    The error of a disk that fills while a file is written does not name the file.
    """
    if error.filename is None and error.errno not in _MENDS:
        return None
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    what = " -> ".join(names) or "a file"
    mend = _MENDS.get(error.errno or 0, f"mend that, {_AGAIN}")
    return FileError(f"{what}: {error.strerror or error}; {mend}")


def exit_code(error: BaseException) -> int:
    """Return the command line's exit code for an error; `EXIT_BUG` for one mrharm did not foresee."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), EXIT_BUG)
