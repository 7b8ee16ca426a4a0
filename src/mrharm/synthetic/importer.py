"""`mrharm import generated`: plan, label and draw the memes of the generated benchmark."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.records import Label, Meme, Severity
from mrharm.synthetic.phrases import SENSES
from mrharm.synthetic.plan import Picture, Quad, Words, make_plan
from mrharm.synthetic.render import IMAGES, Job, render
from mrharm.synthetic.scenes import describe_scene

ABOUT = ImporterInfo(
    "Generated memes whose harm is in neither text nor picture alone",
    "Apache-2.0, as mrharm itself",
    "drawn on this machine, offline, the same for the same --seed and --memes",
    "no source",
    needs_source=False,
)


def import_generated(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Draw the generated benchmark into ``folder``; ``source`` is not read.

    ``options.memes``, ``seed`` and ``workers`` count; the result depends on the first two only.

    Raises:
        InputError: too few memes asked for.
    """
    memes: list[Meme] = []
    jobs: dict[str, Job] = {}
    for meme_id, quad, words, picture in _name_memes(make_plan(options.memes, options.seed), options.seed):
        meme = _make_meme(meme_id, quad, words, picture)
        memes.append(meme)
        jobs.setdefault(picture.seed, Job(folder, picture, quad.font, [])).memes.append(meme)
    evidence = render(list(jobs.values()), options.workers)
    counts = Counter(meme.split for meme in memes)
    return Imported(
        name=f"generated-{options.memes}",
        licence="Apache-2.0, as mrharm itself; the fonts' licences lie beside the fonts",
        label_scheme="harmful (somewhat, very) or harmless (none), from scene and tone together; mockery of one person",
        memes=memes,
        evidence=[evidence[meme.id] for meme in memes],
        notes=[", ".join(f"{split}: {count} memes" for split, count in counts.items())],
    )


def _name_memes(quads: list[Quad], seed: int) -> Iterator[tuple[str, Quad, Words, Picture]]:
    """Yield each meme of the quads, by split: its id, its quad, its text and its picture."""
    for split in dict.fromkeys(quad.split for quad in quads):
        corners: list[tuple[Quad, Words, Picture]] = []
        for quad in quads:
            if quad.split == split:
                corners += product((quad,), quad.texts, quad.pictures)
        # Shuffled, so that neither the id nor the order in the file tells which corner of its quad a meme is.
        random.Random(f"{seed}/{split}/order").shuffle(corners)
        for number, corner in enumerate(corners):
            yield f"{split}-{number:05d}", *corner


def _make_meme(meme_id: str, quad: Quad, words: Words, picture: Picture) -> Meme:
    pair, sense = picture.pair, SENSES[words.tone]
    harmful = (sense == "straight") != (pair.polarity == "suits")
    severity: Severity = "none" if not harmful else "very" if pair.extreme else "somewhat"
    truth: dict[str, Any] = {
        "concept": quad.concept,
        "scene": pair.scene,
        "rendering": picture.rendering,
        "polarity": pair.polarity,
        "tone": words.tone,
        "sense": sense,
        "relation": "undercuts" if harmful else "backs",
        "caption": describe_scene(pair.scene, picture.rendering),
        "quad": quad.name,
        "template": words.frame,
        "phrase": words.phrase,
        "layout": picture.style.layout,
        "font": quad.font,
        "case": quad.case,
    }
    return Meme(
        id=meme_id,
        image=f"{IMAGES}/{meme_id}.png",
        text=words.text,
        label=Label(harmful=harmful, severity=severity, targets=("individual",)),
        split=quad.split,
        source="generated",
        extra={"truth": truth},
    )
