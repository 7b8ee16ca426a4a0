"""How often tests and intervals are wrong where memes come in quads whose four share an outcome.

``python -m benchmarks.significance`` prints, of splits on which two detectors are equally good: how often each paired
test finds a difference at 0.05 (its type I error), and how often each 95 % interval of accuracy holds the true one.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import binomtest

from mrharm.metrics.bootstrap import share_of
from mrharm.metrics.significance import mcnemar

QUAD = 4
ACCURACY = 0.7


def draw_right(rng: np.random.Generator, quads: int, shared: float) -> np.ndarray:
    """Draw which memes a detector decides rightly; the share ``shared`` of the quads decides all four alike."""
    memes = rng.random((quads, QUAD)) < ACCURACY
    alike = rng.random(quads) < shared
    return np.where(alike[:, None], memes[:, :1], memes).ravel()


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quads", type=int, default=60)
    parser.add_argument("--splits", type=int, default=1000)
    arguments = parser.parse_args()
    clusters = np.repeat(np.arange(arguments.quads), QUAD)
    print(f"{arguments.splits} splits of {arguments.quads} quads; accuracy {ACCURACY} of both detectors")
    for shared in (0.0, 0.5, 1.0):
        rng = np.random.default_rng(0)
        rows = []
        for _ in range(arguments.splits):
            first, second = (draw_right(rng, arguments.quads, shared) for _ in range(2))
            only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
            plain = (
                binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
            )
            alone, drawn = share_of(first), share_of(first, clusters=clusters)
            rows.append(
                (
                    plain < 0.05,
                    mcnemar(first, second, clusters=clusters).p < 0.05,
                    (alone.low or 0.0) <= ACCURACY <= (alone.high or 0.0),
                    (drawn.low or 0.0) <= ACCURACY <= (drawn.high or 0.0),
                )
            )
        plain_error, ours, alone_share, drawn_share = np.mean(rows, axis=0)
        print(
            f"quads alike {shared:.1f}: type I error of plain McNemar {plain_error:.3f}, of clusters exchanged "
            f"{ours:.3f}; coverage of the bootstrap of memes {alone_share:.3f}, of clusters {drawn_share:.3f}"
        )


if __name__ == "__main__":
    main()
