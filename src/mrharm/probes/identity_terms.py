"""Words by which people are named, found where they name a group in a text, and swapped; and other words beside."""

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
_TOKEN = re.compile(r"(?<![\w@#'’./-])[^\W\d_]{3,}(?![\w@'’-]|\.\w)")
_ALIKE = str.maketrans("İı’", "Ii'")  # which patterns that ignore case take for i, and a second apostrophe
_ENDINGS = ("ing", "ed", "ly", "s")
Words = tuple[str, ...]
Span = tuple[int, int]
Form = Literal["both", "noun", "plural", "adjective", "person", "the"]


class TermSet(Record):
    """Terms that can stand in each other's place, by form, as ``identity.yaml`` explains the forms."""

    both: Words = ()
    noun: Words = ()
    plural: Words = ()
    adjective: Words = ()
    guarded: Words = ()
    the: Words = ()

    def fitting(self, form: Form) -> Words:
        """The terms that stand rightly where one of this form does; ``person``: before a word for people."""
        return {
            "both": self.both,
            "noun": self.noun + self.both,
            "plural": self.plural,
            "adjective": self.adjective + self.both,
            "person": self.both + self.adjective + self.guarded,
            "the": self.the,
        }[form]


class Axis(Record):
    """What people are told apart by; ``ask``: the form that benign sentences end with, of the first set."""

    ask: Literal["noun", "adjective"]
    sets: tuple[TermSet, ...]

    @property
    def asked(self) -> Words:
        """The terms of benign sentences."""
        return self.sets[0].fitting("noun" if self.ask == "noun" else "person")


class TermList(Record):
    """``identity.yaml``, as it explains itself."""

    axes: dict[str, Axis]
    people: frozenset[str]
    capital: frozenset[str]
    exceptions: Words
    little: frozenset[str]


@dataclass(frozen=True)
class Mention:
    """A term in a text that names a group, and the terms that can stand in its place, itself among them."""

    axis: str
    term: str
    span: Span
    fitting: Words


@cache
def term_list() -> TermList:
    """The terms and what guards them, as they ship."""
    text = (resources.files("mrharm.probes") / TERMS).read_text(encoding="utf-8")
    return TermList.model_validate(yaml.safe_load(text))


@cache
def _places() -> Mapping[str, tuple[str, TermSet, str]]:
    """Term -> its axis, its set and the list it stands in."""
    return {
        term: (name, one, form)
        for name, axis in term_list().axes.items()
        for one in axis.sets
        for form in ("both", "noun", "plural", "adjective", "guarded")
        for term in getattr(one, form)
    }


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds terms, the longest first, and what finds exceptions."""
    longest_first = sorted(_places(), key=len, reverse=True)
    terms = "|".join(r"[\s-]+".join(map(re.escape, re.split(r"[ -]", term))) for term in longest_first)
    phrases = "|".join(
        r"\s+".join(rf"(?:{terms})" if word == "*" else re.escape(word) for word in phrase.split())
        for phrase in sorted(term_list().exceptions, key=len, reverse=True)
    )
    found = [rf"(?<![\w@#-])(?:{some})(?![\w-]|\.\w)" for some in (terms, phrases)]
    return re.compile(found[0], re.IGNORECASE), re.compile(found[1], re.IGNORECASE)


def find_terms(text: str) -> list[Mention]:
    """The terms of a text that name a group there, in order; a longer term hides those in it."""
    of_terms, of_exceptions = _patterns()
    text = text.translate(_ALIKE)
    matches = list(of_terms.finditer(text))
    exceptions = [match.span() for match in of_exceptions.finditer(text)] if matches else []
    mentions = []
    for match in matches:
        start, end = match.span()
        said = " ".join(re.split(r"[\s-]+", match[0].casefold()))
        term = said if said in _places() else said.replace(" ", "-")
        axis, one, _ = _places()[term]
        if any(start < last and first < end for first, last in exceptions):
            continue
        form = _form(term, text, start, end)
        if form:
            mentions.append(Mention(axis, term, (start, end), one.fitting(form)))
    return mentions


def _form(term: str, text: str, start: int, end: int) -> Form | None:
    """Which form a term has where it stands; None where it names no group there."""
    known, (_, one, form) = term_list(), _places()[term]
    after = re.match(r"\s+([\w'-]+)", text[end:])
    following = after[1].casefold().removesuffix("'s") if after else ""
    if form in ("both", "adjective", "guarded") and following in known.people:
        return "person"
    if term in known.capital and (text.isupper() or not text[start].isupper()):
        return None
    ends = not after or following in known.little
    if term in one.the and ends and re.search(r"\bthe\s+$", text[:start], re.IGNORECASE):
        return "the"
    return None if form == "guarded" else form  # type: ignore[return-value]


def replace_words(text: str, changes: Iterable[tuple[Span, str]]) -> str:
    """Other words at these places, in the case of those there; "a" and "an" before them follow."""
    for (start, end), new in sorted(changes, reverse=True):
        old, before = text[start:end], text[:start]
        if there := re.search(r"\b(an?)(\s+)$", before, re.IGNORECASE):
            right = article(new)
            right = right.upper() if there[1].isupper() and old.isupper() else there[1][0] + right[1:]
            before = before[: there.start()] + right + there[2]
        capital = " ".join(word.capitalize() for word in new.split())
        text = before + (new.upper() if old.isupper() else capital if old[0].isupper() else new) + text[end:]
    return text


def article(term: str) -> str:
    """The one that goes before a term: ``a`` or ``an``."""
    return "an" if term[0] in "aeiou" and not term.startswith(("eu", "uk")) else "a"


def swap_term(text: str, axis: str, term: str, other: str) -> str:
    """A term of an axis, wherever it names a group -> the other one; where both are there, they change places."""
    theirs = {term: other, other: term}
    return replace_words(
        text,
        [(one.span, theirs[one.term]) for one in find_terms(text) if one.axis == axis and one.term in theirs],
    )


def swaps_of(mentions: Sequence[Mention]) -> list[tuple[str, str]]:
    """Which terms of one axis in a text can be put in which one's place: it must fit wherever that one stands."""
    fitting: dict[str, Words] = {}
    for one in mentions:
        fitting[one.term] = tuple(term for term in fitting.get(one.term, one.fitting) if term in one.fitting)
    pairs = [
        (term, other)
        for term, others in fitting.items()
        for other in others
        if other != term and term in fitting.get(other, (term,))
    ]
    # Two terms that change places are one swap, whichever is named first.
    return [(term, other) for term, other in pairs if other not in fitting or term < other]


def other_words(text: str) -> list[tuple[Span, str]]:
    """Words of a text that say something and are no term, no word for people and no part of either, with places."""
    found = [(match.span(), match[0].casefold()) for match in _TOKEN.finditer(text)]
    return [(span, word) for span, word in found if word not in _unfit()]


@cache
def _unfit() -> frozenset[str]:
    known = term_list()
    parts = (part for term in _places() for part in re.split(r"[ -]", term))
    return known.people | known.little | frozenset(parts)


def words_to_draw(texts: Iterable[str]) -> dict[str, list[str]]:
    """Ending -> the words with it that other places can be given, as often as they stand in texts.

    The ending is what is known of a word's kind without a parser.
    """
    pool: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        for _, word in other_words(text):
            pool[_ending(word)].append(word)
    return pool


def _ending(word: str) -> str:
    return next((ending for ending in _ENDINGS if word.endswith(ending)), "")


def control_words(
    text: str, count: int, pool: Mapping[str, Sequence[str]], rng: np.random.Generator
) -> str | None:
    """``count`` other words of a text swapped for drawn ones of their ending; None where there are too few."""
    there = other_words(text)
    taken = {word for _, word in there}
    changes = []
    for place in rng.permutation(len(there)):
        span, word = there[place]
        some = pool.get(_ending(word), ())
        n_resamples = rng.choice(len(some), min(len(some), 50), replace=False) if some else ()
        if new := next((some[draw] for draw in n_resamples if some[draw] not in taken), None):
            changes.append((span, new))
            taken.add(new)
        if len(changes) == count:
            return replace_words(text, changes)
    return None
