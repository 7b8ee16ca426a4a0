"""`mrharm import generated`: plan, draw, check, and hand over as any importer does."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.records import Evidence, Label, Meme, Severity, TextBox
from mrharm.synthetic.checks import assert_balanced, assert_phrases, assert_splits
from mrharm.synthetic.phrases import SENSES
from mrharm.synthetic.plan import Picture, Quad, Words, make_plan
from mrharm.synthetic.render import CLEAN, IMAGES, Drawn, Job, render
from mrharm.synthetic.scenes import describe_scene

ABOUT = ImporterInfo(
    "Generated memes whose harm is in neither text nor picture alone",
    "Apache-2.0, as mrharm itself",
    "drawn on this machine, offline, the same for the same --seed and --memes",
    "no source",
    needs_source=False,
)

VERSION = "generated@1"
SOURCE = "generated"

# From this many memes on, train is large enough to hold every scene, every pair and every word of the other splits.
WHOLE = 2000


@dataclass(frozen=True)
class _Cell:
    """One meme of a quad, before it is drawn."""

    id: str
    quad: Quad
    words: Words
    picture: Picture


def import_generated(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Draw the generated benchmark into ``folder``; ``source`` is not read.

    ``options.memes``, ``seed`` and ``workers`` count; the result depends on the first two only.

    Raises:
        InputError: too few memes asked for.
        DataError: the benchmark broke one of its own promises (see `mrharm.synthetic.checks`).
    """
    assert_phrases()
    cells = _cells(make_plan(options.memes, options.seed), options.seed)
    memes = [_meme(cell) for cell in cells]
    assert_splits(memes, strict=options.memes >= WHOLE)
    drawn = render(_jobs(cells, folder), options.workers)
    assert_balanced(memes, {meme_id: files.clean_sha256 for meme_id, files in drawn.items()})
    counts = Counter(meme.split for meme in memes)
    return Imported(
        name=f"generated-{options.memes}",
        licence="Apache-2.0, as mrharm itself; the fonts' licences lie beside the fonts",
        label_scheme="harmful (somewhat, very) or harmless (none), from scene and tone together; mockery of one person",
        memes=memes,
        evidence=[_evidence(meme, drawn[meme.id]) for meme in memes],
        notes=[", ".join(f"{split}: {count} memes" for split, count in counts.items())],
    )


def _cells(quads: list[Quad], seed: int) -> list[_Cell]:
    cells: list[_Cell] = []
    for split in dict.fromkeys(quad.split for quad in quads):
        corners: list[tuple[Quad, Words, Picture]] = []
        for quad in quads:
            if quad.split == split:
                corners += product((quad,), quad.texts, quad.pictures)
        # Shuffled, so that neither the id nor the order in the file tells which corner of its quad a meme is.
        random.Random(f"{seed}/{split}/order").shuffle(corners)
        cells += [_Cell(f"{split}-{number:05d}", *corner) for number, corner in enumerate(corners)]
    return cells


def _jobs(cells: list[_Cell], folder: Path) -> list[Job]:
    by_picture: dict[str, list[_Cell]] = {}
    for cell in cells:
        by_picture.setdefault(cell.picture.seed, []).append(cell)
    return [
        Job(folder, same[0].picture, same[0].quad.font, tuple((cell.id, cell.words.text) for cell in same))
        for same in by_picture.values()
    ]


def _meme(cell: _Cell) -> Meme:
    quad, picture, pair = cell.quad, cell.picture, cell.picture.pair
    sense = SENSES[cell.words.tone]
    harmful = (sense == "straight") != (pair.polarity == "suits")
    severity: Severity = "none" if not harmful else "very" if pair.extreme else "somewhat"
    truth: dict[str, Any] = {
        "concept": quad.concept,
        "scene": pair.scene,
        "rendering": picture.rendering,
        "polarity": pair.polarity,
        "tone": cell.words.tone,
        "sense": sense,
        "relation": "undercuts" if harmful else "backs",
        "caption": describe_scene(pair.scene, picture.rendering),
        "quad": quad.name,
        "template": cell.words.frame,
        "phrase": cell.words.phrase,
        "layout": picture.style.layout,
        "font": quad.font,
        "case": quad.case,
    }
    return Meme(
        id=cell.id,
        image=f"{IMAGES}/{cell.id}.png",
        text=cell.words.text,
        label=Label(harmful=harmful, severity=severity, targets=("individual",)),
        split=quad.split,
        source=SOURCE,
        extra={"truth": truth},
    )


def _evidence(meme: Meme, drawn: Drawn) -> Evidence:
    return Evidence(
        meme_id=meme.id,
        image_sha256=drawn.image_sha256,
        text=meme.text,
        text_source="given",
        boxes=tuple(
            TextBox(
                polygon=((left, top), (right, top), (right, bottom), (left, bottom)),
                text=line,
                confidence=1.0,
            )
            for line, (left, top, right, bottom) in drawn.lines
        ),
        clean_image=f"{CLEAN}/{meme.id}.png",
        caption=meme.extra["truth"]["caption"],
        made_by=dict.fromkeys(("text", "boxes", "clean_image", "caption"), VERSION),
    )
