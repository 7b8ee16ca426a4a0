"""Texts that are empty, very long, in another script, or hold invisible characters; and what an edit made stale."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from mrharm.audit.findings import Example, Finding, report_cases
from mrharm.audit.reading import Contents, Item
from mrharm.rationales.staleness import rationale_is_stale
from mrharm.records import text_is_stale
from mrharm.texts import fold, hides

LONG_TEXT = 1000  # characters: a tweet thread, not a meme
FOREIGN = 0.3  # share of a text's letters that are not Latin
# What the sentence of each finding names as its limit.
_LIMITS = {"text-empty": 0, "text-long": LONG_TEXT, "text-foreign": round(100 * FOREIGN), "text-invisible": 0}


def audit_texts(contents: Contents) -> tuple[list[Finding], dict[str, int]]:
    """Find what is odd about the texts, or stale because of them, and count the odd ones of each kind."""
    cases: dict[str, list[Example]] = {code: [] for code in _LIMITS}
    for item in sorted(contents.items, key=lambda item: -len(item.words)):
        for code, what in _describe_oddities(item.words):
            cases[code].append(Example(memes=(item.id,), what=what))
    findings = []
    for code, limit in _LIMITS.items():
        findings += report_cases(code, cases[code], len(contents.items), limit=limit)
    table = {code.removeprefix("text-"): len(shown) for code, shown in cases.items()}
    return findings + find_stale(contents), table


def _describe_oddities(text: str) -> Iterator[tuple[str, str]]:
    """Yield the code of each finding that a text is a case of, and what is the matter."""
    if not fold(text):
        yield "text-empty", ""
    if len(text) > LONG_TEXT:
        yield "text-long", f"{len(text):,} characters"
    scripts = Counter(_name_script(letter) for letter in text if letter.isalpha())
    letters, latin = scripts.total(), scripts.pop("LATIN", 0)
    if letters - latin > FOREIGN * letters:
        yield "text-foreign", scripts.most_common(1)[0][0].lower()
    if invisible := Counter(letter for letter in text if hides(letter)).most_common(3):
        yield "text-invisible", ", ".join(f"U+{ord(letter):04X} x{count}" for letter, count in invisible)


@cache
def _name_script(letter: str) -> str:
    """Return the first word of the character's Unicode name: LATIN, CYRILLIC, CJK, ARABIC ..."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def find_stale(contents: Contents) -> list[Finding]:
    """Find evidence and rationales of words that a meme no longer has, because its text was edited since."""
    items, root = contents.items, contents.dataset.root
    rationales = {rationale.meme_id: rationale for rationale in contents.rationales}
    explained = [item for item in items if item.id in rationales]
    gathered = [item for item in items if text_is_stale(item.meme, item.evidence)]
    written = [
        item for item in explained if rationale_is_stale(item.meme, item.evidence, rationales[item.id])
    ]
    return [
        *report_cases("evidence-stale", _show_texts(gathered), len(items), root=root),
        *report_cases("rationale-stale", _show_texts(written), len(explained), root=root),
    ]


def _show_texts(items: Sequence[Item]) -> list[Example]:
    return [Example(memes=(item.id,), text=item.meme.text or "") for item in items]
