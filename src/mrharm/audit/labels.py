"""Labels: balance, missing and odd values, versions, and labels that the rest of the data contradicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from mrharm.audit.copies import Copies
from mrharm.audit.findings import Example, Finding, LabelError, make_finding, report_cases
from mrharm.audit.reading import NO_SPLIT, Contents, Item
from mrharm.baselines import Baseline, Booleans, Floats, split_folds
from mrharm.metrics.ranking import auroc_of
from mrharm.progress import Progress, counting
from mrharm.records import Label

DRIFT = 0.1  # between train's share of harmful memes and another split's
TARGET_DRIFT = 0.2  # of the targets that would have to be others for two splits to agree
RARE = 3  # memes with a target or kind of attack: too few to say anything about it
LISTED = 200  # suspects in the report
LEAST_AUROC = 0.6  # of the out-of-fold scores: below, what they contradict means nothing


def audit_labels(contents: Contents) -> tuple[list[Finding], dict[str, Any]]:
    """Find what is odd about the labels, and count them by split."""
    table = {split: _count_labels(items) for split, items in contents.by_split.items()}
    findings = [
        *_find_unusable_splits(contents, table),
        *_find_unlabelled(contents, table),
        *_find_drift(contents, table),
        *_find_odd(contents),
        *_find_version(contents),
    ]
    return findings, table


def _count_labels(items: Sequence[Item]) -> dict[str, Any]:
    labels = [item.meme.label for item in items if item.meme.label]
    counts: dict[str, Counter[str]] = {
        "severity": Counter(label.severity for label in labels if label.severity),
        "targets": Counter(name for label in labels for name in label.targets),
        "protected_categories": Counter(name for label in labels for name in label.protected_categories),
        "attack_types": Counter(name for label in labels for name in label.attack_types),
    }
    return {
        "memes": len(items),
        "labelled": len(labels),
        "harmful": sum(label.harmful for label in labels),
        **{name: dict(counter.most_common()) for name, counter in counts.items() if counter},
    }


def _find_unusable_splits(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what keeps a model from being trained or tested at all."""
    train = table.get(contents.train)
    if train is None or not 0 < train["harmful"] < train["labelled"]:
        what = "there is no train split" if train is None else "train does not hold both labels"
        yield make_finding("train-unusable", where=contents.train, what=what)
    if contents.validation not in table:
        yield make_finding("validation-missing", where=contents.validation)
    if not any(0 < table[split]["harmful"] < table[split]["labelled"] for split in contents.held_out):
        yield make_finding("test-missing", where=contents.test)


def _find_unlabelled(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    for split, row in table.items():
        partly = row["labelled"] > 0
        missing = [Example(memes=(item.id,)) for item in contents.by_split[split] if not item.meme.label]
        if missing:
            yield make_finding(
                "unlabelled",
                level="warning" if partly else "note",
                where=split,
                count=len(missing),
                of=row["memes"],
                examples=missing if partly else (),
            )


def _find_drift(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Find splits whose labels or targets are spread otherwise than train's: one is learned about, another tested."""
    sides = {
        split: {"harmful": row["harmful"], "": row["labelled"] - row["harmful"]}
        for split, row in table.items()
    }
    targets = {split: row.get("targets", {}) for split, row in table.items()}
    for code, limit, counts in (("target-drift", TARGET_DRIFT, targets), ("balance-drift", DRIFT, sides)):
        shares = {
            split: {name: 100 * count / sum(row.values()) for name, count in row.items()}
            for split, row in counts.items()
            if split != NO_SPLIT and any(row.values())
        }
        base = shares.pop(contents.train, {})
        for split, row in shares.items():
            # Total variation distance: the share of targets that would have to be others, in percent.
            change = {name: row.get(name, 0) - base.get(name, 0) for name in (*row, *base)}
            distance = sum(map(abs, change.values())) / 2
            if base and distance > 100 * limit:
                target = "harmful" if counts is sides else max(row, key=lambda name: change[name])
                yield make_finding(
                    code,
                    where=split,
                    train=contents.train,
                    distance=distance,
                    target=target,
                    percent=row[target],
                    base=base.get(target, 0),
                )


_ODD: dict[str, Callable[[Label], bool]] = {
    "label-torn": lambda label: label.severity is not None and (label.severity != "none") != label.harmful,
    "label-blank-target": lambda label: "" in _list_names(label),
    "label-harmless-target": lambda label: not label.harmful and bool(_list_names(label)),
}


def _list_names(label: Label) -> tuple[str, ...]:
    return (*label.targets, *label.protected_categories, *label.attack_types)


def _find_odd(contents: Contents) -> Iterator[Finding]:
    """Find labels that contradict themselves, and targets that hardly any meme has."""
    labelled = [(item, item.meme.label) for item in contents.items if item.meme.label]
    for code, is_odd in _ODD.items():
        cases = [
            Example(memes=(item.id,), what=", ".join(label.targets), text=item.text)
            for item, label in labelled
            if is_odd(label)
        ]
        yield from report_cases(code, cases, len(labelled))
    counts = Counter(name for _, label in labelled for name in _list_names(label))
    rare = [f"{name} ({count})" for name, count in counts.most_common() if count <= RARE]
    if rare:
        names = ", ".join(rare[:8])
        yield make_finding("label-rare", count=len(rare), of=len(counts), limit=RARE, names=names)


def _find_version(contents: Contents) -> Iterator[Finding]:
    version = contents.dataset.info.options.get("label_version")
    if version is not None:
        unsure = "unknown" in str(version) or "together" in str(version)
        yield make_finding("label-version", level="warning" if unsure else "note", version=version)


def find_label_errors(
    contents: Contents, copies: Copies, signals: Mapping[str, Baseline], progress: Progress
) -> tuple[list[Finding], list[LabelError]]:
    """Find suspect labels, most suspect first.

    P(harmful) of each labelled meme comes from models trained without it and its copies: the mean over words (text and
    caption) and, where there are pictures, pixels.
    """
    items = [item for item in contents.items if item.harmful is not None]
    numbers = np.array([item.number for item in items], dtype=np.int64)
    gold = contents.gold[numbers]
    texts = [name for name in ("text_caption", "text", "caption") if name in signals][:1]
    readers = [signals[name] for name in (*texts, "pixels") if name in signals]
    folds = split_folds(gold, copies.clusters[numbers].tolist())
    if not folds or not readers:
        return [], []
    totals = np.zeros(len(contents.items))
    with counting(progress, "looking for label errors", len(folds) * len(readers)) as advance:
        for (train, rest), reader in product(folds, readers):
            totals[numbers[rest]] += reader.score(contents.gold, numbers[train], numbers[rest])
            advance()
    probabilities = totals[numbers] / len(readers)
    if auroc_of(gold, probabilities).value(len(gold)) < LEAST_AUROC:
        return [make_finding("label-errors-unknown")], []
    errors, cases = [], []
    for index in find_confident_errors(gold, probabilities):
        item, probability = items[index], round(float(probabilities[index]), 4)
        errors.append(
            LabelError(meme=item.id, split=item.splits[0], harmful=bool(gold[index]), probability=probability)
        )
        what = f"labelled {'harmful' if gold[index] else 'harmless'}, P(harmful) {probability:.2f}"
        cases.append(Example(memes=(item.id,), what=what, text=item.text))
    return report_cases("label-errors", cases, len(items)), errors[:LISTED]


def find_confident_errors(gold: Booleans, probabilities: Floats) -> list[int]:
    """Return indices of suspect labels, most suspect first, by confident learning.

    Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 2021); written here
    because cleanlab is under the AGPL. A label is suspect when the probability of the opposite label reaches what memes
    of that label get on average, and that of the label given does not reach its average. Ranked by self-confidence, the
    probability of the label given.

    ``gold`` are labels, ``probabilities`` out-of-fold P(harmful). *Shape:* (memes,) each
    """
    confidence = np.where(gold, probabilities, 1 - probabilities)
    harmful, harmless = (float(confidence[gold == side].mean()) for side in (True, False))
    suspect = (1 - confidence >= np.where(gold, harmless, harmful)) & (
        confidence < np.where(gold, harmful, harmless)
    )
    order = np.argsort(confidence, kind="stable")
    return [int(index) for index in order if suspect[index]]
