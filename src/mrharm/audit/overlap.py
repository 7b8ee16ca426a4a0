"""The same meme twice: within a split, and across splits, where a model is then tested on what it was trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrharm.audit.copies import KINDS, Copies, members_of
from mrharm.audit.findings import Example, Finding, Level, Purpose, examples
from mrharm.audit.reading import NO_SPLIT, Contents, Item

SERIOUS = 0.01  # of a held-out split in train: figures on it cannot be published
REPEATS = 0.05  # of a split's rows that repeat another: worth a warning
_BY = {"id": "id", "picture": "picture", "near_picture": "near-same picture", "text": "text"}
TEMPLATE_MEMES = 5  # from how many memes on one label on a template is no chance


def copy_findings(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, Any]]:
    """Repeated ids, copies within and across splits with label conflicts, template groups; and the counts of all."""
    table: dict[str, Any] = {"within": {}, "across": {}}
    findings = _repeated_ids(contents)
    for split, items in contents.by_split.items():
        table["within"][split] = {kind: _repeats(copies.groups[kind], items) for kind in KINDS}
        extra = table["within"][split]["meme"]["count"]
        if extra:
            findings.append(_within(contents, copies, split, items, extra))
    for one, other in combinations([name for name in contents.by_split if name != NO_SPLIT], 2):
        counts = {kind: _overlap(contents, copies, kind, one, other) for kind in KINDS}
        table["across"][f"{one} - {other}"] = counts
        if any(row["count"] for row in counts.values()):
            findings += _across(contents, copies, one, other, counts)
    findings += _conflicts(copies)
    found, table["templates"] = _templates(contents, copies)
    return findings + found, table


def _repeated_ids(contents: Contents) -> list[Finding]:
    counts = Counter(item.id for item in contents.items)
    twice = [(meme_id, count) for meme_id, count in counts.most_common() if count > 1]
    if not twice:
        return []
    return [
        Finding(
            code="id-repeated",
            level="error",
            message=f"{len(twice):,} ids stand more than once in memes.jsonl, so evidence and rationales cannot be "
            "told apart",
            count=len(twice),
            of=len(counts),
            bars=("training", "publishing"),
            mend="keep one row of each, or let --fix do it",
            examples=examples(Example(memes=(meme_id,), what=f"{count} times") for meme_id, count in twice),
        )
    ]


def _repeats(groups: NDArray[np.int64], items: Sequence[Item]) -> dict[str, int]:
    inside = Counter(int(groups[item.number]) for item in items)
    return {
        "count": sum(count - 1 for group, count in inside.items() if group >= 0),
        "of": len(items),
    }


def _within(contents: Contents, copies: Copies, split: str, items: list[Item], extra: int) -> Finding:
    members: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        group = int(copies.groups["meme"][item.number])
        if group >= 0:
            members[group].append(item)
    groups = sorted((group for group in members.values() if len(group) > 1), key=len, reverse=True)
    return Finding(
        code="copies-within",
        level="warning" if extra >= REPEATS * len(items) else "note",
        where=split,
        message=f"{len(items):,} rows of {split} hold {len(items) - extra:,} different memes",
        count=extra,
        of=len(items),
        examples=examples(
            [
                Example(
                    memes=tuple(item.id for item in group[:4]),
                    what=f"{len(group)} times",
                    text=group[0].text,
                )
                for group in groups
            ]
        ),
    )


def _overlap(contents: Contents, copies: Copies, kind: str, one: str, other: str) -> dict[str, int]:
    """How many items of ``other`` have a copy in ``one``, and how many of these one of the opposite label."""
    labels = _labels_by_group(copies.groups[kind], contents.by_split[one])
    found = copies.seen_in(contents.by_split[other], contents.by_split[one], kind)
    against = [item for item in found if _opposed(item, labels[int(copies.groups[kind][item.number])])]
    return {"count": len(found), "of": len(contents.by_split[other]), "conflicts": len(against)}


def _labels_by_group(groups: NDArray[np.int64], items: Sequence[Item]) -> dict[int, set[bool | None]]:
    labels: dict[int, set[bool | None]] = defaultdict(set)
    for item in items:
        labels[int(groups[item.number])].add(item.harmful)
    return labels


def _opposed(item: Item, labels: set[bool | None]) -> bool:
    return item.harmful is not None and (not item.harmful) in labels


def _across(
    contents: Contents, copies: Copies, one: str, other: str, counts: dict[str, dict[str, int]]
) -> list[Finding]:
    found = []
    same = counts["meme"]
    if same["count"]:
        parts = ", ".join(
            f"{row['count']:,} by {_BY[kind]}"
            + (f" with {row['conflicts']:,} beside an opposite label" if row["conflicts"] else "")
            for kind, row in counts.items()
            if kind in _BY and row["count"]
        )
        level, bars = _gravity(contents, one, other, same["count"] / max(1, same["of"]))
        found.append(
            Finding(
                code="overlap",
                level=level,
                where=f"{one} - {other}",
                message=f"{same['count']:,} of {same['of']:,} {other} memes are in {one} too ({parts})",
                count=same["count"],
                of=same["of"],
                bars=bars,
                mend="remove them from train: --fix" if one == contents.train else None,
                examples=_overlap_examples(contents, copies, one, other, "meme"),
            )
        )
    same_memes = {item.number for item in copies.seen_in(contents.by_split[other], contents.by_split[one])}
    same_texts = copies.seen_in(contents.by_split[other], contents.by_split[one], "text")
    text_alone = sum(item.number not in same_memes for item in same_texts)
    if text_alone:
        found.append(
            Finding(
                code="text-shared",
                level="note",
                where=f"{one} - {other}",
                message=f"{text_alone:,} {other} memes share their text with {one} under another picture (confounders "
                "are made like that)",
                count=text_alone,
                of=counts["text"]["of"],
                examples=_overlap_examples(contents, copies, one, other, "text"),
            )
        )
    return found


def _gravity(contents: Contents, one: str, other: str, share: float) -> tuple[Level, tuple[Purpose, ...]]:
    """Train in a held-out split bars publishing; elsewhere an overlap is for a person to weigh."""
    if one == contents.train and other in contents.held_out and share >= SERIOUS:
        return "error", ("publishing",)
    return "warning", ()


def _overlap_examples(
    contents: Contents, copies: Copies, one: str, other: str, kind: str
) -> tuple[Example, ...]:
    groups = copies.groups[kind]
    partners: dict[int, list[Item]] = defaultdict(list)
    for item in contents.by_split[one]:
        partners[int(groups[item.number])].append(item)
    cases = []
    for item in copies.seen_in(contents.by_split[other], contents.by_split[one], kind):
        theirs = partners[int(groups[item.number])]
        against = next((their for their in theirs if _opposed(item, {their.harmful})), None)
        said = f"{other} says {_word(item.harmful)}, {one} {_word((against or theirs[0]).harmful)}"
        shown = Example(memes=(item.id, (against or theirs[0]).id), what=said, text=item.text)
        cases.append((against is None, -len(item.text), shown))
    # Conflicts first, then long texts: two memes that share a long text by chance are rare.
    return examples([shown for _, _, shown in sorted(cases, key=lambda case: case[:2])])


def _word(harmful: bool | None) -> str:
    return {True: "harmful", False: "harmless", None: "nothing"}[harmful]


def _conflicts(copies: Copies) -> list[Finding]:
    groups = [
        [copies.items[number] for number in members] for members in members_of(copies.groups["meme"]).values()
    ]
    torn = [group for group in groups if {True, False} <= {item.harmful for item in group}]
    if not torn:
        return []
    return [
        Finding(
            code="label-conflict",
            level="warning",
            message=f"{len(torn):,} memes that stand more than once carry both labels",
            count=len(torn),
            of=len(groups),
            examples=examples(
                [
                    Example(
                        memes=tuple(item.id for item in group[:4]),
                        what=", ".join(_word(item.harmful) for item in group[:4]),
                        text=group[0].text,
                    )
                    for group in sorted(torn, key=len, reverse=True)
                ]
            ),
        )
    ]


def _templates(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, int]]:
    """Groups of memes over (nearly) one picture with different texts."""
    every = [
        [copies.items[number] for number in members] for members in members_of(copies.templates).values()
    ]
    groups = [group for group in every if len({item.text for item in group}) > 1]
    crossing = sum(_crosses(contents, group) for group in groups)
    one_label = sum(_has_one_label(group) for group in groups)
    table = {
        "groups": len(groups),
        "memes": sum(map(len, groups)),
        "largest": max(map(len, groups), default=0),
        "across_splits": crossing,
        "one_label": one_label,
    }
    if not groups:
        return [], table
    groups.sort(key=lambda group: (_has_one_label(group), len(group)), reverse=True)
    return [
        Finding(
            code="templates",
            level="note",
            message=f"{table['memes']:,} memes stand on {len(groups):,} templates (one picture, several texts); "
            f"{crossing:,} of these are in train and held out, {one_label:,} of {TEMPLATE_MEMES} memes or more have "
            "one label only",
            count=table["memes"],
            of=len(copies.items),
            examples=examples(
                [
                    Example(
                        memes=tuple(item.id for item in group[:4]),
                        what=f"{len(group)} memes, {sum(bool(item.harmful) for item in group)} harmful",
                    )
                    for group in groups
                ]
            ),
        )
    ], table


def _crosses(contents: Contents, group: list[Item]) -> bool:
    splits = {split for item in group for split in item.splits}
    return contents.train in splits and bool(splits & set(contents.held_out))


def _has_one_label(group: list[Item]) -> bool:
    labels = {item.harmful for item in group if item.harmful is not None}
    return len(group) >= TEMPLATE_MEMES and len(labels) == 1
