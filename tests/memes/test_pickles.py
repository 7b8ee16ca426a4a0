import contextlib
import pickle
import struct
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.errors import DataError
from mrharm.memes import recorded
from mrharm.memes.recorded import read_pickle

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


def hostile(marker: str) -> dict[str, tuple[bytes, str]]:
    """Hand-written instructions -> what the error says they wanted."""
    command = f"touch {marker}".encode()
    return {
        "global": (b"cos\nsystem\n(V" + command + b"\ntR.", r"load 'os\.system'"),
        "stack global": (
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(command)]) + command + b"\x85R.",
            r"load 'os\.system'",
        ),
        "inst": (b"(V" + command + b"\nios\nsystem\n.", r"load 'os\.system'"),
        "obj": (b"(cos\nsystem\nV" + command + b"\no.", r"load 'os\.system'"),
        "newobj": (b"\x80\x02cbuiltins\nlist\n)\x81.", r"load 'builtins\.list'"),
        "persid": (b"Panything\n.", "PERSID at byte"),
        "ext1": (b"\x80\x02\x82\xf0)R.", "EXT1 at byte"),
        "ext2": (b"\x80\x02\x83\xf0\xf0)R.", "EXT2 at byte"),
        "ext4": (b"\x80\x02\x84\xf0\xf0\xf0\x70)R.", "EXT4 at byte"),
        "reduce of a text": (b"Va\n(tR.", "TUPLE at byte"),
        "build on a dict": (b"}}b.", "BUILD at byte"),
        "build on a text": (b"Va\n}b.", "BUILD at byte"),
        "bytes": (pickle.dumps(b"a", 4), "makes something else"),
        "set": (pickle.dumps({1}, 4), "makes something else"),
        "out-of-band buffer": (b"\x80\x05\x97.", "makes something else"),
        "old bytes": (pickle.dumps(b"a", 2), r"load '_codecs\.encode'"),
        "a plain class": (pickle.dumps(OrderedDict(a=1)), r"load 'collections\.OrderedDict'"),
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_every_instruction_that_loads_or_builds_is_refused_by_name(
    tmp_path: Path, marker: str, name: str
) -> None:
    data, why = hostile(marker)[name]
    with pytest.raises(DataError, match=why):
        read_pickle(saved(tmp_path, data))


def doubled(times: int) -> bytes:
    """(t, t) of t = (u, u) of u = ...: a few bytes that unfold to 2 ** times texts, or hash as long."""
    return b"\x80\x04X\x01\0\0\0a" + b"".join(b"\x94h" + bytes([place]) + b"\x86" for place in range(times))


def laughs(times: int) -> bytes:
    """Lists of two of the one before: [[t, t], [t, t]] of t = [u, u] of u = ..."""
    values: list[Any] = ["you"]
    for _ in range(times):
        values = [values, values]
    return pickle.dumps(values)


BOMBS = {
    "laughs": (laughs(60), "nested more than|unfolds"),
    "few laughs": (laughs(40), "unfolds to more than"),
    "a key hashed for ever": (b"\x80\x04}" + doubled(60)[2:] + b"K\x01s.", "TUPLE2 at byte"),
    "itself": (b"]\x94h\x00a.", "holding themselves"),
    "itself in a dict": (b"}\x94X\x01\0\0\0ah\x00s.", "holding themselves"),
    "depth": (b"]" * 2000 + b"a" * 1999 + b".", "nested more than"),
    "a text a million times": (
        b"(X" + struct.pack("<I", 1000) + b"a" * 1000 + b"\x94" + b"h\x00" * 1_000_000 + b"l.",
        "unfolds to more than",
    ),
    "a far memo slot": (b"Va\nr\xff\xff\xff\xff.", "memo slot 4,294,967,295"),
    "a key that is a list": (b"}]K\x01s.", "unhashable"),
    "a long number": (b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".", "number of .* bits"),
    "a long number in digits": (b"L" + b"9" * 100_000 + b"L\n.", "not a pickle of plain values"),
    "a number that is not all there": (b"\x8b\xff\xff\xff\x7f\x01.", "not a pickle of plain values"),
    "a text that is not all there": (b"\x8d" + b"\xff" * 7 + b"\x7fabc.", "not a pickle of plain values"),
    "a frame that is not all there": (
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x0fN",
        "not a pickle of plain values",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_the_cost_of_a_small_file(tmp_path: Path, name: str) -> None:
    data, why = BOMBS[name]
    with pytest.raises(DataError, match=why):
        read_pickle(saved(tmp_path, data))


def test_a_file_or_a_program_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, pickle.dumps(["you"] * 100))
    monkeypatch.setattr(recorded, "MAX_STEPS", 50)
    with pytest.raises(DataError, match="more than 50 instructions"):
        read_pickle(path)
    monkeypatch.setattr(recorded, "MAX_PICKLE", 50)
    with pytest.raises(DataError, match=r"captions\.pkl: over 50 bytes"):
        read_pickle(path)


BROKEN = {
    "empty": b"",
    "text": b"not a pickle at all",
    "json": b'{"a": "you"}',
    "no stop": b"\x80\x04N",
    "two in one": pickle.dumps({}) + pickle.dumps({}),
    "left under a mark": b"N(.",
    "nothing": b".",
    "no mark": b"t.",
    "no value": b"\x85.",
    "append to a text": b"Va\nVb\na.",
    "append to nothing": b"Va\na.",
    "under the mark": b"](Va\na.",
    "item on a list": b"]Va\nVb\ns.",
    "odd items": b"}(Va\nu.",
    "odd dict": b"(Va\nd.",
    "unknown memo": b"h\x05.",
    "memo of nothing": b"\x94N.",
    "half a pair": b"V\\ud800\n.",
    "python 2 bytes": b"U\x02\xff\xfe.",
    "odd escape": b"S'\\d'\n0.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pickle_is_named_with_its_mend(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"captions\.pkl: .*; ask its author for a JSON file"):
        read_pickle(saved(tmp_path, BROKEN[name]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere_is_refused(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"a": ["you", 1, 2.5, None, True, [-3]], "c": {}}, protocol)
    for length in range(len(data)):
        with pytest.raises(DataError):
            read_pickle(saved(tmp_path, data[:length]))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pkl: cannot be read"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(DataError, match="cannot be read"):
        read_pickle(tmp_path)


def test_python_2_strings_are_read_as_utf_8(tmp_path: Path) -> None:
    assert read_pickle(saved(tmp_path, b"\x80\x02}U\x01aU\x05caf\xc3\xa9s.")) == {"a": "café"}
    assert read_pickle(saved(tmp_path, b"(dp0\nS'a'\np1\nS'you'\np2\ns.")) == {"a": "you"}


def test_a_value_used_twice_is_read_twice(tmp_path: Path) -> None:
    shared = ["you"]
    assert read_pickle(saved(tmp_path, pickle.dumps({"a": shared, "b": shared}))) == {
        "a": ["you"],
        "b": ["you"],
    }


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(0, 99), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back_as_they_were(value: Any, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        again = read_pickle(saved(Path(folder), pickle.dumps(value, protocol)))
    assert again == value
    assert repr(again) == repr(value)  # 1 and True told apart


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from(b"()]}.0123NVIJKMSUX\n'atsudelbcgpqrhjR\x85\x94a"), max_size=40).map(bytes)
)
def test_whatever_the_bytes_are_it_reads_plain_values_or_fails_by_name(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), data)
        with contextlib.suppress(DataError):
            read_pickle(path)
        assert list(Path(folder).iterdir()) == [path]
