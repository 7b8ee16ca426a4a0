"""Words of posted texts: how they are counted, and what each split may say."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from mrharm.errors import DataError
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.frames import FRAMES
from mrharm.synthetic.phrases import CLAIMS, MANNERS

CASES = ("lower", "sentence", "title", "upper")
_ENDINGS = ("", "", "!", ".", "...")


def words(text: str) -> set[str]:
    """The words of a text, lower case, without punctuation."""
    return set(re.findall(r"[a-z]+", text.lower()))


def vocabulary(split: str) -> set[str]:
    """Every word that a text of this split can be made of."""
    texts: list[str] = []
    for frames in FRAMES.values():
        texts += frames.of(split)
    for concept in CONCEPTS:
        texts += [*CLAIMS[concept].of(split), *MANNERS[concept].of(split)]
    return set().union(*(words(text) for text in texts))


def assert_phrases() -> None:
    """Check the tables: held-out phrasings are unseen but made of seen words, lexical ones hold an unseen word.

    Raises:
        DataError: names the phrase or the words that break the rule.
    """
    train = vocabulary("train")
    for split in ("validation", "test"):
        if unseen := vocabulary(split) - train:
            raise DataError(f"words of {split} texts that no train text has: {', '.join(sorted(unseen))}")
    tables = [*FRAMES.values(), *CLAIMS.values(), *MANNERS.values()]
    for row in tables:
        kept: list[str] = [phrase for split in ("train", "validation", "test") for phrase in row.of(split)]
        if len(set(kept)) < len(kept):
            raise DataError(f"a phrase is kept for two splits: {', '.join(sorted(kept))}")
    for table in (CLAIMS, MANNERS):
        for concept, row in table.items():
            for phrase in row.of("lexical"):
                if words(phrase) <= train:
                    raise DataError(f"lexical phrase of {concept} without an unseen word: {phrase!r}")


def assert_vocabulary(train: Iterable[str], held_out: Iterable[str]) -> None:
    """Check that every word of ``held_out`` texts occurs in the ``train`` texts.

    Raises:
        DataError: lists the words that do not.
    """
    seen: set[str] = set().union(*(words(text) for text in train))
    unseen: set[str] = set().union(*(words(text) for text in held_out)) - seen
    if unseen:
        raise DataError(f"words of held-out texts that no train text has: {', '.join(sorted(unseen))}")


def posted(text: str, case: str, rng: random.Random) -> str:
    """The text as a person would post it: cased (one of ``CASES``), with some ending or none."""
    text += rng.choice(_ENDINGS)
    if case == "upper":
        return text.upper()
    if case == "title":
        return " ".join(word.capitalize() for word in text.split(" "))
    return text[:1].upper() + text[1:] if case == "sentence" else text
