"""The ``recorded`` teacher: rationales somebody else had written, from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mrharm.errors import DataError, InputError
from mrharm.hosted import CallError, Completion
from mrharm.rationales.teachers import Ask
from mrharm.records import parse_json
from mrharm.store import content_key, sha256_bytes


class RecordedTeacher:
    """Answers by meme id: one JSON object ``{id: text}``, or JSON lines with ``id`` (or ``meme_id``) and ``text``.

    Another dataset's rationales.jsonl and the published ``*_rationale.json`` can be given as they are. Of several
    lines for one meme the last counts.

    Raises:
        InputError: no file is named, or it is missing.
        DataError: it holds something else; the message names file and line.
    """

    reads_prompt = False
    sees_pictures = False

    def __init__(self, file: str | None) -> None:
        if not file:
            raise InputError("the recorded teacher wants a file: recorded:FILE, {id: text} as JSON")
        try:
            data = Path(file).read_bytes()
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read ({error.strerror}); expected rationales by id"
            ) from None
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8 ({error.reason} at byte {error.start})") from None
        self.name = f"recorded@{sha256_bytes(data)[:12]}"
        self._file = file
        self._texts = dict(_pairs(text, file))

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[int, Completion | CallError]]:
        """As `Teacher.answer`; a meme the file does not speak of has no answer."""
        for index, ask in enumerate(asks):
            text = self._texts.get(ask.meme.id)
            if text is None:
                yield index, CallError(f"{ask.meme.id}: no rationale in {self._file}", "bad_request")
            elif not text.strip():
                yield index, CallError(f"{ask.meme.id}: an empty rationale in {self._file}", "empty", text)
            else:
                key = content_key(self.name, ask.meme.id)
                yield index, Completion(text, None, text, "stop", True, None, key)


def _pairs(text: str, name: str) -> Iterator[tuple[str, str]]:
    try:
        rows = [(name, parse_json(text))]
    except ValueError:
        lines = enumerate(text.split("\n"), 1)
        rows = [
            (f"{name}, line {number}", _parse(line, name, number)) for number, line in lines if line.strip()
        ]
    for where, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with rationales by id; got {str(row)[:60]!r}")
        meme_id = row.get("id", row.get("meme_id"))
        pairs = row.items() if meme_id is None else [(meme_id, row.get("text", row.get("rationale")))]
        for key, value in pairs:
            if not isinstance(value, str) or not isinstance(key, str | int):
                raise DataError(
                    f"{where}: expected an id and its rationale; got {key!r}: {str(value)[:60]!r}"
                )
            yield str(key), value


def _parse(line: str, name: str, number: int) -> object:
    try:
        return parse_json(line)
    except ValueError as error:
        raise DataError(f"{name}, line {number}: not JSON ({error})") from None
