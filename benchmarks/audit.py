"""How long an audit takes, and how well perceptual hashes tell copies from strangers.

    python -m benchmarks.audit [--memes 10000] [--json]

Pictures are photographs-sized JPEGs (500 to 1,200 pixels a side) made from generated memes, each unlike the others;
every fifth meme has a rationale. The dataset is made first, in a temporary folder; only the audit is timed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from benchmarks.common import machine, peak_memory_mb, reset_peak_memory, show
from mrharm.audit.run import audit
from mrharm.images import open_image
from mrharm.memes.dataset import Dataset, DatasetInfo, ImportOptions, count_splits
from mrharm.memes.fingerprints import NEAR, TEMPLATE
from mrharm.memes.importing import import_memes
from mrharm.recipe import load_recipe
from mrharm.records import Evidence, Label, Meme, Rationale
from mrharm.store import write_json, write_records

WORDS = [
    f"{first}{second}"
    for first in "bdfghjklmnprstvw"
    for second in ("an", "elo", "ir", "opu", "um", "ask", "ent", "ibble")
]


def draw(arguments: tuple[Path, Path, int]) -> None:
    """One JPEG unlike all others: a generated picture, scaled, cropped, toned and grained by its number."""
    source, target, number = arguments
    rng = np.random.default_rng(number)
    width, height = (int(side) for side in rng.integers(500, 1200, 2))
    picture = ImageOps.fit(open_image(source), (width, height), centering=tuple(rng.random(2)))
    grain = rng.normal(0, 12, (height, width, 1)) + rng.normal(0, 40, 3)
    pixels = np.clip(np.asarray(picture, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(target, "JPEG", quality=88)


def make_dataset(folder: Path, count: int, bases: list[Path]) -> None:
    """A dataset folder of ``count`` memes with pictures, captions and some rationales."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    jobs, memes, evidence, rationales = [], [], [], []
    for number in range(count):
        name = f"images/{number:06d}.jpg"
        jobs.append((bases[number % len(bases)], folder / name, number))
        label = Label(harmful=bool(rng.random() < 0.4))
        text = " ".join(rng.choice(WORDS, int(rng.integers(5, 30))))
        split = "train" if number % 10 < 8 else ("validation" if number % 10 == 8 else "test")
        memes.append(Meme(id=f"m{number}", image=name, text=text, label=label, split=split))
        evidence.append(Evidence(meme_id=f"m{number}", caption=" ".join(rng.choice(WORDS, 10))))
        if number % 5 == 0:
            words = " ".join(rng.choice(WORDS, 90))
            rationales.append(
                Rationale(meme_id=f"m{number}", label_given=label, text=words, teacher="random")
            )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(draw, jobs, chunksize=32))
    write_records(folder / "memes.jsonl", memes)
    write_records(folder / "evidence.jsonl", evidence)
    write_records(folder / "rationales.jsonl", rationales)
    info = DatasetInfo(
        name="random", kind="generated", source="random", licence="none", label_scheme="random",
        splits=count_splits(memes),
    )  # fmt: skip
    write_json(folder / "dataset.json", info.model_dump(mode="json"))


def copies(pictures: list[Image.Image]) -> dict[str, dict[str, float]]:
    """Share of copies found at each distance, by what was done to them, and of strangers taken for copies."""
    import imagehash

    def hashed(picture: Image.Image) -> int:
        return int(str(imagehash.phash(picture)), 16)

    def compressed(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        return Image.open(buffer).convert("RGB")

    changes = {
        "JPEG at quality 40": compressed,
        "half the size": lambda one: one.resize((one.width // 2, one.height // 2)),
        "twice the size": lambda one: one.resize((one.width * 2, one.height * 2)),
        "blurred (1.5 px)": lambda one: one.filter(ImageFilter.GaussianBlur(1.5)),
        "a fifth darker": lambda one: one.point(lambda value: int(value * 0.8)),
        "2 % cropped on each side": lambda one: ImageOps.crop(one, one.width // 50),
        "5 % cropped on each side": lambda one: ImageOps.crop(one, one.width // 20),
        "3 % white border": lambda one: ImageOps.expand(one, one.width // 33, "white"),
    }
    own = np.array([hashed(one) for one in pictures], dtype=np.uint64)
    rows = {}
    for name, change in changes.items():
        other = np.array([hashed(change(one)) for one in pictures], dtype=np.uint64)
        rows[name] = _shares(np.bitwise_count(own ^ other))
    return rows


def _shares(distances: Any) -> dict[str, float]:
    return {
        f"<= {bits} bits": round(float((distances <= bits).mean()), 6) for bits in (4, NEAR, TEMPLATE, 10)
    }


def strangers(memes: list[Meme], pictures: list[Image.Image]) -> dict[str, float]:
    """Share of pairs of memes over different scenes that lie within each distance."""
    import imagehash

    own = np.array([int(str(imagehash.phash(one)), 16) for one in pictures], dtype=np.uint64)
    scenes = np.array([meme.extra["truth"]["scene"] for meme in memes])
    one, other = np.triu_indices(len(own), 1)
    apart = scenes[one] != scenes[other]
    return _shares(np.bitwise_count(own[one[apart]] ^ own[other[apart]]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memes", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print("making the dataset", file=sys.stderr)
        generated = import_memes("generated", None, Path(scratch) / "generated", ImportOptions(memes=600))
        memes = generated.memes
        bases = [generated.root / str(meme.image) for meme in memes]
        pictures = [open_image(path) for path in bases]
        make_dataset(Path(scratch) / "random", options.memes, bases)
        times: dict[str, float] = {}
        reset_peak_memory("cpu")
        for run in ("first audit", "second audit (pictures known)"):
            start = monotonic()
            report = audit(Dataset(Path(scratch) / "random"), load_recipe("mr-harm")).report
            times[run] = round(monotonic() - start, 1)
        found = {**copies(pictures), "strangers (other scenes)": strangers(memes, pictures)}
        result = {
            "machine": machine("cpu"),
            "memes": report.memes,
            "seconds": times,
            "peak_memory_mb": peak_memory_mb("cpu"),
            "copies": found,
        }
    title = f"audit of {options.memes:,} memes: " + ", ".join(
        f"{run} {time} s" for run, time in times.items()
    )
    rows = [{"way": name, **shares} for name, shares in found.items()]
    show(f"{title}; peak {result['peak_memory_mb']} MB", rows, result, options.json)


if __name__ == "__main__":
    main()
