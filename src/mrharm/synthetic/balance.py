"""What the benchmark promises, checked on the memes themselves: neither modality alone tells anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from mrharm.errors import DataError
from mrharm.records import Meme

_MARGINALS = ("scene", "tone", "layout", "font", "case", "rendering", "template", "phrase", "caption")


def assert_balanced(memes: Sequence[Meme], pictures: Mapping[str, str]) -> None:
    """Check that each text and each clean picture is, within its split, as often harmful as harmless.

    And that every harmful meme has two harmless confounders in its split: the same text on another picture, and another
    text on the same picture; that no picture is in two splits; that no other fact of a meme tells its label by itself.

    Args:
        memes: generated memes, with their label and truth.
        pictures: meme id -> SHA-256 of the clean picture's file.

    Raises:
        DataError: names the first text, picture or meme that breaks the promise.
    """
    for meme in memes:
        if meme.label is None or meme.id not in pictures or "truth" not in meme.extra:
            raise DataError(f"{meme.id}: expected a generated meme with a label, a truth and a clean picture")
    _even(memes, "text", lambda meme: meme.text)
    _even(memes, "clean picture", lambda meme: pictures[meme.id])
    for name in _MARGINALS:
        _even(memes, name, lambda meme, name=name: meme.extra["truth"].get(name))  # type: ignore[misc]
    _homes(memes, pictures)
    _confounders(memes, pictures)


def _even(memes: Iterable[Meme], what: str, key: Callable[[Meme], Hashable]) -> None:
    counts: Counter[tuple[str | None, Hashable]] = Counter()
    for meme in memes:
        counts[meme.split, key(meme)] += 1 if _harmful(meme) else -1
    for (split, value), excess in counts.items():
        if excess:
            raise DataError(
                f"{split}: {what} {value!r} tells the label: harmful {excess:+d} times more than harmless"
            )


def _homes(memes: Iterable[Meme], pictures: Mapping[str, str]) -> None:
    homes: dict[str, str | None] = {}
    for meme in memes:
        if homes.setdefault(pictures[meme.id], meme.split) != meme.split:
            raise DataError(f"{meme.id}: its picture is in {homes[pictures[meme.id]]} and in {meme.split}")


def _confounders(memes: Sequence[Meme], pictures: Mapping[str, str]) -> None:
    by_text: dict[Hashable, list[Meme]] = defaultdict(list)
    by_picture: dict[Hashable, list[Meme]] = defaultdict(list)
    for meme in memes:
        by_text[meme.split, meme.text].append(meme)
        by_picture[meme.split, pictures[meme.id]].append(meme)
    for meme in filter(_harmful, memes):
        if not any(
            not _harmful(other) and pictures[other.id] != pictures[meme.id]
            for other in by_text[meme.split, meme.text]
        ):
            raise DataError(f"{meme.id}: no harmless meme has the same text on another picture")
        if not any(
            not _harmful(other) and other.text != meme.text
            for other in by_picture[meme.split, pictures[meme.id]]
        ):
            raise DataError(f"{meme.id}: no harmless meme has another text on the same picture")


def _harmful(meme: Meme) -> bool:
    return meme.label is not None and meme.label.harmful
