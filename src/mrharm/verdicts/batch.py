"""Many memes -> a file of verdicts that grows as they are judged and goes on where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.errors import ImageError, InputError, MissingInputError, MrHarmError
from mrharm.images import SUFFIXES, sniff
from mrharm.memes.dataset import INFO, Dataset
from mrharm.memes.rows import json_rows
from mrharm.records import Evidence, Failure, Meme, Verdict, make_record, read_records, to_line
from mrharm.store import JsonlStore, exclusive_lock, write_records
from mrharm.verdicts.card import scorer_of
from mrharm.verdicts.detector import Detector, JudgeOptions

STAGE = "predict"
_EVIDENCE_KEYS = ("caption", "entities", "demographics", "clean_image")


@dataclass
class Found:
    """What there is to judge: memes with absolute picture paths, what is known of them, and what could not be read."""

    memes: list[Meme] = field(default_factory=list)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, meme: Meme, evidence: Evidence | None = None) -> None:
        """Take in one meme; a second one of the same id is a failure."""
        if meme.id in self._ids:
            reason = (
                f"the id {meme.id!r} stands twice; the first one is judged, give the other an id of its own"
            )
            self.failures.append(Failure(item=meme.id, stage=STAGE, reason=reason))
            return
        self._ids.add(meme.id)
        self.memes.append(meme)
        if evidence:
            self.evidence[meme.id] = evidence

    _ids: set[str] = field(default_factory=set, repr=False)


def find_memes(
    paths: Sequence[Path], text: str | None = None, *, splits: Mapping[Path, str] | None = None
) -> Found:
    """Pictures, folders of pictures, dataset folders and JSONL files -> memes to judge, in order.

    A JSONL row holds an ``id`` and an ``image`` (a path from the file's folder), a ``text``, or both, and may hold
    what else a recipe reads: ``caption``, ``entities``, ``demographics``, ``clean_image``. A dataset folder brings its
    evidence along. A picture's id is its path as given.

    Args:
        paths: what to judge.
        text: the words on the picture, where one picture is given.
        splits: dataset folder -> the split to take of it; all memes of those not named.

    Raises:
        InputError: a path does not exist, is a file of another kind or holds nothing to judge, ``text`` with more than
            one meme, or no such split.
        DataError: a JSONL file cannot be read at all.
    """
    found = Found()
    for path in paths:
        if (path / INFO).is_file():
            _add_dataset(found, Dataset(path), (splits or {}).get(path))
        elif path.is_dir():
            for one in sorted(path.rglob("*")):
                if one.is_file() and one.suffix.lower() in SUFFIXES:
                    found.add(Meme(id=str(one), image=str(one.absolute())))
        elif path.suffix.lower() == ".jsonl":
            _add_rows(found, path)
        elif path.is_file():
            _refuse_no_picture(path)
            found.add(Meme(id=str(path), image=str(path.absolute())))
        else:
            raise InputError(
                f"{path}: no such file or folder; expected a picture, a folder of them, a dataset or a JSONL file"
            )
    if not found.memes and not found.failures:
        raise InputError(f"nothing to judge in {', '.join(map(str, paths))}")
    if text is not None:
        if len(found.memes) != 1:
            raise InputError(
                f"--text goes with one picture; {len(found.memes)} memes given; put texts in a JSONL file"
            )
        found.memes[0] = found.memes[0].model_copy(update={"text": text})
    return found


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


def _refuse_no_picture(path: Path) -> None:
    """A picture by its suffix fails alone where it is broken; a file of another kind is a mistake, said at once."""
    if path.suffix.lower() in SUFFIXES:
        return
    with path.open("rb") as file:
        if sniff(file.read(16)) is None:
            raise InputError(
                f"{path}: expected a picture ({', '.join(SUFFIXES)}) or a .jsonl file of rows with an `id` and an "
                f"`image` or a `text`; `mrharm import folder {path} DATASET` takes a .csv or .tsv"
            )


def _add_dataset(found: Found, dataset: Dataset, split: str | None) -> None:
    for meme in dataset.memes if split is None else dataset.split(split):
        evidence = dataset.evidence.get(meme.id)
        if evidence and evidence.clean_image:
            clean = str((dataset.root / evidence.clean_image).absolute())
            evidence = evidence.model_copy(update={"clean_image": clean})
        image = dataset.image_path(meme)
        found.add(meme.model_copy(update={"image": str(image.absolute()) if image else None}), evidence)


def _add_rows(found: Found, path: Path) -> None:
    unread: list[Failure] = []
    rows = json_rows(path, str(path), unread)
    found.failures += [failure.model_copy(update={"stage": STAGE}) for failure in unread]
    for row in rows:
        values: dict[str, Any] = dict(row.values)
        known = {key: values.pop(key) for key in _EVIDENCE_KEYS if key in values}
        if isinstance(values.get("id"), int):
            values["id"] = str(values["id"])
        try:
            meme = make_record(values, Meme, file=path, number=row.line)
            for key in ("image", "clean_image"):
                where = meme.image if key == "image" else known.get(key)
                if where:
                    known[key] = str((path.parent / where).absolute())
            image = known.pop("image", None)
            evidence = None
            if known:
                evidence = make_record(
                    {"meme_id": meme.id, "text": meme.text, **known}, Evidence, file=path, number=row.line
                )
        except MrHarmError as error:
            found.failures.append(
                Failure(
                    item=str(values.get("id", f"{path}:{row.line}")),
                    stage=STAGE,
                    reason=str(error).removeprefix(f"{path}, line {row.line}: "),
                    file=str(path),
                    line=row.line,
                )
            )
            continue
        found.add(meme.model_copy(update={"image": image}), evidence)
