"""How well the words in a meme are read, beside rapidocr's own defaults.

    python -m benchmarks.ocr [--memes 300] [--seed 77] [--json]

Memes are drawn over photographs and scenes in ten layouts (`benchmarks/rendered.py`), one in ten without any words. WER
and CER are edits over the truth's length (jiwer), case and white space folded; both engines read the same pictures on
one core. The engine was tuned on other seeds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import machine, show
from benchmarks.rendered import render
from mrharm.evidence.ocr.rapidocr import RapidOcr


def folded(text: str) -> str:
    """Case and white space folded."""
    return " ".join(text.casefold().split())


def defaults() -> Callable[[Image.Image], str]:
    """rapidocr as it comes, on one thread; its lines in its own order."""
    from rapidocr import RapidOCR

    engine = RapidOCR(
        params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": 1}
    )

    def read(image: Image.Image) -> str:
        found = engine(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))
        return " ".join(found.txts or ())

    return read


def main() -> None:
    """Measure and print."""
    import jiwer

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    ours = RapidOcr()
    ways: dict[str, Callable[[Image.Image], str]] = {
        "ours": lambda image: " ".join(box.text for box in ours.read(image)),
        "rapidocr's defaults": defaults(),
    }
    blank = Image.new("RGB", (480, 480), "white")
    for read in ways.values():
        read(blank)  # models are loaded
    pairs: dict[str, dict[str, list[tuple[str, str]]]] = {way: defaultdict(list) for way in ways}
    seconds: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    invented = dict.fromkeys(ways, 0)
    wordless = count = 0
    for meme in render(options.memes, options.seed):
        truth = folded(" ".join(text for text, _ in meme.lines))
        count += 1
        wordless += not truth
        for way, read in ways.items():
            start = process_time()
            found = folded(read(meme.posted))
            seconds[way][meme.layout].append(process_time() - start)
            if truth:
                pairs[way][meme.layout].append((truth, found))
            else:
                invented[way] += bool(found)
    rows: list[dict[str, Any]] = []
    for way in ways:
        for layout in ["all", *sorted(pairs[way])]:
            some = [pair for name, found in pairs[way].items() if layout in ("all", name) for pair in found]
            truths, said = [one for one, _ in some], [other for _, other in some]
            spent = [one for name, times in seconds[way].items() if layout in ("all", name) for one in times]
            rows.append(
                {
                    "way": f"{way}: {layout}",
                    "memes": len(some),
                    "WER": round(jiwer.wer(truths, said), 4),
                    "CER": round(jiwer.cer(truths, said), 4),
                    "s a meme": round(float(np.mean(spent)), 3),
                    "invented": f"{invented[way]} of {wordless}" if layout == "all" else "",
                }
            )
    result = {"machine": machine("cpu"), "memes": count, "rows": rows}
    show(
        f"reading {count} memes, seed {options.seed}, processor time on one core", rows, result, options.json
    )


if __name__ == "__main__":
    main()
