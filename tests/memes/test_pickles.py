import contextlib
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.errors import DataError
from mrharm.memes import side_files
from mrharm.memes.side_files import read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def touch(path: str) -> dict[str, str]:
    """What a hostile pickle would call: it leaves a marker."""
    Path(path).touch()
    return {}


class Reduced:
    """Calls `touch` when loaded the usual way."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return touch, (self.marker,)


class Stated:
    """Touches its marker when its state is set."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["marker"]).touch()


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    """A path that stays free: any test that uses it fails where something was run."""
    path = tmp_path / "executed"
    yield str(path)
    assert not path.exists()


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "captions.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [Reduced, Stated])
def test_code_in_a_pickle_is_named_and_never_run(
    tmp_path: Path, marker: str, protocol: int, kind: type[Any]
) -> None:
    data = pickle.dumps({"a": "you", "b": kind(marker)}, protocol)
    with pytest.raises(DataError, match=r"captions\.pkl.*wants to load '.*'\); nothing was run.*JSON"):
        read_pickle(saved(tmp_path, data))
    if kind is Reduced:  # the pickle is a live one
        pickle.loads(data)
        assert Path(marker).exists()
        Path(marker).unlink()


REFUSED = {
    "global": (b"cos\nsystem\n(Vtouch executed\ntR.", r"load 'os\.system'"),
    "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", r"load 'os\.system'"),
    "inst": (b"(Vtouch executed\nios\nsystem\n.", r"load 'os\.system'"),
    "newobj": (b"\x80\x02cbuiltins\nlist\n)\x81.", r"load 'builtins\.list'"),
    "persistent": (b"Panything\n.", "persistent id"),
    "extension": (b"\x80\x02\x82\xf0)R.", "extension"),
    "bytes": (pickle.dumps(b"a", 4), "not JSON serializable"),
    "a plain class": (pickle.dumps(OrderedDict(a=1)), r"load 'collections\.OrderedDict'"),
    "itself": (b"]\x94h\x00a.", "unfolds"),
    "half a pair": (b"V\\ud800\n.", "half of a surrogate pair"),
    "empty": (b"", "empty or cut short"),
    "text": (b"not a pickle at all", "not a pickle"),
    "cut": (pickle.dumps({"a": ["you"] * 9})[:-9], "empty or cut short"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_pickle_of_plain_values_is_named_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(side_files, "MOST_VALUES", 10_000)
    data, why = REFUSED[name]
    with pytest.raises(DataError, match=rf"captions\.pkl: .*{why}.*; ask its author for a JSON file"):
        read_pickle(saved(tmp_path, data))


def test_python_2_strings_are_read_as_utf_8(tmp_path: Path) -> None:
    assert read_pickle(saved(tmp_path, b"\x80\x02}U\x01aU\x05caf\xc3\xa9s.")) == {"a": "café"}
    assert read_pickle(saved(tmp_path, b"(dp0\nS'a'\np1\nS'you'\np2\ns.")) == {"a": "you"}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back_as_they_were(value: Any, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        again = read_pickle(saved(Path(folder), pickle.dumps(value, protocol)))
    assert repr(again) == repr(value)  # 1 and True told apart


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from(b"()]}.0123NVIJKMSUX\n'atsudelbcgpqhR\x85\x94a"), max_size=40).map(bytes)
)
def test_whatever_the_bytes_are_it_reads_plain_values_or_fails_by_name(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), data)
        with contextlib.suppress(DataError):
            read_pickle(path)
        assert list(Path(folder).iterdir()) == [path]


@pytest.mark.parametrize("text", ["you", "you" * 3000])
def test_a_pickle_that_unfolds_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(side_files, "MOST_VALUES", 10_000)
    nested: Any = {text: text}  # in a pickle it is written once, and named in few bytes each further time
    for size in (500, 3) if len(text) > 3 else [2] * 40:
        nested = [nested] * size
    with pytest.raises(DataError, match="unfolds to more than 10,000"):
        read_pickle(saved(tmp_path, pickle.dumps(nested)))


def test_a_huge_place_in_the_memo_takes_no_memory(tmp_path: Path) -> None:
    # An empty list, noted at place 4,294,967,295.
    assert read_pickle(saved(tmp_path, b"\x80\x02]r\xff\xff\xff\xff.")) == []
