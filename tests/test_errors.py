import pytest

from mrharm import errors
from mrharm.errors import OUTCOMES, MrHarmError, exit_code, http_status


def kinds() -> list[type[MrHarmError]]:
    return [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MrHarmError)
    ]


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_error_has_a_row_in_the_table(kind: type[MrHarmError]) -> None:
    assert kind in OUTCOMES


def test_exit_codes_are_those_of_the_design() -> None:
    assert exit_code(errors.InputError("x")) == 2
    assert exit_code(errors.StoppedError("x")) == exit_code(KeyboardInterrupt()) == 3
    assert exit_code(errors.GateError("x")) == 4
    assert (errors.EXIT_DONE, errors.EXIT_SOME_FAILED) == (0, 1)


def test_a_kind_without_a_row_takes_its_nearest_ancestors() -> None:
    class OddImageError(errors.ImageError):
        pass

    assert http_status(OddImageError("x")) == http_status(errors.ImageError("x")) == 415


def test_an_unforeseen_error_is_a_bug_to_both_faces() -> None:
    assert exit_code(ValueError("x")) == 70
    assert http_status(ValueError("x")) == 500
