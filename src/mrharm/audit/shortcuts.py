"""How far surface signals go: words, captions, metadata or pixels alone, without looking beneath.

Protocols, that is on which memes a signal is tried after learning from which:

- ``cross_validated``: train alone, five folds; ``copies_apart``: the same, copies of a meme kept in one fold.
- ``split``: learnt on train, tried on the held-out split; ``overlap_removed``: the same after the memes of the held-out
  split were taken out of train; ``unseen``: learnt on all of train, tried on the held-out memes that are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mrharm import baselines
from mrharm.audit.copies import Copies
from mrharm.audit.findings import Finding, Score, Shortcut
from mrharm.audit.reading import Contents, Item
from mrharm.memes.fingerprints import PictureFacts
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.classification import accuracy_of, macro_f1_of
from mrharm.metrics.ranking import auroc_of
from mrharm.progress import Progress, counting

FOLDS, FEWEST = 5, 50
FAR = 0.60  # macro-F1 at the lower end of its interval that is worth a warning; guessing reaches 0.50 at most
COLLAPSE = 0.05  # of macro-F1 lost once the overlap is removed: the rest was memory
PROTOCOLS = {
    "cross_validated": "train, 5 folds",
    "copies_apart": "5 folds, copies apart",
    "split": "train -> held out",
    "overlap_removed": "overlap removed",
    "unseen": "unseen memes only",
}
SIGNALS = {
    "majority": "majority",
    "text": "text",
    "caption": "caption",
    "text_caption": "text + caption",
    "metadata": "metadata",
    "pixels": "pixels",
}

Features = NDArray[Any]  # (memes,) of texts, or (memes, columns) of numbers
Predict = Callable[[Features, Sequence[bool], Features], NDArray[np.float64]]


@dataclass(frozen=True)
class Signal:
    """What is looked at, for every item, and what learns from it."""

    features: Features
    predict: Predict


def signals(items: Sequence[Item], facts: dict[str, PictureFacts]) -> dict[str, Signal]:
    """Every surface signal that the dataset has, over all its items."""
    texts = [item.text for item in items]
    captions = [item.caption for item in items]
    words = {
        "text": texts,
        "caption": captions,
        "text_caption": [f"{text} {caption}" for text, caption in zip(texts, captions, strict=True)],
    }
    if not any(texts):
        del words["text"], words["text_caption"]
    if not any(captions):
        del words["caption"]
        words.pop("text_caption", None)
    found = {name: Signal(np.array(rows, dtype=object), _by_words) for name, rows in words.items()}
    found["metadata"] = Signal(_metadata(items, facts), baselines.numbers_only)
    looks = [facts.get(item.meme.image or "") for item in items]
    seen = [look.pixels for look in looks if look and look.thumbnail]
    if seen:
        # A picture that is missing looks like the average one.
        average = np.mean(seen, axis=0)
        pixels = np.stack([look.pixels if look and look.thumbnail else average for look in looks])
        # Fitted once on all pictures, without labels: nothing about a label can pass.
        found["pixels"] = Signal(baselines.principal_components(pixels), baselines.numbers_only)
    return found


def _by_words(seen: Features, gold: Sequence[bool], new: Features) -> NDArray[np.float64]:
    if not any(re.search(r"\w\w", text) for text in seen):
        return np.full(len(new), float(np.mean(gold)))
    return baselines.text_only(seen.tolist(), gold, new.tolist())


def _metadata(items: Sequence[Item], facts: dict[str, PictureFacts]) -> NDArray[np.float64]:
    """What has nothing to do with what a meme says: its number, its file, lengths. Annotations in ``extra`` are out."""
    rows = []
    for item in items:
        look = facts.get(item.meme.image or "")
        number = re.search(r"(\d{1,15})\D*$", item.published_id)
        raw = item.meme.text or ""
        sizes = (
            (look.width, look.height, look.ratio, look.bytes, len(look.container or ""))
            if look and not look.failure
            else (np.nan,) * 5
        )
        rows.append(
            (
                float(number[1]) if number else np.nan,
                len(item.published_id),
                *sizes,
                len(raw),
                len(raw.split()),
                raw.count("\n"),
                len(item.caption),
                len(item.evidence.boxes) if item.evidence else 0,
            )
        )
    return np.array(rows, dtype=np.float64)


def shortcut_table(
    contents: Contents,
    copies: Copies,
    available: dict[str, Signal],
    progress: Progress,
) -> list[Shortcut]:
    """Score every signal by every protocol that the dataset allows."""
    plans = _plans(contents, copies)
    if not plans:
        return []
    gold = np.array([bool(item.harmful) for item in contents.items])
    clusters = np.array(copies.group_names(contents.items))
    rows: dict[str, dict[str, Score]] = {name: {} for name in ("majority", *available)}
    steps = len(available) * sum(len(folds) for folds in plans.values())
    with counting(progress, "trying surface signals", steps) as advance:
        for protocol, folds in plans.items():
            scores = {"majority": _majority(gold, folds)}
            for name, signal in available.items():
                parts = []
                for seen, unseen in folds:
                    parts.append(
                        signal.predict(signal.features[seen], gold[seen].tolist(), signal.features[unseen])
                    )
                    advance()
                scores[name] = np.concatenate(parts)
            tried = np.concatenate([unseen for _, unseen in folds])
            for name, score in score_signals(gold[tried], scores, clusters[tried]).items():
                rows[name][protocol] = score
    return [Shortcut(signal=name, scores=scores) for name, scores in rows.items()]


Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _plans(contents: Contents, copies: Copies) -> dict[str, Folds]:
    """Protocol -> (learnt from, tried on) item numbers; only those that say something of their own."""
    train = _labelled(contents.by_split.get(contents.train, []))
    held_out = _held_out(contents)
    plans: dict[str, Folds] = {}
    if _enough(train):
        numbers = np.array([item.number for item in train])
        gold = [item.harmful for item in train]
        groups = copies.group_names(train)
        plans["cross_validated"] = [
            (numbers[seen], numbers[unseen])
            for seen, unseen in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(numbers, gold)
        ]
        if len(set(groups)) < len(groups) and (apart := folds_apart(numbers, gold, groups)):
            plans["copies_apart"] = apart
    if _enough(train) and held_out:
        tried = _numbers(held_out)
        plans["split"] = [(_numbers(train), tried)]
        there = {item.number for item in copies.seen_in(held_out, train)}
        if there:
            known = {item.number for item in copies.seen_in(train, held_out)}
            rest = [item for item in train if item.number not in known]
            unseen = [item for item in held_out if item.number not in there]
            if _both(rest):
                plans["overlap_removed"] = [(_numbers(rest), tried)]
            if _both(unseen):
                plans["unseen"] = [(_numbers(train), _numbers(unseen))]
    return plans


def folds_apart(numbers: NDArray[np.int64], gold: Sequence[bool | None], groups: Sequence[int]) -> Folds:
    """Five folds that keep each group in one; none where groups are so few that a fold would learn of one label."""
    if len(set(groups)) < FOLDS:
        return []
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(numbers, gold, groups)
    rows = [(seen, unseen) for seen, unseen in folds if len(unseen)]
    if any(len({gold[index] for index in seen}) < 2 for seen, _ in rows):
        return []
    return [(numbers[seen], numbers[unseen]) for seen, unseen in rows]


def _held_out(contents: Contents) -> list[Item]:
    """The test split where it is labelled, else the first held-out split that is, else validation."""
    for split in (contents.test, *contents.held_out, contents.validation):
        items = _labelled(contents.by_split.get(split, []))
        if _both(items):
            return items
    return []


def _labelled(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.harmful is not None]


def _both(items: Sequence[Item]) -> bool:
    return len({item.harmful for item in items}) == 2


def _enough(items: Sequence[Item]) -> bool:
    harmful = sum(bool(item.harmful) for item in items)
    return len(items) >= FEWEST and min(harmful, len(items) - harmful) >= FOLDS


def _numbers(items: Sequence[Item]) -> NDArray[np.int64]:
    return np.array([item.number for item in items], dtype=np.int64)


def _majority(gold: NDArray[np.bool_], folds: Folds) -> NDArray[np.float64]:
    return np.concatenate([baselines.majority(gold[seen].tolist(), len(unseen))[1] for seen, unseen in folds])


def score_signals(
    gold: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]], clusters: NDArray[np.int64]
) -> dict[str, Score]:
    """Return accuracy, macro-F1 and AUROC of each signal with their 95 % intervals, all by one bootstrap.

    Args:
        gold: labels. *Shape:* (memes,)
        scores: signal -> P(harmful). *Shape:* (memes,) each. The majority's order no memes: it has no AUROC.
        clusters: a number for each meme, the same for copies of one meme. *Shape:* (memes,)
    """
    statistics: dict[str, Statistic] = {}
    for name, values in scores.items():
        predicted = (values > 0.5 if name == "majority" else values >= 0.5).astype(object)
        statistics[f"{name} accuracy"] = accuracy_of(gold, predicted)
        statistics[f"{name} macro_f1"] = macro_f1_of(gold, predicted)
        if name != "majority":
            statistics[f"{name} auroc"] = auroc_of(gold, values)
    estimates = bootstrap(statistics, len(gold), clusters=clusters)
    return {name: _score(len(gold), name, estimates) for name in scores}


def _score(memes: int, name: str, estimates: dict[str, Estimate]) -> Score:
    columns: dict[str, Any] = {}
    for figure in ("accuracy", "macro_f1", "auroc"):
        estimate = estimates.get(f"{name} {figure}", Estimate())
        columns[figure] = estimate.value
        columns[f"{figure}_ci"] = None if estimate.value is None else (estimate.low, estimate.high)
    return Score.model_validate({**columns, "n": memes})


def shortcut_findings(table: Sequence[Shortcut]) -> list[Finding]:
    """Signals that go far on their own, and figures that fall once the overlap is removed."""
    rows = {row.signal: row.scores for row in table}
    if not rows:
        return [
            Finding(
                code="shortcut-untried",
                level="note",
                message=f"surface signals were not tried: fewer than {FEWEST} labelled train memes, or one label only",
            )
        ]
    found = []
    protocol = "split" if "split" in rows["majority"] else "cross_validated"
    worded = [name for name in ("text", "caption", "text_caption") if name in rows]
    best = max(worded, key=lambda name: rows[name][protocol].macro_f1, default=None)
    for name in [*([best] if best else []), "metadata", "pixels"]:
        if name in rows:
            found.append(_reach(name, rows[name], rows["majority"]))
    if best and "overlap_removed" in rows[best]:
        before = rows[best]["split"].macro_f1
        after = min(rows[best][name].macro_f1 for name in ("overlap_removed", "unseen") if name in rows[best])
        if before - after >= COLLAPSE:
            found.append(
                Finding(
                    code="shortcut-collapse",
                    level="error",
                    message=f"{SIGNALS[best]} alone falls from {100 * before:.1f} to {100 * after:.1f} macro-F1 once "
                    "memes that are in train are out of the held-out split: what it reaches, it remembers",
                    bars=("publishing",),
                    mend="remove them from train: --fix",
                )
            )
    return found


def _reach(name: str, scores: dict[str, Score], majority: dict[str, Score]) -> Finding:
    """How far one signal goes, by every protocol; a warning where any of them is far from the majority."""
    parts = [
        f"{100 * one.macro_f1:.1f} ({100 * one.macro_f1_ci[0]:.1f}-{100 * one.macro_f1_ci[1]:.1f}; "
        f"{PROTOCOLS[protocol]})"
        for protocol, one in scores.items()
        if protocol in ("split", "overlap_removed", "cross_validated")
    ]
    far = any(one.macro_f1_ci[0] > FAR for one in scores.values())
    base = majority["split" if "split" in majority else "cross_validated"].macro_f1
    return Finding(
        code=f"shortcut-{name.replace('_', '-')}",
        level="warning" if far else "note",
        message=f"{SIGNALS[name]} alone reaches macro-F1 {', '.join(parts)}; majority {100 * base:.1f}"
        + (". A model that does not beat this has learned surface signals only" if far else ""),
    )
