"""Labels: balance, missing and odd values, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mrharm.audit.findings import Example, Finding, Level, examples
from mrharm.audit.reading import NO_SPLIT, Contents, Item
from mrharm.records import Label

DRIFT = 0.1  # between train's share of harmful memes and another split's
TARGET_DRIFT = 0.2  # of the targets that would have to be others for two splits to agree
RARE = 3  # memes with a target or kind of attack: too few to say anything about it


def label_findings(contents: Contents) -> tuple[list[Finding], dict[str, Any]]:
    """What is odd about the labels, and their counts per split."""
    table = {split: _balance(items) for split, items in contents.by_split.items()}
    found = [*_unfit(contents, table), *_unlabelled(contents, table), *_drift(contents, table)]
    found += _odd(contents)
    found += _rare(contents.items) + _version(contents)
    return found, table


def _balance(items: Sequence[Item]) -> dict[str, Any]:
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


def _unfit(contents: Contents, table: dict[str, Any]) -> list[Finding]:
    """What keeps anyone from training or testing at all."""
    found = []
    train = table.get(contents.train)
    if train is None or not 0 < train["harmful"] < train["labelled"]:
        what = "there is no train split" if train is None else "train does not hold both labels"
        found.append(
            Finding(
                code="train-unusable",
                level="error",
                where=contents.train,
                message=f"{what}: nothing can be learned",
                bars=("training", "publishing"),
                mend="import with labels (and --column split=NAME where the splits are named otherwise)",
            )
        )
    if contents.validation not in table:
        found.append(
            Finding(
                code="validation-missing",
                level="warning",
                where=contents.validation,
                message="there is no validation split to choose the epoch and the threshold on; choosing on test "
                "inflates figures",
                mend="import again with --validation-share 0.1",
            )
        )
    tests = [split for split in contents.held_out if 0 < table[split]["harmful"] < table[split]["labelled"]]
    if not tests:
        found.append(
            Finding(
                code="test-missing",
                level="error",
                where=contents.test,
                message="no held-out split holds both labels: there is nothing to publish a figure on",
                bars=("publishing",),
                mend="import the labelled test split",
            )
        )
    return found


def _unlabelled(contents: Contents, table: dict[str, Any]) -> list[Finding]:
    found = []
    for split, row in table.items():
        missing = row["memes"] - row["labelled"]
        if missing:
            partly = row["labelled"] > 0
            found.append(
                Finding(
                    code="unlabelled",
                    level="warning" if partly else "note",
                    where=split,
                    message=f"{missing:,} of {row['memes']:,} memes of {split} have no label",
                    count=missing,
                    of=row["memes"],
                    examples=examples(
                        [
                            Example(memes=(item.id,))
                            for item in contents.by_split[split]
                            if not item.meme.label
                        ]
                    )
                    if partly
                    else (),
                )
            )
    return found


def _drift(contents: Contents, table: dict[str, Any]) -> list[Finding]:
    def share(split: str) -> float | None:
        row = table[split]
        return row["harmful"] / row["labelled"] if row["labelled"] else None

    base = share(contents.train) if contents.train in table else None
    if base is None:
        return []
    return _target_drift(contents, table) + [
        Finding(
            code="balance-drift",
            level="note",
            where=split,
            message=f"{100 * own:.1f} % of {split} is harmful, {100 * base:.1f} % of {contents.train}: a threshold "
            "chosen on one does not carry over as it is",
        )
        for split in table
        if split not in (contents.train, NO_SPLIT)
        and (own := share(split)) is not None
        and abs(own - base) > DRIFT
    ]


def _target_drift(contents: Contents, table: dict[str, Any]) -> list[Finding]:
    """Splits whose harmful memes aim at others than train's do: one target is learned about, another tested."""

    def shares(split: str) -> dict[str, float]:
        counts = table[split].get("targets", {})
        return {name: count / sum(counts.values()) for name, count in counts.items()}

    base = shares(contents.train)
    found = []
    for split in table:
        own = shares(split)
        if split in (contents.train, NO_SPLIT) or not base or not own:
            continue
        # Total variation distance: the share of targets that would have to be others.
        distance = sum(abs(own.get(name, 0) - base.get(name, 0)) for name in {*own, *base}) / 2
        if distance > TARGET_DRIFT:
            most = max(own, key=lambda name: own[name] - base.get(name, 0))
            found.append(
                Finding(
                    code="target-drift",
                    level="warning",
                    where=split,
                    message=f"targets differ between {contents.train} and {split} by {100 * distance:.0f} %: "
                    f"{most!r} is {100 * own[most]:.0f} % of {split}'s and {100 * base.get(most, 0):.0f} % of "
                    f"{contents.train}'s",
                )
            )
    return found


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
        lambda label: "" in (*label.targets, *label.protected_categories, *label.attack_types),
    ),
    (
        "label-harmless-target",
        "note",
        "are harmless and name a target or an attack all the same",
        lambda label: (
            not label.harmful and bool(label.targets or label.protected_categories or label.attack_types)
        ),
    ),
)


def _odd(contents: Contents) -> list[Finding]:
    found = []
    labelled = [item for item in contents.items if item.meme.label]
    for code, level, what, is_so in _ODD:
        cases = [item for item in labelled if item.meme.label and is_so(item.meme.label)]
        if cases:
            found.append(
                Finding(
                    code=code,
                    level=level,
                    message=f"{len(cases):,} of {len(labelled):,} labels {what}",
                    count=len(cases),
                    of=len(labelled),
                    examples=examples(
                        Example(memes=(item.id,), what=", ".join(item.meme.label.targets), text=item.text)
                        for item in cases
                        if item.meme.label
                    ),
                )
            )
    return found


def _rare(items: Sequence[Item]) -> list[Finding]:
    counts = Counter(
        name
        for item in items
        if (label := item.meme.label)
        for name in (*label.targets, *label.protected_categories, *label.attack_types)
    )
    rare = [(name, count) for name, count in counts.most_common() if count <= RARE]
    if not rare:
        return []
    return [
        Finding(
            code="label-rare",
            level="note",
            message=f"{len(rare):,} targets or attacks are on {RARE} memes or fewer: "
            + ", ".join(f"{name} ({count})" for name, count in rare[:8]),
            count=len(rare),
            of=len(counts),
        )
    ]


def _version(contents: Contents) -> list[Finding]:
    version = contents.dataset.info.options.get("label_version")
    if version is None:
        return []
    unsure = "unknown" in str(version) or "together" in str(version)
    return [
        Finding(
            code="label-version",
            level="warning" if unsure else "note",
            message=f"labels are of version: {version}"
            + ("; figures of other versions do not compare" if unsure else ""),
        )
    ]
