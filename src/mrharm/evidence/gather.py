"""``mrharm gather``: every meme of a dataset -> evidence.jsonl and clean/, resumable, a picture at a time.

What is there already is kept where the same engine made it from the same picture; all else is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.evidence.engines import Captioner, Described
from mrharm.evidence.pipeline import Engines, Eye, disagreement
from mrharm.evidence.workers import Workers
from mrharm.images import encode_png, open_image, place_in, read_image_bytes
from mrharm.progress import Progress
from mrharm.records import Evidence, Failure, Meme, text_is_stale
from mrharm.store import JsonlStore, exclusive_lock, sha256_bytes, write_bytes, write_failures, write_records

EVIDENCE, CLEAN, STAGE = "evidence.jsonl", "clean", "gather"
UNLIKE = 0.5  # of the words of a given text and of the words read: beyond, the two disagree

Part = Literal["caption", "entities", "demographics"]


@dataclass(frozen=True)
class Task:
    """One meme's picture to look at: where it lies, what is known of it, and where its clean picture goes."""

    root: Path
    meme: Meme
    known: Evidence | None
    clean_place: str


@dataclass
class Gathered:
    """What a run did: memes looked at and left as they were, captions, failures, and how given texts and OCR agree."""

    memes: int = 0
    looked: int = 0
    kept: int = 0
    described: int = 0
    with_text: int = 0
    compared: int = 0
    disagreeing: int = 0
    mean_disagreement: float = 0.0
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def gather(
    root: Path,
    memes: Sequence[Meme],
    known: Mapping[str, Evidence],
    *,
    engines: Engines = Engines(),  # noqa: B008 - frozen
    describers: Mapping[Part, Captioner] | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> Gathered:
    """Look at every meme's picture and write what is seen; killed at any point, the same call goes on.

    Args:
        root: the dataset folder; ``evidence.jsonl``, ``clean/`` and ``failures.jsonl`` in it are written.
        memes: whose pictures to look at; evidence of other memes stays as it is.
        known: what there is already, by meme id.
        engines: which engines, and when the words read are taken.
        describers: what fills the caption, the entities, the demographics from the pictures without their words; a
            part without one keeps what there is.
        workers: processes that look at pictures.
        progress: told (what, how many are done, of how many).

    Raises:
        InputError: no such engine, or another gather is at work on the folder.
    """
    Eye(engines)  # a wrong name is said before anything starts
    done = Gathered(memes=len(memes))
    with exclusive_lock(root, STAGE):
        evidence = dict(known)
        store = JsonlStore(root / EVIDENCE, Evidence, "meme_id")
        for meme, found in _look_at_all(root, memes, evidence, engines, workers, done, progress):
            if evidence.get(meme.id) != found:
                store.append(found)
                evidence[meme.id] = found
        for part, describer in (describers or {}).items():
            for found in _describe_all(root, memes, evidence, part, describer, done, progress):
                store.append(found)
                evidence[found.meme_id] = found
        _compare(memes, evidence, done)
        edited = [meme for meme in memes if text_is_stale(meme, known.get(meme.id))]
        if renewed := sum(not text_is_stale(meme, evidence[meme.id]) for meme in edited):
            done.notes.append(
                f"the text of {renewed:,} meme{'s' * (renewed > 1)} was edited since it was gathered; its evidence was "
                "made anew"
            )
        # Lines that a later one overrules go; the order is that of the memes, then the rest as it was.
        first = [evidence[meme.id] for meme in memes if meme.id in evidence]
        ours = {meme.id for meme in memes}
        rest = [row for meme_id, row in evidence.items() if meme_id not in ours]
        write_records(root / EVIDENCE, [*first, *rest])
        parts = set(describers or {})  # of which a whole one can fail, for want of a model
        write_failures(root, done.failures, stage=STAGE, items={meme.id for meme in memes} | parts)
    return done


def _look_at_all(
    root: Path,
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    engines: Engines,
    workers: int,
    done: Gathered,
    progress: Progress | None,
) -> Iterator[tuple[Meme, Evidence]]:
    with_picture = [meme for meme in memes if meme.image]
    places = _clean_places(with_picture)
    tasks = [Task(root, meme, evidence.get(meme.id), places[meme.id]) for meme in with_picture]
    pool: Workers[Task, Evidence] = Workers(look_at, Eye, (engines,), workers)
    for number, (task, found) in enumerate(pool.run(tasks), 1):
        if progress:
            progress("looking at pictures", number, len(tasks))
        if isinstance(found, Exception):
            done.failures.append(_failure(task.meme, found))
            continue
        if found == task.known:
            done.kept += 1
        else:
            done.looked += 1
        yield task.meme, found


def look_at(eye: Eye, task: Task) -> Evidence:
    """One meme's picture -> its evidence, its clean picture written; what holds already is returned as it is.

    Raises:
        ImageError: the picture is missing, broken, or outside the dataset folder.
    """
    path = place_in(task.root, str(task.meme.image))
    data = read_image_bytes(path)
    known = task.known
    if known and _holds(eye, task, known, sha256_bytes(data)):
        return known
    seen = eye.look(task.meme, data, str(task.meme.image), known)
    if seen.clean is None:
        return seen.evidence
    write_bytes(task.root / task.clean_place, encode_png(seen.clean))
    return seen.evidence.model_copy(update={"clean_image": task.clean_place})


def _holds(eye: Eye, task: Task, known: Evidence, sha256: str) -> bool:
    """Whether every part was made by these engines from this picture, and the text is whose the policy says."""
    if known.image_sha256 != sha256:
        return False
    wanted: dict[str, str] = {}
    if eye.ocr:
        wanted["boxes"] = eye.ocr.version
        if eye.inpainter:
            wanted["clean_image"] = eye.inpainter.version
            if not known.clean_image or not (task.root / known.clean_image).is_file():
                return False
    read = eye.ocr is not None and (task.meme.text is None or eye.engines.policy == "always")
    if read != (known.text_source == "ocr") or (not read and known.text != task.meme.text):
        return False
    return all(known.made_by.get(part) == version for part, version in wanted.items())


def _clean_places(memes: Sequence[Meme]) -> dict[str, str]:
    """Meme id -> where its clean picture goes: beside images/, under the same name, no two the same."""
    places: dict[str, str] = {}
    taken: set[str] = set()
    for meme in memes:
        path = PurePosixPath(str(meme.image))
        inner = path.relative_to("images") if path.is_relative_to("images") else path
        name = PurePosixPath(*(part for part in inner.parts if part not in ("..", "/")))
        place = f"{CLEAN}/{name.with_suffix('.png')}"
        if place.casefold() in taken:
            place = f"{CLEAN}/{name}.png"
        taken.add(place.casefold())
        places[meme.id] = place
    return places


def _describe_all(
    root: Path,
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    part: Part,
    describer: Captioner,
    done: Gathered,
    progress: Progress | None,
) -> Iterator[Evidence]:
    failed = {failure.item for failure in done.failures}
    todo = [
        meme
        for meme in memes
        if meme.id not in failed and not _is_described(evidence.get(meme.id), part, describer.version)
    ]
    number = 0
    for batch in _batches(todo, max(1, describer.batch_size)):
        try:
            said = describer.describe([_to_describe(root, meme, evidence.get(meme.id)) for meme in batch])
        except ModelUnavailableError as error:
            # Everything else has been gathered; a dataset without captions is of use, too.
            done.notes.append(f"{part}: {error}; went on without")
            done.failures.append(Failure(item=part, stage=STAGE, reason=str(error)))
            return
        for meme, words in zip(batch, said, strict=True):
            number += 1
            if progress:
                progress(f"describing pictures ({part})", number, len(todo))
            if isinstance(words, Exception):
                done.failures.append(_failure(meme, words, f"{part}: "))
                continue
            done.described += 1
            row = evidence.get(meme.id) or Evidence(meme_id=meme.id)
            made_by = {**row.made_by, part: describer.version}
            yield row.model_copy(update={part: words, "made_by": made_by})


def _batches(memes: Sequence[Meme], size: int) -> Iterator[Sequence[Meme]]:
    for start in range(0, len(memes), size):
        yield memes[start : start + size]


def _is_described(row: Evidence | None, part: Part, version: str) -> bool:
    return row is not None and getattr(row, part) is not None and row.made_by.get(part) == version


def _to_describe(root: Path, meme: Meme, row: Evidence | None) -> Described:
    """The picture without its words where there is one, else as posted."""
    place = (row.clean_image if row else None) or meme.image
    if not place:
        return Described(meme, None, None)
    data = read_image_bytes(root / place)
    return Described(meme, open_image(root / place), sha256_bytes(data))


def _failure(meme: Meme, error: Exception, what: str = "") -> Failure:
    reason = str(error) if isinstance(error, MrHarmError) else f"{type(error).__name__}: {error}"
    return Failure(item=meme.id, stage=STAGE, reason=what + reason, file=meme.image)


def _compare(memes: Sequence[Meme], evidence: Mapping[str, Evidence], done: Gathered) -> None:
    unlike = []
    for meme in memes:
        row = evidence.get(meme.id)
        if row is None:
            continue
        done.with_text += bool(row.text)
        if meme.text is not None and "boxes" in row.made_by:
            unlike.append(disagreement(meme.text, row.boxes))
    if unlike:
        done.compared = len(unlike)
        done.disagreeing = sum(share > UNLIKE for share in unlike)
        done.mean_disagreement = sum(unlike) / len(unlike)
