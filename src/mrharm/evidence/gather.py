"""``mrharm gather``: the evidence of every meme of a dataset, into evidence.jsonl and clean/.

Evidence that the same engine made of the same picture is kept, all else is made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from mrharm.errors import ModelUnavailableError, MrHarmError
from mrharm.evidence.captions import Captioner, Described
from mrharm.evidence.picture_evidence import Engines, EvidencePipeline
from mrharm.images import encode_png, open_image, place_in, read_image_bytes
from mrharm.memes.dataset import EVIDENCE, Dataset
from mrharm.progress import Progress, no_progress
from mrharm.records import Evidence, Failure, Meme, TextBox, text_is_stale
from mrharm.store import JsonlStore, exclusive_lock, sha256_bytes, write_bytes, write_failures, write_records
from mrharm.workers import map_items

CLEAN, STAGE = "clean", "gather"
UNLIKE = 0.5  # share of differing words from which a posted text and the words read disagree

Part = Literal["caption", "entities", "demographics"]


@dataclass(frozen=True)
class Task:
    """One meme whose picture is to be processed: its earlier evidence, and the path of its clean picture."""

    root: Path
    meme: Meme
    known: Evidence | None
    clean_place: str


@dataclass
class Gathered:
    """What a run did."""

    memes: int = 0
    looked: int = 0  # pictures processed
    kept: int = 0  # pictures whose evidence still holds
    described: int = 0  # captions and the like written
    with_text: int = 0
    compared: int = 0  # memes with a posted text and words read
    disagreeing: int = 0  # of those compared
    mean_disagreement: float = 0.0  # of those compared
    notes: list[str] = field(default_factory=list)  # sentences for the user
    failures: list[Failure] = field(default_factory=list)


def gather(
    dataset: Dataset,
    memes: Sequence[Meme],
    *,
    engines: Engines = Engines(),  # noqa: B008 - frozen
    describers: Mapping[Part, Captioner] | None = None,
    workers: int = 2,
    progress: Progress = no_progress,
) -> Gathered:
    """Write the evidence of memes into the dataset's folder; killed at any point, the same call goes on.

    Evidence of other memes stays as it is, and so does a part (a caption, say) that none of the ``describers`` writes.
    They see the pictures without their words.

    Raises:
        InputError: no such engine, or another process gathers evidence in the folder.
    """
    pipeline = EvidencePipeline(engines)  # before any work, so that a wrong name fails at once
    describers = describers or {}
    with exclusive_lock(dataset.root, STAGE):
        run = _Run(dataset, memes, progress)
        run.process_pictures(pipeline, workers)
        for part, describer in describers.items():
            run.describe_pictures(part, describer)
        run.compare_texts()
        run.rewrite()
        # A part as a whole can fail, too, for want of a model.
        items = {meme.id for meme in memes} | set(describers)
        write_failures(dataset.root, run.result.failures, stage=STAGE, items=items)
    return run.result


class _Run:
    """One run: the evidence so far, each row of which is appended to the file as soon as it is made."""

    def __init__(self, dataset: Dataset, memes: Sequence[Meme], progress: Progress) -> None:
        self.root, self.memes, self.progress = dataset.root, memes, progress
        self.evidence = dict(dataset.evidence)
        self.result = Gathered(memes=len(memes))
        self.store = JsonlStore(self.root / EVIDENCE, Evidence, "meme_id")

    def keep(self, row: Evidence) -> None:
        """Append a row that is new or changed."""
        if self.evidence.get(row.meme_id) != row:
            self.store.append(row)
            self.evidence[row.meme_id] = row

    def process_pictures(self, pipeline: EvidencePipeline, workers: int) -> None:
        """Read and clean every picture whose evidence does not hold, in several processes."""
        with_picture = [meme for meme in self.memes if meme.image]
        places = _clean_places(with_picture)
        tasks = [Task(self.root, meme, self.evidence.get(meme.id), places[meme.id]) for meme in with_picture]
        results = map_items(partial(process_picture, pipeline), tasks, workers)
        edited = 0
        for number, (task, row) in enumerate(results, 1):
            self.progress("processing pictures", number, len(tasks))
            if isinstance(row, Exception):
                self.result.failures.append(_make_failure(task.meme, row))
                continue
            self.result.kept += row == task.known
            self.result.looked += row != task.known
            edited += text_is_stale(task.meme, task.known)
            self.keep(row)
        if edited:
            memes = f"{edited:,} meme{'s' * (edited > 1)}"
            self.result.notes.append(
                f"the text of {memes} was edited since it was gathered; its evidence was made anew"
            )

    def describe_pictures(self, part: Part, describer: Captioner) -> None:
        """Have the pictures described whose evidence lacks this part, or has it from another describer."""
        skipped = {failure.item for failure in self.result.failures}
        for meme_id, row in self.evidence.items():
            if getattr(row, part) is not None and row.made_by.get(part) == describer.version:
                skipped.add(meme_id)
        todo = [meme for meme in self.memes if meme.id not in skipped]
        number = 0
        for start in range(0, len(todo), describer.batch_size):
            batch = todo[start : start + describer.batch_size]
            try:
                descriptions = describer.describe([self._load_picture(meme) for meme in batch])
            except ModelUnavailableError as error:
                # All else has been gathered, and a dataset without captions is of use, too.
                self.result.notes.append(f"{part}: {error}; went on without")
                self.result.failures.append(Failure(item=part, stage=STAGE, reason=str(error)))
                return
            for meme, description in zip(batch, descriptions, strict=True):
                number += 1
                self.progress(f"describing pictures ({part})", number, len(todo))
                if isinstance(description, Exception):
                    self.result.failures.append(_make_failure(meme, description, f"{part}: "))
                    continue
                self.result.described += 1
                row = self.evidence.get(meme.id) or Evidence(meme_id=meme.id)
                made_by = {**row.made_by, part: describer.version}
                self.keep(row.model_copy(update={part: description, "made_by": made_by}))

    def _load_picture(self, meme: Meme) -> Described:
        """Load a meme's picture for description: without its words if it was cleaned, else as posted."""
        row = self.evidence.get(meme.id)
        name = (row.clean_image if row else None) or meme.image
        return Described(meme, open_image(place_in(self.root, name)) if name else None)

    def compare_texts(self) -> None:
        """Count the memes with words, and how posted texts and the words read differ."""
        shares = []
        for meme in self.memes:
            row = self.evidence.get(meme.id)
            if row is None:
                continue
            self.result.with_text += bool(row.text)
            if meme.text is not None and "boxes" in row.made_by:
                shares.append(disagreement(meme.text, row.boxes))
        if shares:
            self.result.compared = len(shares)
            self.result.disagreeing = sum(share > UNLIKE for share in shares)
            self.result.mean_disagreement = sum(shares) / len(shares)

    def rewrite(self) -> None:
        """Rewrite the file without replaced lines: first the run's memes in their order, then the others."""
        chosen = {meme.id for meme in self.memes}
        rows = [self.evidence[meme.id] for meme in self.memes if meme.id in self.evidence]
        rows += [row for meme_id, row in self.evidence.items() if meme_id not in chosen]
        write_records(self.root / EVIDENCE, rows)


def process_picture(pipeline: EvidencePipeline, task: Task) -> Evidence:
    """Return a meme's evidence, its clean picture written; earlier evidence that still holds is returned as it is.

    Raises:
        ImageError: the picture is missing, broken, or outside the dataset folder.
    """
    data = read_image_bytes(place_in(task.root, str(task.meme.image)))
    if task.known and _holds(pipeline, task, task.known, sha256_bytes(data)):
        return task.known
    evidence, clean = pipeline.extract(task.meme, data, str(task.meme.image), task.known)
    if clean is None:
        return evidence
    write_bytes(task.root / task.clean_place, encode_png(clean))
    return evidence.model_copy(update={"clean_image": task.clean_place})


def _holds(pipeline: EvidencePipeline, task: Task, known: Evidence, sha256: str) -> bool:
    """Tell whether these engines made every part from this picture, and the text is the one the policy chooses."""
    if known.image_sha256 != sha256:
        return False
    if pipeline.ocr and known.made_by.get("boxes") != pipeline.ocr.version:
        return False
    if pipeline.inpainter:
        cleaned = known.clean_image and (task.root / known.clean_image).is_file()
        if not cleaned or known.made_by.get("clean_image") != pipeline.inpainter.version:
            return False
    read = pipeline.replaces_text(task.meme)
    return read == (known.text_source == "ocr") and (read or known.text == task.meme.text)


def _clean_places(memes: Sequence[Meme]) -> dict[str, str]:
    """Return the path of each meme's clean picture: under clean/, named like the posted one, no path used twice."""
    places: dict[str, str] = {}
    used: set[str] = set()
    for meme in memes:
        path = PurePosixPath(str(meme.image))
        inner = path.relative_to("images") if path.is_relative_to("images") else path
        name = PurePosixPath(*(part for part in inner.parts if part not in ("..", "/")))
        place = f"{CLEAN}/{name.with_suffix('.png')}"
        if place.casefold() in used:  # file systems may fold case
            place = f"{CLEAN}/{name}.png"
        used.add(place.casefold())
        places[meme.id] = place
    return places


def _make_failure(meme: Meme, error: Exception, prefix: str = "") -> Failure:
    reason = str(error) if isinstance(error, MrHarmError) else f"{type(error).__name__}: {error}"
    return Failure(item=meme.id, stage=STAGE, reason=prefix + reason, file=meme.image)


def disagreement(posted: str, boxes: tuple[TextBox, ...]) -> float:
    """Compute the share of words that a posted text and the words read do not have in common (0: the same words).

    It is 1 - the Dice coefficient of the two bags of words, without case, punctuation and order.
    """
    words, read = _count_words(posted), _count_words(" ".join(box.text for box in boxes))
    total = words.total() + read.total()
    return 1 - 2 * (words & read).total() / total if total else 0.0


def _count_words(text: str) -> Counter[str]:
    words = ("".join(filter(str.isalnum, word)) for word in text.casefold().split())
    return Counter(filter(None, words))
