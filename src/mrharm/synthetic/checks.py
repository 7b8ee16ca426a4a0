"""Check what the benchmark promises: which words a split may use, what train shows, that no single fact tells a label.

Every function raises DataError and names the first text, picture, pair or meme that breaks a promise.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from mrharm.errors import DataError
from mrharm.records import Meme
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.phrases import CLAIMS, FRAMES, MANNERS

MAIN = ("train", "validation", "test")
_MARGINALS = ("scene", "tone", "layout", "font", "case", "rendering", "template", "phrase", "caption")


def split_words(text: str) -> set[str]:
    """Return the words of a text, lower case, without punctuation."""
    return set(re.findall(r"[a-z]+", text.lower()))


def _join_words(texts: Iterable[str]) -> set[str]:
    return set().union(*(split_words(text) for text in texts))


def list_words(split: str) -> set[str]:
    """Return every word that a text of this split can be made of."""
    tables = [*FRAMES.values(), *CLAIMS.values(), *MANNERS.values()]
    return set().union(*(_join_words(table.of(split)) for table in tables))


def assert_phrases() -> None:
    """Check the tables: held-out phrasings are new but made of train's words, lexical ones hold a new word."""
    train = list_words("train")
    for split in ("validation", "test"):
        if unseen := list_words(split) - train:
            raise DataError(f"words of {split} texts that no train text has: {', '.join(sorted(unseen))}")
    for row in (*FRAMES.values(), *CLAIMS.values(), *MANNERS.values()):
        phrases = [phrase for split in MAIN for phrase in row.of(split)]
        if len(set(phrases)) < len(phrases):
            raise DataError(f"a phrase is kept for two splits: {', '.join(sorted(phrases))}")
    for concept in CONCEPTS:
        for phrase in (*CLAIMS[concept].of("lexical"), *MANNERS[concept].of("lexical")):
            if split_words(phrase) <= train:
                raise DataError(f"lexical phrase of {concept} without an unseen word: {phrase!r}")


def assert_vocabulary(train: Iterable[str], held_out: Iterable[str]) -> None:
    """Check that every word of ``held_out`` texts occurs in the ``train`` texts."""
    if unseen := _join_words(held_out) - _join_words(train):
        raise DataError(f"words of held-out texts that no train text has: {', '.join(sorted(unseen))}")


def assert_splits(memes: Iterable[Meme], *, strict: bool) -> None:
    """Check what train shows of the other splits; unless ``strict``, only that held-out pairs are nowhere else."""
    texts: dict[str | None, list[str]] = defaultdict(list)
    pairs: dict[str | None, set[tuple[str, str]]] = defaultdict(set)
    for meme in memes:
        texts[meme.split].append(meme.text or "")
        pairs[meme.split].add((meme.extra["truth"]["concept"], meme.extra["truth"]["scene"]))
    shown = pairs["train"] | pairs["validation"] | pairs["test"]
    if shared := shown & pairs["composition"]:
        raise DataError(f"pairs of composition that other splits hold: {sorted(shared)}")
    if not strict:
        return
    assert_vocabulary(texts["train"], [*texts["validation"], *texts["test"], *texts["composition"]])
    if missing := shown - pairs["train"]:
        raise DataError(f"pairs that train does not hold: {sorted(missing)}")
    scenes = {pair.scene for row in CONCEPTS.values() for pair in row}
    if missing_scenes := scenes - {scene for _, scene in pairs["train"]}:
        raise DataError(f"scenes that train does not hold: {sorted(missing_scenes)}")
    trained = _join_words(texts["train"])
    if plain := [text for text in texts["lexical"] if split_words(text) <= trained]:
        raise DataError(f"lexical texts without an unseen word: {plain[:3]}")


def assert_balanced(memes: Sequence[Meme], pictures: Mapping[str, str]) -> None:
    """Check that each text and each clean picture is, within its split, as often harmful as harmless.

    And that every harmful meme has two harmless confounders in its split: the same text on another picture, and another
    text on the same picture; that no picture is in two splits; that no other fact of a meme tells its label by itself.

    Args:
        memes: generated memes, with their label and truth.
        pictures: meme id -> SHA-256 of the clean picture's file.
    """
    for meme in memes:
        if meme.label is None or meme.id not in pictures or "truth" not in meme.extra:
            raise DataError(f"{meme.id}: expected a generated meme with a label, a truth and a clean picture")
    _assert_even(memes, "text", lambda meme: meme.text)
    _assert_even(memes, "clean picture", lambda meme: pictures[meme.id])
    for name in _MARGINALS:
        _assert_even(memes, name, lambda meme, name=name: meme.extra["truth"].get(name))  # type: ignore[misc]
    splits: dict[str, str | None] = {}
    for meme in memes:
        if splits.setdefault(pictures[meme.id], meme.split) != meme.split:
            raise DataError(f"{meme.id}: its picture is in {splits[pictures[meme.id]]} and in {meme.split}")
    _assert_confounders(memes, pictures)


def _assert_even(memes: Iterable[Meme], what: str, key: Callable[[Meme], Hashable]) -> None:
    counts: Counter[tuple[str | None, Hashable]] = Counter()
    for meme in memes:
        counts[meme.split, key(meme)] += 1 if _is_harmful(meme) else -1
    for (split, value), excess in counts.items():
        if excess:
            raise DataError(
                f"{split}: {what} {value!r} tells the label: harmful {excess:+d} times more than harmless"
            )


def _assert_confounders(memes: Sequence[Meme], pictures: Mapping[str, str]) -> None:
    """Check that every harmful meme has a harmless one with its text, and one with its picture."""
    pictures_of: dict[Hashable, set[str]] = defaultdict(set)  # those that make a text harmless
    texts_of: dict[Hashable, set[str | None]] = defaultdict(set)  # those that make a picture harmless
    for meme in memes:
        if not _is_harmful(meme):
            pictures_of[meme.split, meme.text].add(pictures[meme.id])
            texts_of[meme.split, pictures[meme.id]].add(meme.text)
    for meme in filter(_is_harmful, memes):
        if not pictures_of[meme.split, meme.text] - {pictures[meme.id]}:
            raise DataError(f"{meme.id}: no harmless meme has the same text on another picture")
        if not texts_of[meme.split, pictures[meme.id]] - {meme.text}:
            raise DataError(f"{meme.id}: no harmless meme has another text on the same picture")


def _is_harmful(meme: Meme) -> bool:
    return meme.label is not None and meme.label.harmful
