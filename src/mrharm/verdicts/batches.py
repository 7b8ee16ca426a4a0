"""Many memes -> a file of verdicts that grows as they are judged and goes on where it was stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mrharm.errors import ImageError, InputError, MissingInputError, MrHarmError
from mrharm.images import SUFFIXES
from mrharm.records import Failure, Meme, Verdict, make_record
from mrharm.store import JsonlStore, write_failures
from mrharm.verdicts.detector import Detector, JudgeOptions


def find_memes(paths: Sequence[Path], text: str | None = None) -> tuple[list[Meme], list[Failure]]:
    """Pictures, folders of pictures and JSONL files -> memes with absolute picture paths, and what could not be read.

    A JSONL row is a `Meme`, or any object with an ``id``, an ``image`` (a path from the file's folder) or a ``text``.

    Args:
        paths: what to judge; order is kept.
        text: the words on the picture, where one picture is given.

    Raises:
        InputError: a path does not exist or holds nothing to judge, or ``text`` with more than one meme.
    """
    memes: list[Meme] = []
    failures: list[Failure] = []
    for path in paths:
        if path.is_dir():
            memes += [_picture(one, path) for one in _pictures(path)]
        elif path.suffix.lower() == ".jsonl":
            for row in _rows(path):
                (memes if isinstance(row, Meme) else failures).append(row)  # type: ignore[arg-type]
        elif path.is_file():
            memes.append(_picture(path, None))
        else:
            raise InputError(
                f"{path}: no such file or folder; expected a picture, a folder of them, or a JSONL file"
            )
    if not memes and not failures:
        raise InputError(f"nothing to judge in {', '.join(map(str, paths))}")
    if text is not None:
        if len(memes) != 1:
            raise InputError(
                f"--text goes with one picture; {len(memes)} memes given; put texts in a JSONL file"
            )
        memes = [memes[0].model_copy(update={"text": text})]
    twice = [meme_id for meme_id, count in Counter(meme.id for meme in memes).items() if count > 1]
    if twice:
        raise InputError(f"ids must differ; these do not: {', '.join(twice[:5])}")
    return memes, failures


def judge_all(
    detector: Detector,
    memes: Sequence[Meme],
    options: JudgeOptions,
    done: set[str] | frozenset[str] = frozenset(),
    failures: list[Failure] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Verdicts in order, a batch at a time; memes that cannot be judged go to ``failures`` and the rest go on."""
    size = options.get("batch_size", 32)
    waiting = [meme for meme in memes if meme.id not in done]
    for start in range(0, len(waiting), size):
        batch = waiting[start : start + size]
        try:
            yield from detector.judge(batch, **options)
        except (ImageError, MissingInputError):
            # One bad meme must not take its batch with it: judge them one by one and name it.
            for meme in batch:
                try:
                    yield detector.judge(meme, **options)
                except MrHarmError as error:
                    if failures is not None:
                        failures.append(Failure(item=meme.id, stage="predict", reason=str(error)))
        if advance:
            advance(len(batch))


def judge_to_file(
    detector: Detector,
    memes: Sequence[Meme],
    out: Path,
    options: JudgeOptions,
    failures: list[Failure],
    advance: Callable[[int], None] | None = None,
) -> int:
    """Append verdicts to a JSONL file, skipping memes it already holds; returns how many it skipped.

    Failures go to ``failures.jsonl`` beside it.

    Raises:
        InputError: the file holds verdicts of another detector.
    """
    store = JsonlStore(out, Verdict, "meme_id")
    if store.done:
        with out.open(encoding="utf-8") as file:
            there = json.loads(next(line for line in file if line.strip()))["detector"]
        if there != detector.key:
            raise InputError(
                f"{out}: holds verdicts of detector {there}, this is {detector.key}; choose another --out"
            )
    skipped = sum(meme.id in store.done for meme in memes)
    for verdict in judge_all(detector, memes, options, store.done, failures, advance):
        store.append(verdict)
    write_failures(out.parent, failures, stage="predict")
    return skipped


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)


def _picture(path: Path, folder: Path | None) -> Meme:
    name = path.relative_to(folder) if folder else path
    return Meme(id=str(name), image=str(path.absolute()))


def _rows(path: Path) -> Iterator[Meme | Failure]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if isinstance(row, dict) and "id" in row:
                    row["id"] = str(row["id"])
                meme = make_record(row, Meme, file=path, number=number)
            except (ValueError, MrHarmError) as error:
                yield Failure(
                    item=f"line {number}", stage="predict", reason=str(error), file=str(path), line=number
                )
                continue
            image = str((path.parent / meme.image).absolute()) if meme.image else None
            yield meme.model_copy(update={"image": image})
