"""Captions somebody else made: those in a file, or those the dataset came with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, MissingInputError
from mrharm.evidence.engines import Described
from mrharm.records import read_objects
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
            data, rows = read_objects(Path(argument), "captions by id")
            self.version = f"recorded@{sha256_bytes(data)[:12]}"
            for where, meme_id, caption in _captions(rows):
                if self._captions.setdefault(meme_id, caption) != caption:
                    raise DataError(f"{where}: a second caption for {meme_id!r}; expected one an id")

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Each meme's recorded caption, or a MissingInputError."""
        return [self._captions.get(picture.meme.id) or self._none(picture.meme.id) for picture in pictures]

    def _none(self, meme_id: str) -> MissingInputError:
        where = f" in {self._file}" if self._file else ""
        return MissingInputError(f"{meme_id}: no caption recorded{where}; name a captioner that makes one")


def _captions(rows: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    """(where, id, caption) of every caption that is not blank."""
    for where, row in rows:
        if "caption" in row and ("id" in row or "meme_id" in row):
            pairs = [(row.get("id", row.get("meme_id")), row["caption"])]
        elif "id" in row or "meme_id" in row:
            continue
        else:
            pairs = list(row.items())
        for meme_id, caption in pairs:
            if caption is None or caption == "":
                continue
            if not isinstance(caption, str) or not isinstance(meme_id, str | int):
                raise DataError(
                    f"{where}: expected an id and its caption; got {meme_id!r}: {str(caption)[:60]!r}"
                )
            if caption.strip():
                yield where, str(meme_id), " ".join(caption.split())
