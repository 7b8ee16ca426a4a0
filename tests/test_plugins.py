from importlib.metadata import EntryPoint
from typing import Any

import pytest

from mrharm import plugins
from mrharm.errors import InputError
from mrharm.plugins import Table

TABLE = Table("toys", {"join": "os.path:join", "broken": "no_such_module_here:thing"})


def test_a_row_is_imported_only_when_it_is_loaded() -> None:
    assert TABLE.names() == ["join", "broken"]
    assert TABLE.load("join")("a", "b") == "a/b"
    with pytest.raises(ModuleNotFoundError):
        TABLE.load("broken")


def test_an_unknown_row_lists_the_rows_there_are() -> None:
    with pytest.raises(InputError, match="no toys called 'joy'; there are: join, broken"):
        TABLE.load("joy")


def test_third_parties_add_rows_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(*, group: str) -> list[EntryPoint]:
        assert group == "mrharm.toys"
        return [EntryPoint("split", "os.path:split", group), EntryPoint("join", "os.path:split", group)]

    monkeypatch.setattr(plugins, "entry_points", points)
    assert TABLE.names() == ["join", "broken", "split"]
    loaded: Any = TABLE.load("split")
    assert loaded("a/b") == ("a", "b")
    assert TABLE.load("join")("a", "b") == "a/b"
