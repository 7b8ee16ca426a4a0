"""Labels: balance, missing and odd values, versions, and labels that the rest of the data contradicts.

The last by confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels", JAIR 2021), written here because the library that carries it, cleanlab, is under the AGPL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mrharm.audit.copies import Copies
from mrharm.audit.findings import Example, Finding, LabelError, Level, cut_examples, report_cases
from mrharm.audit.reading import NO_SPLIT, Contents, Item
from mrharm.baselines import Baseline, Booleans, Floats, Folds, split_folds
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
        *_find_target_drift(contents, table),
        *_find_drift(contents, table),
        *_find_odd(contents),
        *_find_rare(contents.items),
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
        yield Finding(
            code="train-unusable",
            level="error",
            where=contents.train,
            message=f"{what}: nothing can be learned",
            bars=("training", "publishing"),
            mend="import with labels (and --column split=NAME where the splits are named otherwise)",
        )
    if contents.validation not in table:
        yield Finding(
            code="validation-missing",
            level="warning",
            where=contents.validation,
            message="there is no validation split to choose the epoch and the threshold on; choosing on test "
            "inflates figures",
            mend="import again with --validation-share 0.1",
        )
    if not any(0 < table[split]["harmful"] < table[split]["labelled"] for split in contents.held_out):
        yield Finding(
            code="test-missing",
            level="error",
            where=contents.test,
            message="no held-out split holds both labels: there is nothing to publish a figure on",
            bars=("publishing",),
            mend="import the labelled test split",
        )


def _find_unlabelled(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    for split, row in table.items():
        missing = [Example(memes=(item.id,)) for item in contents.by_split[split] if not item.meme.label]
        if missing:
            partly = row["labelled"] > 0
            yield Finding(
                code="unlabelled",
                level="warning" if partly else "note",
                where=split,
                message=f"{len(missing):,} of {row['memes']:,} memes of {split} have no label",
                count=len(missing),
                of=row["memes"],
                examples=cut_examples(missing) if partly else (),
            )


def _find_drift(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Find splits with another share of harmful memes than train."""
    shares = {split: row["harmful"] / row["labelled"] for split, row in table.items() if row["labelled"]}
    base = shares.get(contents.train)
    for split, share in shares.items():
        if base is None or split == NO_SPLIT or abs(share - base) <= DRIFT:
            continue
        yield Finding(
            code="balance-drift",
            level="note",
            where=split,
            message=f"{100 * share:.1f} % of {split} is harmful, {100 * base:.1f} % of {contents.train}: a threshold "
            "chosen on one does not carry over as it is",
        )


def _find_target_drift(contents: Contents, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Find splits whose harmful memes aim at other targets than train's: one is learned about, another tested."""
    shares = {}
    for split, row in table.items():
        if counts := row.get("targets"):
            shares[split] = {name: count / sum(counts.values()) for name, count in counts.items()}
    base = shares.pop(contents.train, None)
    if not base or not table[contents.train]["labelled"]:
        return
    for split, targets in shares.items():
        # Total variation distance: the share of targets that would have to be others.
        distance = sum(abs(targets.get(name, 0) - base.get(name, 0)) for name in {*targets, *base}) / 2
        if split == NO_SPLIT or distance <= TARGET_DRIFT:
            continue
        most = max(targets, key=lambda name: targets[name] - base.get(name, 0))
        yield Finding(
            code="target-drift",
            level="warning",
            where=split,
            message=f"targets differ between {contents.train} and {split} by {100 * distance:.0f} %: "
            f"{most!r} is {100 * targets[most]:.0f} % of {split}'s and {100 * base.get(most, 0):.0f} % of "
            f"{contents.train}'s",
        )


_ODD: tuple[tuple[str, Level, str, Callable[[Label], bool]], ...] = (
    (
        "label-torn",
        "warning",
        "have a severity that contradicts the label",
        lambda label: label.severity is not None and (label.severity != "none") != label.harmful,
    ),
    (
        "label-blank-target",
        "warning",
        "name an empty target or attack",
        lambda label: "" in _list_names(label),
    ),
    (
        "label-harmless-target",
        "note",
        "are harmless and name a target or an attack all the same",
        lambda label: not label.harmful and bool(_list_names(label)),
    ),
)


def _list_names(label: Label) -> tuple[str, ...]:
    return (*label.targets, *label.protected_categories, *label.attack_types)


def _find_odd(contents: Contents) -> Iterator[Finding]:
    labelled = [(item, item.meme.label) for item in contents.items if item.meme.label]
    for code, level, what, is_odd in _ODD:
        cases = [
            Example(memes=(item.id,), what=", ".join(label.targets), text=item.text)
            for item, label in labelled
            if is_odd(label)
        ]
        yield from report_cases(code, level, f"labels {what}", cases, len(labelled))


def _find_rare(items: Sequence[Item]) -> Iterator[Finding]:
    labels = [item.meme.label for item in items if item.meme.label]
    counts = Counter(name for label in labels for name in _list_names(label))
    rare = [(name, count) for name, count in counts.most_common() if count <= RARE]
    if rare:
        yield Finding(
            code="label-rare",
            level="note",
            message=f"{len(rare):,} targets or attacks are on {RARE} memes or fewer: "
            + ", ".join(f"{name} ({count})" for name, count in rare[:8]),
            count=len(rare),
            of=len(counts),
        )


def _find_version(contents: Contents) -> Iterator[Finding]:
    version = contents.dataset.info.options.get("label_version")
    if version is not None:
        unsure = "unknown" in str(version) or "together" in str(version)
        yield Finding(
            code="label-version",
            level="warning" if unsure else "note",
            message=f"labels are of version: {version}"
            + ("; figures of other versions do not compare" if unsure else ""),
        )


def find_label_errors(
    contents: Contents, copies: Copies, signals: Mapping[str, Baseline], progress: Progress
) -> tuple[list[Finding], list[LabelError]]:
    """Find suspect labels, most suspect first.

    P(harmful) of each labelled meme comes from models trained without it and its copies: the mean over words (text and
    caption) and, where there are pictures, pixels.
    """
    items = [item for item in contents.items if item.harmful is not None]
    gold = np.array([bool(item.harmful) for item in items])
    texts = [name for name in ("text_caption", "text", "caption") if name in signals][:1]
    readers = [signals[name] for name in (*texts, "pixels") if name in signals]
    folds = split_folds(gold, copies.assign_groups(items))
    if not folds or not readers:
        return [], []
    numbers = np.array([item.number for item in items])
    folds = [(numbers[train], numbers[rest]) for train, rest in folds]
    probabilities = _predict_out_of_fold(contents.gold, folds, readers, progress)[numbers]
    if auroc_of(gold, probabilities).value(len(gold)) < LEAST_AUROC:
        message = "surface signals tell too little about the labels to say which may be wrong"
        return [Finding(code="label-errors-unknown", level="note", message=message)], []
    errors, cases = [], []
    for index in find_confident_errors(gold, probabilities):
        item, probability = items[index], round(float(probabilities[index]), 4)
        errors.append(
            LabelError(meme=item.id, split=item.splits[0], harmful=bool(gold[index]), probability=probability)
        )
        what = f"labelled {'harmful' if gold[index] else 'harmless'}, P(harmful) {probability:.2f}"
        cases.append(Example(memes=(item.id,), what=what, text=item.text))
    what = "labels are contradicted by the rest of the data; look at them"
    return report_cases("label-errors", "note", what, cases, len(items)), errors[:LISTED]


def _predict_out_of_fold(
    gold: Booleans, folds: Folds, signals: Sequence[Baseline], progress: Progress
) -> Floats:
    """Return P(harmful), mean over signals. *Shape:* (items,); 0 for items that are in no fold."""
    total = np.zeros(len(gold))
    with counting(progress, "looking for label errors", len(folds) * len(signals)) as advance:
        for train, rest in folds:
            for signal in signals:
                total[rest] += signal.score(gold, train, rest)
                advance()
    return total / len(signals)


def find_confident_errors(gold: Booleans, probabilities: Floats) -> list[int]:
    """Return indices of suspect labels, most suspect first.

    A label is suspect when the probability of the opposite label reaches what memes of that label get on average (the
    per-class threshold of the paper) and the probability of the label given does not reach its threshold. They are
    ranked by self-confidence, the probability of the label given.

    Args:
        gold: labels. *Shape:* (memes,)
        probabilities: out-of-fold P(harmful). *Shape:* (memes,)
    """
    confidence = np.where(gold, probabilities, 1 - probabilities)
    harmful, harmless = (float(confidence[gold == side].mean()) for side in (True, False))
    suspect = (1 - confidence >= np.where(gold, harmless, harmful)) & (
        confidence < np.where(gold, harmful, harmless)
    )
    order = np.argsort(confidence, kind="stable")
    return [int(index) for index in order if suspect[index]]
