"""What can go wrong, in few kinds, and the one table that maps each kind to an exit code and an HTTP status.

Every message names what was expected, what came, and the mend, so that a person who reads only the last line of
a log knows what to do next.
"""

from __future__ import annotations


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


class StoppedError(MrHarmError):
    """Stopped by the user before the work was done; the same command goes on where it stopped."""


class GateError(MrHarmError):
    """A gate or an audit found errors that must be mended or waived before going on."""


# kind -> (exit code of the command line, HTTP status of the service); the nearest ancestor counts.
OUTCOMES: dict[type[BaseException], tuple[int, int]] = {
    MrHarmError: (2, 400),
    InputError: (2, 400),
    DataError: (2, 422),
    ImageError: (2, 415),
    MissingInputError: (2, 422),
    ModelUnavailableError: (2, 503),
    StoppedError: (3, 503),
    KeyboardInterrupt: (3, 503),
    GateError: (4, 409),
}

EXIT_DONE = 0
EXIT_SOME_FAILED = 1


def exit_code(error: BaseException) -> int:
    """The command line's exit code for ``error``; 70 (EX_SOFTWARE) for anything mrharm did not foresee."""
    return _outcome(error)[0]


def http_status(error: BaseException) -> int:
    """The service's status for ``error``; 500 for anything mrharm did not foresee."""
    return _outcome(error)[1]


def _outcome(error: BaseException) -> tuple[int, int]:
    for kind in type(error).__mro__:
        if kind in OUTCOMES:
            return OUTCOMES[kind]
    return (70, 500)
