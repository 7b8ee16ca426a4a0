"""The ``recorded`` teacher: rationales somebody else had written, from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mrharm.errors import InputError
from mrharm.llm import CallError, Completion
from mrharm.rationales.teachers import Question
from mrharm.records import read_texts_by_id
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
        data, texts = read_texts_by_id(Path(file), "rationale", ("text", "rationale"))
        self.name = f"recorded@{sha256_bytes(data)[:12]}"
        self._file = file
        self._texts = {meme_id: text for _, meme_id, text in texts}

    def answer(self, questions: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Answer as `Teacher.answer`; a meme without a rationale in the file has none."""
        for index, question in enumerate(questions):
            text = self._texts.get(question.meme.id)
            if text is None:
                yield index, CallError(f"{question.meme.id}: no rationale in {self._file}", "bad_request")
            elif not text.strip():
                error = CallError(f"{question.meme.id}: an empty rationale in {self._file}", "empty", text)
                yield index, error
            else:
                key = content_key(self.name, question.meme.id)
                yield index, Completion(text, None, text, "stop", True, None, key)
