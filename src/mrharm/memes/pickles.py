"""Pickles from strangers, read without the machine that can run them.

Published packages hand out captions and rationales as pickles of plain dictionaries. A pickle is a program: loading one
the usual way runs whatever its author wrote.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.rows import read_bytes

MAX_BYTES = 50_000_000
MAX_STEPS = 5_000_000  # instructions read
MAX_VALUES = 2_000_000  # values met when walking the result as a tree
MAX_CHARACTERS = 200_000_000
MAX_DEPTH = 50
MAX_INTEGER_BITS = 64  # Python hashes larger ones so that thousands can be made to collide in one dictionary

PLAIN = "dictionaries, lists, tuples, texts, numbers, true, false and None"
_MEND = "ask its author for a JSON file of {id: text}, or move it away to import without"

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_PYTHON_2_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OBJECTS = ("REDUCE", "BUILD", "OBJ", "NEWOBJ", "NEWOBJ_EX")


class _Refused(Exception):
    """A pickle that is not plain, or not a pickle; the text says why and is completed by `read_pickle`."""


def read_pickle(path: Path) -> Any:
    """A pickle of plain values (``PLAIN``, and nothing else) -> its value; nothing in the file is ever run.

    Raises:
        DataError: the file cannot be read, is too large, cut short or no pickle, wants to load or build anything that
            is not plain (which is named), holds itself, or unfolds to far more than its size.
    """
    # Not a `pickle.Unpickler` that refuses `find_class`: extension codes (EXT1...) are looked up without asking it, one
    # LONG_BINPUT makes it allocate gigabytes, and a key (t, t) of t = (u, u) of u = ... is hashed for ever. So the
    # instructions are taken apart by `pickletools`, which only reads, and the few that make plain values are carried
    # out here; there is no code in this file that could load or call what a pickle names.
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if size > MAX_BYTES:
        raise DataError(
            f"{path}: {size:,} bytes; pickles are read up to {MAX_BYTES:,}; save it as JSON, or move it away"
        )
    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in texts of protocol 0
            value = _Machine().run(data)
        _check_tree(value)
    except _Refused as error:
        raise DataError(f"{path}: {error}; {_MEND}") from None
    return value


class _Machine:
    """The stack machine of a pickle, cut down to the instructions that make plain values."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each mark
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for step, (name, argument, end) in enumerate(_instructions(data)):
            if step >= MAX_STEPS:
                raise _Refused(f"more than {MAX_STEPS:,} instructions")
            if name == "STOP":
                if end != len(data):
                    raise _Refused(f"{len(data) - end:,} bytes follow its end; expected one pickle")
                if self._below or len(self._stack) != 1:
                    raise _Refused("broken: it ends with values left over")
                return self._stack[0]
            self._do(name, argument)
        raise _Refused("cut short")

    def _do(self, name: str, argument: Any) -> None:
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in _EMPTY:
            self._push(_EMPTY[name]())
        elif name in _NUMBERS:
            self._push(_number(argument))
        elif name in _TEXTS:
            self._push(_text(argument))
        elif name in _PYTHON_2_TEXTS:
            self._push(_python_2_text(argument))
        elif name in _TUPLES:
            self._push(tuple(self._pop(_TUPLES[name])))
        elif name == "MARK":
            self._below.append(self._stack)
            self._stack = []
        elif name == "TUPLE":
            self._push(tuple(self._to_mark()))
        elif name == "LIST":
            self._push(self._to_mark())
        elif name == "DICT":
            self._push(_put({}, self._to_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = self._to_mark() if name == "APPENDS" else self._pop(1)
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._to_mark() if name == "SETITEMS" else self._pop(2)
            _put(self._top(dict), pairs)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._top(object)
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top(object)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise _Refused(f"broken: it asks for value {argument} before making it")
            self._push(self._memo[argument])
        else:
            raise _Refused(self._wanted(name, argument))

    def _wanted(self, name: str, argument: Any) -> str:
        """What an instruction that is not plain was after, in words."""
        if name in ("GLOBAL", "INST"):
            what = f"load {str(argument).replace(' ', '.')[:80]!r}"
        elif name == "STACK_GLOBAL":
            what = f"load {'.'.join(str(part) for part in self._stack[-2:])[:80]!r}"
        elif name.startswith("EXT"):
            what = f"load what stands under extension code {argument}"
        elif name in ("PERSID", "BINPERSID"):
            what = "load a persistent object"
        elif name in _OBJECTS:
            what = f"build an object ({name})"
        else:
            what = f"make something else ({name})"
        return f"a pickle that wants to {what}; nothing was run; expected only {PLAIN}"

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise _Refused("broken: it uses more values than it makes")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _to_mark(self) -> list[Any]:
        if not self._below:
            raise _Refused("broken: it goes back to a mark it never set")
        items, self._stack = self._stack, self._below.pop()
        return items

    def _top(self, kind: type[Any]) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise _Refused(f"broken: it expects a {kind.__name__} that is not there")
        return self._stack[-1]


def _instructions(data: bytes) -> Iterable[tuple[str, Any, int]]:
    """(name, argument, where the next one starts) of each instruction; a pickle's lengths never exceed ``data``."""
    place = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            place = position or 0
            yield opcode.name, argument, place + 1
    except ValueError as error:
        raise _Refused(f"not a whole pickle (after byte {place:,}: {str(error)[:80]})") from None


def _put(target: dict[Any, Any], flat: list[Any]) -> dict[Any, Any]:
    if len(flat) % 2:
        raise _Refused("broken: a key without a value")
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        if not isinstance(key, str | int | float | None):
            raise _Refused(f"a dictionary keyed by a {type(key).__name__}; expected texts or numbers")
        target[key] = value
    return target


def _number(value: float) -> float:
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise _Refused(f"a number of {value.bit_length():,} bits; at most {MAX_INTEGER_BITS:,} are read")
    return value


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Refused("half of a surrogate pair stands alone in a text") from None
    return value


def _python_2_text(value: str) -> str:
    try:  # `pickletools` hands the bytes over as Latin-1
        return value.encode("latin-1").decode("utf-8")
    except ValueError:
        raise _Refused("a Python 2 string that is not UTF-8") from None


def _check_tree(value: Any) -> None:
    """Refuse what would explode in use: values shared so often, or nested so deep, that walking them never ends.

    A container that holds itself is the endless case of nesting.
    """
    values = characters = 0
    todo = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        values += 1
        if depth > MAX_DEPTH:
            raise _Refused(f"values nested more than {MAX_DEPTH} deep, or holding themselves")
        inner: list[Any] = []
        if isinstance(item, str):
            characters += len(item)
        elif isinstance(item, dict):
            inner = [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            inner = list(item)
        if values + len(todo) + len(inner) > MAX_VALUES or characters > MAX_CHARACTERS:
            raise _Refused(f"it unfolds to more than {MAX_VALUES:,} values or {MAX_CHARACTERS:,} characters")
        todo += [(part, depth + 1) for part in inner]
