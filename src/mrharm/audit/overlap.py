"""The same meme twice: within a split, and across splits, where a model is then tested on what it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from mrharm.audit.copies import KINDS, Copies
from mrharm.audit.findings import Example, Finding, Level, make_finding, report_cases
from mrharm.audit.reading import NO_SPLIT, Contents, Item

SERIOUS = 0.01  # of a held-out split in train: figures on it cannot be published
REPEATS = 0.05  # of a split's rows that repeat another: worth a warning
TEMPLATE_MEMES = 5  # from how many memes on one label on a template is no chance
_BY = {"id": "id", "picture": "picture", "near_picture": "near-same picture", "text": "text"}
_SIDES = {True: "harmful", False: "harmless", None: "nothing"}

Pairs = list[tuple[Item, list[Item]]]  # items of a split, each with its copies in another


def audit_copies(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, Any]]:
    """Find repeated ids, copies within and across splits with label conflicts, and template groups; count them all."""
    findings = [*_find_repeated_ids(contents)]
    within, across = {}, {}
    for split, items in contents.by_split.items():
        repeated = {kind: copies.list_groups(kind, items) for kind in KINDS}
        within[split] = {
            kind: {"count": sum(len(group) - 1 for group in groups), "of": len(items)}
            for kind, groups in repeated.items()
        }
        findings += _report_within(split, repeated["meme"], **within[split]["meme"])
    for pair in combinations([name for name in contents.by_split if name != NO_SPLIT], 2):
        first, second = (contents.by_split[split] for split in pair)
        pairs = {kind: copies.pair_copies(second, first, kind) for kind in KINDS}
        counts = {kind: _count_overlap(rows, len(second)) for kind, rows in pairs.items()}
        across[" - ".join(pair)] = counts
        findings += _report_across(contents, pair, pairs, counts)
    groups = copies.list_groups("meme")
    torn = [group for group in groups if {True, False} <= _list_sides(group)]
    shown = [_show_group(group, ", ".join(_SIDES[item.harmful] for item in group[:4])) for group in torn]
    findings += report_cases("label-conflict", shown, len(groups))
    of_templates, templates = _find_templates(contents, copies)
    return findings + of_templates, {"within": within, "across": across, "templates": templates}


def _find_repeated_ids(contents: Contents) -> list[Finding]:
    counts = Counter(item.id for item in contents.items)
    examples = [
        Example(memes=(meme_id,), what=f"{count} times")
        for meme_id, count in counts.most_common()
        if count > 1
    ]
    return report_cases("id-repeated", examples, len(counts))


def _report_within(split: str, repeated: Sequence[Sequence[Item]], count: int, of: int) -> Iterator[Finding]:
    """Report the rows of a split that repeat another, ``count`` in all."""
    if repeated:
        yield make_finding(
            "copies-within",
            level="warning" if count >= REPEATS * of else "note",
            where=split,
            count=count,
            of=of,
            different=of - count,
            examples=[_show_group(group, f"{len(group)} times") for group in repeated],
        )


def _show_group(group: Sequence[Item], what: str, *, text: bool = True) -> Example:
    return Example(memes=tuple(item.id for item in group[:4]), what=what, text=group[0].text if text else "")


def _count_overlap(pairs: Pairs, of: int) -> dict[str, int]:
    """Count the items that have copies, and those with one of the opposite label."""
    conflicts = sum(any(_conflicts(item, copy) for copy in group) for item, group in pairs)
    return {"count": len(pairs), "of": of, "conflicts": conflicts}


def _conflicts(item: Item, copy: Item) -> bool:
    return item.harmful is not None and copy.harmful is (not item.harmful)


def _report_across(
    contents: Contents,
    splits: tuple[str, str],
    pairs: Mapping[str, Pairs],
    counts: Mapping[str, dict[str, int]],
) -> Iterator[Finding]:
    first, second = splits
    figures: dict[str, Any] = {"where": f"{first} - {second}", "first": first, "second": second}
    same = counts["meme"]
    if same["count"]:
        parts = ", ".join(
            f"{row['count']:,} by {_BY[kind]}"
            + (f" with {row['conflicts']:,} beside an opposite label" if row["conflicts"] else "")
            for kind, row in counts.items()
            if kind in _BY and row["count"]
        )
        # Train in a held-out split bars publishing; elsewhere an overlap is for a person to weigh.
        from_train = first == contents.train
        serious = from_train and second in contents.held_out and same["count"] >= SERIOUS * same["of"]
        figures["mend"] = "remove them from train: --fix" if from_train else ""
        level: Level = "error" if serious else "warning"
        shown = _show_overlap(splits, pairs["meme"])
        yield from report_cases("overlap", shown, same["of"], level=level, parts=parts, **figures)
    copied = {item.number for item, _ in pairs["meme"]}
    if text_alone := sum(item.number not in copied for item, _ in pairs["text"]):
        shown = _show_overlap(splits, pairs["text"])
        yield make_finding("text-shared", count=text_alone, of=same["of"], examples=shown, **figures)


def _show_overlap(splits: tuple[str, str], pairs: Pairs) -> list[Example]:
    """Return conflicts first, then long texts: two memes that share a long text by chance are rare."""
    first, second = splits
    cases = []
    for item, group in pairs:
        conflict = next((copy for copy in group if _conflicts(item, copy)), None)
        copy = conflict or group[0]
        what = f"{second} says {_SIDES[item.harmful]}, {first} {_SIDES[copy.harmful]}"
        shown = Example(memes=(item.id, copy.id), what=what, text=item.text)
        cases.append((conflict is None, -len(item.text), shown))
    return [shown for _, _, shown in sorted(cases, key=lambda case: case[:2])]


def _find_templates(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, int]]:
    """Find groups of memes over (nearly) one picture with different texts."""
    groups = [group for group in copies.list_groups("template") if len({item.text for item in group}) > 1]
    table = {
        "groups": len(groups),
        "memes": sum(map(len, groups)),
        "largest": max(map(len, groups), default=0),
        "across_splits": sum(_crosses_splits(contents, group) for group in groups),
        "one_label": sum(_has_one_label(group) for group in groups),
    }
    examples = []
    for group in sorted(groups, key=_has_one_label, reverse=True):
        harmful = sum(bool(item.harmful) for item in group)
        examples.append(_show_group(group, f"{len(group)} memes, {harmful} harmful", text=False))
    findings = []
    if groups:
        figures: dict[str, Any] = {name: table[name] for name in ("groups", "across_splits", "one_label")}
        figures |= {"count": table["memes"], "of": len(copies.items), "least": TEMPLATE_MEMES}
        findings = [make_finding("templates", examples=examples, **figures)]
    return findings, table


def _crosses_splits(contents: Contents, group: Sequence[Item]) -> bool:
    splits = {split for item in group for split in item.splits}
    return contents.train in splits and not splits.isdisjoint(contents.held_out)


def _has_one_label(group: Sequence[Item]) -> bool:
    return len(group) >= TEMPLATE_MEMES and len(_list_sides(group) - {None}) == 1


def _list_sides(group: Sequence[Item]) -> set[bool | None]:
    return {item.harmful for item in group}
