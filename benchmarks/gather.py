"""How long `mrharm gather` takes: words read and taken off, two processes.

    python -m benchmarks.gather [--memes 1000] [--json]

Memes are drawn first (`benchmarks/rendered.py`, 400 to 1,000 pixels a side), in a temporary folder; only gathering is
timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import monotonic

from benchmarks.common import machine, show
from benchmarks.rendered import render
from mrharm.evidence.gather import gather
from mrharm.images import encode_png
from mrharm.memes.dataset import Dataset
from mrharm.memes.importing import import_memes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memes", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print("drawing memes", file=sys.stderr)
        source = Path(scratch) / "source"
        source.mkdir()
        for number, meme in enumerate(render(options.memes, 78)):
            (source / f"{number:05d}.png").write_bytes(encode_png(meme.posted))
        import_memes("folder", source, Path(scratch) / "dataset")
        rows = []
        for run in ("first run", "second run (all known)"):
            dataset = Dataset(Path(scratch) / "dataset")
            start = monotonic()
            done = gather(dataset, dataset.memes, workers=2)
            seconds = monotonic() - start
            rows.append(
                {
                    "way": run,
                    "memes": done.memes,
                    "looked at": done.looked,
                    "failed": len(done.failures),
                    "s": round(seconds, 1),
                    "memes/s": round(done.memes / seconds, 1),
                }
            )
    show("gather, two processes", rows, {"machine": machine("cpu"), "rows": rows}, options.json)


if __name__ == "__main__":
    main()
