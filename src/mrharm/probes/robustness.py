"""Do verdicts survive what pictures and texts go through, and what is done to them to slip by?

The picture changed is the one the detector is shown, as posted or without its words; the text changed is the one it
reads, the words drawn on the picture stay. Finding and reading words anew on a changed picture is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.images import open_image, place_in
from mrharm.probes.cases import (
    Case,
    Decided,
    Moved,
    cases_of,
    compare,
    judge_cases,
    said_by,
    scores_of,
    shown_place,
)
from mrharm.probes.image_changes import PICTURE_CHANGES, change_picture
from mrharm.probes.text_changes import TEXT_CHANGES, change_text
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, Verdict
from mrharm.store import content_key

Kind = Literal["picture", "text"]
STRENGTHS = (1, 2, 3)
WORKERS = 2
MOST_PIXELS = 4_000_000


class Setting(Record):
    """One change at one strength, and what it does. ``value``: the strength's number, in the ``unit`` named."""

    kind: Kind
    change: str
    strength: int
    value: float
    unit: str
    moved: Moved


class RobustnessProbe(Record):
    """What changes that leave the meaning alone do to verdicts; scores stand in each setting's ``moved``.

    ``clean``: the same memes unchanged; ``without_boxes``: memes of whose words it is not known where they stand, so
    that salt over the words falls on the whole picture; ``skipped``: kind -> why it could not be had.
    """

    memes: int
    clean: Decided
    settings: tuple[Setting, ...]
    without_boxes: int
    skipped: dict[str, str]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """A setting before it is judged."""

    kind: Kind
    change: str
    strength: int


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 200, progress: Progress = no_progress
) -> RobustnessProbe:
    """Judge memes under every change at every strength.

    Args:
        judged: memes and verdicts.
        seed: of which memes, of what each change draws by lot, and of the intervals.
        memes: how many memes at most; each is judged some fifty times.
        progress: told how many verdicts are there.

    Raises:
        InputError: the detector neither reads words nor is shown a picture, or the memes have neither.
    """
    predictions = predictions.sample(memes, seed)
    cases = cases_of(predictions)
    some: dict[Kind, list[Case]] = {
        "picture": [case for case in cases if shown_place(predictions, case) is not None],
        "text": [case for case in cases if case.words] if "text" in predictions.detector.card.reads else [],
    }
    skipped = {kind: _why_not(predictions, kind) for kind, kept in some.items() if not kept}
    if len(skipped) == 2:
        raise InputError(f"nothing to change: {skipped['picture']}; {skipped['text']}")
    rows = _rows("picture", PICTURE_CHANGES) + _rows("text", TEXT_CHANGES)
    total, done = sum(len(some[row.kind]) for row in rows) + len(cases), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("robustness", done, total)

    before = judge_cases(predictions, cases)
    advance(len(cases))
    after = _judge_pictures(predictions, some["picture"], seed, advance)
    after |= _judge_texts(predictions, some["text"], seed, advance)
    settings = []
    for row in rows:
        if not some[row.kind]:
            continue
        places = [case.place for case in some[row.kind]]
        moved = compare(
            predictions.gold[places],
            [before[place] for place in places],
            after[row],
            clusters=predictions.clusters[places],
            seed=seed,
        )
        table = PICTURE_CHANGES[row.change] if row.kind == "picture" else TEXT_CHANGES[row.change]
        settings.append(
            Setting(
                kind=row.kind,
                change=row.change,
                strength=row.strength,
                value=table.strengths[row.strength - 1],
                unit=table.unit,
                moved=moved,
            )
        )
    return RobustnessProbe(
        memes=len(cases),
        clean=scores_of(predictions.gold, said_by(before), clusters=predictions.clusters, seed=seed),
        settings=tuple(settings),
        without_boxes=sum(not case.evidence.boxes for case in some["picture"]),
        skipped=skipped,
    )


def _rows(kind: Kind, changes: Iterable[str]) -> list[_Row]:
    return [_Row(kind, change, strength) for change in changes for strength in STRENGTHS]


def _judge_pictures(
    predictions: Predictions, cases: Sequence[Case], seed: int, advance: Callable[[int], None]
) -> dict[_Row, list[Verdict]]:
    """A batch at a time, so that each picture is decoded once and few are held; files live for one setting."""
    rows = _rows("picture", PICTURE_CHANGES)
    after: dict[_Row, list[Verdict]] = {row: [] for row in rows}
    with TemporaryDirectory(prefix="mrharm-") as folder, ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(cases), BATCH):
            batch = cases[start : start + BATCH]
            images = [
                _bounded(open_image(place_in(predictions.dataset.root, str(shown_place(predictions, case)))))
                for case in batch
            ]
            paths = [Path(folder) / f"{number}.png" for number in range(len(batch))]
            for row in rows:
                write = partial(_write, row, seed)
                changed = list(pool.map(write, batch, images, paths))
                after[row] += judge_cases(predictions, changed, root=Path(folder))
                advance(len(batch))
    return after


def _bounded(image: Image.Image) -> tuple[Image.Image, float]:
    """A picture of at most `MOST_PIXELS`, and by how much it was scaled down: 1 for nearly every meme.

    A batch is held in memory, and a huge photograph with noise on it would be a larger PNG than is ever read.
    """
    scale = min(1.0, (MOST_PIXELS / (image.width * image.height)) ** 0.5)
    if scale == 1.0:
        return image, scale
    return image.resize((max(1, int(scale * image.width)), max(1, int(scale * image.height)))), scale


def _write(row: _Row, seed: int, case: Case, image: tuple[Image.Image, float], path: Path) -> Case:
    """The changed picture, written; the case with it in place of its own."""
    picture, scale = image
    boxes = [[(scale * x, scale * y) for x, y in box.polygon] for box in case.evidence.boxes]
    changed = change_picture(picture, row.change, row.strength, _lot(seed, case, row), boxes)
    changed.save(path, compress_level=1)  # read once and thrown away
    return case.with_picture(path.name)


def _judge_texts(
    predictions: Predictions, cases: Sequence[Case], seed: int, advance: Callable[[int], None]
) -> dict[_Row, list[Verdict]]:
    after: dict[_Row, list[Verdict]] = {}
    for row in _rows("text", TEXT_CHANGES):
        changed = [
            case.with_words(change_text(case.words, row.change, row.strength, _lot(seed, case, row)))
            for case in cases
        ]
        after[row] = judge_cases(predictions, changed)
        advance(len(cases))
    return after


def _lot(seed: int, case: Case, row: _Row) -> int:
    """A seed of the meme's own, the same at each strength: a greater strength changes more of the same."""
    return int(content_key(seed, case.meme.id, row.change), 16)


def _why_not(predictions: Predictions, kind: Kind) -> str:
    if kind == "text":
        reads = ", ".join(predictions.detector.card.reads)
        return f"no words to change (the detector reads {reads})"
    if not predictions.detector.takes_picture:
        return "the detector is shown no picture"
    return "no meme has the picture the detector is shown" + (
        "; `mrharm gather` makes clean ones" if predictions.detector.card.picture_shown == "clean" else ""
    )
