"""Texts that are empty, very long, in another script, or hold invisible characters; and what an edit made stale."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

from mrharm.audit.findings import Example, Finding, report_cases
from mrharm.audit.reading import Contents
from mrharm.rationales.stale import rationale_is_stale
from mrharm.records import text_is_stale
from mrharm.texts import fold, hides

LONG_TEXT = 1000  # characters: a tweet thread, not a meme
FOREIGN = 0.3  # share of a text's letters that are not Latin


def audit_texts(contents: Contents) -> tuple[list[Finding], dict[str, int]]:
    """Find what is odd about the texts, or stale because of them, and count the odd ones of each kind."""
    findings: list[Finding] = []
    table: dict[str, int] = {}
    for code, limit, describe in _KINDS:
        cases = [(item, case) for item in contents.items if (case := describe(item.words)) is not None]
        cases.sort(key=lambda case: -len(case[0].words))
        shown = [Example(memes=(item.id,), what=case) for item, case in cases]
        table[code.removeprefix("text-")] = len(cases)
        findings += report_cases(code, shown, len(contents.items), limit=limit)
    return findings + find_stale(contents), table


def _describe_empty(text: str) -> str | None:
    return None if fold(text) else ""


def _describe_long(text: str) -> str | None:
    return f"{len(text):,} characters" if len(text) > LONG_TEXT else None


def _describe_foreign(text: str) -> str | None:
    scripts = Counter(_name_script(letter) for letter in text if letter.isalpha())
    letters, latin = scripts.total(), scripts.pop("LATIN", 0)
    return scripts.most_common(1)[0][0].lower() if letters - latin > FOREIGN * letters else None


def _describe_invisible(text: str) -> str | None:
    invisible = Counter(letter for letter in text if hides(letter)).most_common(3)
    return ", ".join(f"U+{ord(letter):04X} x{count}" for letter, count in invisible) or None


# Code, the limit its sentence names, and what makes a text such a case (None where it is none).
_KINDS: tuple[tuple[str, int, Callable[[str], str | None]], ...] = (
    ("text-empty", 0, _describe_empty),
    ("text-long", LONG_TEXT, _describe_long),
    ("text-foreign", round(100 * FOREIGN), _describe_foreign),
    ("text-invisible", 0, _describe_invisible),
)


@cache
def _name_script(letter: str) -> str:
    """Return the first word of the character's Unicode name: LATIN, CYRILLIC, CJK, ARABIC ..."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def find_stale(contents: Contents) -> list[Finding]:
    """Find evidence and rationales of words that a meme no longer has, because its text was edited since."""
    rationales = {rationale.meme_id: rationale for rationale in contents.rationales}
    explained = [item for item in contents.items if item.id in rationales]
    gathered = [item for item in contents.items if text_is_stale(item.meme, item.evidence)]
    written = [
        item for item in explained if rationale_is_stale(item.meme, item.evidence, rationales[item.id])
    ]
    findings = []
    for code, stale, items in (
        ("evidence-stale", gathered, contents.items),
        ("rationale-stale", written, explained),
    ):
        shown = [Example(memes=(item.id,), text=item.meme.text or "") for item in stale]
        findings += report_cases(code, shown, len(items), root=contents.dataset.root)
    return findings
