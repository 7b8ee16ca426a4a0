"""How a source writes its labels, and how to write them back.

A `LabelScheme` maps a row's label values onto the canonical `Label` and a `Label` onto label values. Where the way back
would not give what stood in the row (a spelling of its own, a target nobody else has), the row's values are kept in
``extra["label_as_given"]``, so that nothing the source said is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mrharm.errors import DataError
from mrharm.records import Label, Meme

AS_GIVEN = "label_as_given"


@dataclass(frozen=True)
class LabelScheme:
    """One source's labels: ``read`` a row's label values (None: unlabelled), ``write`` a label as the source would.

    ``columns`` are the columns the values stand in; ``about`` says in a line what they mean. ``read`` raises DataError
    for values the source does not have.
    """

    about: str
    columns: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Label | None]
    write: Callable[[Label], dict[str, Any]]

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The label values among the values of a row."""
        return {column: row[column] for column in self.columns if column in row}

    def take(self, values: Mapping[str, Any]) -> tuple[Label | None, dict[str, Any]]:
        """A row's label values -> the label, and what belongs in the meme's ``extra`` so that nothing is lost.

        Raises:
            DataError: the source has no such values.
        """
        label = self.read(values)
        said = [value for value in values.values() if value not in (None, "")]
        all_said = self.write(label) == dict(values) if label else not said
        return label, {} if all_said else {AS_GIVEN: dict(values)}

    def give(self, meme: Meme) -> dict[str, Any] | None:
        """The label values a meme had in its source; None for a meme without a label."""
        if AS_GIVEN in meme.extra:
            return dict(meme.extra[AS_GIVEN])
        return self.write(meme.label) if meme.label else None


def flag(values: Mapping[str, Any], column: str) -> bool | None:
    """A 0 or 1, as a number or a text; None where it is absent or empty. Raises DataError for anything else.

    ``1.0`` counts too: it is what pandas makes of a 1 in a column with gaps.
    """
    value = values.get(column)
    word = "" if value is None else str(value).strip()
    if not word:
        return None
    if isinstance(value, bool) or word not in ("0", "1", "0.0", "1.0"):
        raise DataError(f"{column}: expected 0 or 1, got {str(value)[:60]!r}")
    return word.startswith("1")


def one_of(values: Mapping[str, Any], column: str, words: Iterable[str]) -> str | None:
    """One of ``words``, whatever its case; None where it is absent or empty. Raises DataError for anything else."""
    value = values.get(column)
    word = "" if value is None else str(value).strip().lower()
    if word and word not in words:
        raise DataError(f"{column}: expected one of {', '.join(words)}, got {str(value)[:60]!r}")
    return word or None
