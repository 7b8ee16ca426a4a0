"""How well a detector tells the memes it knows from the strange: a row a source, none pooled.

    mrharm demo --out demo
    python -m benchmarks.familiarity demo [--held-out DIR] [--harm-c ../shared/data/harm-c] [--json]

Familiar are the demo's test memes. Strange pictures carry the words of test memes, drawn as the demo draws them, and
strange texts go with the pictures of test memes: one part is strange, the other is not; in sales reports both are. Two
figures a row, each 50 % where familiarity tells nothing: the AUROC of the part's familiarity, and of the lowest of both
parts, by which memes go to review. ``--held-out`` trains the demo's student without six animals and scenes (minutes).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sklearn.metrics import roc_auc_score

from benchmarks import sayings
from benchmarks.backgrounds import TEXTURES, Size, photograph, plain
from benchmarks.common import machine, show
from mrharm.demo import FULL
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN, VALIDATION
from mrharm.recipe import load_recipe
from mrharm.records import Meme, Verdict
from mrharm.store import write_json, write_records
from mrharm.synthetic.layouts import CAPITALS_ONLY, FONTS, LAYOUTS, draw_style, draw_text
from mrharm.training.run import train
from mrharm.verdicts.detector import Detector

HELD_OUT = frozenset(("swan", "snail", "lion", "ship", "rocket", "cake"))
REPORTS = (
    "Q3 revenue up {} percent",
    "sales by region, {}",
    "costs fell {} percent in May",
    "{} new customers",
)
Draw = Callable[[Size, random.Random], Image.Image]


def blank(size: Size, rng: random.Random) -> Image.Image:
    """White, or nearly."""
    return Image.new("RGB", size, (rng.choice((255, 255, 250, 240)),) * 3)


def chart(size: Size, rng: random.Random) -> Image.Image:
    """Bars, lines or a pie on a blank ground."""
    picture = blank(size, rng)
    draw = ImageDraw.Draw(picture)
    width, height = size
    colours = [tuple(rng.randrange(30, 220) for _ in range(3)) for _ in range(6)]
    left, top, right, bottom = (0.12 * width, 0.15 * height, 0.92 * width, 0.85 * height)
    kind, count = rng.choice(("bars", "lines", "pie")), rng.randint(3, 9)
    if kind == "pie":
        radius, angle = 0.33 * min(size), 0.0
        box = (width / 2 - radius, height / 2 - radius, width / 2 + radius, height / 2 + radius)
        for share in np.random.default_rng(rng.getrandbits(32)).dirichlet([2.0] * count):
            draw.pieslice(box, angle, angle + 360 * share, fill=rng.choice(colours), outline="white")
            angle += 360 * share
        return picture
    draw.line([(left, top), (left, bottom), (right, bottom)], fill=(60, 60, 60), width=2)
    for step in range(1, 5):
        y = bottom - step * (bottom - top) / 5
        draw.line([(left, y), (right, y)], fill=(225, 225, 225))
    places = [left + (index + 0.5) * (right - left) / count for index in range(count)]
    if kind == "bars":
        for place in places:
            reach = 0.3 * (right - left) / count
            y = rng.uniform(top, bottom)
            draw.rectangle((place - reach, y, place + reach, bottom), fill=colours[0])
        return picture
    for colour in colours[: rng.randint(1, 3)]:
        draw.line([(place, rng.uniform(top, bottom)) for place in places], fill=colour, width=3)
    return picture


def draw_memes(folder: Path, source: str, draw: Draw, texts: Sequence[str]) -> list[Meme]:
    """Write a meme a text: the text on a picture, in the fonts and layouts of the demo."""
    fonts, memes = [font for font in FONTS if font not in CAPITALS_ONLY], []
    for number, text in enumerate(texts):
        rng = random.Random(f"{source}/{number}")
        size = (rng.randrange(256, 361, 8), rng.randrange(256, 361, 8))
        style = draw_style(list(LAYOUTS)[number % len(LAYOUTS)], rng)
        picture, _ = draw_text(draw(size, rng), text, rng.choice(fonts), style)
        memes.append(Meme(id=f"{source}-{number}", image=f"{source}-{number}.png", text=text))
        picture.save(folder / str(memes[-1].image))
    return memes


def strange_memes(
    test: Sequence[Meme], root: Path, folder: Path, harm_c: Path | None
) -> dict[str, tuple[str, list[Meme]]]:
    """Source -> the part that is strange, and its memes; pictures are drawn into ``folder``."""
    texts = [str(meme.text) for meme in test]
    draws: dict[str, Draw] = {
        "photographs": lambda size, rng: photograph(size, rng)[1],
        "textures": lambda size, rng: photograph(size, rng, TEXTURES)[1],
        "blank pictures": blank,
        "one colour or a gradient": plain,
        "charts": chart,
    }
    strange = {source: ("image", draw_memes(folder, source, draw, texts)) for source, draw in draws.items()}
    rng = random.Random(0)
    reports = [rng.choice(REPORTS).format(rng.randrange(2, 60)) for _ in test]
    strange["sales reports on blank pictures"] = ("image", draw_memes(folder, "report", blank, reports))
    kinds: dict[str, list[str]] = {
        "short sayings": [sayings.posted(sayings.short(rng), rng) for _ in test],
        "posts": [sayings.posted(sayings.setup(rng), rng) for _ in test],
    }
    if harm_c is not None:
        lines = (harm_c / "test.jsonl").read_text(encoding="utf-8").splitlines()
        kinds["Harm-C's texts"] = [json.loads(line)["text"] for line in lines]
    for source, written in kinds.items():
        memes = [
            meme.model_copy(
                update={"id": f"{source}-{meme.id}", "text": text, "image": str(root / str(meme.image))}
            )
            for meme, text in zip(test, written, strict=False)
        ]
        strange[source] = ("text", memes)
    return strange


def shows_held_out(meme: Meme) -> bool:
    """Whether a generated meme shows one of the animals and scenes held out."""
    return meme.extra["truth"]["scene"] in HELD_OUT


def train_without(dataset: Dataset, out: Path) -> Detector:
    """Train the demo's student on the demo's memes but those of `HELD_OUT`; a run that is there is loaded."""
    folder = out / "memes"
    memes = [meme for meme in dataset.memes if meme.split in (TRAIN, VALIDATION) and not shows_held_out(meme)]
    write_records(folder / "memes.jsonl", memes)
    write_records(folder / "evidence.jsonl", [dataset.evidence[meme.id] for meme in memes])
    write_records(folder / "rationales.jsonl", [dataset.rationales[meme.id] for meme in memes])
    write_json(folder / "dataset.json", dataset.info.model_dump(mode="json"))
    for name in ("images", "clean"):
        if not (folder / name).exists():
            shutil.copytree(dataset.root / name, folder / name, copy_function=os.link)
    steps = {"stages.rationale.steps": FULL.rationale_steps, "stages.label.steps": FULL.label_steps}
    return train(folder, load_recipe("tiny", steps), out / "run", device="cpu", say=print)


def lowest(verdicts: Sequence[Verdict], part: str | None = None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The familiarity of a part of each meme, or of its least familiar part."""
    familiar = [verdict.familiarity or {} for verdict in verdicts]
    return np.array([parts[part] if part else min(parts.values()) for parts in familiar])


def compare(
    source: str, part: str, strange: Sequence[Verdict], familiar: Sequence[Verdict]
) -> dict[str, Any]:
    """One row of the table."""
    gold = np.arange(len(strange) + len(familiar)) < len(strange)
    areas = {
        name: float(roc_auc_score(gold, 1 - np.concatenate([lowest(strange, of), lowest(familiar, of)])))
        for name, of in (("AUROC of the part", part), ("of the lowest", None))
    }
    reviewed = sum("unfamiliar" in verdict.doubts for verdict in strange) / len(strange)
    return {"way": source, "memes": len(strange), "part": part, **areas, "unfamiliar": reviewed}


def compare_held_out(dataset: Dataset, out: Path) -> dict[str, Any]:
    """The row of a student that learned without six animals and scenes, on the demo's test memes."""
    test = dataset.split("test")
    strange, familiar = filter(shows_held_out, test), itertools.filterfalse(shows_held_out, test)
    judge = partial(train_without(dataset, out).judge, root=dataset.root, rationales=False)
    return compare("animals and scenes held out", "image", judge([*strange]), judge([*familiar]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of `mrharm demo`")
    parser.add_argument("--held-out", type=Path, help="where to train a student without six scenes")
    parser.add_argument("--harm-c", type=Path, help="folder with Harm-C's test.jsonl")
    parser.add_argument("--memes", type=int, default=150, help="strange memes a source")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    dataset = Dataset(options.demo / "memes")
    detector = Detector.from_pretrained(options.demo / "two-stage", device="cpu")
    judge = partial(detector.judge, rationales=False)
    splits = {
        split: judge(dataset.split(split), root=dataset.root) for split in ("test", "composition", "lexical")
    }
    with tempfile.TemporaryDirectory() as name:
        strange = strange_memes(
            dataset.split("test")[: options.memes], dataset.root.absolute(), Path(name), options.harm_c
        )
        rows = [
            compare(source, part, judge([_place(meme, Path(name)) for meme in memes]), splits["test"])
            for source, (part, memes) in strange.items()
        ]
    if options.held_out:
        rows.append(compare_held_out(dataset, options.held_out))
    reviewed = {
        split: sum("unfamiliar" in verdict.doubts for verdict in verdicts) / len(verdicts)
        for split, verdicts in splits.items()
    }
    result = {"machine": machine("cpu"), "rows": rows, "own_memes_unfamiliar": reviewed}
    printed = [
        {name: f"{100 * value:.1f} %" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
    show("strange memes against the demo's test memes", printed, result, options.json)
    if not options.json:
        print(
            "the demo's own memes that are unfamiliar:",
            ", ".join(f"{k} {100 * v:.1f} %" for k, v in reviewed.items()),
        )


def _place(meme: Meme, folder: Path) -> Meme:
    return meme.model_copy(update={"image": str(folder / str(meme.image))})


if __name__ == "__main__":
    main()
