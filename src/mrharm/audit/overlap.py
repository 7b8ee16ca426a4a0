"""The same meme twice: within a split, and across splits, where a model is then tested on what it was trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from mrharm.audit.copies import KINDS, Copies, count_repeats, list_members
from mrharm.audit.findings import Example, Finding, Level, make_finding, report_cases
from mrharm.audit.reading import NO_SPLIT, Contents, Item

SERIOUS = 0.01  # of a held-out split in train: figures on it cannot be published
REPEATS = 0.05  # of a split's rows that repeat another: worth a warning
TEMPLATE_MEMES = 5  # from how many memes on one label on a template is no chance
_BY = {"id": "id", "picture": "picture", "near_picture": "near-same picture", "text": "text"}

Partners = list[tuple[Item, list[Item]]]  # items of a split, each with its copies in another


def audit_copies(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, Any]]:
    """Find repeated ids, copies within and across splits with label conflicts, and template groups; count them all."""
    findings = [*_find_repeated_ids(contents)]
    within = {}
    for split, items in contents.by_split.items():
        numbers = [item.number for item in items]
        within[split] = {
            kind: {"count": count_repeats(copies.groups[kind][numbers]), "of": len(items)} for kind in KINDS
        }
        findings += _report_within(copies, split, items, within[split]["meme"]["count"])
    across = {}
    for pair in combinations([name for name in contents.by_split if name != NO_SPLIT], 2):
        partners = {kind: _list_partners(contents, copies, kind, pair) for kind in KINDS}
        counts = {
            kind: _count_overlap(rows, len(contents.by_split[pair[1]])) for kind, rows in partners.items()
        }
        across[" - ".join(pair)] = counts
        findings += _report_across(contents, pair, partners, counts)
    findings += _find_conflicts(copies)
    of_templates, templates = _find_templates(contents, copies)
    return findings + of_templates, {"within": within, "across": across, "templates": templates}


def _find_repeated_ids(contents: Contents) -> Iterator[Finding]:
    counts = Counter(item.id for item in contents.items)
    repeated = [meme_id for meme_id, count in counts.most_common() if count > 1]
    examples = [Example(memes=(meme_id,), what=f"{counts[meme_id]} times") for meme_id in repeated]
    yield from report_cases("id-repeated", examples, len(counts))


def _report_within(copies: Copies, split: str, items: Sequence[Item], extra: int) -> Iterator[Finding]:
    """Report the rows of a split that repeat another, ``extra`` in all."""
    if not extra:
        return
    groups = list_members(copies.groups["meme"][[item.number for item in items]]).values()
    repeated = sorted((group for group in groups if len(group) > 1), key=len, reverse=True)
    yield make_finding(
        "copies-within",
        level="warning" if extra >= REPEATS * len(items) else "note",
        where=split,
        count=extra,
        of=len(items),
        different=len(items) - extra,
        examples=[
            _show_group([items[index] for index in group], f"{len(group)} times") for group in repeated
        ],
    )


def _show_group(group: Sequence[Item], what: str, *, text: bool = True) -> Example:
    return Example(memes=tuple(item.id for item in group[:4]), what=what, text=group[0].text if text else "")


def _list_partners(contents: Contents, copies: Copies, kind: str, pair: tuple[str, str]) -> Partners:
    """Return the items of the second split that have copies in the first, each with these."""
    first, second = (contents.by_split[split] for split in pair)
    groups = copies.groups[kind]
    members: dict[int, list[Item]] = defaultdict(list)
    for item in first:
        members[int(groups[item.number])].append(item)
    return [(item, members[int(groups[item.number])]) for item in copies.find_copied(second, first, kind)]


def _count_overlap(partners: Partners, of: int) -> dict[str, int]:
    """Count the items that have copies, and those with one of the opposite label."""
    conflicts = sum(any(_conflicts(item, partner) for partner in group) for item, group in partners)
    return {"count": len(partners), "of": of, "conflicts": conflicts}


def _conflicts(item: Item, partner: Item) -> bool:
    return item.harmful is not None and partner.harmful is (not item.harmful)


def _report_across(
    contents: Contents,
    pair: tuple[str, str],
    partners: Mapping[str, Partners],
    counts: Mapping[str, dict[str, int]],
) -> Iterator[Finding]:
    first, second = pair
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
        mend = "remove them from train: --fix" if from_train else ""
        level: Level = "error" if serious else "warning"
        examples = _show_overlap(pair, partners["meme"])
        yield from report_cases(
            "overlap", examples, same["of"], level=level, parts=parts, mend=mend, **figures
        )
    same_memes = {item.number for item, _ in partners["meme"]}
    if text_alone := sum(item.number not in same_memes for item, _ in partners["text"]):
        examples = _show_overlap(pair, partners["text"])
        of = counts["text"]["of"]
        yield make_finding("text-shared", count=text_alone, of=of, examples=examples, **figures)


def _show_overlap(pair: tuple[str, str], partners: Partners) -> list[Example]:
    """Return conflicts first, then long texts: two memes that share a long text by chance are rare."""
    first, second = pair
    cases = []
    for item, group in partners:
        conflict = next((partner for partner in group if _conflicts(item, partner)), None)
        partner = conflict or group[0]
        what = f"{second} says {_name_side(item.harmful)}, {first} {_name_side(partner.harmful)}"
        shown = Example(memes=(item.id, partner.id), what=what, text=item.text)
        cases.append((conflict is None, -len(item.text), shown))
    return [shown for _, _, shown in sorted(cases, key=lambda case: case[:2])]


def _name_side(harmful: bool | None) -> str:
    return {True: "harmful", False: "harmless", None: "nothing"}[harmful]


def _find_conflicts(copies: Copies) -> Iterator[Finding]:
    groups = copies.list_groups(copies.groups["meme"])
    torn = [group for group in groups if {True, False} <= {item.harmful for item in group}]
    examples = [
        _show_group(group, ", ".join(_name_side(item.harmful) for item in group[:4])) for group in torn
    ]
    yield from report_cases("label-conflict", examples, len(groups))


def _find_templates(contents: Contents, copies: Copies) -> tuple[list[Finding], dict[str, int]]:
    """Find groups of memes over (nearly) one picture with different texts."""
    groups = [
        group for group in copies.list_groups(copies.templates) if len({item.text for item in group}) > 1
    ]
    table = {
        "groups": len(groups),
        "memes": sum(map(len, groups)),
        "largest": max(map(len, groups), default=0),
        "across_splits": sum(_crosses_splits(contents, group) for group in groups),
        "one_label": sum(_has_one_label(group) for group in groups),
    }
    if not groups:
        return [], table
    groups.sort(key=_has_one_label, reverse=True)
    examples = []
    for group in groups:
        harmful = sum(bool(item.harmful) for item in group)
        examples.append(_show_group(group, f"{len(group)} memes, {harmful} harmful", text=False))
    figures: dict[str, Any] = {name: table[name] for name in ("groups", "across_splits", "one_label")} | {
        "least": TEMPLATE_MEMES
    }
    finding = make_finding(
        "templates", count=table["memes"], of=len(copies.items), examples=examples, **figures
    )
    return [finding], table


def _crosses_splits(contents: Contents, group: Sequence[Item]) -> bool:
    splits = {split for item in group for split in item.splits}
    return contents.train in splits and not splits.isdisjoint(contents.held_out)


def _has_one_label(group: Sequence[Item]) -> bool:
    labels = {item.harmful for item in group if item.harmful is not None}
    return len(group) >= TEMPLATE_MEMES and len(labels) == 1
