"""Judge many memes into a file of verdicts that grows as they are judged and can be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mrharm.errors import DataError, ImageError, InputError, MissingInputError, MrHarmError
from mrharm.records import Decision, Failure, Meme, Verdict, read_records
from mrharm.store import JsonlStore, exclusive_lock, replace_failures, write_records
from mrharm.verdicts.card import scorer_of
from mrharm.verdicts.inputs import STAGE, JudgeOptions, find_memes

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

ShowCount = Callable[[int, int], object]  # called with the memes done and the memes to judge


def predict(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    text: str | None = None,
    *,
    failures: list[Failure] | None = None,
    device: str = "auto",
    **options: Any,
) -> list[Verdict]:
    """Judge what is in paths by a run's detector, as ``mrharm predict`` does; return the verdicts in order.

    Args:
        run: as `Detector.from_pretrained` takes it.
        paths: pictures, folders of pictures, dataset folders and JSONL files (`find_memes`), one or many.
        text: the words on the picture, for exactly one picture.
        failures: receives what cannot be judged; without it, that is an error.
        device: as `Detector.from_pretrained` takes it.
        options: by name, see `JudgeOptions`: ``rationales=False``.

    Raises:
        InputError: no detector, no such path, or nothing to judge there.
        DataError: something cannot be judged, and there is no list of ``failures`` to note it in.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    items = find_memes([Path(path) for path in paths], text)
    from mrharm.verdicts.detector import Detector

    detector = Detector.from_pretrained(run, device=device)
    judging = JudgeOptions(evidence=items.evidence).change(**options)
    verdicts = list(judge_all(detector, items.memes, judging, items.failures))
    if items.failures and failures is None:
        first, count = items.failures[0], len(items.failures)
        raise DataError(
            f"{count:,} of {count + len(verdicts):,} cannot be judged, the first is {first.item}: {first.reason}; "
            "mend them, or take the verdicts on the others with failures=[], which lists these"
        )
    if failures is not None:
        failures += items.failures
    return verdicts


def judge_all(
    detector: Detector,
    memes: Sequence[Meme],
    options: JudgeOptions,
    failures: list[Failure],
    show: ShowCount = lambda done, total: None,
) -> Iterator[Verdict]:
    """Yield verdicts in order, a batch at a time; memes that cannot be judged are added to ``failures``."""
    for start in range(0, len(memes), options.batch_size):
        batch = memes[start : start + options.batch_size]
        prepared = []
        for meme in batch:
            try:
                prepared.append(detector.prepare(meme, options))
            except (ImageError, MissingInputError) as error:
                failures.append(Failure(item=meme.id, stage=STAGE, reason=str(error)))
        yield from detector.judge_prepared(prepared, options)
        show(start + len(batch), len(memes))


@dataclass
class Tally:
    """What `judge_to_file` did.

    Fields:
        judged: memes judged.
        already_there: memes whose verdict the file held before.
        keys: meme id -> key of its verdict in the file.
        missing: part -> number of judged memes without it.
        decisions: decision -> number of memes, those whose verdict was there before included.
    """

    judged: int = 0
    already_there: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    decisions: Counter[Decision] = field(default_factory=Counter)

    def count(self, verdict: Verdict) -> None:
        """Count a verdict, its decision and the parts its meme lacks."""
        self.judged += 1
        self.missing.update(verdict.missing)
        self.decisions[verdict.decision] += 1

    def list_decisions(self) -> dict[Decision, int]:
        """Return decision -> number of memes, each decision there is, in order of severity."""
        return {decision: self.decisions[decision] for decision in get_args(Decision)}

    def to_json(self) -> dict[str, Any]:
        """Return the counts as ``mrharm predict --json`` prints them."""
        counts = {"judged": self.judged, "already_there": self.already_there, "missing": self.missing}
        return {**counts, "decisions": self.list_decisions()}


def judge_to_file(
    detector: Detector,
    memes: Sequence[Meme],
    out: Path,
    options: JudgeOptions,
    failures: list[Failure],
    show: ShowCount = lambda done, total: None,
) -> Tally:
    """Append verdicts to a JSONL file, skipping memes whose verdict it holds; failures go to ``NAME.failures.jsonl``,
    in place of earlier ones of the same memes.

    A verdict is skipped where detector, meme, picture, evidence and options are those it was made with; a changed meme
    is judged again and its verdict appended. Where the detector has another policy (a threshold, a band) than before,
    every verdict of the file is decided again from its score first, so that no decision of the old policy remains.

    Raises:
        InputError: the file holds verdicts of another detector, or another process is writing it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(out):
        store = JsonlStore(out, Verdict, "key")
        tally = Tally()
        if store.done:
            _apply_policy(detector, out)
        waiting = []
        for meme in memes:
            key = _find_key(detector, meme, options) if store.done else None
            if key is not None and key in store.done:
                tally.keys[meme.id] = key
            else:
                waiting.append(meme)
        tally.already_there = len(memes) - len(waiting)
        if tally.already_there:
            before = set(tally.keys.values())
            tally.decisions.update(v.decision for v in read_records(out, Verdict) if v.key in before)
        for verdict in judge_all(detector, waiting, options, failures, show):
            store.append(verdict)
            tally.count(verdict)
            tally.keys[verdict.meme_id] = verdict.key or ""
        items = {meme.id for meme in memes} | {failure.item for failure in failures}
        replace_failures(failures_file(out), failures, stage=STAGE, items=items)
    return tally


def drop_mended_rows(out: Path, paths: Iterable[Path], failures: Collection[Failure]) -> None:
    """Drop earlier failures of rows of JSONL files that were read again, but for those that failed again.

    A row that could not be read has no id by which `judge_to_file` would know it.
    """
    file, names = failures_file(out), {str(path) for path in paths}
    if file.exists():
        items = {row.item for row in read_records(file, Failure) if row.file in names}
        replace_failures(file, failures, stage=STAGE, items=items | {failure.item for failure in failures})


def failures_file(out: Path) -> Path:
    """Return where `judge_to_file` lists the memes it could not judge."""
    return out.with_suffix(".failures.jsonl")


def read_verdicts(out: Path, tally: Tally) -> dict[str, Verdict]:
    """Read the verdicts that `judge_to_file` made or skipped, by meme id."""
    if not out.exists():
        return {}
    return {
        verdict.meme_id: verdict
        for verdict in read_records(out, Verdict)
        if verdict.key and verdict.key == tally.keys.get(verdict.meme_id)
    }


def _apply_policy(detector: Detector, out: Path) -> None:
    """Rewrite a file whose decisions come from another policy, aside and then renamed.

    Raises:
        InputError: the file holds verdicts of another detector.
    """
    outdated = False
    for verdict in read_records(out, Verdict):
        if scorer_of(verdict.detector) != detector.card.scorer():
            raise InputError(
                f"{out}: holds verdicts of detector {verdict.detector}, this is {detector.key}; choose another --out"
            )
        outdated = outdated or verdict.detector != detector.key
    if outdated:
        write_records(out, map(detector.decide_again, read_records(out, Verdict)))


def _find_key(detector: Detector, meme: Meme, options: JudgeOptions) -> str | None:
    """Return the key of a meme's verdict from the bytes of its picture; None where they cannot be read."""
    try:
        return detector.judgement_key(detector.load(meme, options), options)
    except MrHarmError:
        return None  # judging it will name the reason
