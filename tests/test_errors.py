import errno
from pathlib import Path

import pytest

from mrharm import errors
from mrharm.errors import FileError, MrHarmError, exit_code, file_error


def kinds() -> list[type[MrHarmError]]:
    return [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MrHarmError)
    ]


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_error_has_an_exit_code_that_is_not_a_bugs(kind: type[MrHarmError]) -> None:
    assert exit_code(kind("x")) in (2, 3, 4)


def test_exit_codes_are_those_of_the_design() -> None:
    class OddImageError(errors.ImageError):
        pass

    assert exit_code(errors.InputError("x")) == exit_code(OddImageError("x")) == 2
    assert exit_code(errors.StoppedError("x")) == exit_code(KeyboardInterrupt()) == 3
    assert exit_code(errors.GateError("x")) == 4
    assert exit_code(ValueError("x")) == 70
    assert errors.EXIT_SOME_FAILED == 1


def test_what_the_system_says_of_a_file_is_told_with_its_name_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        tmp_path.read_text()
    error = file_error(raised.value)
    assert isinstance(error, FileError)
    assert str(error) == f"{tmp_path}: Is a directory; expected a file, not a folder: name a file"
    renamed = file_error(OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"))
    assert str(renamed) == "a -> b: Invalid cross-device link; mend that, then run the same command again"


def test_an_error_that_speaks_of_no_file_is_none_of_a_file() -> None:
    for error in (ConnectionResetError(errno.ECONNRESET, "reset"), OSError("odd"), TimeoutError()):
        assert file_error(error) is None
