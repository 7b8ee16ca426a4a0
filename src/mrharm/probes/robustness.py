"""Test whether verdicts survive what pictures and texts go through, and what is done to them to slip by.

The picture that is changed is the one the detector is shown, as posted or without its words; the text is the one it
reads, and the words drawn on the picture stay. Reading words anew on a changed picture is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.images import open_image, place_in
from mrharm.probes.cases import (
    Case,
    Change,
    DecisionScores,
    ProbeRecord,
    VerdictChange,
    compare_verdicts,
    judge_cases,
    make_cases,
    score_decisions,
    shown_picture,
)
from mrharm.probes.image_changes import PICTURE_CHANGES, change_picture
from mrharm.probes.text_changes import TEXT_CHANGES, change_text
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, Verdict
from mrharm.store import content_key

Kind = Literal["picture", "text"]
STRENGTHS = (1, 2, 3)
LONGEST_SIDE = 2048  # pixels; a longer picture is scaled down, as a batch is held in memory


class Setting(Record):
    """One change at one strength, and what it does.

    Attributes:
        kind: of what is changed.
        change: its name.
        strength: 1, 2 or 3.
        value: the number of this strength, in ``unit``.
        unit: what the number means.
        moved: what the change does to verdicts.
    """

    kind: Kind
    change: str
    strength: int
    value: float
    unit: str
    moved: VerdictChange


class RobustnessProbe(ProbeRecord):
    """What changes that leave the meaning alone do to verdicts.

    Attributes:
        memes: judged.
        clean: scores of the same memes unchanged.
        settings: every change at every strength.
        without_boxes: memes whose words have no known place, so that salt over the words falls on the whole picture.
        skipped: kind -> why it cannot be tested.
    """

    memes: int
    clean: DecisionScores
    settings: tuple[Setting, ...]
    without_boxes: int
    skipped: dict[str, str]


@dataclass(frozen=True)
class _Change:
    """A change at one strength."""

    kind: Kind
    name: str
    strength: int

    def seed_for(self, case: Case, seed: int) -> int:
        """Return a seed for one meme, the same at each strength: a greater strength changes more of the same."""
        return int(content_key(seed, case.meme.id, self.name), 16)

    def of_text(self, case: Case, seed: int) -> Case:
        """Return a meme with its words changed."""
        return case.with_text(change_text(case.text, self.name, self.strength, self.seed_for(case, seed)))

    def of_picture(self, case: Case, image: Image.Image, scale: float, seed: int) -> Image.Image:
        """Return the changed picture of a meme, whose words' boxes are scaled with it."""
        boxes = [[(scale * x, scale * y) for x, y in box.polygon] for box in case.evidence.boxes]
        return change_picture(image, self.name, self.strength, self.seed_for(case, seed), boxes)


TABLES: dict[Kind, dict[str, Change]] = {"picture": PICTURE_CHANGES, "text": TEXT_CHANGES}
_CHANGES = [
    _Change(kind, name, strength)
    for kind, table in TABLES.items()
    for name in table
    for strength in STRENGTHS
]


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 200, progress: Progress = no_progress
) -> RobustnessProbe:
    """Judge ``memes`` memes at most under every change at every strength, some fifty times each.

    Raises:
        InputError: the detector neither reads words nor is shown a picture, or the memes have neither.
    """
    predictions = predictions.sample(memes, seed)
    cases = make_cases(predictions)
    changeable = _list_changeable(predictions, cases)
    skipped = {kind: _why_skipped(predictions, kind) for kind in changeable if not changeable[kind]}
    if len(skipped) == 2:
        raise InputError(f"nothing to change: {skipped['picture']}; {skipped['text']}")
    changes = [change for change in _CHANGES if changeable[change.kind]]
    total, done = sum(len(changeable[change.kind]) for change in changes) + len(cases), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("robustness", done, total)

    before = judge_cases(predictions, cases)
    advance(len(cases))
    after = _judge_pictures(predictions, changeable["picture"], seed, advance)
    for change in changes:
        if change.kind == "text":
            after[change] = judge_cases(
                predictions, [change.of_text(case, seed) for case in changeable["text"]]
            )
            advance(len(changeable["text"]))

    def measure(change: _Change) -> Setting:
        places = [case.place for case in changeable[change.kind]]
        unchanged = [before[place] for place in places]
        row = TABLES[change.kind][change.name]
        return Setting(
            kind=change.kind,
            change=change.name,
            strength=change.strength,
            value=row.strengths[change.strength - 1],
            unit=row.unit,
            moved=compare_verdicts(predictions, places, unchanged, after[change], seed=seed),
        )

    return RobustnessProbe(
        memes=len(cases),
        clean=score_decisions(predictions, before, seed=seed),
        settings=tuple(map(measure, changes)),
        without_boxes=sum(not case.evidence.boxes for case in changeable["picture"]),
        skipped=skipped,
    )


def _list_changeable(predictions: Predictions, cases: Sequence[Case]) -> dict[Kind, list[Case]]:
    """Return the memes of whose picture, and of whose text, the detector is shown something to change."""
    return {
        "picture": [case for case in cases if shown_picture(predictions, case) is not None],
        "text": [case for case in cases if case.text] if "text" in predictions.detector.card.reads else [],
    }


def _judge_pictures(
    predictions: Predictions, cases: Sequence[Case], seed: int, advance: Callable[[int], None]
) -> dict[_Change, list[Verdict]]:
    """Judge memes under every change of the picture.

    A batch at a time, so that each picture is decoded once and few are held; files live for one change.
    """
    after: dict[_Change, list[Verdict]] = {change: [] for change in _CHANGES if change.kind == "picture"}
    with TemporaryDirectory(prefix="mrharm-") as folder:
        for start in range(0, len(cases), BATCH):
            batch = cases[start : start + BATCH]
            images = []
            for case in batch:
                image = open_image(place_in(predictions.dataset.root, str(shown_picture(predictions, case))))
                width = image.width
                image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
                images.append((image, image.width / width))
            for change in after:
                changed = []
                for number, (case, (image, scale)) in enumerate(zip(batch, images, strict=True)):
                    path = Path(folder) / f"{number}.png"
                    # Little compression: read once and thrown away.
                    change.of_picture(case, image, scale, seed).save(path, compress_level=1)
                    changed.append(case.with_picture(path.name))
                after[change] += judge_cases(predictions, changed, root=Path(folder))
                advance(len(batch))
    return after


def _why_skipped(predictions: Predictions, kind: Kind) -> str:
    if kind == "text":
        reads = ", ".join(predictions.detector.card.reads)
        return f"no words to change (the detector reads {reads})"
    if not predictions.detector.takes_picture:
        return "the detector is shown no picture"
    return "no meme has the picture the detector is shown" + (
        "; `mrharm gather` makes clean ones" if predictions.detector.card.picture_shown == "clean" else ""
    )
