"""Odd text made plain for a student: what looks like a word is read as that word.

People hide words from filters behind lookalike letters, invisible characters and stacked accents. A student reads the
plain form; records keep the text as posted, for people to read.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

LONGEST = 10_000  # characters a student is given; no recipe reads more
# Accents a letter keeps where its script needs them; a Latin letter needs none that do not compose.
_MARKS = 2

# Letters of other scripts that look like a Latin one; Unicode Technical Standard 39, confusables.txt.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝькмнтвАВЕЅІЈКМНОРСТХУ" + "οαενιρτυκχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "օսոհզցԼ",
    "aeopcyxijshdqwbkmhtbABESIJKMHOPCTXY" + "oaevlptukxABEZHIKMNOPTYX" + "ounhqgL",
)
_EMOJI_JOINTS = "\u200d\ufe0e\ufe0f"
_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[A-Za-z]")


def plain(text: str) -> str:
    """A text as a student reads it, at most `LONGEST` characters.

    Compatibility forms are folded (NFKC: fullwidth, circled, mathematical letters); invisible and direction characters
    go; accents stacked on a letter ("zalgo") go; in a word that mixes Latin letters with lookalikes of other scripts
    the lookalikes become Latin, a word wholly in another script stays; emoji become their Unicode names, because they
    say something and a tokenizer may not know them. Plain English comes out as it went in.
    """
    if text.isascii():
        return text[:LONGEST]
    if len(text) > 2 * LONGEST:
        # Letters that nobody sees may not push words beyond the bound.
        text = "".join(
            letter
            for letter in text
            if not (hides(letter) or letter in _EMOJI_JOINTS or unicodedata.combining(letter))
        )
    # Folding can lengthen a text up to 18 times; nothing beyond the bound is worth the time.
    folded = unicodedata.normalize("NFKC", text[: 2 * LONGEST])
    visible = _without_stacked_marks(drop_hidden(folded))
    words = _WORD.sub(
        # A word wholly in another script stays.
        lambda match: match[0].translate(_LOOKALIKES) if _LATIN.search(match[0]) else match[0],
        visible,
    )
    return "".join(map(_spoken, words))[:LONGEST]


def fold(text: str) -> str:
    """Fold case, typographic apostrophes and white space: texts that fold alike are the same text."""
    return " ".join(text.casefold().replace("’", "'").split())


@cache
def hides(letter: str) -> bool:
    """Whether a character is one that nobody sees: zero width, direction marks, tags, controls but for breaks and tabs.

    The zero-width joiner and the variation selectors are not counted: emoji are made with them.
    """
    return unicodedata.category(letter) in ("Cf", "Cc", "Co", "Cs") and letter not in "\n\r\t\u200d"


def drop_hidden(text: str) -> str:
    """Return a text without its invisible and control characters: what is printed moves no cursor."""
    return "".join(letter for letter in text if not hides(letter))


def keep_visible(text: str) -> str:
    """Return a text without its hidden characters, but with white space of every kind."""
    return "".join(letter for letter in text if letter.isspace() or not hides(letter))


def sanitise(text: str) -> str:
    """Return a text of a dataset or a teacher on one line, without the characters that would move a cursor."""
    return drop_hidden(" ".join(text.split()))


def _without_stacked_marks(text: str) -> str:
    kept, marks, allowed = [], 0, _MARKS
    for letter in text:
        if unicodedata.combining(letter):
            marks += 1
        else:
            marks, allowed = 0, 0 if letter.isascii() else _MARKS
        if marks <= allowed:
            kept.append(letter)
    return "".join(kept)


@cache
def _spoken(letter: str) -> str:
    """An emoji's name between spaces; other characters as they are; joiners and selectors of emoji go."""
    if letter in _EMOJI_JOINTS:
        return ""
    if unicodedata.category(letter) != "So" or ord(letter) < 0x2190:
        return "" if 0x1F3FB <= ord(letter) <= 0x1F3FF else letter
    return f" {unicodedata.name(letter, 'symbol').lower()} "
