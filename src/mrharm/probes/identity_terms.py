"""Terms that name groups of people: find them in a text, swap them, and swap other words as a control."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import yaml

from mrharm.records import Record

TERMS = "identity.yaml"
MOST_CANDIDATES = 50  # words tried in the place of one word of a control
_WORD = re.compile(r"(?<![\w@#'’./-])[^\W\d_]{3,}(?![\w@'’-]|\.\w)")
# Letters that patterns ignoring case take for i, and a second apostrophe.
_SAME_LETTER = str.maketrans("İı’", "Ii'")
_ENDINGS = ("ing", "ed", "ly", "s")
_LISTS = ("noun_adjective", "noun", "plural", "adjective", "guarded")  # of a `TermSet`, without ``the``
Words = tuple[str, ...]
Span = tuple[int, int]
Form = Literal["noun_adjective", "noun", "plural", "adjective", "before_people", "the"]


class TermSet(Record):
    """Terms that can take each other's place, by form, as ``identity.yaml`` explains the forms."""

    noun_adjective: Words = ()
    noun: Words = ()
    plural: Words = ()
    adjective: Words = ()
    guarded: Words = ()
    the: Words = ()

    def fitting(self, form: Form) -> Words:
        """Return the terms that are grammatical where a term of this form is."""
        return {
            "noun_adjective": self.noun_adjective,
            "noun": self.noun + self.noun_adjective,
            "plural": self.plural,
            "adjective": self.adjective + self.noun_adjective,
            "before_people": self.noun_adjective + self.adjective + self.guarded,
            "the": self.the,
        }[form]


class Axis(Record):
    """What groups are told apart by; terms of one set can replace one another."""

    sets: tuple[TermSet, ...]


class TermList(Record):
    """The content of ``identity.yaml``, which explains its keys."""

    axes: dict[str, Axis]
    people: frozenset[str]
    capital: frozenset[str]
    exceptions: Words
    little: frozenset[str]


@dataclass(frozen=True)
class Mention:
    """A term that names a group in a text, at ``span``; ``fitting``: the terms that can replace it, itself included."""

    axis: str
    term: str
    span: Span
    fitting: Words


@cache
def term_list() -> TermList:
    """Read the terms and the words that guard them."""
    text = (resources.files("mrharm.probes") / TERMS).read_text(encoding="utf-8")
    return TermList.model_validate(yaml.safe_load(text))


@cache
def _term_index() -> Mapping[str, tuple[str, TermSet, str]]:
    """Return term -> its axis, its set, and the list of the set that holds it."""
    index: dict[str, tuple[str, TermSet, str]] = {}
    for axis_name, axis in term_list().axes.items():
        for term_set in axis.sets:
            for form in _LISTS:
                index |= dict.fromkeys(getattr(term_set, form), (axis_name, term_set, form))
    return index


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of terms, longer ones first, and of the phrases in which a term names no group."""
    longest_first = sorted(_term_index(), key=len, reverse=True)
    term = "|".join(r"[\s-]+".join(map(re.escape, re.split(r"[ -]", term))) for term in longest_first)
    phrase = "|".join(
        r"\s+".join(rf"(?:{term})" if word == "*" else re.escape(word) for word in phrase.split())
        for phrase in sorted(term_list().exceptions, key=len, reverse=True)
    )
    terms, exceptions = (
        re.compile(rf"(?<![\w@#-])(?:{pattern})(?![\w-]|\.\w)", re.IGNORECASE) for pattern in (term, phrase)
    )
    return terms, exceptions


def find_terms(text: str) -> list[Mention]:
    """Find the terms that name a group in a text, in order; a longer term hides those within it."""
    terms, exceptions = _patterns()
    text = text.translate(_SAME_LETTER)
    excepted = [match.span() for match in exceptions.finditer(text)]
    mentions = []
    for match in terms.finditer(text):
        start, end = match.span()
        if any(start < last and first < end for first, last in excepted):
            continue
        term = " ".join(re.split(r"[\s-]+", match[0].casefold()))
        term = term if term in _term_index() else term.replace(" ", "-")
        axis, term_set, _ = _term_index()[term]
        if form := _find_form(term, text, start, end):
            mentions.append(Mention(axis, term, (start, end), term_set.fitting(form)))
    return mentions


def _find_form(term: str, text: str, start: int, end: int) -> Form | None:
    """Return the form of a term at its place in a text; None where it names no group."""
    words, (_, term_set, form) = term_list(), _term_index()[term]
    after = re.match(r"\s+([\w'-]+)", text[end:])
    following = after[1].casefold().removesuffix("'s") if after else ""
    if form in ("noun_adjective", "adjective", "guarded") and following in words.people:
        return "before_people"
    if term in words.capital and (text.isupper() or not text[start].isupper()):
        return None
    ends = not after or following in words.little
    if term in term_set.the and ends and re.search(r"\bthe\s+$", text[:start], re.IGNORECASE):
        return "the"
    return None if form == "guarded" else form  # type: ignore[return-value]


def replace_words(text: str, changes: Iterable[tuple[Span, str]]) -> str:
    """Replace the words at these places in the case of the old ones; "a" or "an" before them is made to agree."""
    for (start, end), new in sorted(changes, reverse=True):
        old, before = text[start:end], text[:start]
        if match := re.search(r"\b(an?)(\s+)$", before, re.IGNORECASE):
            agreeing = article(new)
            all_upper = match[1].isupper() and old.isupper()
            agreeing = agreeing.upper() if all_upper else match[1][0] + agreeing[1:]
            before = before[: match.start()] + agreeing + match[2]
        capital = " ".join(word.capitalize() for word in new.split())
        text = before + (new.upper() if old.isupper() else capital if old[0].isupper() else new) + text[end:]
    return text


def article(term: str) -> str:
    """Return the indefinite article of a term, ``a`` or ``an``."""
    return "an" if term[0] in "aeiou" and not term.startswith(("eu", "uk")) else "a"


def swap_term(text: str, axis: str, term: str, replacement: str) -> str:
    """Replace a term of an axis wherever it names a group; where the text names both, they change places."""
    swapped = {term: replacement, replacement: term}
    return replace_words(
        text,
        [
            (mention.span, swapped[mention.term])
            for mention in find_terms(text)
            if mention.axis == axis and mention.term in swapped
        ],
    )


def list_swaps(mentions: Sequence[Mention]) -> list[tuple[str, str]]:
    """List the swaps (term, replacement) that fit wherever the term is, of the mentions of one axis in a text."""
    fitting: dict[str, Words] = {}
    for mention in mentions:
        earlier = fitting.get(mention.term, mention.fitting)
        fitting[mention.term] = tuple(term for term in earlier if term in mention.fitting)
    swaps = []
    for term, replacements in fitting.items():
        for replacement in replacements:
            fits_back = term in fitting.get(replacement, (term,))
            # Two terms that change places are one swap, whichever is named first.
            counted = replacement in fitting and replacement <= term
            if replacement != term and fits_back and not counted:
                swaps.append((term, replacement))
    return swaps


def control_candidates(text: str) -> list[tuple[Span, str]]:
    """Find the words of a text, with their places, that are neither terms nor words for people nor little words."""
    words = [(match.span(), match[0].casefold()) for match in _WORD.finditer(text)]
    return [(span, word) for span, word in words if word not in _unfit_words()]


@cache
def _unfit_words() -> frozenset[str]:
    words = term_list()
    return words.people | words.little | {part for term in _term_index() for part in re.split(r"[ -]", term)}


def collect_words(texts: Iterable[str]) -> dict[str, list[str]]:
    """Collect the words that a control may put in, as often as the texts hold them, by their ending.

    The ending is what can be said of a word's kind without a parser.
    """
    pool: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        for _, word in control_candidates(text):
            pool[_ending(word)].append(word)
    return pool


def _ending(word: str) -> str:
    return next((ending for ending in _ENDINGS if word.endswith(ending)), "")


def swap_control_words(
    text: str, count: int, pool: Mapping[str, Sequence[str]], rng: np.random.Generator
) -> str | None:
    """Swap ``count`` words of a text for drawn ones of the same ending; None where there are too few."""
    candidates = control_candidates(text)
    used = {word for _, word in candidates}
    changes = []
    for place in rng.permutation(len(candidates)):
        span, word = candidates[place]
        words = pool.get(_ending(word), ())
        draws = rng.choice(len(words), min(len(words), MOST_CANDIDATES), replace=False) if words else ()
        if new := next((words[draw] for draw in draws if words[draw] not in used), None):
            changes.append((span, new))
            used.add(new)
        if len(changes) == count:
            return replace_words(text, changes)
    return None
