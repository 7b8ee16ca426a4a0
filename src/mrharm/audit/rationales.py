"""What the rationales would teach: reasons, or the label they were told to withhold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from mrharm.audit.findings import Example, Finding, examples
from mrharm.audit.reading import Contents
from mrharm.baselines import FOLDS, read_off
from mrharm.llm import looks_refused
from mrharm.rationales.leakage import (
    denies,
    holds_label,
    holds_severity,
    sentences,
    speaks_of_caption,
    states_label,
)
from mrharm.recipe import Recipe
from mrharm.records import Label, Rationale

TEACHING = ("unchecked", "ok", "deleaked")  # what may become a target, by a recipe's gate
LEAKING = 0.05  # of the rationales that state their label: beyond, a student learns to read it off them
PUBLISHED_LIMIT = 40  # tokens at which the published code cuts rationales
SHINGLE, NEARLY = 5, 0.8  # words a shingle; shared share of the shingles of two nearly identical texts

Case = tuple[Rationale, Label]


def rationale_findings(contents: Contents, recipe: Recipe) -> tuple[list[Finding], dict[str, Any]]:
    """Coverage, stated labels, refusals, truncation, captions and copies among the rationales; and their counts."""
    if not contents.rationales:
        return [
            Finding(
                code="rationales-none",
                level="note",
                message="there are no rationales: a student can learn labels alone (mrharm train --stages label)",
            )
        ], {}
    latest = {row.meme_id: row for row in contents.rationales}  # a later line wins
    labels = {item.id: item.meme.label for item in contents.items}
    teaching = {key: row for key, row in latest.items() if row.status in TEACHING and row.text.strip()}
    cases = [(row, label) for key, row in teaching.items() if (label := row.label_given or labels.get(key))]
    found, coverage = _coverage(contents, teaching)
    table: dict[str, Any] = {
        "rationales": len(latest),
        "teaching": len(teaching),
        "statuses": dict(Counter(row.status for row in latest.values())),
        "coverage": coverage,
    }
    if not cases:
        return found, table
    for find in (_stated, _refused, _captions, _copies):
        more, table[find.__name__.strip("_")] = find(cases)
        found += more
    more, table["readable"] = _readable(cases)
    found += more
    more, table["cut"] = _cut(cases, recipe)
    return found + more, table


def _coverage(contents: Contents, teaching: dict[str, Rationale]) -> tuple[list[Finding], dict[str, Any]]:
    table = {}
    for split in (contents.train, contents.validation):
        labelled = [item for item in contents.by_split.get(split, []) if item.meme.label]
        table[split] = {"count": sum(item.id in teaching for item in labelled), "of": len(labelled)}
    train = table[contents.train]
    missing = train["of"] - train["count"]
    if not missing:
        return [], table
    return [
        Finding(
            code="rationales-missing",
            level="warning" if missing > 0.05 * train["of"] else "note",
            where=contents.train,
            message=f"{missing:,} of {train['of']:,} labelled {contents.train} memes have no rationale that may teach",
            count=missing,
            of=train["of"],
        )
    ], table


def _stated(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, Any]]:
    severity = [case for case in cases if holds_severity(case[0].text, case[1])]
    literal = [case for case in cases if holds_label(case[0].text, case[1])]
    stated = [case for case in cases if states_label(case[0].text, case[1])]
    guessed = [case for case in cases if denies(case[0].text) != case[1].harmful]
    table = {
        "severity": len(severity),
        "label": len(literal),
        "stated": len(stated),
        "phrases_right": len(guessed),
        "of": len(cases),
    }
    if not stated:
        return [], table
    many = len(stated) >= LEAKING * len(cases)
    return [
        Finding(
            code="rationale-states-label",
            level="error" if many else "warning",
            message=f"{_percent(len(stated), len(cases))} of the rationales state the label they explain "
            f"({_percent(len(literal), len(cases))} in its own words, {_percent(len(severity), len(cases))} by their "
            f"severity, word for word); four phrases recover the binary label of {_percent(len(guessed), len(cases))}",
            count=len(stated),
            of=len(cases),
            bars=("training",) if many else (),
            mend="mark them for the leak gate: --fix",
            examples=_shown(stated, lambda row: row.text[-160:]),
        )
    ], table


def _readable(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, Any]]:
    """How well a classifier that sees only the rationale recovers the label, and after cutting what names harm."""
    gold = [label.harmful for _, label in cases]
    texts = {"whole": [row.text for row, _ in cases]}
    texts["without_harm"] = [
        " ".join(sentence for sentence in sentences(text) if "harm" not in sentence.lower())
        for text in texts["whole"]
    ]
    table: dict[str, Any] = {}
    for name, column in texts.items():
        recovered = read_off(column, gold)
        if recovered is None or recovered.value is None:
            return [], {}
        table[name] = {
            "count": round(recovered.value * len(cases)),
            "of": len(cases),
            "interval": (recovered.low, recovered.high),
        }
    low, high = table["whole"]["interval"]
    return [
        Finding(
            code="rationale-tells-label",
            level="note",
            message=f"a bag of words that sees only the rationale recovers the label of "
            f"{_percent(table['whole']['count'], len(cases))} ({100 * low:.1f}-{100 * high:.1f} %; {FOLDS} folds); of "
            f'{_percent(table["without_harm"]["count"], len(cases))} after cutting every sentence with "harm". '
            "Reasoning given a label always correlates with it",
            count=table["whole"]["count"],
            of=len(cases),
        )
    ], table


def _refused(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    refused = [case for case in cases if looks_refused(case[0].text)]
    table = {"count": len(refused), "of": len(cases)}
    if not refused:
        return [], table
    by_side = Counter("harmful" if label.harmful else "harmless" for _, label in refused)
    return [
        Finding(
            code="rationale-refused",
            level="warning",
            message=f"{len(refused):,} of {len(cases):,} rationales are refusals ("
            + ", ".join(f"{count:,} {side}" for side, count in by_side.items())
            + ")",
            count=len(refused),
            of=len(cases),
            mend="mark them: --fix",
            examples=_shown(refused, lambda row: row.text[:160]),
        )
    ], table


def _captions(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    spoken = [case for case in cases if speaks_of_caption(case[0].text)]
    table = {"count": len(spoken), "of": len(cases)}
    if not spoken:
        return [], table
    return [
        Finding(
            code="rationale-speaks-of-caption",
            level="warning" if len(spoken) >= LEAKING * len(cases) else "note",
            message=f'{_percent(len(spoken), len(cases))} of the rationales talk about "the caption": their teacher '
            "saw no picture",
            count=len(spoken),
            of=len(cases),
            examples=_shown(spoken, lambda row: row.text[:160]),
        )
    ], table


def _copies(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    partners = nearly_identical([row.text for row, _ in cases])
    pairs = [(cases[one][0], cases[other][0]) for one, other in partners.items()]
    table = {"count": len(pairs), "of": len(cases)}
    if not pairs:
        return [], table
    return [
        Finding(
            code="rationale-copies",
            level="warning" if len(pairs) >= LEAKING * len(cases) else "note",
            message=f"{_percent(len(pairs), len(cases))} of the rationales are nearly identical to another "
            f"({NEARLY:.0%} of their runs of {SHINGLE} words)",
            count=len(pairs),
            of=len(cases),
            examples=examples(
                Example(memes=(one.meme_id, other.meme_id), text=one.text) for one, other in pairs
            ),
        )
    ], table


def nearly_identical(texts: Sequence[str]) -> dict[int, int]:
    """Index of a text -> index of the other text most like it, for texts that share 80 % of their word 5-grams.

    Resemblance as in Broder, "On the resemblance and containment of documents" (1997), computed exactly.
    """
    shingles = CountVectorizer(
        ngram_range=(SHINGLE, SHINGLE), binary=True, token_pattern=r"\S+", dtype=np.int32
    )
    try:
        table = shingles.fit_transform(texts).tocsr()
    except ValueError:  # every text is shorter than a shingle
        return {}
    sizes = np.asarray(table.sum(axis=1)).ravel()
    shared = table[:, np.asarray(table.sum(axis=0)).ravel() > 1]
    partners: dict[int, int] = {}
    for start in range(0, shared.shape[0], 256):
        common = (shared[start : start + 256] @ shared.T).tocoo()
        ones, others = common.row + start, common.col
        resemblance = common.data / (sizes[ones] + sizes[others] - common.data)
        keep = (ones != others) & (resemblance >= NEARLY)
        order = np.argsort(-resemblance[keep], kind="stable")
        for one, other in zip(ones[keep][order].tolist(), others[keep][order].tolist(), strict=True):
            partners.setdefault(one, other)
    return dict(sorted(partners.items()))


def _cut(cases: Sequence[Case], recipe: Recipe) -> tuple[list[Finding], dict[str, Any]]:
    """How many rationales would be cut. A word is at least one token, so a count of words is a lower bound."""
    targets = [recipe.templates.rationale.format(rationale=row.text) for row, _ in cases]
    words = np.array([len(target.split()) + 1 for target in targets])  # and the end token
    own = recipe.lengths.rationale
    limits = {"published": PUBLISHED_LIMIT} | ({} if own == "auto" else {recipe.name: own})
    table: dict[str, Any] = {
        "words": {
            "mean": float(words.mean()),
            "median": float(np.median(words)),
            "longest": int(words.max()),
        },
        "at_least": {
            name: {"limit": limit, "count": int((words > limit).sum())} for name, limit in limits.items()
        },
        "of": len(cases),
    }
    count = int((words > (PUBLISHED_LIMIT if own == "auto" else own)).sum())
    if not count:
        return [], table
    if own == "auto":
        message = (
            f"rationales have {words.mean():.0f} words on average; recipe {recipe.name!r} takes their length from "
            f"the data (the published 40 tokens would cut at least {_percent(count, len(cases))})"
        )
    else:
        message = (
            f"recipe {recipe.name!r} cuts at least {_percent(count, len(cases))} of the rationales at {own} tokens; "
            f"they have {words.mean():.0f} words on average"
        )
    return [
        Finding(
            code="rationale-cut",
            level="note" if own == "auto" else "warning",
            message=message,
            count=0 if own == "auto" else count,
            of=len(cases),
            mend=None if own == "auto" else "--set lengths.rationale=auto",
        )
    ], table


def _shown(cases: Sequence[Case], what: Callable[[Rationale], str]) -> tuple[Example, ...]:
    return examples(Example(memes=(row.meme_id,), text=what(row)) for row, _ in cases)


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"
