"""What the rationales would teach: reasons, or the label they were told to withhold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from mrharm.audit.findings import Example, Finding, Level, make_finding, percent, report_cases
from mrharm.audit.reading import Contents
from mrharm.baselines import FOLDS, estimate_recovered
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
MISSING = 0.05  # of the labelled train memes without a rationale: beyond, a warning
LEAKING = 0.05  # of the rationales that state their label: beyond, a student learns to read it off them
PUBLISHED_LIMIT = 40  # tokens at which the published code cuts rationales
SHINGLE, NEARLY = 5, 0.8  # words a shingle; shared share of the shingles of two nearly identical texts

Case = tuple[Rationale, Label]


def audit_rationales(contents: Contents, recipe: Recipe) -> tuple[list[Finding], dict[str, Any]]:
    """Find stated labels, refusals, cuts, captions and copies among the rationales; count them and their coverage."""
    if not contents.rationales:
        return [make_finding("rationales-none")], {}
    latest = {row.meme_id: row for row in contents.rationales}  # a later line wins
    labels = {item.id: item.meme.label for item in contents.items}
    teaching = {key: row for key, row in latest.items() if row.status in TEACHING and row.text.strip()}
    cases = [(row, label) for key, row in teaching.items() if (label := row.label_given or labels.get(key))]
    findings, coverage = _measure_coverage(contents, teaching)
    table: dict[str, Any] = {
        "rationales": len(latest),
        "teaching": len(teaching),
        "statuses": dict(Counter(row.status for row in latest.values())),
        "coverage": coverage,
    }
    if not cases:
        return findings, table
    parts = {
        "stated": _find_stated(cases),
        "refused": _find_refused(cases),
        "captions": _find_captions(cases),
        "copies": _find_copies(cases),
        "readable": _measure_readable(cases),
        "cut": _find_cut(cases, recipe),
    }
    for name, (part, counts) in parts.items():
        findings += part
        table[name] = counts
    return findings, table


def _measure_coverage(
    contents: Contents, teaching: Mapping[str, Rationale]
) -> tuple[list[Finding], dict[str, Any]]:
    table = {}
    for split in (contents.train, contents.validation):
        labelled = [contents.items[number] for number in contents.labelled(split)]
        table[split] = {"count": sum(item.id in teaching for item in labelled), "of": len(labelled)}
    of = table[contents.train]["of"]
    missing = of - table[contents.train]["count"]
    level: Level = "warning" if missing > MISSING * of else "note"
    figures: dict[str, Any] = {"where": contents.train, "count": missing, "of": of}
    return [make_finding("rationales-missing", level=level, **figures)] if missing else [], table


def _find_stated(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, Any]]:
    stated = [case for case in cases if states_label(case[0].text, case[1])]
    table = {
        "severity": sum(holds_severity(row.text, label) for row, label in cases),
        "label": sum(holds_label(row.text, label) for row, label in cases),
        "stated": len(stated),
        "phrases_right": sum(denies(row.text) != label.harmful for row, label in cases),
        "of": len(cases),
    }
    figures = {name: percent(table[name], len(cases)) for name in ("label", "severity", "phrases_right")}
    level: Level = "error" if len(stated) >= LEAKING * len(cases) else "warning"
    shown = [Example(memes=(row.meme_id,), text=row.text[-160:]) for row, _ in stated]
    return report_cases("rationale-states-label", shown, len(cases), level=level, **figures), table


def _find_refused(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    refused = [case for case in cases if looks_refused(case[0].text)]
    by_side = Counter("harmful" if label.harmful else "harmless" for _, label in refused)
    sides = ", ".join(f"{count:,} {side}" for side, count in by_side.items())
    shown = [Example(memes=(row.meme_id,), text=row.text) for row, _ in refused]
    return _report_share("rationale-refused", shown, len(cases), "warning", sides=sides)


def _find_captions(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    spoken = [row for row, _ in cases if speaks_of_caption(row.text)]
    shown = [Example(memes=(row.meme_id,), text=row.text) for row in spoken]
    return _report_share("rationale-speaks-of-caption", shown, len(cases))


def _find_copies(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, int]]:
    rows = [row for row, _ in cases]
    shown = [
        Example(memes=(rows[first].meme_id, rows[second].meme_id), text=rows[first].text)
        for first, second in find_near_identical([row.text for row in rows]).items()
    ]
    return _report_share("rationale-copies", shown, len(cases), nearly=NEARLY, words=SHINGLE)


def _report_share(
    code: str, shown: Sequence[Example], of: int, level: Level | None = None, **figures: Any
) -> tuple[list[Finding], dict[str, int]]:
    """Return the finding, a warning from `LEAKING` up where no level is given, and the count."""
    level = level or ("warning" if len(shown) >= LEAKING * of else "note")
    return report_cases(code, shown, of, level=level, **figures), {"count": len(shown), "of": of}


def _measure_readable(cases: Sequence[Case]) -> tuple[list[Finding], dict[str, Any]]:
    """Measure how well a classifier that reads only the rationale recovers the label, also without what names harm."""
    gold = [label.harmful for _, label in cases]
    texts = [row.text for row, _ in cases]
    table: dict[str, Any] = {}
    for name, column in (("whole", texts), ("without_harm", [_cut_harm(text) for text in texts])):
        recovered = estimate_recovered(column, gold)
        if recovered is None or recovered.value is None:
            return [], {}
        count = round(recovered.value * len(cases))
        table[name] = {"count": count, "of": len(cases), "interval": (recovered.low, recovered.high)}
    low, high = table["whole"]["interval"]
    finding = make_finding(
        "rationale-tells-label",
        count=table["whole"]["count"],
        of=len(cases),
        low=100 * low,
        high=100 * high,
        folds=FOLDS,
        without_harm=percent(table["without_harm"]["count"], len(cases)),
    )
    return [finding], table


def _cut_harm(text: str) -> str:
    """Return a text without its sentences that hold "harm"."""
    return " ".join(sentence for sentence in sentences(text) if "harm" not in sentence.lower())


def find_near_identical(texts: Sequence[str]) -> dict[int, int]:
    """Return index of a text -> index of the text most like it, for texts that share 80 % of their word 5-grams.

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
        first, second = common.row + start, common.col
        resemblance = common.data / (sizes[first] + sizes[second] - common.data)
        alike = (first != second) & (resemblance >= NEARLY)
        order = np.argsort(-resemblance[alike], kind="stable")
        for index, partner in zip(first[alike][order].tolist(), second[alike][order].tolist(), strict=True):
            partners.setdefault(index, partner)
    return dict(sorted(partners.items()))


def _find_cut(cases: Sequence[Case], recipe: Recipe) -> tuple[list[Finding], dict[str, Any]]:
    """Count the rationales that would be cut. A word is at least one token, so a count of words is a lower bound."""
    targets = [recipe.templates.rationale.format(rationale=row.text) for row, _ in cases]
    words = np.array([len(target.split()) + 1 for target in targets])  # and the end token
    length = recipe.lengths.rationale
    limits = {"published": PUBLISHED_LIMIT} | ({} if length == "auto" else {recipe.name: length})
    cut = {name: {"limit": limit, "count": int((words > limit).sum())} for name, limit in limits.items()}
    mean = float(words.mean())
    table = {
        "words": {"mean": mean, "median": float(np.median(words)), "longest": int(words.max())},
        "at_least": cut,
        "of": len(cases),
    }
    limit, count = cut["published" if length == "auto" else recipe.name].values()
    figures: dict[str, Any] = {"recipe": recipe.name, "limit": limit, "mean": mean, "of": len(cases)}
    figures |= {"percent": percent(count, len(cases)), "count": 0 if length == "auto" else count}
    level: Level = "note" if length == "auto" else "warning"
    return [make_finding("rationale-cut", level=level, **figures)] if count else [], table
