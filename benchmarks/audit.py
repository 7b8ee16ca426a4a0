"""How long an audit takes, and how well perceptual hashes tell copies from unrelated pictures.

    python -m benchmarks.audit [--memes 10000] [--json]

Pictures are photographs-sized JPEGs (500 to 1,200 pixels a side) made from generated memes, each unlike the others;
every fifth meme has a rationale. The dataset is made first, in a temporary folder; only the audit is timed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
from mrharm.workers import map_items

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
    for _, result in map_items(draw, jobs, 2):
        if isinstance(result, Exception):
            raise result
    write_records(folder / "memes.jsonl", memes)
    write_records(folder / "evidence.jsonl", evidence)
    write_records(folder / "rationales.jsonl", rationales)
    info = DatasetInfo(
        name="random", kind="generated", source="random", licence="none", label_scheme="random",
        splits=count_splits(memes),
    )  # fmt: skip
    write_json(folder / "dataset.json", info.model_dump(mode="json"))


def copies(pictures: list[Image.Image]) -> dict[str, dict[str, float]]:
    """Return the share of copies within each distance, by what was done to them."""

    def compressed(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        return Image.open(buffer).convert("RGB")

    changes = {
        "JPEG at quality 40": compressed,
        "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
        "twice the size": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
        "blurred (1.5 px)": lambda picture: picture.filter(ImageFilter.GaussianBlur(1.5)),
        "a fifth darker": lambda picture: picture.point(lambda value: int(value * 0.8)),
        "2 % cropped on each side": lambda picture: ImageOps.crop(picture, picture.width // 50),
        "5 % cropped on each side": lambda picture: ImageOps.crop(picture, picture.width // 20),
        "3 % white border": lambda picture: ImageOps.expand(picture, picture.width // 33, "white"),
    }
    hashes = hash_pictures(pictures)
    return {
        name: _shares(np.bitwise_count(hashes ^ hash_pictures([change(picture) for picture in pictures])))
        for name, change in changes.items()
    }


def hash_pictures(pictures: list[Image.Image]) -> NDArray[np.uint64]:
    """Return the perceptual hash of each picture. *Shape:* (pictures,)"""
    import imagehash

    return np.array([int(str(imagehash.phash(picture)), 16) for picture in pictures], dtype=np.uint64)


def _shares(distances: Any) -> dict[str, float]:
    return {
        f"<= {bits} bits": round(float((distances <= bits).mean()), 6) for bits in (4, NEAR, TEMPLATE, 10)
    }


def unrelated(memes: list[Meme], pictures: list[Image.Image]) -> dict[str, float]:
    """Return the share of pairs of memes over different scenes that lie within each distance."""
    hashes = hash_pictures(pictures)
    scenes = np.array([meme.extra["truth"]["scene"] for meme in memes])
    first, second = np.triu_indices(len(hashes), 1)
    apart = scenes[first] != scenes[second]
    return _shares(np.bitwise_count(hashes[first[apart]] ^ hashes[second[apart]]))


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
        distances = {**copies(pictures), "unrelated (other scenes)": unrelated(memes, pictures)}
        result = {
            "machine": machine("cpu"),
            "memes": report.memes,
            "seconds": times,
            "peak_memory_mb": peak_memory_mb("cpu"),
            "copies": distances,
        }
    title = f"audit of {options.memes:,} memes: " + ", ".join(
        f"{run} {time} s" for run, time in times.items()
    )
    rows = [{"way": name, **shares} for name, shares in distances.items()]
    show(f"{title}; peak {result['peak_memory_mb']} MB", rows, result, options.json)


if __name__ == "__main__":
    main()
