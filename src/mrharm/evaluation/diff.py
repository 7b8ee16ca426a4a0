"""Two detectors on the same memes: which decisions would change before one takes the other's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from mrharm.errors import InputError
from mrharm.evaluation.cuts import Stream
from mrharm.evaluation.judged import BATCH, Progress, quiet
from mrharm.evaluation.measured import times
from mrharm.metrics.drawn import figures, mean_of_values
from mrharm.metrics.figures import DRAWS, Figure
from mrharm.metrics.paired import McNemar, mcnemar
from mrharm.records import Decision, Failure, Meme, Record, Verdict
from mrharm.verdicts.batches import Found, judge_to_file, read_verdicts
from mrharm.verdicts.card import beside, read_card
from mrharm.verdicts.detector import Detector, JudgeOptions

DECISIONS: tuple[Decision, ...] = ("allow", "review", "flag")
By = Literal["a", "b", "both"]
Right = Literal["a", "b", "both", "neither"]
_RIGHT: dict[tuple[bool, bool], Right] = {
    (True, True): "both",
    (True, False): "a",
    (False, True): "b",
    (False, False): "neither",
}


class Side(Record):
    """What one detector says of an item."""

    score: float
    decision: Decision
    harmful: bool | None
    rationale: str | None = None


class Change(Record):
    """An item whose decision changes, with both sides; ``right`` says whose decision people's label bears out.

    A decision of review is right for neither: a person makes it. So is an answer that was no label (``harmful`` None).
    """

    id: str
    text: str | None = None
    image: str | None = None
    a: Side
    b: Side
    moved: float
    gold: bool | None = None
    right: Right | None = None


class Labelled(Record):
    """Of the items that people labelled: how many changed decisions only the one or only the other has right, each
    one's share of right decisions over all of them, and McNemar's test of the two.
    """

    items: int
    only_a: int
    only_b: int
    right_a: Figure
    right_b: Figure
    test: McNemar


class NotJudged(Failure):
    """An item that could not be judged, by which detector; once for both where they fail alike."""

    by: By


class Diff(Record):
    """What changes from detector ``a`` to detector ``b``.

    ``counts`` maps ``allow->flag`` to how many items go that way, unchanged ones too. ``changed`` is the share that
    changes; ``reviews_a``, ``reviews_b`` and ``reviews_change`` are what people look at, as a share of items, or with
    ``per_day`` as memes a day: a detector's band, or what it flags where it has none. Differences are drawn in pairs.
    ``items`` are those that both judged; ``failures`` lists the others.
    """

    a: str
    b: str
    items: int
    failures: tuple[NotJudged, ...]
    counts: dict[str, int]
    changed: Figure
    per_day: float | None
    reviews_a: Figure
    reviews_b: Figure
    reviews_change: Figure
    labelled: Labelled | None
    changes: tuple[Change, ...]


def not_judged(
    neither: Sequence[Failure], by_a: Sequence[Failure] = (), by_b: Sequence[Failure] = ()
) -> tuple[NotJudged, ...]:
    """What could be read for neither detector, and what failed with each -> every failure once."""
    alike = set(by_a) & set(by_b)
    sides: dict[By, list[Failure]] = {
        "both": [*neither, *(one for one in by_a if one in alike)],
        "a": [one for one in by_a if one not in alike],
        "b": [one for one in by_b if one not in alike],
    }
    return tuple(NotJudged(**one.model_dump(), by=by) for by, some in sides.items() for one in some)


def judge_items(
    run: Path,
    detector: Detector,
    found: Found,
    *,
    keep: Path | None = None,
    rationales: bool = True,
    what: str = "judging",
    progress: Progress = quiet,
) -> tuple[dict[str, Verdict], list[Failure]]:
    """Verdicts on a user's own items, kept in ``verdicts.diff.<scorer>.jsonl`` of the run's folder or of ``keep``.

    Stopped at any moment, the same call goes on; verdicts of an older threshold are decided again from their scores.
    """
    options: JudgeOptions = {"evidence": found.evidence, "batch_size": BATCH, "rationales": rationales}
    failures: list[Failure] = []
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(what, done, len(found.memes))

    file = (keep or beside(read_card(run)[0])) / f"verdicts.diff.{detector.card.scorer()}.jsonl"
    tally = judge_to_file(detector, found.memes, file, options, failures, advance)
    return read_verdicts(file, tally), failures


def compare_decisions(
    a: Detector,
    b: Detector,
    memes: Sequence[Meme],
    verdicts_a: Mapping[str, Verdict],
    verdicts_b: Mapping[str, Verdict],
    *,
    failures: Sequence[NotJudged] = (),
    per_day: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Diff:
    """Both detectors' verdicts on the same memes -> what would change.

    Args:
        a: the detector in use.
        b: the one that would take its place.
        memes: what was judged; those without a verdict of both are left out.
        verdicts_a: meme id -> verdict.
        verdicts_b: meme id -> verdict.
        failures: why others have none.
        per_day: how many memes like these come in a day.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        InputError: no meme was judged by both, or not a positive number of memes a day.
    """
    stream = Stream(per_day=per_day)
    both = [meme for meme in memes if meme.id in verdicts_a and meme.id in verdicts_b]
    if not both:
        raise InputError(
            f"none of the {len(memes):,} items could be judged by both detectors; nothing to compare"
        )
    first, second = [verdicts_a[meme.id] for meme in both], [verdicts_b[meme.id] for meme in both]
    counts = dict.fromkeys((f"{one}->{other}" for one, other in product(DECISIONS, DECISIONS)), 0)
    for one, other in zip(first, second, strict=True):
        counts[f"{one.decision}->{other.decision}"] += 1
    look_a, look_b = _looked_at(a, first), _looked_at(b, second)
    differ = np.array([one.decision != other.decision for one, other in zip(first, second, strict=True)])
    shares = {name: mean_of_values(values, share=True) for name, values in (("a", look_a), ("b", look_b))}
    found = figures(
        {
            **shares,
            "changed": mean_of_values(differ, share=True),
            "change": mean_of_values(look_b.astype(float) - look_a.astype(float)),
        },
        len(both),
        draws=draws,
        seed=seed,
    )
    factor = stream.per_day or 1.0
    changes = [
        _change(meme, one, other)
        for meme, one, other in zip(both, first, second, strict=True)
        if one.decision != other.decision
    ]
    return Diff(
        a=a.key,
        b=b.key,
        items=len(both),
        failures=tuple(failures),
        counts=counts,
        changed=found["changed"],
        per_day=per_day,
        reviews_a=times(found["a"], factor),
        reviews_b=times(found["b"], factor),
        reviews_change=times(found["change"], factor),
        labelled=_labelled(both, first, second, draws, seed),
        changes=tuple(sorted(changes, key=lambda change: (-abs(change.moved), change.id))),
    )


def _looked_at(detector: Detector, verdicts: Sequence[Verdict]) -> np.ndarray:
    looked = "review" if detector.card.band else "flag"
    return np.array([verdict.decision == looked for verdict in verdicts])


def _change(meme: Meme, a: Verdict, b: Verdict) -> Change:
    text = meme.text if meme.text is not None else a.evidence.text if a.evidence else None
    gold = meme.label.harmful if meme.label else None
    right = None if gold is None else _RIGHT[_is_right(a, gold), _is_right(b, gold)]
    return Change(
        id=meme.id,
        text=text,
        image=meme.image,
        a=_side(a),
        b=_side(b),
        moved=b.score - a.score,
        gold=gold,
        right=right,
    )


def _side(verdict: Verdict) -> Side:
    return Side(
        score=verdict.score, decision=verdict.decision, harmful=verdict.harmful, rationale=verdict.rationale
    )


def _is_right(verdict: Verdict, gold: bool) -> bool:
    return verdict.harmful is not None and verdict.decision == ("flag" if gold else "allow")


def _labelled(
    memes: Sequence[Meme], first: Sequence[Verdict], second: Sequence[Verdict], draws: int, seed: int
) -> Labelled | None:
    rows = [
        (
            _is_right(one, meme.label.harmful),
            _is_right(other, meme.label.harmful),
            one.decision != other.decision,
        )
        for meme, one, other in zip(memes, first, second, strict=True)
        if meme.label
    ]
    if not rows:
        return None
    right_a, right_b, differ = np.array(rows, dtype=bool).T
    found = figures(
        {"a": mean_of_values(right_a, share=True), "b": mean_of_values(right_b, share=True)},
        len(rows),
        draws=draws,
        seed=seed,
    )
    return Labelled(
        items=len(rows),
        only_a=int(np.sum(right_a & ~right_b & differ)),
        only_b=int(np.sum(right_b & ~right_a & differ)),
        right_a=found["a"],
        right_b=found["b"],
        test=mcnemar(right_a, right_b),
    )
