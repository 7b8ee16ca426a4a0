"""How far surface signals go: words, captions, metadata or pixels alone, without looking beneath."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mrharm import baselines
from mrharm.audit.copies import Copies
from mrharm.audit.findings import Finding, Score, Shortcut, make_finding
from mrharm.audit.pictures import list_posted
from mrharm.audit.reading import Contents, Item
from mrharm.baselines import FEWEST, Baseline, Booleans, Floats, Folds, Rows, split_folds
from mrharm.memes.fingerprints import PictureFacts
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, bootstrap
from mrharm.metrics.classification import headline
from mrharm.progress import Progress, counting

FAR = 0.60  # macro-F1 at the lower end of its interval that is worth a warning; guessing reaches 0.50 at most
COLLAPSE = 0.05  # of macro-F1 lost once the overlap is removed: the rest was memory
# On which memes a signal is tried after learning from which; the one that decides what a student has to beat first.
PROTOCOLS = {
    "overlap_removed": "overlap removed",  # from train without the memes of the held-out split
    "split": "train -> held out",
    "unseen": "unseen memes only",  # learnt on all of train, tried on held-out memes that are not in it
    "copies_apart": "5 folds, copies apart",  # of train, copies of a meme kept in one fold
    "cross_validated": "train, 5 folds",
}


def make_signals(items: Sequence[Item], facts: Mapping[str, PictureFacts]) -> dict[str, Baseline]:
    """Return every surface signal that the dataset has, each over all its items."""
    columns = {"text": [item.text for item in items], "caption": [item.caption for item in items]}
    columns = {name: column for name, column in columns.items() if any(column)}
    if len(columns) == 2:
        columns["text_caption"] = [f"{item.text} {item.caption}" for item in items]
    signals = {
        name: Baseline(np.array(column, dtype=object), baselines.predict_from_texts)
        for name, column in columns.items()
    }
    pictures = list_posted(items, facts)
    metadata = [_list_metadata(item, picture) for item, picture in zip(items, pictures, strict=True)]
    signals["metadata"] = Baseline(np.array(metadata, dtype=np.float64), baselines.predict_from_numbers)
    if opened := [picture.pixels for picture in pictures if not picture.failure]:
        # A missing picture looks like the average one.
        average = np.mean(opened, axis=0)
        pixels = np.stack([average if picture.failure else picture.pixels for picture in pictures])
        # Fitted once on all pictures, without labels: nothing about a label can pass.
        signals["pixels"] = Baseline(baselines.reduce_pixels(pixels), baselines.predict_from_numbers)
    return signals


def _list_metadata(item: Item, picture: PictureFacts) -> tuple[float, ...]:
    """Return what has nothing to do with what a meme says: its number, its file, lengths; nothing of ``extra``."""
    number = re.search(r"(\d{1,15})\D*$", item.published_id)
    container = len(picture.container or "")
    sizes = (picture.width, picture.height, picture.ratio, picture.bytes, container)
    return (
        float(number[1]) if number else np.nan,
        len(item.published_id),
        *((np.nan,) * len(sizes) if picture.failure else sizes),
        len(item.words),
        len(item.words.split()),
        item.words.count("\n"),
        len(item.caption),
        len(item.evidence.boxes) if item.evidence else 0,
    )


def score_shortcuts(
    contents: Contents, copies: Copies, signals: Mapping[str, Baseline], progress: Progress
) -> list[Shortcut]:
    """Score every signal by every protocol that the dataset allows."""
    plans = _plan_protocols(contents, copies)
    if not plans:
        return []
    gold, clusters = contents.gold, copies.clusters
    signals = {"majority": Baseline(np.zeros(len(gold)), baselines.predict_majority), **signals}
    rows: dict[str, dict[str, Score]] = {name: {} for name in signals}
    steps = len(rows) * sum(len(folds) for folds in plans.values())
    with counting(progress, "trying surface signals", steps) as advance:
        for protocol, folds in plans.items():
            scores: dict[str, Floats] = {}
            for name, signal in signals.items():
                parts = []
                for train, tried in folds:
                    parts.append(signal.score(gold, train, tried))
                    advance()
                scores[name] = np.concatenate(parts)
            tried = np.concatenate([tried for _, tried in folds])
            for name, score in score_signals(gold[tried], scores, clusters[tried]).items():
                rows[name][protocol] = score
    return [Shortcut(signal=name, scores=by_protocol) for name, by_protocol in rows.items()]


def _plan_protocols(contents: Contents, copies: Copies) -> dict[str, Folds]:
    """Return protocol -> (learnt from, tried on) item numbers, of the protocols that tell something new here."""
    gold, clusters = contents.gold, copies.clusters
    train = contents.labelled(contents.train)
    folds = {"cross_validated": split_folds(gold[train])}
    if not folds["cross_validated"]:
        return {}
    if len(set(clusters[train])) < len(train):
        folds["copies_apart"] = split_folds(gold[train], clusters[train].tolist())
    plans = {
        protocol: [(train[learnt], train[tried]) for learnt, tried in parts]
        for protocol, parts in folds.items()
    }
    # The test split where it is labelled, else the first held-out split that is, else validation.
    splits = map(contents.labelled, (contents.test, *contents.held_out, contents.validation))
    held_out = next((rows for rows in splits if _holds_both_labels(gold[rows])), None)
    if held_out is not None:
        plans["split"] = [(train, held_out)]
        rest = train[~np.isin(clusters[train], clusters[held_out])]
        unseen = held_out[~np.isin(clusters[held_out], clusters[train])]
        if len(rest) < len(train) and _holds_both_labels(gold[rest]):
            plans["overlap_removed"] = [(rest, held_out)]
        if len(unseen) < len(held_out) and _holds_both_labels(gold[unseen]):
            plans["unseen"] = [(train, unseen)]
    return {protocol: plans[protocol] for protocol in PROTOCOLS if plans.get(protocol)}


def _holds_both_labels(gold: Booleans) -> bool:
    return bool(gold.any() and not gold.all())


def score_signals(gold: Booleans, scores: Mapping[str, Floats], clusters: Rows) -> dict[str, Score]:
    """Compute accuracy, macro-F1 and AUROC of each signal with their 95 % intervals, all by one bootstrap.

    ``scores``: signal -> P(harmful); the majority's order no memes, so that it gets no AUROC. ``clusters``: a number
    for each meme, the same for copies of one meme. *Shapes:* (memes,) each
    """
    statistics: dict[str, Statistic] = {}
    for name, values in scores.items():
        figures = headline(gold, baselines.decide(values), values)
        if name == "majority":
            del figures["auroc"]
        statistics |= {f"{name} {figure}": statistic for figure, statistic in figures.items()}
    estimates = bootstrap(statistics, len(gold), clusters=clusters)
    rows = {}
    for name in scores:
        columns: dict[str, Any] = {"n": len(gold)}
        for figure in ("accuracy", "macro_f1", "auroc"):
            estimate = estimates.get(f"{name} {figure}", Estimate())
            columns[figure] = estimate.value
            columns[f"{figure}_ci"] = None if estimate.value is None else (estimate.low, estimate.high)
        rows[name] = Score.model_validate(columns)
    return rows


def find_shortcuts(table: Sequence[Shortcut]) -> Iterator[Finding]:
    """Find signals that go far alone, and figures that fall once the overlap is removed."""
    rows = {row.signal: row for row in table}
    if not rows:
        yield make_finding("shortcut-untried", fewest=FEWEST)
        return
    majority = rows["majority"].scores
    protocol = "split" if "split" in majority else "cross_validated"
    texts = [name for name in ("text", "caption", "text_caption") if name in rows]
    best = max(texts, key=lambda name: rows[name].scores[protocol].macro_f1, default="")
    for name in (best, "metadata", "pixels"):
        if name in rows:
            yield _describe_signal(rows[name], majority[protocol])
    scores = rows[best].scores if best else {}
    if "overlap_removed" not in scores:
        return
    before = scores["split"].macro_f1
    after = min(scores[name].macro_f1 for name in ("overlap_removed", "unseen") if name in scores)
    if before - after >= COLLAPSE:
        signal = rows[best].title
        yield make_finding("shortcut-collapse", signal=signal, before=100 * before, after=100 * after)


def _describe_signal(row: Shortcut, majority: Score) -> Finding:
    """Return how far a signal goes, by every protocol; a warning where any of them is far from the majority."""
    parts = [
        f"{100 * score.macro_f1:.1f} ({100 * score.macro_f1_ci[0]:.1f}-{100 * score.macro_f1_ci[1]:.1f}; "
        f"{PROTOCOLS[protocol]})"
        for protocol, score in row.scores.items()
        if protocol in ("split", "overlap_removed", "cross_validated")
    ]
    far = any(score.macro_f1_ci[0] > FAR for score in row.scores.values())
    return make_finding(
        f"shortcut-{row.signal.replace('_', '-')}",
        level="warning" if far else "note",
        signal=row.title,
        parts=", ".join(parts),
        majority=100 * majority.macro_f1,
    )
