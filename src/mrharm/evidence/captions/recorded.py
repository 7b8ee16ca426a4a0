"""Captions somebody else made: those in a file, or those the dataset came with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mrharm.errors import DataError, MissingInputError
from mrharm.evidence.captions import Described
from mrharm.records import read_texts_by_id
from mrharm.store import sha256_bytes


class RecordedCaptions:
    """Captions by meme id from a file; without one, none, so that what the importer put into the evidence stays.

    The file is one JSON object ``{id: caption}``, or JSON lines of ``{"id": ..., "caption": ...}`` (``meme_id`` does
    too, so another dataset's evidence.jsonl can be given). A row without a caption is skipped.

    Raises:
        InputError: the file is missing.
        DataError: it holds something else, or two captions for one id; the message names file and line.
    """

    batch_size = 256

    def __init__(self, argument: str | None = None) -> None:
        self.version = "recorded"
        self._file = argument
        self._captions: dict[str, str] = {}
        if argument:
            data, texts = read_texts_by_id(Path(argument), "caption", ("caption",))
            self.version = f"recorded@{sha256_bytes(data)[:12]}"
            for place, meme_id, text in texts:
                caption = " ".join((text or "").split())
                if caption and self._captions.setdefault(meme_id, caption) != caption:
                    raise DataError(f"{place}: a second caption for {meme_id!r}; expected one an id")

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return each meme's recorded caption, or a MissingInputError."""
        where = f" in {self._file}" if self._file else ""
        return [
            self._captions.get(picture.meme.id)
            or MissingInputError(
                f"{picture.meme.id}: no caption recorded{where}; name a captioner that makes one"
            )
            for picture in pictures
        ]
