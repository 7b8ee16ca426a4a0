"""Many memes -> a file of verdicts that grows as they are judged and goes on where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrharm.errors import ImageError, InputError, MissingInputError, MrHarmError
from mrharm.records import Failure, Meme, Verdict, read_records, to_line
from mrharm.store import JsonlStore, exclusive_lock, write_records
from mrharm.verdicts.card import scorer_of
from mrharm.verdicts.detector import Detector, JudgeOptions
from mrharm.verdicts.inputs import STAGE


def judge_all(
    detector: Detector,
    memes: Sequence[Meme],
    options: JudgeOptions,
    failures: list[Failure],
    advance: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Verdicts in order, a batch at a time; memes that cannot be judged go to ``failures`` and the rest go on."""
    size = options.get("batch_size", 32)
    for start in range(0, len(memes), size):
        batch = memes[start : start + size]
        try:
            yield from detector.judge(batch, **options)
        except (ImageError, MissingInputError):
            # One bad meme must not take its batch with it: judge them one by one and name it.
            for meme in batch:
                try:
                    yield detector.judge(meme, **options)
                except MrHarmError as error:
                    failures.append(Failure(item=meme.id, stage=STAGE, reason=str(error)))
        if advance:
            advance(len(batch))


@dataclass
class Tally:
    """What `judge_to_file` did: memes judged, memes whose verdict was there already, and inputs that were missing.
    ``keys``: meme id -> key of its verdict in the file.
    """

    judged: int = 0
    already_there: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def count(self, verdict: Verdict) -> None:
        """Take one verdict into account."""
        self.judged += 1
        for part in verdict.missing:
            self.missing[part] = self.missing.get(part, 0) + 1


def judge_to_file(
    detector: Detector,
    memes: Sequence[Meme],
    out: Path,
    options: JudgeOptions,
    failures: list[Failure],
    advance: Callable[[int], None] | None = None,
) -> Tally:
    """Append verdicts to a JSONL file, skipping memes whose verdict it holds; failures go to ``NAME.failures.jsonl``.

    A verdict is skipped where detector, meme, picture, evidence and options are those it was made with; what changed is
    judged again and appended. Where the detector has got another policy (a threshold, a band), every verdict of the
    file is decided again from its score first, so that none shows a decision of the old one.

    Raises:
        InputError: the file holds verdicts of another detector, or another process is writing it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(out.parent, out.name):
        store = JsonlStore(out, Verdict, "key")
        tally = Tally()
        if store.done:
            _decide_again(detector, out)
        waiting = []
        for meme in memes:
            key = _key(detector, meme, options) if store.done else None
            if key is not None and key in store.done:
                tally.keys[meme.id] = key
            else:
                waiting.append(meme)
        tally.already_there = len(memes) - len(waiting)
        for verdict in judge_all(detector, waiting, options, failures, advance):
            store.append(verdict)
            tally.count(verdict)
            tally.keys[verdict.meme_id] = verdict.key or ""
        failed = failures_file(out)
        if failures or failed.exists():
            write_records(failed, failures)
    return tally


def failures_file(out: Path) -> Path:
    """Where `judge_to_file` lists the memes it could not judge."""
    return out.with_suffix(".failures.jsonl")


def read_verdicts(out: Path, tally: Tally) -> dict[str, Verdict]:
    """Meme id -> the verdict that `judge_to_file` made or found for it, wherever it stands in the file."""
    if not out.exists():
        return {}
    rows = ((row.meme_id, row) for row in read_records(out, Verdict))
    return {meme_id: row for meme_id, row in rows if row.key and row.key == tally.keys.get(meme_id)}


def _decide_again(detector: Detector, out: Path) -> None:
    """Rewrite a file whose decisions come from another policy, aside and then renamed.

    Raises:
        InputError: the file holds verdicts of another detector.
    """
    old = False
    for verdict in read_records(out, Verdict):
        if scorer_of(verdict.detector) != detector.card.scorer():
            raise InputError(
                f"{out}: holds verdicts of detector {verdict.detector}, this is {detector.key}; choose another --out"
            )
        old = old or verdict.detector != detector.key
    if not old:
        return
    aside = out.with_name(f".{out.name}.aside")
    with aside.open("w", encoding="utf-8") as file:
        for verdict in read_records(out, Verdict):
            file.write(to_line(detector.decide_again(verdict)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(out)


def _key(detector: Detector, meme: Meme, options: JudgeOptions) -> str | None:
    """The key a meme's verdict would have; None where it cannot be judged, of which judging it will say why."""
    try:
        evidence = (options.get("evidence") or {}).get(meme.id)
        ready = detector.prepare(meme, evidence, root=options.get("root"))
    except MrHarmError:
        return None
    return detector.judgement_key(ready.given, options)
