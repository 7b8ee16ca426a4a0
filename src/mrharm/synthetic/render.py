"""Draw the plan into files: a picture, its two memes, their clean copies; in several processes."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mrharm.synthetic.layouts import LAYOUTS, Line, draw_text
from mrharm.synthetic.plan import Picture
from mrharm.synthetic.scenes import draw_picture
from mrharm.workers import map_items

IMAGES, CLEAN = "images", "clean"

# Below this many pictures, starting processes takes longer than it saves.
_WORTH_IT = 60


@dataclass(frozen=True)
class Job:
    """A picture and the texts to post on it: (meme id, text)."""

    folder: Path
    picture: Picture
    font: str
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Drawn:
    """What was written for a meme: hashes of the posted and of the clean file, and the box of each line of words."""

    meme_id: str
    image_sha256: str
    clean_sha256: str
    lines: tuple[Line, ...]


def render(jobs: list[Job], workers: int) -> dict[str, Drawn]:
    """Draw and write every job's files under ``images/`` and ``clean/`` of its folder, whatever ``workers`` is."""
    for folder in {job.folder for job in jobs}:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        (folder / CLEAN).mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Drawn] = {}
    results = map_items(render_job, jobs, workers if len(jobs) >= _WORTH_IT else 1)
    for _, result in results:
        if isinstance(result, Exception):
            raise result
        drawn.update((meme.meme_id, meme) for meme in result)
    return drawn


def render_job(job: Job) -> list[Drawn]:
    """Draw one picture: write its clean file and its posted file, once for each text."""
    picture = job.picture
    rng = random.Random(picture.seed)
    free = LAYOUTS[picture.style.layout].free
    clean = draw_picture(picture.pair.scene, picture.rendering, picture.size, free, rng)
    noise = rng.uniform(3.0, 8.0) if rng.random() < 0.2 else 0.0
    quality = rng.randint(45, 92) if rng.random() < 0.35 else None
    if noise:
        clean = _add_noise(clean, noise, rng.getrandbits(32))
    clean_bytes = _to_png(_wear(clean, quality))
    drawn = []
    for meme_id, text in job.texts:
        meme, lines = draw_text(clean, text, job.font, picture.style)
        meme_bytes = _to_png(_wear(meme, quality))
        (job.folder / IMAGES / f"{meme_id}.png").write_bytes(meme_bytes)
        (job.folder / CLEAN / f"{meme_id}.png").write_bytes(clean_bytes)
        drawn.append(Drawn(meme_id, _sha256(meme_bytes), _sha256(clean_bytes), tuple(lines)))
    return drawn


def _add_noise(picture: Image.Image, sigma: float, seed: int) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32)
    # Grey grain two pixels wide: it survives scaling down as real noise does, and keeps the files small.
    rows, columns = (pixels.shape[0] + 1) // 2, (pixels.shape[1] + 1) // 2
    grain = np.random.default_rng(seed).normal(0.0, sigma, (rows, columns)).astype(np.float32)
    grain = grain.repeat(2, axis=0).repeat(2, axis=1)[: pixels.shape[0], : pixels.shape[1]]
    return Image.fromarray(np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8))


def _wear(picture: Image.Image, quality: int | None) -> Image.Image:
    if quality is None:
        return picture
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer, formats=["JPEG"]) as worn:
        return worn.convert("RGB")


def _to_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
