"""Test whether verdicts survive what pictures and texts go through, and what is done to them to slip by.

The picture that is changed is the one the detector is shown; words drawn on it stay, and are not read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.images import open_image, place_in
from mrharm.probes.changed_memes import (
    Case,
    Change,
    DecisionScores,
    VerdictChange,
    compare_verdicts,
    judge_cases,
    make_cases,
    score_decisions,
    shown_picture,
)
from mrharm.probes.image_changes import PICTURE_CHANGES, change_picture
from mrharm.probes.run import ProbeRecord
from mrharm.probes.text_changes import TEXT_CHANGES, change_text
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, Verdict
from mrharm.store import content_key

Kind = Literal["picture", "text"]
STRENGTHS = (1, 2, 3)
LONGEST_SIDE = 2048  # pixels; a longer picture is scaled down, as a batch is held in memory


class Setting(Record):
    """What a change does to verdicts at one strength, whose number ``value`` is in ``unit``."""

    kind: Kind
    change: str
    strength: int
    value: float
    unit: str
    moved: VerdictChange


class RobustnessProbe(ProbeRecord):
    """What changes that leave the meaning alone do to verdicts.

    Attributes:
        clean: scores of the same memes unchanged.
        without_boxes: memes whose words have no known place, so that salt over the words falls on the whole picture.
        skipped: kind -> why it cannot be tested.
    """

    memes: int
    clean: DecisionScores
    settings: tuple[Setting, ...]
    without_boxes: int
    skipped: dict[str, str]


ChangeAtStrength = tuple[str, int]  # the name of a change, and 1, 2 or 3
TABLES: dict[Kind, dict[str, Change]] = {"picture": PICTURE_CHANGES, "text": TEXT_CHANGES}


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 200, progress: Progress = no_progress
) -> RobustnessProbe:
    """Judge ``memes`` memes at most under every change at every strength, some fifty times each.

    Raises:
        InputError: the detector neither reads words nor is shown a picture, or the memes have neither.
    """
    predictions = predictions.sample(memes, seed)
    cases = make_cases(predictions)
    # Of whose picture, and of whose text, the detector is shown something to change.
    changeable: dict[Kind, list[Case]] = {
        "picture": [case for case in cases if shown_picture(predictions, case) is not None],
        "text": [case for case in cases if case.text] if "text" in predictions.detector.card.reads else [],
    }
    skipped = {kind: _why_skipped(predictions, kind) for kind in changeable if not changeable[kind]}
    if len(skipped) == 2:
        raise InputError(f"nothing to change: {skipped['picture']}; {skipped['text']}")
    kinds = changeable.keys() - skipped.keys()
    changes = [(kind, *change) for kind in sorted(kinds) for change in product(TABLES[kind], STRENGTHS)]
    total, done = len(cases) + sum(len(changeable[kind]) for kind, _, _ in changes), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("robustness", done, total)

    before = judge_cases(predictions, cases)
    advance(len(cases))
    after = _judge_pictures(predictions, changeable["picture"], seed, advance)
    after |= _judge_texts(predictions, changeable["text"], seed, advance)
    settings = []
    for kind, name, strength in changes:
        change, verdicts = TABLES[kind][name], after[name, strength]
        setting = Setting(
            kind=kind,
            change=name,
            strength=strength,
            value=change.strengths[strength - 1],
            unit=change.unit,
            moved=compare_verdicts(predictions, changeable[kind], before, verdicts, seed=seed),
        )
        settings.append(setting)
    return RobustnessProbe(
        memes=len(cases),
        clean=score_decisions(predictions, before, seed=seed),
        settings=tuple(settings),
        without_boxes=sum(not case.evidence.boxes for case in changeable["picture"]),
        skipped=skipped,
    )


def _draw_seed(case: Case, change: str, seed: int) -> int:
    """Return a seed for one meme, the same at each strength: a greater strength changes more of the same."""
    return int(content_key(seed, case.meme.id, change), 16)


def _judge_texts(
    predictions: Predictions, cases: Sequence[Case], seed: int, advance: Callable[[int], None]
) -> dict[ChangeAtStrength, list[Verdict]]:
    """Judge memes under every change of the text."""
    after = {}
    for name, strength in product(TABLES["text"] if cases else (), STRENGTHS):
        changed = [
            case.with_text(change_text(case.text, name, strength, _draw_seed(case, name, seed)))
            for case in cases
        ]
        after[name, strength] = judge_cases(predictions, changed)
        advance(len(changed))
    return after


def _judge_pictures(
    predictions: Predictions, cases: Sequence[Case], seed: int, advance: Callable[[int], None]
) -> dict[ChangeAtStrength, list[Verdict]]:
    """Judge memes under every change of the picture.

    A batch at a time, so that each picture is decoded once and few are held; files live for one change.
    """
    after: dict[ChangeAtStrength, list[Verdict]] = {}
    with TemporaryDirectory(prefix="mrharm-") as folder:
        for start in range(0, len(cases), BATCH):
            batch = cases[start : start + BATCH]
            pictures = []
            for case in batch:
                image = open_image(place_in(predictions.dataset.root, str(shown_picture(predictions, case))))
                width = image.width
                image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
                scale = image.width / width
                boxes = [[(scale * x, scale * y) for x, y in box.polygon] for box in case.evidence.boxes]
                pictures.append((image, boxes))
            for name, strength in product(TABLES["picture"], STRENGTHS):
                changed: list[Case] = []
                for case, (image, boxes) in zip(batch, pictures, strict=True):
                    picture = change_picture(image, name, strength, _draw_seed(case, name, seed), boxes)
                    path = Path(folder) / f"{len(changed)}.png"
                    picture.save(path, compress_level=1)  # little compression: read once and thrown away
                    changed.append(case.with_picture(path.name))
                verdicts = judge_cases(predictions, changed, root=Path(folder))
                after.setdefault((name, strength), []).extend(verdicts)
                advance(len(batch))
    return after


def _why_skipped(predictions: Predictions, kind: Kind) -> str:
    card = predictions.detector.card
    if kind == "text":
        return f"no words to change (the detector reads {', '.join(card.reads)})"
    if not predictions.detector.takes_picture:
        return "the detector is shown no picture"
    mend = "; `mrharm gather` makes clean ones" if card.picture_shown == "clean" else ""
    return f"no meme has the picture the detector is shown{mend}"
