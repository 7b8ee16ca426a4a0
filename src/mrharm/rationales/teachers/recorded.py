"""The ``recorded`` teacher: rationales somebody else had written, from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.llm import CallError, Completion
from mrharm.rationales.teachers import Question
from mrharm.records import read_objects
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
        data, rows = read_objects(Path(file), "rationales by id")
        self.name = f"recorded@{sha256_bytes(data)[:12]}"
        self._file = file
        self._texts = dict(_pairs(rows))

    def answer(self, questions: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """As `Teacher.answer`; a meme the file does not speak of has no answer."""
        for index, question in enumerate(questions):
            text = self._texts.get(question.meme.id)
            if text is None:
                yield index, CallError(f"{question.meme.id}: no rationale in {self._file}", "bad_request")
            elif not text.strip():
                yield (
                    index,
                    CallError(f"{question.meme.id}: an empty rationale in {self._file}", "empty", text),
                )
            else:
                key = content_key(self.name, question.meme.id)
                yield index, Completion(text, None, text, "stop", True, None, key)


def _pairs(rows: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    for where, row in rows:
        meme_id = row.get("id", row.get("meme_id"))
        pairs = row.items() if meme_id is None else [(meme_id, row.get("text", row.get("rationale")))]
        for key, value in pairs:
            if not isinstance(value, str) or not isinstance(key, str | int):
                raise DataError(
                    f"{where}: expected an id and its rationale; got {key!r}: {str(value)[:60]!r}"
                )
            yield str(key), value
