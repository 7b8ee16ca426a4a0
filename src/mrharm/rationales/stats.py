"""Measure a file of rationales: coverage, what the gate did, lengths, cost, and how leaving some out shifts labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

from mrharm.metrics import Estimate, share
from mrharm.rationales.gate import first_status
from mrharm.rationales.staleness import stale_rationales
from mrharm.records import Evidence, Label, Meme, Rationale, Record

TEACHES = ("ok", "deleaked")


class Share(Record):
    """``count`` of ``of``, with the 95 % Wilson interval of the share."""

    count: int
    of: int
    share: Estimate


class Group(Record):
    """Counts of memes with one label, severity or target: all, with a rationale, with one that teaches, refused."""

    name: str
    memes: int
    written: int
    teaching: int
    refused: int
    leaking_at_first: int


class Bias(Record):
    """How leaving rationales out changes what stage 1 learns from."""

    harmful_share: float  # of all memes
    harmful_share_teaching: float  # of those whose rationale teaches
    points: float  # the change, in percentage points
    points_refused: float  # what the refusals alone change among the memes with a rationale
    groups: dict[str, tuple[float, float]]  # both shares, of every label and target


class Stats(Record):
    """Figures of one file of rationales."""

    memes: int  # with a label
    written: int  # of them with a rationale
    teaching: Share  # of them with one that may teach
    before: dict[str, Share]  # the gate, by status
    after: dict[str, Share]
    stale: int  # written for other words than the meme has now
    teachers: dict[str, int]
    prompts: dict[str, int]
    asked_again: int
    words: dict[str, float]  # lengths of those that teach
    tokens: dict[str, int]
    usd: float
    groups: tuple[Group, ...]
    bias: Bias | None


def measure(
    memes: Sequence[Meme], rationales: Mapping[str, Rationale], evidence: Mapping[str, Evidence]
) -> Stats:
    """Compute the figures of the rationales of labelled memes.

    ``before`` classes each teacher's first answer; ``after`` is what the file holds.
    """
    labelled = [meme for meme in memes if meme.label]
    rows = {meme.id: rationales[meme.id] for meme in labelled if meme.id in rationales}
    first = {meme.id: first_status(rows[meme.id], meme, evidence) for meme in labelled if meme.id in rows}
    teaching = [row for row in rows.values() if row.status in TEACHES]
    groups = _count_groups(labelled, rows, first)
    return Stats(
        memes=len(labelled),
        written=len(rows),
        teaching=_share(len(teaching), len(labelled)),
        before=_rates(first.values()),
        after=_rates(row.status for row in rows.values()),
        stale=len(stale_rationales(labelled, evidence, rows)),
        teachers=dict(Counter(row.teacher for row in rows.values())),
        prompts=dict(Counter(row.prompt or "(none)" for row in rows.values())),
        words=_measure_lengths(teaching),
        **_sum_usage(rows.values()),
        groups=tuple(groups),
        bias=_measure_bias(groups) if teaching else None,
    )


def group_names(label: Label) -> list[str]:
    """Return the names of a label's groups: its side, its severity, its targets and protected categories."""
    names = ["harmful" if label.harmful else "harmless"]
    if label.severity in ("somewhat", "very"):
        names.append(f"severity: {label.severity}")
    names += [f"target: {target}" for target in label.targets]
    return names + [f"protected: {category}" for category in label.protected_categories]


def _measure_lengths(rows: Sequence[Rationale]) -> dict[str, float]:
    words = [len(row.text.split()) for row in rows]
    return {"mean": mean(words), "median": median(words), "longest": max(words)} if words else {}


def _sum_usage(rows: Iterable[Rationale]) -> dict[str, Any]:
    """Sum the follow-up questions, the tokens and the cost of all answers."""
    usages = [row.usage or {} for row in rows]
    tokens: Counter[str] = Counter()
    for usage in usages:
        for name in ("prompt_tokens", "completion_tokens"):
            count = usage.get(name)
            tokens[name] += count if isinstance(count, int) else 0  # endpoints may leave it null
    calls = [int(usage["calls"]) for usage in usages if "calls" in usage]
    usd = round(sum(float(usage.get("usd", 0.0)) for usage in usages), 6)
    return {"asked_again": max(0, sum(calls) - len(calls)), "tokens": dict(+tokens), "usd": usd}


def _count_groups(
    memes: Iterable[Meme], rows: Mapping[str, Rationale], first: Mapping[str, str]
) -> list[Group]:
    """Count each group's memes, and what became of their rationales; sides first, then severities and targets."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for meme in memes:
        status = rows[meme.id].status if meme.id in rows else None
        flags = {
            "memes": True,
            "written": status is not None,
            "teaching": status in TEACHES,
            "refused": status == "refused",
            "leaking_at_first": first.get(meme.id) == "leaks_label",
        }
        for name in group_names(meme.label) if meme.label else ():
            counts[name].update(flags)
    names = sorted(counts, key=lambda name: (":" in name, name))
    return [Group(name=name, **counts[name]) for name in names]


def _measure_bias(groups: Sequence[Group]) -> Bias:
    """Compare the shares of the groups among all memes, and among those whose rationale teaches."""
    sides = [group for group in groups if group.name in ("harmful", "harmless")]

    def harmful_share(count: Callable[[Group], int]) -> float:
        return sum(count(side) for side in sides if side.name == "harmful") / sum(map(count, sides))

    memes, teaching = sum(side.memes for side in sides), sum(side.teaching for side in sides)
    before, after = harmful_share(lambda side: side.memes), harmful_share(lambda side: side.teaching)
    written = harmful_share(lambda side: side.written)
    answered = harmful_share(lambda side: side.written - side.refused)
    return Bias(
        harmful_share=before,
        harmful_share_teaching=after,
        points=100 * (after - before),
        points_refused=100 * (answered - written),
        groups={group.name: (group.memes / memes, group.teaching / teaching) for group in groups},
    )


def _rates(statuses: Iterable[str]) -> dict[str, Share]:
    counts = Counter(statuses)
    return {name: _share(count, counts.total()) for name, count in counts.most_common()}


def _share(count: int, of: int) -> Share:
    return Share(count=count, of=of, share=share(count, of))
