"""What a file of rationales holds: coverage, what the gate did, lengths, cost, and what leaving some out changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median

from mrharm.metrics import Estimate, share
from mrharm.rationales.regate import first_status
from mrharm.records import Evidence, Label, Meme, Rationale, Record

TEACHES = ("ok", "deleaked")


class Share(Record):
    """``count`` of ``of``, with the 95 % Wilson interval of the share."""

    count: int
    of: int
    share: Estimate


class Group(Record):
    """One label, severity or target: memes, of them explained, teaching, refused."""

    name: str
    memes: int
    written: int
    teaching: int
    refused: int
    leaking_at_first: int


class Bias(Record):
    """How leaving rationales out changes what stage 1 sees: the share of harmful memes in all, and in those that teach.

    ``points``: the change in percentage points; ``points_refused``: what the refusals alone change among those written.
    ``groups``: shares in all and in those that teach, for every label and target.
    """

    harmful_share: float
    harmful_share_teaching: float
    points: float
    points_refused: float
    groups: dict[str, tuple[float, float]]


class Stats(Record):
    """Of one file of rationales; ``before`` and ``after`` the gate are rates of answers by status."""

    memes: int
    written: int
    teaching: Share
    before: dict[str, Share]
    after: dict[str, Share]
    teachers: dict[str, int]
    prompts: dict[str, int]
    asked_again: int
    words: dict[str, float]
    tokens: dict[str, int]
    usd: float
    groups: tuple[Group, ...]
    bias: Bias | None


def measure(
    memes: Sequence[Meme], rationales: Mapping[str, Rationale], evidence: Mapping[str, Evidence]
) -> Stats:
    """The figures of the rationales of labelled memes.

    "Before" classes what each teacher said first; "after" is what stands in the file.
    """
    labelled = [meme for meme in memes if meme.label]
    pairs = [(meme, rationales[meme.id]) for meme in labelled if meme.id in rationales]
    rows = [row for _, row in pairs]
    before = [first_status(row, meme, evidence.get(meme.id)) for meme, row in pairs]
    teaching = {row.meme_id for row in rows if row.status in TEACHES}
    lengths = [len(row.text.split()) for row in rows if row.meme_id in teaching]
    leaking = {row.meme_id for row, status in zip(rows, before, strict=True) if status == "leaks_label"}
    usage: Counter[str] = Counter()
    for row in rows:
        usage.update({name: count for name, count in (row.usage or {}).items() if isinstance(count, int)})
    return Stats(
        memes=len(labelled),
        written=len(rows),
        teaching=_share(len(teaching), len(labelled)),
        before=_rates(before),
        after=_rates(row.status for row in rows),
        teachers=dict(Counter(row.teacher for row in rows)),
        prompts=dict(Counter(row.prompt or "(none)" for row in rows)),
        asked_again=max(0, usage["calls"] - sum("calls" in (row.usage or {}) for row in rows)),
        words={"mean": mean(lengths), "median": median(lengths), "longest": max(lengths)} if lengths else {},
        tokens={name: usage[name] for name in ("prompt_tokens", "completion_tokens") if usage[name]},
        usd=round(sum(float((row.usage or {}).get("usd", 0.0)) for row in rows), 6),
        groups=tuple(_groups(labelled, {row.meme_id: row for row in rows}, teaching, leaking)),
        bias=_bias(labelled, teaching, {row.meme_id: row.status for row in rows}),
    )


def group_names(label: Label) -> list[str]:
    """The label's side and severity, and whom it names as targets and protected categories."""
    names = ["harmful" if label.harmful else "harmless"]
    if label.severity in ("somewhat", "very"):
        names.append(f"severity: {label.severity}")
    names += [f"target: {one}" for one in label.targets]
    return names + [f"protected: {one}" for one in label.protected_categories]


def _groups(
    memes: Sequence[Meme], rows: Mapping[str, Rationale], teaching: set[str], leaking: set[str]
) -> list[Group]:
    members: dict[str, list[str]] = {}
    for meme in memes:
        for name in group_names(meme.label) if meme.label else []:
            members.setdefault(name, []).append(meme.id)
    return [
        Group(
            name=name,
            memes=len(ids),
            written=sum(one in rows for one in ids),
            teaching=sum(one in teaching for one in ids),
            refused=sum(one in rows and rows[one].status == "refused" for one in ids),
            leaking_at_first=sum(one in leaking for one in ids),
        )
        for name, ids in sorted(members.items(), key=lambda pair: (":" in pair[0], pair[0]))
    ]


def _bias(memes: Sequence[Meme], teaching: set[str], statuses: Mapping[str, str]) -> Bias | None:
    if not memes or not teaching:
        return None
    names = [(meme.id in teaching, group_names(meme.label)) for meme in memes if meme.label]
    all_counts = Counter(name for _, some in names for name in some)
    kept_counts = Counter(name for kept, some in names if kept for name in some)
    kept = sum(is_kept for is_kept, _ in names)
    groups = {name: (count / len(names), kept_counts[name] / kept) for name, count in all_counts.items()}
    before, after = groups.get("harmful", (0.0, 0.0))
    sides = {meme.id: meme.label.harmful for meme in memes if meme.label}
    written = [sides[name] for name in statuses]
    answered = [sides[name] for name, status in statuses.items() if status != "refused"]
    return Bias(
        harmful_share=before,
        harmful_share_teaching=after,
        points=100 * (after - before),
        points_refused=100 * (mean(answered) - mean(written)),
        groups=groups,
    )


def _rates(statuses: Iterable[str]) -> dict[str, Share]:
    counts = Counter(statuses)
    return {name: _share(count, counts.total()) for name, count in counts.most_common()}


def _share(count: int, of: int) -> Share:
    return Share(count=count, of=of, share=share(count, of))
