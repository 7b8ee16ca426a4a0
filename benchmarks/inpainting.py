"""How much of a picture comes back once its words are taken off.

    python -m benchmarks.inpainting [--memes 200] [--seed 77] [--json]

Memes are drawn (`benchmarks/rendered.py`), so the picture before its words were drawn is known. PSNR is of the whole
picture, and of the rectangles round the drawn lines (text region), each meme's capped at 60 dB, then averaged; "on a
picture" leaves out the memes whose words lie on one colour, where filling is easy. One core.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import machine, show
from benchmarks.rendered import Rendered, render
from mrharm.evidence.inpainting.telea import Telea
from mrharm.evidence.ocr.rapidocr import RapidOcr
from mrharm.records import TextBox

CAP = 60.0
Way = Callable[[Rendered, Sequence[TextBox]], Image.Image]


def psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio in dB, at most 60."""
    error = float(np.mean((one - other) ** 2)) if one.size else 0.0
    return min(CAP, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def fill(meme: Rendered, mask: NDArray[np.uint8]) -> Image.Image:
    """Telea's method inside a mask."""
    return Image.fromarray(cv2.inpaint(np.asarray(meme.posted), mask, 3, cv2.INPAINT_TELEA))


def polygons_whole(meme: Rendered, boxes: Sequence[TextBox]) -> Image.Image:
    """The OCR's polygons, filled whole."""
    mask = np.zeros(meme.posted.size[::-1], np.uint8)
    for box in boxes:
        cv2.fillPoly(mask, [np.round(np.array(box.polygon)).astype(np.int32)], 255)
    return fill(meme, mask)


def true_mask(meme: Rendered, boxes: Sequence[TextBox]) -> Image.Image:
    """Every pixel that the words changed: the most that any mask could do."""
    changed = np.abs(np.asarray(meme.posted, int) - np.asarray(meme.clean, int)).max(axis=2) > 8
    return fill(meme, np.where(changed, 255, 0).astype(np.uint8))


def region(meme: Rendered) -> NDArray[np.bool_]:
    """The rectangles round the drawn lines."""
    where = np.zeros(meme.posted.size[::-1], bool)
    for _, (left, top, right, bottom) in meme.lines:
        where[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1] = True
    return where


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    ocr, telea = RapidOcr(), Telea()
    ways: dict[str, Way] = {
        "as posted": lambda meme, _: meme.posted,
        "ours": lambda meme, boxes: telea.clean(meme.posted, boxes),
        "polygons filled whole": polygons_whole,
        "true mask + Telea (ceiling)": true_mask,
    }
    found: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    for meme in render(options.memes, options.seed):
        if not meme.lines:
            continue
        boxes = ocr.read(meme.posted)
        clean, where = np.asarray(meme.clean, np.float64), region(meme)
        on_picture = clean[where].std(axis=0).mean() > 5
        for way, paint in ways.items():
            start = process_time()
            painted = paint(meme, boxes)
            row = found[way]
            row["seconds"].append(process_time() - start)
            pixels = np.asarray(painted, np.float64)
            row["whole"].append(psnr(pixels, clean))
            row["text"].append(psnr(pixels[where], clean[where]))
            if on_picture:
                row["whole_picture"].append(row["whole"][-1])
                row["text_picture"].append(row["text"][-1])
    names = {
        "whole": "whole, dB",
        "text": "text region, dB",
        "whole_picture": "on a picture: whole",
        "text_picture": "on a picture: text",
        "seconds": "s",
    }
    rows: list[dict[str, Any]] = [
        {"way": way, **{title: round(float(np.mean(row[name])), 3) for name, title in names.items()}}
        for way, row in found.items()
    ]
    counts = {"memes": len(found["ours"]["whole"]), "on a picture": len(found["ours"]["whole_picture"])}
    slowest = round(max(found["ours"]["seconds"]), 3)
    result = {"machine": machine("cpu"), **counts, "slowest_s": slowest, "rows": rows}
    show(
        f"taking words off {counts['memes']} memes, seed {options.seed}; slowest {slowest} s",
        rows,
        result,
        options.json,
    )


if __name__ == "__main__":
    main()
