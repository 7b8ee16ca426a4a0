"""Read the labels of a source into the canonical `Label`, and keep what a `Label` cannot hold.

Cells not spelt as the source usually spells the label (``1.0`` for ``1``) are kept in ``extra["label_as_given"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mrharm.errors import DataError
from mrharm.records import Label, Severity
from mrharm.texts import fold

AS_GIVEN = "label_as_given"

# HarMeme's words for the three severities; people's own tables use them too.
SEVERITIES: dict[str, Severity] = {
    "not harmful": "none",
    "somewhat harmful": "somewhat",
    "very harmful": "very",
}

Cells = Mapping[str, Any]  # column -> value


@dataclass(frozen=True)
class LabelScheme:
    """How one source labels memes.

    Attributes:
        about: what the labels mean, in one line.
        columns: the columns that hold them.
        read: label cells of a row -> the label (None: unlabelled), and the cells in the source's usual spelling of it;
            raises DataError for values the source does not have.
    """

    about: str
    columns: tuple[str, ...]
    read: Callable[[Cells], tuple[Label | None, dict[str, Any]]]

    def parse(self, row: Cells) -> tuple[Label | None, dict[str, Any]]:
        """Return the label of a row, and what belongs in the meme's ``extra`` so that nothing is lost.

        Raises:
            DataError: the source has no such values.
        """
        cells = {column: row[column] for column in self.columns if column in row}
        label, usual = self.read(cells)
        blank = all(value in (None, "") for value in cells.values())
        told_by_label = usual == cells if label else blank
        return label, {} if told_by_label else {AS_GIVEN: cells}


def read_flag(cells: Cells, column: str) -> bool | None:
    """Return a 0 or 1, a number or a text, as a bool; None where it is empty; raises DataError for anything else.

    ``1.0`` counts too: pandas makes it of a 1 in a column with gaps.
    """
    value = cells.get(column)
    word = "" if value is None else str(value).strip()
    if not word:
        return None
    if isinstance(value, bool) or word not in ("0", "1", "0.0", "1.0"):
        raise DataError(f"{column}: expected 0 or 1, got {str(value)[:60]!r}")
    return word.startswith("1")


def read_word(cells: Cells, column: str, words: Iterable[str]) -> str | None:
    """Return one of ``words``, whatever its case; None where it is empty; raises DataError for anything else."""
    value = cells.get(column)
    word = "" if value is None else fold(str(value))
    if word and word not in words:
        raise DataError(f"{column}: expected one of {', '.join(words)}, got {str(value)[:60]!r}")
    return word or None
