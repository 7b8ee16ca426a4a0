"""Texts that are empty, very long, in another script, or hold characters nobody sees."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

from mrharm.audit.findings import Example, Finding, Level, examples
from mrharm.audit.reading import Contents, Item
from mrharm.texts import hides

LONG_TEXT = 1000  # characters: a tweet thread, not a meme
FOREIGN = 0.3  # share of a text's letters that are not Latin


def text_findings(contents: Contents) -> tuple[list[Finding], dict[str, int]]:
    """What is odd about the texts, and how many there are of each kind."""
    items = contents.items
    kinds: list[tuple[str, Level, str, Callable[[Item], str | None]]] = [
        ("text-empty", "note", "have no text", _empty),
        ("text-long", "note", f"are longer than {LONG_TEXT:,} characters", _long),
        (
            "text-foreign",
            "note",
            f"have more than {100 * FOREIGN:.0f} % letters that are not Latin",
            _foreign,
        ),
        ("text-invisible", "warning", "hold characters that nobody sees", _invisible),
    ]
    found = []
    table: dict[str, int] = {}
    for code, level, what, ask in kinds:
        cases = [(item, said) for item in items if (said := ask(item)) is not None]
        table[code.removeprefix("text-")] = len(cases)
        if cases:
            cases.sort(key=lambda case: -len(case[0].meme.text or ""))
            found.append(
                Finding(
                    code=code,
                    level=level,
                    message=f"{len(cases):,} of {len(items):,} texts {what}",
                    count=len(cases),
                    of=len(items),
                    examples=examples(Example(memes=(item.id,), what=said) for item, said in cases),
                )
            )
    return found, table


def _raw(item: Item) -> str:
    return item.meme.text or (item.evidence.text if item.evidence else None) or ""


def _empty(item: Item) -> str | None:
    return None if item.text else ""


def _long(item: Item) -> str | None:
    return f"{len(_raw(item)):,} characters" if len(_raw(item)) > LONG_TEXT else None


def _foreign(item: Item) -> str | None:
    scripts = Counter(_script(letter) for letter in _raw(item) if letter.isalpha())
    letters, latin = scripts.total(), scripts.pop("LATIN", 0)
    return scripts.most_common(1)[0][0].lower() if letters - latin > FOREIGN * letters else None


def _invisible(item: Item) -> str | None:
    seen = Counter(letter for letter in _raw(item) if hides(letter))
    return (
        ", ".join(f"U+{ord(letter):04X} x{count}" for letter, count in seen.most_common(3)) if seen else None
    )


@cache
def _script(letter: str) -> str:
    """The first word of the character's Unicode name: LATIN, CYRILLIC, CJK, ARABIC ..."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]
