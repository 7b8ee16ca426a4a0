"""Draw the plan into files: a picture, its two memes, their clean copies; in several processes."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mrharm.records import Evidence, Meme
from mrharm.store import sha256_bytes
from mrharm.synthetic.layouts import LAYOUTS, draw_text
from mrharm.synthetic.plan import Picture
from mrharm.synthetic.scenes import draw_picture
from mrharm.workers import map_items

IMAGES, CLEAN = "images", "clean"
VERSION = "generated@1"

# Below this many pictures, starting processes takes longer than it saves.
_WORTH_IT = 60


@dataclass(frozen=True)
class Job:
    """A picture, and the memes whose texts are posted on it in one font."""

    folder: Path
    picture: Picture
    font: str
    memes: list[Meme]


def render(jobs: list[Job], workers: int) -> dict[str, Evidence]:
    """Write every job's files under ``images/`` and ``clean/`` of its folder; return the evidence by meme id."""
    for folder in {job.folder for job in jobs}:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        (folder / CLEAN).mkdir(parents=True, exist_ok=True)
    evidence: dict[str, Evidence] = {}
    for _, rows in map_items(_render_job, jobs, workers if len(jobs) >= _WORTH_IT else 1):
        if isinstance(rows, Exception):
            raise rows
        evidence.update((row.meme_id, row) for row in rows)
    return evidence


def _render_job(job: Job) -> list[Evidence]:
    """Draw one picture: write its clean file and its posted file, once for each meme."""
    picture = job.picture
    rng = random.Random(picture.seed)
    free = LAYOUTS[picture.style.layout].free
    clean = draw_picture(picture.pair.scene, picture.rendering, picture.size, free, rng)
    noise = rng.uniform(3.0, 8.0) if rng.random() < 0.2 else 0.0
    quality = rng.randint(45, 92) if rng.random() < 0.35 else None
    if noise:
        clean = _add_noise(clean, noise, rng.getrandbits(32))
    clean_bytes = _to_png(clean, quality)
    evidence = []
    for meme in job.memes:
        posted, boxes = draw_text(clean, str(meme.text), job.font, picture.style)
        posted_bytes = _to_png(posted, quality)
        clean_image = f"{CLEAN}/{meme.id}.png"
        (job.folder / str(meme.image)).write_bytes(posted_bytes)
        (job.folder / clean_image).write_bytes(clean_bytes)
        row = Evidence(
            meme_id=meme.id,
            image_sha256=sha256_bytes(posted_bytes),
            text=meme.text,
            text_source="given",
            boxes=boxes,
            clean_image=clean_image,
            caption=meme.extra["truth"]["caption"],
            made_by=dict.fromkeys(("text", "boxes", "clean_image", "caption"), VERSION),
        )
        evidence.append(row)
    return evidence


def _add_noise(picture: Image.Image, sigma: float, seed: int) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32)
    # Grey grain two pixels wide: it survives scaling down as real noise does, and keeps the files small.
    rows, columns = (pixels.shape[0] + 1) // 2, (pixels.shape[1] + 1) // 2
    grain = np.random.default_rng(seed).normal(0.0, sigma, (rows, columns)).astype(np.float32)
    grain = grain.repeat(2, axis=0).repeat(2, axis=1)[: pixels.shape[0], : pixels.shape[1]]
    return Image.fromarray(np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8))


def _to_png(picture: Image.Image, quality: int | None) -> bytes:
    """Encode a picture as PNG, worn by a JPEG of this quality unless it is None."""
    buffer = io.BytesIO()
    if quality is not None:
        picture.save(buffer, "JPEG", quality=quality)
        with Image.open(buffer, formats=["JPEG"]) as worn:
            picture = worn.convert("RGB")
        buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
